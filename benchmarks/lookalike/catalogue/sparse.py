"""Sparse encoders: SPLADE, and those whose questions need no model."""

from __future__ import annotations

from typing import Any

from ..descriptions import Look, modules, sparse
from ..families import SIZE

_MLM, _POOL, _TABLE = "document_0_MLMTransformer", "document_1_SpladePooling", "query_0_SparseStaticEmbedding"
_OWN = "sentence_transformers.sparse_encoder.models."


def inference_free(name: str, family: str, activation: str, **options: Any) -> Look:
    """Questions by a table of words, documents by a head for masked words, behind a Router."""
    files = {
        "modules.json": modules(("sentence_transformers.models.Router", "")),
        "router_config.json": {
            "types": {_TABLE: _OWN + "SparseStaticEmbedding", _MLM: _OWN + "MLMTransformer", _POOL: _OWN + "SpladePooling"},
            "structure": {"query": [_TABLE], "document": [_MLM, _POOL]},
            "parameters": {"default_route": "document", "allow_empty_key": True},
        },
        f"{_TABLE}/config.json": {"frozen": False},
        f"{_MLM}/sentence_bert_config.json": {"max_seq_length": 512, "do_lower_case": False},
        f"{_POOL}/config.json": {"pooling_strategy": "max", "activation_function": activation, "word_embedding_dimension": None},
        "config_sentence_transformers.json": {
            "model_type": "SparseEncoder", "__version__": {"sentence_transformers": "5.0.0"}, "prompts": {"query": "", "document": ""},
            "default_prompt_name": None, "similarity_fn_name": "dot",
        },
    }  # fmt: skip
    weights = {f"{_TABLE}/model.safetensors": {"weight": ("V",)}}
    return Look(
        name,
        family,
        "sparse",
        head="ForMaskedLM",
        files=files,
        layers=weights,
        inner=_MLM,
        words_in=(_TABLE,),
        **options,
    )


_PLAIN: dict[str, Any] = {"stated": False, "reference": "splade", "length": None}

M3_WEIGHTS = """
max_tokens = 1024
dense = false
[outputs.sparse]
kind = "sparse"
weights = "sparse_linear.pt"
"""

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
    inference_free("naver/splade-v3-doc", "bert", "relu"),
    inference_free("opensearch-project/opensearch-neural-sparse-encoding-doc-v1", "distilbert", "relu"),
    inference_free("opensearch-project/opensearch-neural-sparse-encoding-doc-v2-distill", "distilbert", "relu"),
    inference_free("opensearch-project/opensearch-neural-sparse-encoding-doc-v2-mini", "bert", "relu"),
    inference_free("opensearch-project/opensearch-neural-sparse-encoding-doc-v3-distill", "distilbert", "log1p_relu"),
    inference_free("opensearch-project/opensearch-neural-sparse-encoding-doc-v3-gte", "new", "log1p_relu",
                   twin={"model_type": "gte", "architectures": ["GteForMaskedLM"],
                         "rope_parameters": {"rope_type": "linear", "rope_theta": 1000000.0, "factor": 2.0 ** (2 / 12)}}),
    inference_free("opensearch-project/opensearch-neural-sparse-encoding-multilingual-v1", "bert", "log1p_relu", vocabulary="bert-cased"),
    Look("BAAI/bge-m3, weights of tokens", "xlm-roberta", "sparse", reference="bge-m3 weights", pickled=True,
         config={"max_position_embeddings": 8194}, pickles={"sparse_linear.pt": {"weight": (1, SIZE), "bias": (1,)}},
         options={"recipe": M3_WEIGHTS}),
)  # fmt: skip
