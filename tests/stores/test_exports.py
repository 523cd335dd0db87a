"""What plugin authors import: all of it is there, sorted, and nothing else of embedkit is needed."""

from __future__ import annotations

import ast
from pathlib import Path

import embedkit
import embedkit.stores as stores

PLUGINS = Path(__file__).parents[2] / "plugins"


def test_every_exported_name_is_there_once_and_in_order() -> None:
    kind = {name: 0 if name.isupper() else 1 if name[0].isupper() else 2 for name in stores.__all__}
    kind["F"] = 1
    assert stores.__all__ == sorted(stores.__all__, key=lambda name: (kind[name], name))
    assert len(set(stores.__all__)) == len(stores.__all__)
    assert [name for name in stores.__all__ if not hasattr(stores, name)] == []


def test_what_both_export_is_the_same() -> None:
    both = set(stores.__all__) & set(embedkit.__all__)
    assert {"GuardedStore", "GuardedCollection", "Capabilities", "open_store", "StoreError"} <= both
    assert [name for name in both if getattr(stores, name) is not getattr(embedkit, name)] == []


def test_plugins_import_embedkit_from_one_place() -> None:
    found = set()
    files = sorted(PLUGINS.rglob("*.py"))
    assert len({file.parent for file in files}) == 10
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.ImportFrom)
                and not node.level
                and (node.module or "").partition(".")[0] == "embedkit"
            ):
                found.add(node.module)
                assert {name.name for name in node.names} <= set(stores.__all__), file
            if isinstance(node, ast.Import):
                assert not [name.name for name in node.names if name.name.partition(".")[0] == "embedkit"], file
    assert found == {"embedkit.stores"}


def test_plugins_read_no_private_name_of_another_file() -> None:
    for file in PLUGINS.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                assert not [name.name for name in node.names if name.name.startswith("_")], file
