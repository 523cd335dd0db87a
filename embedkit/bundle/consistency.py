"""What the types of a manifest cannot say: whether its parts fit together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from embedkit.errors import BundleError

from .manifest import (
    Choice,
    ComposedFrontend,
    Cross,
    FeaturesFrontend,
    IdsFrontend,
    Input,
    Manifest,
    Output,
    Scorer,
    TextFrontend,
    Tower,
    is_plain_name,
)

_LARGEST = (1 << 63) - 1

_COMPARES = {
    "cosine": ("dense",),
    "dot": ("dense",),
    "euclidean": ("dense",),
    "pair": ("dense",),
    "power": ("dense", "sparse", "multivector", "tokens"),
    "fused": ("dense", "sparse", "multivector", "tokens"),
    "sparse_dot": ("sparse",),
    "sparse_cosine": ("sparse",),
    "maxsim": ("multivector", "tokens"),
    "meanmaxsim": ("multivector", "tokens"),
}
"""The kinds of vectors that a scorer's function compares."""


def check_values(head: object, where: str) -> None:
    """`BundleError` for a value that JSON can write and that no manifest means: an integer beyond 64 bits, NaN and infinity,
    half a character."""
    left: list[tuple[str, object]] = [("", head)]
    while left:
        place, value = left.pop()
        if isinstance(value, dict):
            for key, inside in value.items():
                _check_string(key, f"{where}: {place or 'manifest'}: a key")
                left.append((f"{place}.{key}" if place else key, inside))
        elif isinstance(value, list):
            left += [(f"{place}.{number}" if place else str(number), inside) for number, inside in enumerate(value)]
        elif isinstance(value, str):
            _check_string(value, f"{where}: {place or 'manifest'}")
        elif isinstance(value, int) and not -_LARGEST <= value <= _LARGEST:
            raise BundleError(f"{where}: {place}: expected an integer of 64 bits, found one of {value.bit_length()}")
        elif isinstance(value, float) and not math.isfinite(value):
            raise BundleError(f"{where}: {place}: expected a finite number, found {value}")


def _check_string(value: str, where: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BundleError(f"{where}: expected valid Unicode, found half a character in {ascii(value)[:80]}") from None


def check_consistency(manifest: Manifest, where: str) -> None:
    """`BundleError` where a name is not plain, a reference leads nowhere, or what is said in two places does not fit."""
    _check_files(manifest, where)
    kinds = {tower.frontend.kind for tower in manifest.towers.values()}
    if (manifest.schema == 1) != (kinds == {"text"}):
        raise BundleError(
            f"{where}: schema: expected 1 where all frontends are of the kind text, and else 2; found {manifest.schema} and "
            f"{', '.join(sorted(kinds))}"
        )
    for role, tower in manifest.towers.items():
        if tower.like is not None and (
            tower.like not in manifest.towers or manifest.towers[tower.like].like is not None
        ):
            raise BundleError(
                f"{where}: towers.{role}.like: expected a tower that is not itself `like` another, found {tower.like!r}"
            )
    if "default" not in manifest.towers:
        raise BundleError(f"{where}: towers: expected one of the role default, found {', '.join(manifest.towers)}")
    for role, tower in manifest.towers.items():
        _check_inputs(tower.inputs, f"{where}: towers.{role}.inputs")
        _check_parts(manifest, tower, f"{where}: towers.{role}")
        _check_choices(manifest, tower, f"{where}: towers.{role}")
        for name, output in tower.outputs.items():
            _check_output(output, f"{where}: towers.{role}.outputs.{name}")
            if output.tokens is not None:
                _check_tokens(tower.outputs, output, f"{where}: towers.{role}.outputs.{name}.tokens")
    for key, scorer in manifest.scorers.items():
        _check_scorer(manifest, scorer, f"{where}: scorers.{key}")
    for key, cross in manifest.cross.items():
        _check_cross(manifest, cross, f"{where}: cross.{key}")
    for key, table in manifest.tables.items():
        output = _referred(manifest, table.output, f"{where}: tables.{key}")
        if output.kind != "dense":
            raise BundleError(f"{where}: tables.{key}: expected a dense output, found {table.output!r} ({output.kind})")


def _check_files(manifest: Manifest, where: str) -> None:
    for name in manifest.files:
        if not is_plain_name(name):
            raise BundleError(f"{where}: files: expected plain file names inside the folder, found {name!r}")

    def listed(name: str, place: str) -> None:
        if name not in manifest.files:
            raise BundleError(f"{where}: {place}: expected a file listed under `files`, found {name!r}")

    listed(manifest.golden, "golden")
    for key, table in manifest.tables.items():
        listed(table.file, f"tables.{key}.file")
    for role, tower in manifest.towers.items():
        for name in tower.frontend.files:
            listed(name, f"towers.{role}.frontend{'.tokenizer' if isinstance(tower.frontend, TextFrontend) else ''}")
        for key, variant in (tower.graph.variants if tower.graph else {}).items():
            for name in (variant.file, *variant.data):
                listed(name, f"towers.{role}.graph.variants.{key}")
    for key, scorer in manifest.scorers.items():
        if scorer.graph is not None:
            listed(scorer.graph, f"scorers.{key}.graph")


def _check_inputs(inputs: Iterable[Input], where: str) -> None:
    seen: set[str] = set()
    for number, entry in enumerate(inputs):
        if entry.name in seen:
            raise BundleError(f"{where}.{number}.name: expected each input once, found {entry.name!r} again")
        seen.add(entry.name)
        if entry.choice is not None:
            _check_fits(entry, f"{where}.{number}.choice.values")


def _check_parts(manifest: Manifest, tower: Tower, where: str) -> None:
    """Inputs and outputs name parts that a composed role has, and none of another."""
    base = manifest.towers[tower.like] if tower.like else tower
    known = tower.frontend.parts if isinstance(tower.frontend, ComposedFrontend) else {}
    found = [(f"inputs.{number}.part", entry.part) for number, entry in enumerate(tower.inputs or base.inputs)]
    found += [(f"outputs.{name}.part", output.part) for name, output in (tower.outputs or base.outputs).items()]
    for place, part in found:
        if part is not None and part not in known:
            expected = (
                f"one of {', '.join(known)}" if known else f"none beside a frontend of the kind {tower.frontend.kind}"
            )
            raise BundleError(f"{where}.{place}: expected {expected}, found {part!r}")


def _check_fits(entry: Input, where: str) -> None:
    largest = 1 << 24 if entry.dtype == "float32" else int(np.iinfo(entry.dtype).max)
    for key, value in entry.choice.values.items() if entry.choice else ():
        if value > largest:
            raise BundleError(f"{where}.{key}: expected at most {largest} for an input of {entry.dtype}, found {value}")


def _check_choices(manifest: Manifest, tower: Tower, where: str) -> None:
    """A field that chooses is no text too, and takes the same values wherever it chooses."""
    inputs = tower.inputs or (manifest.towers[tower.like].inputs if tower.like else [])
    if isinstance(tower.frontend, IdsFrontend):
        for number, entry in enumerate(inputs):
            if entry.choice is not None:
                raise BundleError(
                    f"{where}.inputs.{number}.source: expected none that chooses beside a frontend of the kind ids, found 'choice'"
                )
    if not isinstance(tower.frontend, TextFrontend):
        return
    found: list[tuple[str, Choice | None]] = [
        (f"inputs.{number}.choice", entry.choice) for number, entry in enumerate(inputs)
    ]
    fields = {part.field for part in tower.frontend.template}
    first: dict[str, Choice] = {}
    for place, choice in [*found, ("frontend.first_token", tower.frontend.first_token)]:
        if choice is None:
            continue
        if choice.field in fields:
            raise BundleError(
                f"{where}.{place}.field: expected another than those of the template, found {choice.field!r}"
            )
        known = first.setdefault(choice.field, choice)
        if known.values.keys() != choice.values.keys() or (known.default is None) != (choice.default is None):
            raise BundleError(
                f"{where}.{place}: expected the values that {choice.field!r} has elsewhere in this role too, and a default where it "
                f"has one, found {', '.join(choice.values)}"
            )


def _check_output(output: Output, where: str) -> None:
    for name, given, kind in (
        ("labels", bool(output.labels), "logits"),
        ("activation", output.activation != "identity", "logits"),
        ("top", output.top is not None, "sparse"),
        ("matryoshka", bool(output.matryoshka), "dense"),
    ):
        if given and output.kind != kind:
            raise BundleError(f"{where}.{name}: expected beside the kind {kind} only, found {output.kind}")
    if any(size > output.dim for size in output.matryoshka):
        raise BundleError(f"{where}.matryoshka: expected sizes of at most {output.dim}, found {output.matryoshka}")


def _check_tokens(outputs: Mapping[str, Output], output: Output, where: str) -> None:
    """What a dense output is the mean of: a vector of its size for each token."""
    found = outputs.get(str(output.tokens))
    if found is None or found.kind != "tokens" or found.dim != output.dim or found.count or found.part:
        raise BundleError(
            f"{where}: expected an output of the kind tokens with {output.dim} numbers for each token, found {output.tokens!r}"
        )


def _check_scorer(manifest: Manifest, scorer: Scorer, where: str) -> None:
    for output_name in scorer.weights:
        for _, side in _sides(scorer):
            _referred(manifest, f"{side.partition('.')[0]}.{output_name}", f"{where}.weights")
        if not any(
            scorer.right.endswith(f".{output_name}") for scorer in manifest.scorers.values() if not scorer.weights
        ):
            raise BundleError(f"{where}.weights.{output_name}: expected an output with a scorer of its own")
    sides = [(name, side, _referred(manifest, side, where)) for name, side in _sides(scorer)]
    for name, side, output in sides:
        if output.kind not in _COMPARES[scorer.fn]:
            wanted = " or ".join(_COMPARES[scorer.fn])
            raise BundleError(
                f"{where}.{name}: {scorer.fn} compares outputs of the kind {wanted}, found {side!r} ({output.kind})"
            )
    if sides[0][2].dim != sides[1][2].dim:
        found = " and ".join(f"{side!r} ({output.dim})" for _, side, output in sides)
        raise BundleError(f"{where}: expected two outputs of one size, found {found}")


def _check_cross(manifest: Manifest, cross: Cross, where: str) -> None:
    """Its tower has two parts, of which those that take an output are numbers of its size."""
    tower = manifest.towers.get(cross.tower)
    parts = tower.frontend.parts if tower is not None and isinstance(tower.frontend, ComposedFrontend) else {}
    if len(parts) != 2:
        raise BundleError(f"{where}.tower: expected a tower whose items have two parts, found {cross.tower!r}")
    if cross.stored not in cross.takes:
        raise BundleError(f"{where}.stored: expected one of {', '.join(cross.takes)}, found {cross.stored!r}")
    for name, side in cross.takes.items():
        output, part = _referred(manifest, side, f"{where}.takes.{name}"), parts.get(name)
        if not isinstance(part, FeaturesFrontend) or part.dim != output.dim:
            raise BundleError(
                f"{where}.takes.{name}: expected a part of {cross.tower!r} that takes numbers of {output.dim} a row, as {side!r} gives, "
                f"found {'none' if part is None else part.kind}"
            )


def _sides(scorer: Scorer) -> tuple[tuple[str, str], ...]:
    return ("left", scorer.left), ("right", scorer.right)


def _referred(manifest: Manifest, side: str, where: str) -> Output:
    role, _, name = side.partition(".")
    tower = manifest.towers.get(role)
    outputs = dict(tower.outputs) if tower is not None else {}
    if tower is not None and tower.like is not None and not outputs:
        outputs = manifest.towers[tower.like].outputs
    if name not in outputs:
        raise BundleError(f"{where}: expected TOWER.OUTPUT of this bundle, found {side!r}")
    return outputs[name]
