"""A bundle loaded on this machine: its towers, what computes them, and the threads that do."""

from __future__ import annotations

import functools
import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import TypeAlias

import msgspec
import numpy as np

from embedkit.bundle.folder import Bundle
from embedkit.bundle.manifest import MANIFEST, Variant
from embedkit.errors import BundleError, InputError, OptionError
from embedkit.system import cache
from embedkit.system.version import __version__
from embedkit.vectors.values import Values, scatter

from .engines.base import Device, Session
from .engines.selection import DEFAULT, choose_variant, open_session
from .frontends.base import Batch, Item, Modality, Preparer, Rows, Unencodable
from .frontends.registry import modality_of
from .options import Decode
from .tower import BatchResult, Tower

PendingRows: TypeAlias = "tuple[Rows, Future[BatchResult]]"
"""Some rows of what was handed in, and what becomes of them."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What computes a loaded bundle: the device (``cpu``, ``cuda:0,1``), variant and engine, one sentence that says why
    that engine does, how many threads, the most token slots in a batch, and how pictures are decoded."""

    device: str
    variant: str
    engine: str
    why: str
    threads: int
    token_budget: int
    decode: Decode = "exact"


class LoadedBundle:
    """A bundle's towers by role, and their `Setup`. Several threads may share one; `embedkit.runtime.loading.load` makes
    it, with everything chosen that is left open."""

    def __init__(self, bundle: Bundle, towers: dict[str, Tower], setup: Setup) -> None:
        self.bundle, self.towers, self.setup = bundle, towers, setup
        self.alone: Callable[[LoadedBundle, str, Batch], Tower | None] | None = None
        """Finds the tower that computes the only batch of a request where nothing else is computed; None for the role's own."""
        self._running: set[int] = set()
        """The batches that are computed or wait for it, by their ``id``."""

    @classmethod
    def open(
        cls,
        bundle: Bundle,
        device: Device,
        variant: str,
        *,
        engine: str,
        why: str,
        threads: int,
        token_budget: int,
        decode: Decode = "exact",
    ) -> LoadedBundle:
        """Load the graphs of one ``variant`` (or of that which suits, for ``auto``) with a named engine. The hashes of the
        files that are used are checked."""
        sessions: dict[str, Session] = {}
        preparers: dict[bytes, Preparer] = {}
        towers = {}
        first: list[str] = []
        for role in bundle.manifest.towers:
            tower = bundle.tower(role)
            assert tower.graph is not None
            chosen = choose_variant(variant, tower.graph.variants, device.kind, engine)
            path = bundle.graph_path(role, chosen)
            if path.name not in sessions:
                sessions[path.name] = open_session(path, engine=engine, device=device, threads=threads)
                first.append(role)
            modality = role_modality(bundle, role)
            modality.decode = decode
            key = msgspec.json.encode((tower.frontend, tower.inputs))
            preparer = preparers.get(key) or role_preparer(bundle, role, modality)
            preparers[key] = preparer
            where = f"{bundle.folder / MANIFEST}: towers.{role}"
            towers[role] = Tower(modality, preparer, sessions[path.name], tower.inputs, tower.outputs, where)
        loaded = cls(bundle, towers, Setup(str(device), chosen, engine, why, threads, token_budget, decode))
        for role in first:
            loaded.once(f"try {role}", lambda role=role: loaded._try(role))  # type: ignore[misc]
        return loaded

    def once(self, what: str, check: Callable[[], bool]) -> bool:
        """Whether a check of the bundle holds here, which is computed once for each bundle, variant, processor and version of
        onnxruntime; each time where another engine or device computes."""
        version = getattr(sys.modules.get("onnxruntime"), "__version__", None)
        if self.setup.engine != DEFAULT or self.setup.device != "cpu" or version is None:
            return check()
        key = {
            "check": what,
            "manifest": hashlib.sha256(msgspec.json.encode(self.bundle.manifest)).hexdigest(),
            "variant": self.setup.variant,
            "decode": self.setup.decode,
            "processor": cache.processor(),
            "versions": {"onnxruntime": version, "embedkit": __version__},
        }
        return cache.once(key, check)

    def promised(self, role: str, variant: str) -> Variant:
        """What the manifest says of a role's graph in a variant, or in fp32 where the role has not that variant."""
        graph = self.bundle.tower(role).graph
        assert graph is not None
        first = next(iter(graph.variants.values()))
        return graph.variants.get(variant) or graph.variants.get("fp32") or first

    def fill(self, role: str, texts: Sequence[str]) -> list[Item]:
        """Checked items that the texts stand for: for trying a model out."""
        modality = self.towers[role].modality
        return [modality.check(modality.fill(text, i), f"{modality.noun} {i}") for i, text in enumerate(texts)]

    def golden_items(self, role: str, count: int | None = None) -> list[Item]:
        """The first golden items of a role, checked; `BundleError` where one is no item of it."""
        golden = self.bundle.golden()
        with of_golden(self.bundle):
            if role in golden.inputs:
                first = {source: array[:count] for source, array in golden.inputs[role].items()}
                return self.towers[role].modality.restored(first)
            return self.fill(role, golden.texts[:count])

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
        began = perf_counter()
        batches = tower.prepare(items, budget or self.setup.token_budget)
        share = (perf_counter() - began) / max(1, len(batches))
        if len(batches) == 1 and self.alone is not None and not self._running:
            tower = self.alone(self, role, batches[0]) or tower
        self._running.update(map(id, batches))
        parts = [(batch.rows, threads.submit(self._run, tower, batch, outputs, share)) for batch in batches]
        for batch, (_, future) in zip(batches, parts, strict=True):
            future.add_done_callback(functools.partial(self._ended, batch))  # of one that is cancelled too
        return parts

    def _run(self, tower: Tower, batch: Batch, outputs: Sequence[str] | None, share: float) -> BatchResult:
        try:
            return tower.run(batch, outputs, share)
        finally:  # and not after whoever waits for it has begun something else
            self._ended(batch)

    def _ended(self, batch: Batch, _: object = None) -> None:
        self._running.discard(id(batch))

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

    def begin(self, what: Callable[[], None]) -> None:
        """Let one of the threads do something else."""
        _threads(self.setup.threads).submit(what)

    def _try(self, role: str) -> bool:
        """Compute the two shortest golden texts, or the first two items that are none, so that a graph that cannot compute is told
        of at once; of a bundle whose golden file was left behind it is told with the first item, and False is returned."""
        if not (self.bundle.folder / self.bundle.manifest.golden).exists():
            return False
        golden = self.bundle.golden()
        with of_golden(self.bundle):
            own = role in golden.inputs
            items = self.golden_items(role, 2) if own else self.fill(role, sorted(golden.texts, key=len)[:2])
            found = self.values(role, items, budget=_TRIED)
        what = "text" if role not in golden.inputs else self.towers[role].modality.noun
        for name, values in found.items():
            if not np.isfinite(values if isinstance(values, np.ndarray) else values.values).all():
                raise BundleError(
                    f"{self.towers[role].where}.graph: found NaN or infinity in the output {name!r} of a golden {what}; load another "
                    "variant, or export the bundle again"
                )
        return True


def role_modality(bundle: Bundle, role: str) -> Modality:
    """What reads the items of a role; `BundleError` that names the field where it cannot."""
    tower = bundle.tower(role)
    with _placed(bundle, f"towers.{role}."):
        return modality_of(tower.frontend, tower.inputs)


def role_preparer(bundle: Bundle, role: str, modality: Modality) -> Preparer:
    """What makes batches of a role's items; `BundleError` that names the field, or the file that was changed."""
    for name in bundle.manifest.towers[role].frontend.files:
        bundle.path(name)
    with _placed(bundle, f"towers.{role}.frontend."):
        return modality.open(bundle.path)


@contextmanager
def of_golden(bundle: Bundle) -> Iterator[None]:
    """`BundleError` where one of the bundle's golden items is none of its role."""
    try:
        yield
    except OptionError:
        raise
    except (InputError, Unencodable) as error:
        raise BundleError(
            f"{bundle.folder / bundle.manifest.golden}: a golden item cannot be encoded ({error}); export the bundle again"
        ) from error


@contextmanager
def _placed(bundle: Bundle, place: str) -> Iterator[None]:
    try:
        yield
    except BundleError as error:
        raise BundleError(f"{bundle.folder / MANIFEST}: {place}{error}") from error


_TRIED = 1 << 14
"""Token slots of the batch that is tried, enough for both of its texts."""


def _result(part: Future[BatchResult], rows: Rows, noun: str) -> BatchResult:
    try:
        return part.result()
    except Unencodable as error:
        raise InputError(f"{noun} {int(rows[error.number])}: {error.reason}") from error


@functools.cache
def _threads(count: int) -> ThreadPoolExecutor:
    """The threads of all bundles that were loaded with so many, so that several do not hinder each other."""
    return ThreadPoolExecutor(count, thread_name_prefix="embedkit")


if hasattr(os, "register_at_fork"):  # a forked process has none of its parent's threads
    os.register_at_fork(after_in_child=_threads.cache_clear)
