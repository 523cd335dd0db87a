"""Vectors as a column of a data set, for those who write them themselves."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from embedkit.encoders.encoder import Encoder
from embedkit.vectors.quantization import Precision


class BundleEncoder:
    """A class for ``ds.map_batches``: it adds a column of dense vectors to batches of texts.

    ::

        ds.map_batches(BundleEncoder, fn_constructor_kwargs={"bundle": "bundle"}, concurrency=4, num_cpus=2, batch_size=2048)

    The bundle is loaded once an actor, from a path that all nodes have. A vector is the same to the last bit in whatever batch and on
    whatever worker, where these have one variant and one engine: name them on machines that are not alike. It takes and gives batches
    of numpy, pandas or Arrow (``batch_format``).

    Args:
        bundle: the bundle's folder.
        text: the column of the texts.
        vector: the column of the vectors, which is added: ``dim`` numbers a row, of the type that ``precision`` says.
        role: the bundle's role by which the texts are encoded.
        dim: a smaller number of dimensions, where the model was trained for it.
        precision: ``float32``, ``float16``, ``int8``, ... as `Encoder.encode` takes it.
        threads: CPU threads of an actor; by default as many as Ray gives it (``num_cpus``), at least 1.
        options: what else `Encoder.load` takes (``variant``, ``engine``, ``device``).

    Raises:
        EmbedkitError: what `Encoder.load` and `Encoder.encode` raise; a batch without the column of texts is an `InputError`.
    """

    def __init__(
        self,
        bundle: str | os.PathLike[str],
        *,
        text: str = "text",
        vector: str = "vector",
        role: str = "document",
        dim: int | None = None,
        precision: Precision = "float32",
        threads: int | None = None,
        **options: Any,
    ) -> None:
        self.text, self.vector, self.role, self.dim, self.precision = text, vector, role, dim, precision
        threads = threads or given_cpus()
        os.environ.setdefault("RAYON_NUM_THREADS", str(threads))
        self.encoder = Encoder.load(bundle, threads=threads, **{"on_truncate": "ignore", **options})

    def __call__(self, batch: Any) -> Any:
        """The batch with the vectors of its texts."""
        from embedkit.errors import InputError

        names = list(batch) if isinstance(batch, dict) else list(getattr(batch, "column_names", batch.columns))
        if self.text not in names:
            raise InputError(f"text: expected a column {self.text!r}, found {', '.join(map(repr, names))}")
        column = batch[self.text]
        texts = column.to_pylist() if hasattr(column, "to_pylist") else list(column)
        vectors = np.asarray(self.encoder.encode(texts, role=self.role, dim=self.dim, precision=self.precision))
        if isinstance(batch, dict):
            return {**batch, self.vector: vectors}
        if hasattr(batch, "append_column"):
            import pyarrow as arrow

            flat = arrow.array(vectors.reshape(-1))
            return batch.append_column(self.vector, arrow.FixedSizeListArray.from_arrays(flat, vectors.shape[1]))
        return batch.assign(**{self.vector: list(vectors)})


def given_cpus() -> int:
    """The CPUs that Ray gives this actor, at least 1."""
    import ray

    given = ray.get_runtime_context().get_assigned_resources().get("CPU", 1) if ray.is_initialized() else 1
    return max(1, int(given))
