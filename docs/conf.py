"""Sphinx's settings for the site: ``make docs``."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
for folder in (HERE / "_ext", HERE.parent, HERE.parent / "export", HERE.parent / "plugins"):
    sys.path.insert(0, str(folder))

from embedkit import __version__  # noqa: E402

project = "embedkit"
author = "The embedkit authors"
copyright = "the embedkit authors"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "definitions"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist", "substitution"]
myst_heading_anchors = 4
myst_substitutions = {"version": __version__}
suppress_warnings = ["myst.strikethrough"]

# In docstrings a name in single backticks is one of this project: a link where the reference has it, else code.
default_role = "name"
smartquotes = False  # `--option` in a text of the command line is two hyphens
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = f"embedkit {__version__}"
html_static_path = ["images", "_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1f5f8b", "color-brand-content": "#1f5f8b"},
    "dark_css_variables": {"color-brand-primary": "#7fb8dd", "color-brand-content": "#7fb8dd"},
}
pygments_style = "friendly"
pygments_dark_style = "github-dark"
