"""An optional package is imported, or named as users install it."""

from __future__ import annotations

import sys

import pytest

from embedkit.errors import MissingExtraError
from embedkit.system.extras import needed


def test_what_is_there_is_given():
    import xml.dom.minidom

    assert needed("xml.dom.minidom", "reading", extra="none") is xml.dom.minidom


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("no_such_module.inner", "no_such_module"),
        ("yaml", "pyyaml"),
        ("Stemmer", "PyStemmer"),
        ("sklearn.metrics", "scikit-learn"),
        ("pytrec_eval", "pytrec-eval-terrier"),
    ],
)
def test_what_is_missing_is_named_with_its_extra(monkeypatch, module, package):
    monkeypatch.setitem(sys.modules, module.partition(".")[0], None)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError) as caught:
        needed(module, "reading it", extra="readers")
    assert (caught.value.package, caught.value.extra) == (package, "readers")
    assert str(caught.value) == f"reading it needs the package {package!r}: run  pip install 'embedkit-onnx[readers]'"
    assert isinstance(caught.value.__cause__, ImportError)
