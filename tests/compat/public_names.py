"""Every name that a program may import, or type, and what it takes."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import tempfile
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import click

MODULES = (
    "embedkit",
    "embedkit.bundle",
    "embedkit.cli",
    "embedkit.errors",
    "embedkit.evaluation",
    "embedkit.ingestion",
    "embedkit.records",
    "embedkit.testing",
    "embedkit.testing.tiny",
    "embedkit_export",
    "embedkit_export.cli",
)
COMMANDS = {"embedkit": "embedkit.cli", "embedkit-export": "embedkit_export.cli"}


def everything() -> dict[str, Any]:
    """All of this version, as JSON has it."""
    modules = {name: {each: described(value) for each, value in _public(import_module(name))} for name in MODULES}
    with objects() as made:
        return {
            "modules": modules,
            "errors": {name: bases(value) for name, value in _public(import_module("embedkit.errors"))},
            "objects": {
                name: described(type(value)) | {"attributes": attributes(value)} for name, value in made.items()
            },
            "commands": {name: commands(import_module(module).app) for name, module in COMMANDS.items()},
        }


def _public(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """The names of ``__all__``; without it, those that the module itself defines."""
    if module.__name__ in COMMANDS.values():
        names = ["main"]
    elif hasattr(module, "__all__"):
        names = list(module.__all__)
    else:
        assert module.__file__
        names = list(_defined(Path(module.__file__)))
    for name in sorted(names):
        if not name.startswith("_"):
            yield name, getattr(module, name)


def _defined(file: Path) -> Iterator[str]:
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        yield from (target.id for target in targets if isinstance(target, ast.Name))


def described(value: Any) -> dict[str, Any]:
    """What a function takes, or the constructor and each public method of a class; nothing of a plain value."""
    if inspect.isclass(value):
        members = {name: _member(value, name) for name in dir(value) if _is_public(value, name)}
        fields = [field.name for field in dataclasses.fields(value)] if dataclasses.is_dataclass(value) else []
        return {"class": parameters(value), "members": members, "fields": fields}
    return {"function": parameters(value)} if callable(value) else {}


def _is_public(cls: type, name: str) -> bool:
    """Defined by embedkit, and no case of the suite for stores."""
    if name.startswith(("_", "test_")):
        return False
    owner = next((each for each in cls.__mro__ if name in vars(each)), cls)
    return owner.__module__.partition(".")[0].startswith("embedkit")


def _member(cls: type, name: str) -> list[dict[str, str]] | None:
    value = getattr(cls, name)
    return parameters(value) if callable(value) and not inspect.isclass(value) else None


def parameters(function: Any) -> list[dict[str, str]] | None:
    """Name, kind and default of each parameter but ``self``; None where Python does not tell."""
    try:
        found = inspect.signature(function).parameters.values()
    except ValueError:
        return None
    return [
        {"name": each.name, "kind": each.kind.name}
        | ({} if each.default is inspect.Parameter.empty else {"default": shown(each.default)})
        for each in found
        if each.name != "self"
    ]


def shown(default: Any) -> str:
    """A default as text, without what differs from run to run, or where a class lives."""
    if isinstance(default, set | frozenset):
        return repr(sorted(default))
    return re.sub(r"\b(?:\w+\.)+(\w)", r"\1", re.sub(r" at 0x\w+", "", repr(default)))


def bases(cls: type) -> list[str]:
    """The names of the classes that an error is caught by."""
    return [each.__name__ for each in cls.__mro__ if each is not object]


class objects:
    """Objects whose classes have no public name, and some with attributes that are set when they are made."""

    def __enter__(self) -> dict[str, Any]:
        import embedkit
        from embedkit.testing.tiny import tiny_bundle

        self.folder = tempfile.TemporaryDirectory()
        folder = tiny_bundle(Path(self.folder.name) / "bundle")
        encoder = embedkit.Encoder.load(folder, variant="fp32", engine="onnxruntime", threads=1)
        self.store = embedkit.open_store("memory:public names")
        report = embedkit.ingest(["a text"], encoder, self.store, collection="docs")
        return {
            "bundle": embedkit.Bundle.open(folder),
            "collection": self.store.open("docs"),
            "encoder": encoder,
            "encoder.stats": encoder.stats,
            "index": embedkit.LexicalIndex.build(self.store, collection="docs"),
            "manifest": embedkit.Bundle.open(folder).manifest,
            "report": report,
            "store": self.store,
            "verified": embedkit.verify(folder),
        }

    def __exit__(self, *_: object) -> None:
        self.store.close()
        self.folder.cleanup()


def attributes(value: Any) -> list[str]:
    """The public attributes of an object, methods too."""
    return [name for name in dir(value) if not name.startswith("_")]


def commands(command: click.Command, path: str = "") -> dict[str, Any]:
    """The parameters of a command and of all below it, by their path."""
    found = {path: {parameter.name: _typed(parameter) for parameter in command.params}}
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            each = command.get_command(context, name)
            assert each is not None
            found |= commands(each, f"{path} {name}".strip())
    return found


def _typed(parameter: click.Parameter) -> dict[str, Any]:
    default = parameter.default if isinstance(parameter.default, str | int | float | bool) else None
    return {
        "written": [*parameter.opts, *parameter.secondary_opts] if isinstance(parameter, click.Option) else [],
        "required": parameter.required,
        "default": default,
        "many": parameter.nargs != 1 or bool(getattr(parameter, "multiple", False)),
        "flag": bool(getattr(parameter, "is_flag", False)),
        "choices": list(map(str, getattr(parameter.type, "choices", []))),
    }


# What was accepted is accepted still.


def renamed(function: Any) -> Mapping[str, str]:
    """The parameters that a function takes by an old name, with a warning, and their new names.

    This is the one place that knows where that is written: ``__renamed__`` of the function (of a class, or of its
    ``__init__``).
    """
    found: Mapping[str, str] = getattr(function, "__renamed__", {})
    return found or getattr(getattr(function, "__init__", None), "__renamed__", {})


def _as_before(now: str | None, was: str) -> bool:
    """Whether a default, as it is printed, is the same; a structure may have got more fields behind the others."""
    return now == was or (now is not None and was.endswith(")") and now.startswith(was[:-1] + ", "))


def broken(before: list[dict[str, str]] | None, function: Any) -> list[str]:
    """Why calls that were right before are wrong now; empty where none is."""
    now = parameters(function) if before is not None else None
    if before is None or now is None:
        return []
    names, news = {each["name"]: each for each in now}, renamed(function)
    open_keywords = any(each["kind"] == "VAR_KEYWORD" for each in now)
    by_place = [each["name"] for each in now if each["kind"].startswith("POSITIONAL")]
    anywhere = any(each["kind"] == "VAR_POSITIONAL" for each in now)
    problems, known = [], set()
    place = 0
    for was in before:
        name = was["name"]
        new = name if name in names else news.get(name, name)
        known.add(new)
        if was["kind"].startswith("VAR"):
            if not any(each["kind"] == was["kind"] for each in now):
                problems.append(f"takes no more {name} ({was['kind']})")
            continue
        if was["kind"].startswith("POSITIONAL"):
            if by_place[place : place + 1] != [new] and not (anywhere and place >= len(by_place)):
                problems.append(f"has {name} no more in place {place}")
            place += 1
        if was["kind"] == "POSITIONAL_ONLY":
            continue
        if new not in names:
            if not open_keywords:
                problems.append(f"takes {name} no more")
            continue
        if names[new]["kind"] not in ("POSITIONAL_OR_KEYWORD", "KEYWORD_ONLY"):
            problems.append(f"takes {name} no more by its name")
        if "default" in was and not _as_before(names[new].get("default"), was["default"]):
            problems.append(f"{name} was by default {was['default']}, now {names[new].get('default', 'required')}")
    needed = [each["name"] for each in now if "default" not in each and not each["kind"].startswith("VAR")]
    return problems + [f"now needs {name}" for name in needed if name not in known]
