"""The encoder of one process: a bundle's graphs, run by threads."""

from __future__ import annotations

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import msgspec
import numpy as np

from .bundle import Bundle
from .encoding import OnTruncate, TextEncoder
from .errors import InputError
from .session import Session, choose_device, choose_variant, cpu_count
from .streaming import Part
from .template import Text
from .tokenizer import TextTokenizer
from .tower import Tower

DEFAULT_TOKEN_BUDGET = 512
"""Token slots a batch: its activations stay in a core's cache, and one batch is the smallest piece of work for a
thread."""

GOLDEN_TOLERANCE = 0.005
"""How much worse than where it was exported a variant's cosine with its golden vectors may be on another machine."""

_CANARIES = 4


class Encoder(TextEncoder):
    """An encoder loaded from a bundle. Several threads may share one.

    The same text gives the same vector, bit for bit, whatever it is encoded together with and in whatever order.
    """

    def __init__(
        self,
        bundle: Bundle,
        towers: dict[str, Tower],
        *,
        device: str,
        variant: str,
        threads: int,
        token_budget: int,
        on_truncate: OnTruncate,
    ) -> None:
        super().__init__(
            bundle,
            device=device,
            variant=variant,
            threads=threads,
            token_budget=token_budget,
            on_truncate=on_truncate,
        )
        self._towers = towers

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        device: str = "auto",
        variant: str = "auto",
        threads: int | None = None,
        token_budget: int | None = None,
        on_truncate: OnTruncate = "warn",
    ) -> Encoder:
        """Load a bundle; the hashes of the files it uses are checked.

        ``device`` is ``auto``, ``cpu``, ``cuda`` or ``cuda:N``. ``variant`` is a name or ``auto``: int8 on CPU where the
        bundle has it and it gives its golden vectors on this machine. ``threads`` defaults to the CPUs this process may
        use; encoders with equally many share them. ``token_budget`` is the most token slots in one batch.
        ``on_truncate`` says what a text longer than the model reads gives: a warning, an error, or nothing but a count
        in `stats`. Raises `BundleError`, `DeviceError` or `MissingExtraError`.
        """
        check_options(threads=threads, token_budget=token_budget, on_truncate=on_truncate)
        bundle = Bundle.open(path)

        def load(name: str) -> Encoder:
            return cls._load(bundle, device, name, threads=threads, token_budget=token_budget, on_truncate=on_truncate)

        encoder = load(variant)
        if variant == "auto" and encoder.variant != "fp32" and encoder._has("fp32") and not encoder._agrees():
            warnings.warn(
                f"the variant {encoder.variant!r} does not give its golden vectors on this machine, so fp32 is used: "
                "a CPU without VNNI instructions may overflow in 8-bit products; `embedkit verify` tells more",
                RuntimeWarning,
                stacklevel=2,
            )
            encoder = load("fp32")
        return encoder

    @classmethod
    def _load(
        cls,
        bundle: Bundle,
        device: str,
        variant: str,
        *,
        threads: int | None,
        token_budget: int | None,
        on_truncate: OnTruncate,
    ) -> Encoder:
        kind, index = choose_device(device)
        sessions: dict[str, Session] = {}
        tokenizers: dict[bytes, TextTokenizer] = {}
        towers = {}
        for role in bundle.manifest.towers:
            tower = bundle.tower(role)
            assert tower.graph is not None
            chosen = choose_variant(variant, tower.graph.variants, kind)
            file = tower.graph.variants[chosen].file
            if file not in sessions:
                sessions[file] = Session(bundle.graph_path(role, chosen), device=kind, index=index)
            key = msgspec.json.encode((tower.frontend, tower.inputs))
            tokenizer = tokenizers.get(key) or TextTokenizer(
                tower.frontend,
                bundle.path(tower.frontend.tokenizer),
                types=any(entry.source == "types" for entry in tower.inputs),
                choices=[entry.choice for entry in tower.inputs if entry.choice],
            )
            tokenizers[key] = tokenizer
            towers[role] = Tower(tokenizer, sessions[file], tower.inputs)
        return cls(
            bundle,
            towers,
            device=f"{kind}:{index}" if kind == "cuda" else kind,
            variant=chosen,
            threads=threads or (cpu_count() if kind == "cpu" else 1),
            token_budget=token_budget or (DEFAULT_TOKEN_BUDGET if kind == "cpu" else 32 * DEFAULT_TOKEN_BUDGET),
            on_truncate=on_truncate,
        )

    @property
    def concurrency(self) -> int:
        """How many small batches are computed at the same time."""
        return self.threads

    def _submit(self, role: str, items: list[Text]) -> list[Part]:
        tower, threads = self._towers[role], _threads(self.threads)
        batches = tower.prepare(items, self.token_budget)
        return [(batch.rows, threads.submit(tower.run, batch)) for batch in batches]

    def _has(self, variant: str) -> bool:
        graph = self.bundle.tower("default").graph
        return graph is not None and variant in graph.variants

    def _agrees(self) -> bool:
        """Whether the first golden texts get the vectors here that they got where the bundle was made."""
        graph = self.bundle.tower("default").graph
        assert graph is not None
        texts, golden = self.bundle.golden()
        tower, expected = self._towers["default"], golden["default"][:_CANARIES]
        found = np.empty_like(expected)
        for batch in tower.prepare(self.fill(texts[:_CANARIES]), self.token_budget):
            found[batch.rows] = tower.run(batch).vectors
        cosines = (found * expected).sum(axis=1) / np.maximum(
            np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1), 1e-12
        )
        return bool((cosines >= graph.variants[self.variant].golden_cosine_min - GOLDEN_TOLERANCE).all())


def check_options(*, on_truncate: str, **counts: int | None) -> None:
    """`InputError` for an option that says nothing sensible; ``counts`` are positive integers or None."""
    for name, value in counts.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise InputError(f"{name}: expected a positive integer or None, found {value!r}")
    if on_truncate not in ("warn", "error", "ignore"):
        raise InputError(f"on_truncate: expected 'warn', 'error' or 'ignore', found {on_truncate!r}")


@cache
def _threads(count: int) -> ThreadPoolExecutor:
    """The threads of all encoders that were loaded with so many, so that several do not hinder each other."""
    return ThreadPoolExecutor(count, thread_name_prefix="embedkit")


if hasattr(os, "register_at_fork"):  # a forked process has none of its parent's threads
    os.register_at_fork(after_in_child=_threads.cache_clear)
