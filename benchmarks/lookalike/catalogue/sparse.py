"""Sparse encoders: SPLADE, and those whose questions need no model."""

from __future__ import annotations

from typing import Any

from ..descriptions import Look, modules, plain, sparse

_ROUTER = {
    "modules.json": modules(("Router", "")),
    "router_config.json": {
        "types": {
            "query_0_SparseStaticEmbedding": "sentence_transformers.sparse_encoder.models.SparseStaticEmbedding",
            "document_0_MLMTransformer": "sentence_transformers.sparse_encoder.models.MLMTransformer",
            "document_1_SpladePooling": "sentence_transformers.sparse_encoder.models.SpladePooling",
        },
        "structure": {"query": ["query_0_SparseStaticEmbedding"], "document": ["document_0_MLMTransformer", "document_1_SpladePooling"]},
        "parameters": {"default_route": "document", "allow_empty_key": True},
    },
}
_PLAIN: dict[str, Any] = {"stated": False, "reference": "splade", "length": None}

SPARSE: tuple[Look, ...] = (
    sparse("naver/splade-v3", "bert"),
    sparse("naver/splade-v3-distilbert", "distilbert"),
    sparse("naver/splade-cocondenser-ensembledistil", "bert", length=256),
    sparse("naver/splade-cocondenser-selfdistil", "bert", **_PLAIN),
    sparse("naver/efficient-splade-VI-BT-large-doc", "distilbert", **_PLAIN),
    sparse("prithivida/Splade_PP_en_v1", "bert", **_PLAIN),
    sparse("ibm-granite/granite-embedding-30m-sparse", "roberta"),
    sparse("opensearch-project/opensearch-neural-sparse-encoding-v1", "bert"),
    sparse("opensearch-project/opensearch-neural-sparse-encoding-v2-distill", "distilbert"),
)  # fmt: skip
