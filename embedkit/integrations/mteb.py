"""Models of MTEB: an encoder of dense vectors, and a cross-encoder, each a bundle in one variant.

The name and revision hold the variant and the fingerprint, so results of two variants never share a cache.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from embedkit.encoders.reranker import Reranker
from embedkit.errors import InputError
from embedkit.integrations.loading import Given, encoder_of, missing
from embedkit.vectors.arrays import FloatArray

try:
    from mteb.models import ModelMeta
    from mteb.models.model_meta import ScoringFunction
    from mteb.types import PromptType
except ImportError as error:
    raise missing("mteb", "mteb") from error

_SCORING = {
    "cosine": ScoringFunction.COSINE,
    "dot": ScoringFunction.DOT_PRODUCT,
    "euclidean": ScoringFunction.EUCLIDEAN,
}


class EmbedkitModel:
    """MTEB's `EncoderProtocol`: queries in the role ``query``, passages in ``document``, everything else in ``default``.

    ``name`` is the model's in MTEB's tables, by default that of the bundle's source; the variant is put after it. ``bundle`` is a
    folder, a server's address or a loaded encoder; other options are those of `embedkit.Encoder.load`.
    """

    def __init__(self, bundle: Given, *, name: str | None = None, dim: int | None = None, **options: Any) -> None:
        self.encoder = encoder_of(bundle, **options)
        self.dim = dim
        if self.encoder.kind != "dense":
            raise InputError(f"this bundle gives {self.encoder.kind} vectors first; MTEB's encoders give dense ones")
        self._meta = _meta(self.encoder, name, "" if dim is None else f"-{dim}", dim or self.encoder.dim)

    def encode(
        self,
        inputs: Iterable[Any],
        *,
        task_metadata: Any = None,
        hf_split: str = "",
        hf_subset: str = "",
        prompt_type: PromptType | None = None,
        **kwargs: Any,
    ) -> FloatArray:
        """(n, dim) float32 of all texts of the batches."""
        role = {PromptType.query: "query", PromptType.document: "document"}.get(prompt_type, "default")  # type: ignore[arg-type]
        texts = [text for batch in inputs for text in _texts(batch)]
        return self.encoder.encode(texts, role=role, dim=self.dim, progress=bool(kwargs.get("show_progress_bar")))

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """(n, m) by the model's own measure."""
        return _tensor(self.encoder.similarity(_rows(embeddings1), _rows(embeddings2)))

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """(n,) of each row with the same row of the other."""
        pairs = zip(_rows(embeddings1), _rows(embeddings2), strict=True)
        found = [self.encoder.similarity(a[None], b[None])[0, 0] for a, b in pairs]
        return _tensor(np.array(found, dtype=np.float32))

    @property
    def mteb_model_meta(self) -> ModelMeta:
        """What MTEB knows it by."""
        return self._meta


class EmbedkitCrossEncoder:
    """MTEB's `CrossEncoderProtocol` by a bundle that scores pairs; ``name`` and options as of `EmbedkitModel`."""

    def __init__(self, bundle: Given, *, name: str | None = None, **options: Any) -> None:
        encoder = encoder_of(bundle, **options)
        self.reranker = Reranker(encoder)
        self._meta = _meta(self.reranker.encoder, name, "", None)

    def predict(
        self,
        inputs1: Iterable[Any],
        inputs2: Iterable[Any],
        *,
        task_metadata: Any = None,
        hf_split: str = "",
        hf_subset: str = "",
        prompt_type: PromptType | None = None,
        **kwargs: Any,
    ) -> FloatArray:
        """(n,) float32: the score of each query with the document at the same place."""
        queries = [text for batch in inputs1 for text in _texts(batch)]
        documents = [text for batch in inputs2 for text in _texts(batch)]
        if len(queries) != len(documents):
            raise InputError(f"predict: expected as many documents as queries ({len(queries)}), found {len(documents)}")
        return self.reranker.score(zip(queries, documents, strict=True))

    @property
    def mteb_model_meta(self) -> ModelMeta:
        """What MTEB knows it by."""
        return self._meta


def _texts(batch: Any) -> list[str]:
    """The texts of a batch; MTEB puts title and body of a passage together itself."""
    if "text" not in batch:
        raise InputError(f"MTEB's batch holds {', '.join(batch)}, and no texts; this model reads texts")
    return list(batch["text"])


def _meta(encoder: Any, name: str | None, more: str, dim: int | None) -> ModelMeta:
    plain = name or encoder.bundle.manifest.source.name.replace("\\", "/").rstrip("/").rpartition("/")[2].replace(
        " ", "-"
    )
    owner, _, last = plain.rpartition("/")
    revision = f"{encoder.fingerprint.removeprefix('remote:')[:12]}-{encoder.variant}{more}"
    return ModelMeta.create_empty(
        overwrites={
            "name": f"{owner or 'embedkit'}/{last}--{encoder.variant}{more}",
            "revision": revision,
            "max_tokens": encoder.max_tokens,
            "embed_dim": dim,
            "similarity_fn_name": None if dim is None else _SCORING[encoder.metric],
            "framework": ["ONNX"],
        }
    )


def _rows(given: Any) -> FloatArray:
    found = np.asarray(given.detach().cpu().numpy() if hasattr(given, "detach") else given, dtype=np.float32)
    return found[None] if found.ndim == 1 else found


def _tensor(found: FloatArray) -> Any:
    """MTEB goes on with a tensor; torch is its own, and not embedkit's."""
    from embedkit.system.extras import needed

    return needed("torch", "MTEB's measures", extra="export").from_numpy(np.array(found))
