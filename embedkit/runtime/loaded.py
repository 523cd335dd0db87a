"""A bundle loaded on this machine: its towers, what computes them, and the threads that do."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import msgspec

from embedkit.bundle.folder import Bundle
from embedkit.bundle.manifest import Variant
from embedkit.errors import InputError
from embedkit.vectors.values import Values, scatter

from .engines.base import Device, Session
from .engines.selection import choose_variant, open_session
from .frontends.base import Item, Preparer, Rows, Unencodable
from .frontends.registry import modality_of
from .tower import BatchResult, Tower

PendingRows: TypeAlias = "tuple[Rows, Future[BatchResult]]"
"""Some rows of what was handed in, and what becomes of them."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What computes a loaded bundle: the device (``cpu``, ``cuda:0,1``), variant and engine, one sentence that says why
    that engine does, how many threads, and the most token slots in a batch."""

    device: str
    variant: str
    engine: str
    why: str
    threads: int
    token_budget: int


class LoadedBundle:
    """A bundle's towers by role, and their `Setup`. Several threads may share one; `embedkit.runtime.loading.load` makes
    it, with everything chosen that is left open."""

    def __init__(self, bundle: Bundle, towers: dict[str, Tower], setup: Setup) -> None:
        self.bundle, self.towers, self.setup = bundle, towers, setup

    @classmethod
    def open(
        cls, bundle: Bundle, device: Device, variant: str, *, engine: str, why: str, threads: int, token_budget: int
    ) -> LoadedBundle:
        """Load the graphs of one ``variant`` (or of that which suits, for ``auto``) with a named engine. The hashes of the
        files that are used are checked."""
        sessions: dict[str, Session] = {}
        preparers: dict[bytes, Preparer] = {}
        towers = {}
        for role in bundle.manifest.towers:
            tower = bundle.tower(role)
            assert tower.graph is not None
            chosen = choose_variant(variant, tower.graph.variants, device.kind, engine)
            file = tower.graph.variants[chosen].file
            if file not in sessions:
                sessions[file] = open_session(
                    bundle.graph_path(role, chosen), engine=engine, device=device, threads=threads
                )
            modality = modality_of(tower.frontend, tower.inputs)
            key = msgspec.json.encode((tower.frontend, tower.inputs))
            preparer = preparers.get(key) or modality.open(bundle.path)
            preparers[key] = preparer
            towers[role] = Tower(modality, preparer, sessions[file], tower.inputs, tower.outputs)
        return cls(bundle, towers, Setup(str(device), chosen, engine, why, threads, token_budget))

    def promised(self, role: str, variant: str) -> Variant:
        """What the manifest says of a role's graph in a variant, or in fp32 where the role has not that variant."""
        graph = self.bundle.tower(role).graph
        assert graph is not None
        return graph.variants[variant if variant in graph.variants else "fp32"]

    def fill(self, role: str, texts: Sequence[str]) -> list[Item]:
        """Checked items that the texts stand for: for trying a model out."""
        modality = self.towers[role].modality
        return [modality.check(modality.fill(text, i), f"{modality.noun} {i}") for i, text in enumerate(texts)]

    def values(
        self, role: str, items: Sequence[Item], outputs: Sequence[str] | None = None, *, budget: int | None = None
    ) -> dict[str, Values]:
        """The values of checked items, of all outputs unless some are named, computed on the calling thread. Raises
        `InputError` that names the item without any."""
        tower = self.towers[role]
        try:
            return tower.values(items, budget or self.setup.token_budget, outputs)
        except Unencodable as error:
            raise InputError(f"{tower.modality.noun} {error.number}: {error.reason}") from error

    def submit(
        self, role: str, items: Sequence[Item], outputs: Sequence[str] | None = None, *, budget: int | None = None
    ) -> list[PendingRows]:
        """Begin to compute the values of checked items on the threads; each item is in exactly one part."""
        tower, threads = self.towers[role], _threads(self.setup.threads)
        batches = tower.prepare(items, budget or self.setup.token_budget)
        return [(batch.rows, threads.submit(tower.run, batch, outputs)) for batch in batches]

    def computed(
        self, role: str, items: Sequence[Item], outputs: Sequence[str] | None = None, *, budget: int | None = None
    ) -> dict[str, Values]:
        """`values`, computed on the threads."""
        noun = self.towers[role].modality.noun
        try:
            pending = self.submit(role, items, outputs, budget=budget)
        except Unencodable as error:
            raise InputError(f"{noun} {error.number}: {error.reason}") from error
        parts = [(rows, _result(part, rows, noun)) for rows, part in pending]
        return {
            name: scatter([(rows, part.values[name]) for rows, part in parts], len(items))
            for name in parts[0][1].values
        }


def _result(part: Future[BatchResult], rows: Rows, noun: str) -> BatchResult:
    try:
        return part.result()
    except Unencodable as error:
        raise InputError(f"{noun} {int(rows[error.number])}: {error.reason}") from error


@cache
def _threads(count: int) -> ThreadPoolExecutor:
    """The threads of all bundles that were loaded with so many, so that several do not hinder each other."""
    return ThreadPoolExecutor(count, thread_name_prefix="embedkit")


if hasattr(os, "register_at_fork"):  # a forked process has none of its parent's threads
    os.register_at_fork(after_in_child=_threads.cache_clear)
