"""The docstrings of Python's standard library: thousands of real documents of mixed length that every machine has."""

from __future__ import annotations

import ast
import inspect
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from embedkit.records.documents import Document

MIN_CHARACTERS = 40
"""A shorter docstring tells nothing that its name does not."""

_SKIPPED = {
    "__pycache__",
    "dist-packages",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "site-packages",
    "test",
    "tests",
    "turtledemo",
}

Definition: TypeAlias = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def standard_library() -> Iterator[Document]:
    """A document for each public module, class, function and method of the standard library that has a docstring.

    The sources are parsed, not imported, in a fixed order. The id is the qualified name (a repeated one ends in ``#2``
    and so on); the text is the name with its signature and the docstring; the metadata has ``module``, ``kind`` and
    ``line``.
    """
    seen: dict[str, int] = {}
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(_sources(root)):
        for document in _documents(path, _module_name(path.relative_to(root))):
            count = seen[document.id] = seen.get(document.id, 0) + 1
            yield document if count == 1 else Document(f"{document.id}#{count}", document.text, document.metadata)


def _sources(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        public = not path.name.startswith("_") or path.name == "__init__.py"
        if path.is_dir() and path.name not in _SKIPPED and path.name.isidentifier() and public:
            yield from _sources(path)
        elif path.suffix == ".py" and path.stem.isidentifier() and public:
            yield path


def _module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _documents(path: Path, module: str) -> Iterator[Document]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    yield from _document(tree, module, module, "module", "")
    yield from _members(tree, module, module, inside_class=False)


def _members(parent: ast.Module | ast.ClassDef, name: str, module: str, *, inside_class: bool) -> Iterator[Document]:
    for node in parent.body:
        if not isinstance(node, Definition) or node.name.startswith("_"):
            continue
        qualified = f"{name}.{node.name}"
        if isinstance(node, ast.ClassDef):
            bases = ", ".join(ast.unparse(base) for base in node.bases)
            yield from _document(node, qualified, module, "class", f"({bases})" if bases else "")
            yield from _members(node, qualified, module, inside_class=True)
        else:
            yield from _document(
                node, qualified, module, "method" if inside_class else "function", f"({ast.unparse(node.args)})"
            )


def _document(node: ast.Module | Definition, name: str, module: str, kind: str, signature: str) -> Iterator[Document]:
    docstring = inspect.cleandoc(ast.get_docstring(node, clean=False) or "").strip()
    if len(docstring) >= MIN_CHARACTERS:
        line = 1 if isinstance(node, ast.Module) else node.lineno
        yield Document(name, f"{name}{signature}\n{docstring}", {"module": module, "kind": kind, "line": line})
