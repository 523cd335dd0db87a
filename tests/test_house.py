"""The rules that keep the rooms: a test for each module, small folders and files, nothing private read from outside,
nothing public by accident, one meaning for a name."""

from __future__ import annotations
import __future__

import ast
import importlib
import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "embedkit": ROOT / "embedkit",
    "embedkit_export": ROOT / "export" / "embedkit_export",
    **{folder.name: folder for folder in sorted((ROOT / "plugins").glob("embedkit_*"))},
}
MODULES = [file for folder in PACKAGES.values() for file in sorted(folder.rglob("*.py"))]
"""Every file of the packages."""


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def dotted(file: Path) -> str:
    """The name a module is imported by."""
    top, folder = next((top, folder) for top, folder in PACKAGES.items() if file.is_relative_to(folder))
    steps = file.relative_to(folder).with_suffix("").parts
    return ".".join([top, *steps]).removesuffix(".__init__")


def short(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


# A test for each module

TESTED_ELSEWHERE = {
    "embedkit/__main__.py": "`python -m embedkit` is run by tests/cli/test_entry.py",
    "embedkit/system/version.py": "a number, which `embedkit --version` shows in tests/cli/test_entry.py",
    "embedkit/testing/row_tests.py": "tests themselves, run for each store in tests/stores and tests/plugins",
    "embedkit/testing/vector_tests.py": "tests themselves, as those above",
    "embedkit/testing/filter_tests.py": "tests themselves, as those above",
    "embedkit/testing/bulk_tests.py": "tests themselves, as those above",
    "embedkit/testing/lifecycle_tests.py": "tests themselves, as those above",
    "embedkit/testing/kinds_tests.py": "tests themselves, as those above",
    "export/embedkit_export/tensors.py": "names of tensors and types of arrays, without a line that does anything",
}


def places_of_test(file: Path) -> list[Path]:
    """Where the test of a module may stand; of a plugin's module also beside those of the other modules."""
    tests = ROOT / "tests"
    for top, folder in PACKAGES.items():
        if file.is_relative_to(folder):
            inside = file.relative_to(folder).parent / f"test_{file.stem.lstrip('_')}.py"
            if top == "embedkit":
                return [tests / inside]
            if top == "embedkit_export":
                return [tests / "export" / inside]
            plugin = top.removeprefix("embedkit_")
            return [tests / "plugins" / plugin / inside, tests / "plugins" / f"test_{plugin}.py"]
    raise AssertionError(file)


def test_every_module_has_a_test_where_it_is_looked_for() -> None:
    missing = [
        f"{short(file)} -> {short(places_of_test(file)[0])}"
        for file in MODULES
        if file.name != "__init__.py" and short(file) not in TESTED_ELSEWHERE
        if not any(test.is_file() for test in places_of_test(file))
    ]
    assert not missing, "\n".join(["modules without a test:", *missing])


def test_a_module_that_is_tested_elsewhere_has_no_test_of_its_own() -> None:
    for name in TESTED_ELSEWHERE:
        file = ROOT / name
        assert not (file.is_file() and places_of_test(file)[0].is_file()), f"{name}: take it from the list"


# Small folders, small files


def test_no_folder_has_more_than_nine_modules() -> None:
    folders = {file.parent for file in MODULES}
    counts = {short(folder): sum(file.name != "__init__.py" for file in folder.glob("*.py")) for folder in folders}
    assert {name: count for name, count in counts.items() if count > 9} == {}


def test_no_module_has_more_than_400_lines() -> None:
    lengths = {short(file): len(file.read_text(encoding="utf-8").splitlines()) for file in MODULES}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


@pytest.mark.parametrize(("package", "most"), [("embedkit", 21), ("embedkit_export", 18)])
def test_a_list_of_a_package_is_read_at_a_glance(package: str, most: int) -> None:
    listed = [entry.name for entry in PACKAGES[package].iterdir() if entry.name != "__pycache__"]
    assert len(listed) <= most, sorted(listed)


# Nothing private is read from outside

OTHERS_PRIVATE = {
    ("export/embedkit_export/graphs/fusion_checks.py", "_conf"): "optimum names its supported models nowhere else",
    (
        "export/embedkit_export/sources/weights/cut_layers.py",
        "_conf",
    ): "optimum names its supported models nowhere else",
    ("export/embedkit_export/modules/builders.py", "_BatchNorm"): "torch's base of all batch normalisations",
    (
        "export/embedkit_export/plan/detection/multivector.py",
        "_skiplist_ids",
    ): "sentence-transformers keeps the ids of the skiplist there alone",
    (
        "export/embedkit_export/sources/routes.py",
        "_resolve_route",
    ): "a router of sentence-transformers tells by it alone",
    (
        "export/embedkit_export/graphs/idioms.py",
        "_layer_norm",
    ): "onnxscript's rule, of which ours is a kind, is exported nowhere",
    (
        "export/embedkit_export/graphs/programs/shortcuts.py",
        "_DEFAULT_REWRITE_RULES",
    ): "onnxscript's rules keep a graph each, and are named nowhere else",
    (
        "export/embedkit_export/graphs/programs/shortcuts.py",
        "_matcher",
    ): "the part of such a rule that keeps it",
    (
        "export/embedkit_export/graphs/programs/shortcuts.py",
        "_internal",
    ): "torch's ONNX exporter stands there",
    (
        "export/embedkit_export/graphs/programs/shortcuts.py",
        "_registration",
    ): "torch's table of ONNX functions, which it makes again for each program",
    (
        "export/embedkit_export/graphs/programs/shortcuts.py",
        "_TypePromotionInterpreter",
    ): "torch's promotion of types, of which the rules are used without the run",
    (
        "export/embedkit_export/graphs/programs/shortcuts.py",
        "_set_current_node",
    ): "as the one above",
    (
        "export/embedkit_export/graphs/programs/shortcuts.py",
        "_maybe_promote_node",
    ): "as the one above",
    (
        "export/embedkit_export/modules/vocabulary.py",
        "_modules",
    ): "torch's children by name, None among them, to set in a copy",
    ("plugins/embedkit_chroma/_store.py", "_server"): "a client of Chroma keeps its connections open, and has no close",
    ("plugins/embedkit_chroma/_store.py", "_session"): "as the one above, on the way to them",
}
"""What other projects hide and a module needs all the same."""


def is_private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def own_members(module: ast.Module) -> set[str]:
    """The names that the classes of a file define, or set on ``self`` or ``cls``."""
    found: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.ClassDef):
            for part in node.body:
                if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
                    found.add(part.name)
                elif isinstance(part, ast.Assign | ast.AnnAssign):
                    targets = part.targets if isinstance(part, ast.Assign) else [part.target]
                    found.update(n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name))
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_self(node.value):
            found.add(node.attr)
    return found


def is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def imported_from(node: ast.ImportFrom, file: Path) -> str:
    """The absolute name of the module that names are imported from."""
    package = dotted(file).split(".")
    if file.name != "__init__.py":
        package = package[:-1]
    base = package[: len(package) - node.level + 1] if node.level else []
    return ".".join([*base, *([node.module] if node.module else [])])


def private_reads(file: Path, module: ast.Module) -> Iterator[tuple[int, str, str]]:
    """(line, what is written, the private name) of each name of another module that is read."""
    own = own_members(module)
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom):
            source = imported_from(node, file)
            steps = source.split(".")
            for alias in node.names:
                is_module = any(
                    (PACKAGES.get(steps[0], Path("/nowhere")).joinpath(*steps[1:], alias.name + end)).exists()
                    for end in (".py", "/__init__.py")
                )
                path = [*steps, alias.name] if is_module else steps
                if is_private(alias.name) and not is_module:
                    yield node.lineno, f"from {source} import {alias.name}", alias.name
                yield from (
                    (node.lineno, f"from {source} import {alias.name}", step)
                    for i, step in enumerate(path)
                    if is_private(step) and not (dotted(file) + ".").startswith(".".join(path[:i]) + ".")
                )
        elif isinstance(node, ast.Import):
            for alias in node.names:
                steps = alias.name.split(".")
                yield from (
                    (node.lineno, f"import {alias.name}", step)
                    for i, step in enumerate(steps)
                    if i and is_private(step) and not dotted(file).startswith(".".join(steps[:i]) + ".")
                )
        elif isinstance(node, ast.Attribute):
            if is_private(node.attr) and not is_self(node.value) and node.attr not in own:
                yield node.lineno, ast.unparse(node), node.attr
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("getattr", "setattr", "hasattr")
            and isinstance(name := node.args[1], ast.Constant)
            and is_private(str(name.value))
            and not is_self(node.args[0])
            and name.value not in own
        ):
            yield node.lineno, ast.unparse(node), str(name.value)


def test_no_underscored_name_is_read_from_another_module() -> None:
    reads = [
        f"{short(file)}:{line}: {written}"
        for file in MODULES
        for line, written, name in private_reads(file, tree(file))
        if (short(file), name) not in OTHERS_PRIVATE
    ]
    assert not reads, "\n".join(reads)


def test_what_other_projects_hide_is_still_needed() -> None:
    read = {(short(file), name) for file in MODULES for _, _, name in private_reads(file, tree(file))}
    assert set(OTHERS_PRIVATE) <= read, set(OTHERS_PRIVATE) - read


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("from embedkit.records.metadata import _TAG", ["_TAG"]),
        ("from .records.metadata import _to_json as f", ["_to_json"]),
        ("import embedkit_qdrant._store", ["_store"]),
        ("from embedkit_qdrant._store import Collection", ["_store"]),
        ("from embedkit_qdrant import _store", ["_store"]),
        ("from embedkit.system.version import __version__", []),
        ("def f(x):\n    return x._y, x.__dict__", ["_y"]),
        ("def f(x):\n    x._y = 1", ["_y"]),
        ("def f(x):\n    return getattr(x, '_y')", ["_y"]),
        ("class A:\n    def f(self, other):\n        self._y = other._y + other._z", ["_z"]),
        ("class A:\n    _y: int\n    def f(self, other):\n        return self.part._z, other._y", ["_z"]),
    ],
)
def test_what_counts_as_reading(code: str, names: list[str]) -> None:
    found = [name for _, _, name in private_reads(ROOT / "embedkit" / "checks.py", ast.parse(code))]
    assert found == names


# Nothing public by accident

SHOWN = [
    "embedkit",
    "embedkit.bundle",
    "embedkit.errors",
    "embedkit.evaluation",
    "embedkit.ingestion",
    "embedkit.records",
    "embedkit.stores",
    "embedkit.testing",
    *(name for name in PACKAGES if name != "embedkit"),
]


def order(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions, as ruff sorts ``__all__``."""
    return (0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2, name)


def shown(module: ModuleType) -> set[str]:
    """The public names of a module that it defines or takes from its own package; those of others that it only uses do not
    count, nor do modules."""
    top = module.__name__.partition(".")[0]
    assert module.__file__
    here = {
        name
        for node in tree(Path(module.__file__)).body
        for name in (
            [node.name]
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            else [n.id for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name)]
            if isinstance(node, ast.Assign)
            else [node.target.id]
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
            else []
        )
    }
    found = set()
    for name in dir(module):
        value = getattr(module, name)
        if name.startswith("_") or inspect.ismodule(value) or isinstance(value, __future__._Feature):
            continue
        home = str(getattr(value, "__module__", ""))
        if name in here or home.partition(".")[0] == top:
            found.add(name)
    return found


@pytest.mark.parametrize("name", SHOWN)
def test_nothing_is_public_by_accident(name: str) -> None:
    module = importlib.import_module(name)
    listed = module.__all__
    assert list(listed) == sorted(set(listed), key=order)
    assert shown(module) - set(listed) == set(), "public, and not in __all__"
    assert [one for one in listed if not hasattr(module, one)] == [], "in __all__, and not there"


def homes_for_types(package: str) -> dict[str, str]:
    """The names that a package imports under TYPE_CHECKING, each with the module that it comes from."""
    file = PACKAGES[package] / "__init__.py"
    blocks = [
        node
        for node in tree(file).body
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    ]
    found: dict[str, str] = {}
    for node in (part for block in blocks for part in block.body):
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            assert alias.asname == alias.name, "`import x as x` is what type checkers take for public"
            found[alias.name] = imported_from(node, file)
    return found


@pytest.mark.parametrize("package", ["embedkit", "embedkit_export"])
def test_what_is_loaded_when_used_has_one_home(package: str) -> None:
    module = importlib.import_module(package)
    homes = {name: f"{package}.{home}" for name, home in module._HOME.items()}
    assert sorted(homes) == sorted(module.__all__)
    assert homes_for_types(package) == homes
    for name, home in homes.items():
        value = getattr(importlib.import_module(home), name)
        made = value.__module__
        assert made == home or made.startswith(home + "."), f"{name} is made in {made}, and _HOME says {home}"
        assert getattr(module, name) is value


# One meaning for a name

NAMED_TWICE = {
    "Classifier": "the class that users load; in the evaluation task, which classifier is fitted, for this task alone",
    "DIM": "the size of the vectors in the tests of the conformance suite, of each file its own",
    "ENGINE": "what each engine's file calls its descriptor",
    "GROUP": "of an entry point group, the name that its module looks for; of an engine, rows that share a scale",
    "Record": "a stored row; in evaluation a labelled row with its place, for the readers there alone",
    "Rows": "numbers of rows, an alias for signatures",
    "SUFFIXES": "the endings of the names of files of one format, of each format its own",
    "Scorer": "in the manifest what the class of this name is made of",
    "Source": "in the manifest the model that a bundle was made of; in the readers a file that rows are read from",
    "Tower": "in the manifest what the class of this name is made of",
    "interval": "the bootstrap computes it, the report writes it",
    "open_store": "what every plugin calls its entry point, as the memory store does; and the function that finds the plugin",
    "pieces": "rows cut for workers; texts cut for the self-check",
}
"""Public names that the runtime defines in two modules, and why."""


def definitions(file: Path) -> set[str]:
    """The public classes, functions and values that a module defines at its top."""
    found: set[str] = set()
    for node in tree(file).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found.update(n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name))
    return {name for name in found if not name.startswith("_")}


def test_a_public_name_of_the_runtime_has_one_meaning() -> None:
    commands = PACKAGES["embedkit"] / "cli" / "commands"  # a command's function is called as what it calls
    # each is called as the users of its framework call such things, and clusters alike
    of_others = {PACKAGES["embedkit"] / room for room in ("integrations", "ray", "spark")}
    places: dict[str, list[str]] = {}
    for file in sorted(PACKAGES["embedkit"].rglob("*.py")):
        for name in definitions(file) if not {commands, *of_others} & {*file.parents} else ():
            places.setdefault(name, []).append(short(file))
    twice = {name: found for name, found in places.items() if len(found) > 1}
    assert {name: found for name, found in twice.items() if name not in NAMED_TWICE} == {}
    assert set(NAMED_TWICE) <= set(twice), f"no longer defined twice: {set(NAMED_TWICE) - set(twice)}"
