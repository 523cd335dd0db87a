"""Sequences by chance, and the shortest form of one that fails."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from embedkit.records.filters import Combine, Filter, Not

from . import values
from .model import Model
from .operations import (
    Ask,
    Count,
    Delete,
    DeleteWhere,
    Elsewhere,
    Flush,
    Get,
    Hashes,
    Operation,
    Reopen,
    Scan,
    Step,
    Upsert,
)
from .rows import Row, Setting

_TRIES = 400
"""Runs that the search for the shortest form takes at most."""


def sequence(rng: random.Random, setting: Setting, length: int, *, elsewhere: bool) -> list[Operation]:
    """So many operations, of which some are another process's where ``elsewhere``."""
    ids = [values.text(rng, nul=False) for _ in range(rng.choice([4, 30, 30, 120]))]
    ids += [values.beside(rng, row_id) for row_id in rng.sample(ids, len(ids) // 4)]
    ids = list(dict.fromkeys(ids))
    model, often = Model(setting), values.favourites(rng)
    made: list[Operation] = []
    while len(made) < length:
        if rng.random() < 0.05:
            made.append(Reopen())
            continue
        step = _step(rng, ids, model, often)
        made.append(Elsewhere(step) if elsewhere and rng.random() < 0.1 else step)
        _follow(model, step)
    return made


def _step(rng: random.Random, ids: list[str], model: Model, often: Sequence[Any]) -> Step:
    kind = rng.choice(
        ["upsert"] * 5
        + ["delete", "delete where", "get", "get", "hashes", "count", "count", "count"]
        + ["scan"] * 4
        + ["ask"] * 6
        + ["flush"]
    )
    if kind in ("upsert", "delete", "delete where"):
        return _change(rng, ids, model, often, kind)
    if kind in ("get", "hashes"):
        some = tuple(rng.choices([*ids, "not there"], k=rng.choice([0, 1, 3, 40])))
        return Get(some, rng.random() < 0.6) if kind == "get" else Hashes(some)
    expression = _filter(rng, model) if rng.random() < 0.7 else None
    if kind == "count":
        return Count(expression)
    if kind == "scan":
        during = rng.choice([0, 0, 1, 3])
        changes = tuple(
            _change(rng, ids, model, often, rng.choice(["upsert", "upsert", "delete", "delete where"]))
            for _ in range(during)
        )
        return Scan(expression, rng.choice([1, 2, 7, 1000] if not during else [1, 2, 5]), changes)
    if kind == "flush":
        return Flush()
    seeds = tuple(rng.randrange(1000) for _ in range(rng.choice([1, 1, 2, 5])))
    return Ask(rng.choice(model.setting.kinds), seeds, rng.choice([1, 3, 10, 50, 1000]), expression)


def _change(
    rng: random.Random, ids: list[str], model: Model, often: Sequence[Any], kind: str
) -> Upsert | Delete | DeleteWhere:
    if kind == "delete":
        return Delete(tuple(rng.choices([*ids, "not there"], k=rng.choice([0, 1, 2, 10]))))
    if kind == "delete where":
        found = _filter(rng, model)
        return DeleteWhere(found if rng.random() < 0.3 else Combine("and", (found, _filter(rng, model))))
    chosen = rng.choices(ids, k=rng.choice([0, 1, 1, 3, 10, 40]))
    return Upsert(tuple(Row(i, _text(rng), values.metadata(rng, often), rng.randrange(1000)) for i in chosen))


def _filter(rng: random.Random, model: Model) -> Filter:
    return values.expression(rng, model.known(), rng.choice([0, 1, 2, 4]))


def _text(rng: random.Random) -> str:
    if rng.random() < 0.1:
        return rng.choice(["", "", "a\ud800"])
    return values.text(rng)


def _follow(model: Model, step: Step) -> None:
    """Let the model's rows be about what they will be: filters are made of their values."""
    changes: Sequence[Any] = step.changes if isinstance(step, Scan) else [step]
    for change in changes:
        if isinstance(change, Upsert):
            model.rows.update({row.id: row for row in change.rows})
        elif isinstance(change, Delete):
            for row_id in change.ids:
                model.rows.pop(row_id, None)


def shortest(operations: list[Operation], fails: Callable[[list[Operation]], bool]) -> list[Operation]:
    """Operations that still fail, of which none can be left out, with as few rows, changes and comparisons as they need."""
    tries = 0

    def still(tried: list[Operation]) -> bool:
        nonlocal tries
        tries += 1
        return tries <= _TRIES and fails(tried)

    size = len(operations)
    while size:
        start = 0
        while start < len(operations):
            fewer = operations[:start] + operations[start + size :]
            if still(fewer):
                operations = fewer
            else:
                start += size
        size //= 2
    place = 0
    while place < len(operations):
        for other in _smaller(operations[place]):
            tried = [*operations[:place], other, *operations[place + 1 :]]
            if still(tried):
                operations = tried
                break
        else:
            place += 1
    return operations


def _smaller(operation: Operation) -> list[Operation]:
    """The same with a part left out."""
    if isinstance(operation, Elsewhere):
        return [operation.what, *(Elsewhere(other) for other in _smaller(operation.what))]  # type: ignore[arg-type]
    found: list[Any] = []
    if isinstance(operation, Upsert):
        rows = operation.rows
        found += [Upsert(rows[: len(rows) // 2]), Upsert(rows[len(rows) // 2 :])] if len(rows) > 1 else []
        found += [Upsert((*rows[:i], *rows[i + 1 :])) for i in range(len(rows)) if len(rows) > 1]
        for i, row in enumerate(rows):
            plainer = [replace(row, text="t")] if row.text != "t" else []
            plainer += [
                replace(row, metadata={k: v for k, v in row.metadata.items() if k != key}) for key in row.metadata
            ]
            found += [Upsert((*rows[:i], other, *rows[i + 1 :])) for other in plainer]
    if isinstance(operation, Delete | Get | Hashes):
        ids = operation.ids
        found += [replace(operation, ids=(*ids[:i], *ids[i + 1 :])) for i in range(len(ids)) if len(ids) > 1]
    if isinstance(operation, Scan):
        changes = operation.changes
        found += [replace(operation, changes=(*changes[:i], *changes[i + 1 :])) for i in range(len(changes))]
        for i, change in enumerate(changes):
            found += [
                replace(operation, changes=(*changes[:i], other, *changes[i + 1 :])) for other in _smaller(change)
            ]
    if isinstance(operation, Ask) and len(operation.seeds) > 1:
        found += [replace(operation, seeds=(seed,)) for seed in operation.seeds]
    if isinstance(operation, Count | Scan | Ask | DeleteWhere) and operation.filter is not None:
        found += [replace(operation, filter=None)] if not isinstance(operation, DeleteWhere) else []
        found += [replace(operation, filter=part) for part in _parts(operation.filter)]
    return found


def _parts(expression: Filter) -> list[Filter]:
    """What a filter is made of, and the filter with a smaller part."""
    if isinstance(expression, Not):
        return [expression.part, *map(Not, _parts(expression.part))]
    if not isinstance(expression, Combine):
        return []
    found = list(expression.parts)
    for i, part in enumerate(expression.parts):
        rest = (*expression.parts[:i], *expression.parts[i + 1 :])
        found += [Combine(expression.op, rest)] if len(rest) > 1 else []
        found += [
            Combine(expression.op, (*expression.parts[:i], other, *expression.parts[i + 1 :])) for other in _parts(part)
        ]
    return found
