"""Every public name of earlier versions is there, and takes what it took."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from compat import observed, public_names

KEPT = {version: observed.read_json(observed.DATA / version / "public_names.json") for version in observed.VERSIONS}

LOADED = ("embedkit.Encoder", "embedkit.EncoderPool")
"""What ``load`` makes: its constructor is nobody else's."""

REORDERED = ("embedkit.check", "embedkit.ingestion.check")
"""Takes its encoder before its store now, as its sisters do, and the order of before with a warning (see its tests)."""


@pytest.fixture(params=observed.VERSIONS)
def kept(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = KEPT[request.param]
    return found


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """An old name may warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def problems(before: dict[str, Any], value: Any, name: str) -> list[str]:
    """What of a name's earlier description holds no more."""
    made = None if name in (*LOADED, *REORDERED) else before.get("class", before.get("function"))
    found = [f"{name} {problem}" for problem in public_names.broken(made, value)] if made is not None else []
    for member, was in before.get("members", {}).items():
        if not hasattr(value, member):
            found.append(f"{name}.{member} is gone")
        elif was is not None:
            found += [f"{name}.{member} {problem}" for problem in public_names.broken(was, getattr(value, member))]
    fields = getattr(value, "__dataclass_fields__", {})
    gone = [field for field in before.get("fields", []) if field not in fields and not hasattr(value, field)]
    return found + [f"{name}.{field} is gone" for field in gone]


@pytest.mark.parametrize(
    ("version", "module"),
    [
        (version, module)
        for version, kept in KEPT.items()
        for module in kept["modules"]
        if module in public_names.MODULES
    ],
)
def test_names_of_modules(version: str, module: str) -> None:
    found: list[str] = []
    home = import_module(module)
    for name, before in KEPT[version]["modules"][module].items():
        if not hasattr(home, name):
            found.append(f"{module}.{name} is gone")
        else:
            found += problems(before, getattr(home, name), f"{module}.{name}")
    assert not found, "\n".join(found)


def test_errors_are_caught_as_before(kept: dict[str, Any]) -> None:
    errors = import_module("embedkit.errors")
    for name, before in kept["errors"].items():
        assert set(before) <= set(public_names.bases(getattr(errors, name))), name


def test_objects(kept: dict[str, Any]) -> None:
    found: list[str] = []
    with public_names.objects() as made:
        for name, before in kept["objects"].items():
            value = made[name]
            found += problems({**before, "class": None}, value, name)
            found += [f"{name}.{each} is gone" for each in before["attributes"] if not hasattr(value, each)]
    assert not found, "\n".join(found)


def test_commands(kept: dict[str, Any]) -> None:
    found: list[str] = []
    for program, before in kept["commands"].items():
        now = public_names.commands(import_module(public_names.COMMANDS[program]).app)
        for path, parameters in before.items():
            if path not in now:
                found.append(f"{program} {path} is gone")
                continue
            written = {each: one for one in now[path].values() for each in one["written"]}
            places = [one for one in now[path].values() if not one["written"]]
            for name, was in parameters.items():
                found += [f"{program} {path} {each} is gone" for each in was["written"] if each not in written]
                one = written.get(was["written"][0]) if was["written"] else now[path].get(name)
                if one:
                    same = ("default", "flag", "many")
                    found += [
                        f"{program} {path} {name}: {each}"
                        for each in same
                        if (one[each] or None) != (was[each] or None)
                    ]
                    found += [
                        f"{program} {path} {name}: {each}" for each in was["choices"] if each not in one["choices"]
                    ]
                    if one["required"] and not was["required"]:
                        found.append(f"{program} {path} {name} is required now")
            arguments = [one for one in parameters.values() if not one["written"]]
            if [one["required"] for one in places] != [one["required"] for one in arguments]:
                found.append(f"{program} {path} takes other arguments")
            asked = {each for was in parameters.values() for each in was["written"]}
            new = [one for one in now[path].values() if one["written"] and asked.isdisjoint(one["written"])]
            found += [f"{program} {path} needs {one['written'][0]}" for one in new if one["required"]]
    assert not found, "\n".join(found)


# The comparison itself.


def test_what_breaks_a_call_is_noticed() -> None:
    def before(a: int, b: int = 1, *, c: int = 2) -> None: ...
    def more(a: int, b: int = 1, d: int = 0, *, c: int = 2, e: int = 3) -> None: ...
    def other_name(a: int, second: int = 1, *, c: int = 2) -> None: ...
    def other_place(b: int = 1, a: int = 0, *, c: int = 2) -> None: ...
    def other_default(a: int, b: int = 1, *, c: int = 3) -> None: ...
    def needed(a: int, b: int = 1, *, c: int = 2, d: int) -> None: ...
    def by_name_only(a: int, *, b: int = 1, c: int = 2) -> None: ...
    def required(a: int, b: int = 1, *, c: int) -> None: ...

    was = public_names.parameters(before)
    assert public_names.broken(was, before) == public_names.broken(was, more) == []
    for wrong in (other_name, other_place, other_default, needed, by_name_only, required):
        assert public_names.broken(was, wrong), wrong.__name__
    other_name.__renamed__ = {"b": "second"}  # type: ignore[attr-defined]
    assert public_names.broken(was, other_name) == []
