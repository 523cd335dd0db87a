"""The encoder of one process: a bundle's graphs, run by threads."""

from __future__ import annotations

import os

from embedkit.runtime.loaded import LoadedBundle
from embedkit.runtime.loading import load
from embedkit.runtime.options import Decode, LoadOptions, OnTruncate

from .base import BaseEncoder


class Encoder(BaseEncoder):
    """An encoder loaded from a bundle. Several threads may share one.

    The same item gives the same vector, bit for bit, whatever it is encoded together with and in whatever order.
    ``engine`` is what computes it (``onnxruntime``, ``openvino:int8``), and ``why`` one sentence that says why that does.
    """

    def __init__(self, loaded: LoadedBundle, *, on_truncate: OnTruncate = "warn") -> None:
        super().__init__(loaded.bundle, loaded.setup, loaded, on_truncate=on_truncate)
        self.loaded = loaded

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
        decode: Decode = "exact",
    ) -> Encoder:
        """Load a bundle; the hashes of the files it uses are checked.

        Args:
            path: The bundle's folder.
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:N``, or ``cuda:N,M`` for several, among which batches are spread.
            variant: A name or ``auto``: int8 on CPU where the bundle has it and it gives its golden vectors on this
                machine, fp16 on CUDA.
            engine: ``auto``, ``onnxruntime`` or ``openvino``. With everything left open, ``auto`` takes openvino where it
                is installed and was found here, once, to be at least 1.2 times as fast and to keep what the bundle
                promises; onnxruntime otherwise. `Encoder.engine` and `Encoder.why` tell. ``openvino:f32``,
                ``openvino:bf16`` and ``openvino:int8`` take its precision as named, with nothing proved: they read the
                variant fp32, and ``bf16`` and ``int8`` give other vectors than any variant of the bundle.
            threads: How many batches are computed at a time, by default as many as there are CPUs that this process may
                use, on CUDA one a device; encoders with equally many share them.
            token_budget: The most token slots in one batch.
            on_truncate: What an item longer than the model reads gives: a warning (``warn``), an ``error``, or nothing but
                a count in `stats` (``ignore``).
            decode: ``exact``, pictures as the model was trained, or ``fast``: JPEGs decoded at a part of their size, which is several
                times as quick for large photos and gives other vectors, a little. Part of the fingerprint: a collection is made and
                searched in one way.

        Raises:
            BundleError: the folder holds no bundle, or a file of it was changed.
            DeviceError: a device or variant that is not there.
            InputError: an option that says nothing sensible.
            MissingExtraError: the engine's package is not installed.
        """
        options = LoadOptions(device, variant, engine, threads, token_budget, on_truncate, decode)
        return cls(load(path, options), on_truncate=on_truncate)

    @property
    def concurrency(self) -> int:
        """How many small batches are computed at the same time."""
        return self.threads
