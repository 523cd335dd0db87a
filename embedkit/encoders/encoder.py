"""The encoder of one process: a bundle's graphs, run by threads."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import msgspec

from embedkit.bundle.folder import Bundle
from embedkit.errors import InputError
from embedkit.runtime.autotune import agrees, fastest, settled
from embedkit.runtime.engines.base import Session
from embedkit.runtime.engines.selection import check_engine, choose_device, choose_variant, open_session
from embedkit.runtime.frontends.template import Text
from embedkit.runtime.frontends.tokenizer import TextTokenizer
from embedkit.runtime.streaming import Part
from embedkit.runtime.tower import Tower
from embedkit.system.processes import cpu_count

from .base import OnTruncate, TextEncoder

DEFAULT_TOKEN_BUDGET = 512
"""Token slots a batch: its activations stay in a core's cache, and one batch is the smallest piece of work for a
thread."""


class Encoder(TextEncoder):
    """An encoder loaded from a bundle. Several threads may share one.

    The same text gives the same vector, bit for bit, whatever it is encoded together with and in whatever order.
    ``engine`` is what computes it (``onnxruntime``, ``openvino:int8``), and ``why`` one sentence that says why that does.
    """

    def __init__(
        self,
        bundle: Bundle,
        towers: dict[str, Tower],
        *,
        device: str,
        variant: str,
        engine: str,
        why: str,
        threads: int,
        token_budget: int,
        on_truncate: OnTruncate,
    ) -> None:
        super().__init__(
            bundle,
            device=device,
            variant=variant,
            engine=engine,
            why=why,
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
        engine: str = "auto",
        threads: int | None = None,
        token_budget: int | None = None,
        on_truncate: OnTruncate = "warn",
    ) -> Encoder:
        """Load a bundle; the hashes of the files it uses are checked.

        ``device`` is ``auto``, ``cpu``, ``cuda``, ``cuda:N``, or ``cuda:N,M`` for several, among which batches are
        spread. ``variant`` is a name or ``auto``: int8 on CPU where the bundle has it and it gives its golden vectors on
        this machine, fp16 on CUDA.

        ``engine`` is ``auto``, ``onnxruntime`` or ``openvino``. With everything left open, ``auto`` takes openvino where it
        is installed and was found here, once, to be at least 1.2 times as fast and to keep what the bundle promises;
        onnxruntime otherwise. `Encoder.engine` and `Encoder.why` tell. ``openvino:f32``, ``openvino:bf16`` and
        ``openvino:int8`` take its precision as named, with nothing proved: they read the variant fp32, and ``bf16`` and
        ``int8`` give other vectors than any variant of the bundle.

        ``threads`` defaults to the CPUs this process may use, on CUDA to one a device; encoders with equally many share
        them. ``token_budget`` is the most token slots in one batch. ``on_truncate`` says what a text longer than the model
        reads gives: a warning, an error, or nothing but a count in `stats`. Raises `BundleError`, `DeviceError`,
        `InputError` or `MissingExtraError`.
        """
        check_options(threads=threads, token_budget=token_budget, on_truncate=on_truncate)
        check_engine(engine)
        bundle = Bundle.open(path)
        kind, indices = choose_device(device, engine)
        threads = threads or (cpu_count() if kind == "cpu" else len(indices))

        def load_variant(engine: str, variant: str, why: str) -> Encoder:
            return cls._load(
                bundle,
                (kind, indices),
                variant,
                engine=engine,
                why=why,
                threads=threads,
                token_budget=token_budget or (DEFAULT_TOKEN_BUDGET if kind == "cpu" else 32 * DEFAULT_TOKEN_BUDGET),
                on_truncate=on_truncate,
            )

        def load(engine: str, why: str) -> Encoder:
            encoder = load_variant(engine, variant, why)
            graph = bundle.tower("default").graph
            safer = variant == "auto" and encoder.variant != "fp32" and graph is not None and "fp32" in graph.variants
            if not safer or agrees(encoder, encoder.variant):
                return encoder
            warnings.warn(
                f"the variant {encoder.variant!r} does not give its golden vectors on this machine, so fp32 is used: "
                "a CPU without VNNI instructions may overflow in 8-bit products; `embedkit verify` tells more",
                RuntimeWarning,
                stacklevel=3,
            )
            return load_variant(engine, "fp32", why)

        if found := settled(bundle, engine, variant, kind):
            return load(*found)
        return fastest(bundle, engine, load, threads=threads, token_budget=token_budget)

    @classmethod
    def _load(
        cls,
        bundle: Bundle,
        device: tuple[str, tuple[int, ...]],
        variant: str,
        *,
        engine: str,
        why: str,
        threads: int,
        token_budget: int,
        on_truncate: OnTruncate,
    ) -> Encoder:
        kind, indices = device
        sessions: dict[str, Session] = {}
        tokenizers: dict[bytes, TextTokenizer] = {}
        towers = {}
        for role in bundle.manifest.towers:
            tower = bundle.tower(role)
            assert tower.graph is not None
            chosen = choose_variant(variant, tower.graph.variants, kind, engine)
            file = tower.graph.variants[chosen].file
            if file not in sessions:
                sessions[file] = open_session(
                    bundle.graph_path(role, chosen), engine=engine, device=kind, indices=indices, threads=threads
                )
            key = msgspec.json.encode((tower.frontend, tower.inputs))
            tokenizer = tokenizers.get(key) or TextTokenizer(
                tower.frontend,
                bundle.path(tower.frontend.tokenizer),
                types=any(entry.source == "types" for entry in tower.inputs),
                choices=[entry.choice for entry in tower.inputs if entry.choice],
            )
            tokenizers[key] = tokenizer
            towers[role] = Tower(tokenizer, sessions[file], tower.inputs, tower.outputs)
        return cls(
            bundle,
            towers,
            device=f"{kind}:{','.join(map(str, indices))}" if kind == "cuda" else kind,
            variant=chosen,
            engine=engine,
            why=why,
            threads=threads,
            token_budget=token_budget,
            on_truncate=on_truncate,
        )

    @property
    def concurrency(self) -> int:
        """How many small batches are computed at the same time."""
        return self.threads

    def _submit(self, role: str, items: list[Text], outputs: Sequence[str]) -> list[Part]:
        tower, threads = self._towers[role], _threads(self.threads)
        batches = tower.prepare(items, self.token_budget)
        return [(batch.rows, threads.submit(tower.run, batch, outputs)) for batch in batches]


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
