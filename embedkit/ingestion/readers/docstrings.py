"""The docstrings of Python's standard library: thousands of real documents of mixed length that every machine has."""

from __future__ import annotations

import ast
import gc
import hashlib
import inspect
import platform
import sysconfig
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

from embedkit.records.documents import Document
from embedkit.system import cache

MIN_CHARACTERS = 40
"""A shorter docstring tells nothing that its name does not."""

_FORM = 1
"""Changes with what a document holds, so that none of before is taken for one."""

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
    ``line``. Parsing takes seconds, so that what was found is kept in the user's cache folder for as long as the sources
    are the same.
    """
    root = Path(sysconfig.get_path("stdlib"))
    paths = sorted(_sources(root))
    key, state = {"documents": "standard library", "root": str(root)}, _state(paths)
    kept = cache.recall(key)
    if kept is not None and kept.get("state") == state and (documents := _restored(kept.get("documents"))):
        yield from documents
        return
    seen: dict[str, int] = {}
    found: list[Document] = []
    for path in paths:
        for document in _documents(path, _module_name(path.relative_to(root))):
            count = seen[document.id] = seen.get(document.id, 0) + 1
            again = document if count == 1 else Document(f"{document.id}#{count}", document.text, document.metadata)
            found.append(again)
            yield again
    written = [[document.id, document.text, dict(document.metadata)] for document in found]
    cache.remember(key, {"state": state, "documents": written})


def _state(paths: Sequence[Path]) -> str:
    """A hash of what tells whether the sources are those of before, and of what is made of them."""
    digest = hashlib.sha256(f"{_FORM} {platform.python_version()} {MIN_CHARACTERS}".encode())
    for path in paths:
        with suppress(OSError):  # one that is gone is not read either
            about = path.stat()
            digest.update(f"{path} {about.st_size} {about.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _restored(written: Any) -> list[Document]:
    """The documents that were kept; none where they cannot be read."""
    try:
        return [Document(str(name), str(text), dict(metadata)) for name, text, metadata in written]
    except (TypeError, ValueError):
        return []


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
        with warnings.catch_warnings(), _collector_paused():
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    yield from _document(tree, module, module, "module", "")
    yield from _members(tree, module, module, inside_class=False)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Without searches for garbage: a tree has none, and each search goes through all that the process holds."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


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
