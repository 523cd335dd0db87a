"""General encoders in one direction and both: E5, BGE, GTE, nomic, mixedbread, Arctic, granite, tables of tokens."""

from __future__ import annotations

from typing import Any

from ..descriptions import Look, dense, plain

_XLMR_BERT: dict[str, Any] = {"vocabulary": "xlm-roberta", "tokens": {"tokenizer_class": "XLMRobertaTokenizer"}}
_LONG = {"max_position_embeddings": 8194}
_SEARCH = "Represent this sentence for searching relevant passages: "
_MEAN_CARD = """
def average_pool(last_hidden_states, attention_mask):
    last_hidden = last_hidden_states.masked_fill(~attention_mask[..., None].bool(), 0.0)
    return last_hidden.sum(dim=1) / attention_mask.sum(dim=1)[..., None]
embeddings = F.normalize(average_pool(outputs.last_hidden_state, batch_dict['attention_mask']), p=2, dim=1)"""
_MODERN: dict[str, Any] = {"tokens": {"model_max_length": 8192}}
_POTION = {
    "model_type": "model2vec",
    "architectures": ["StaticModel"],
    "normalize": True,
    "hidden_dim": 32,
    "seq_length": 1000000,
}


def _gte(base: float, factor: float = 1.0, **more: Any) -> dict[str, Any]:
    """What transformers' class says of Alibaba's encoders: with NTK all angles are those of a base that is ``factor`` times as
    great, divided by the factor to the power of 2 / the size of a head (12)."""
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": base}
    if factor > 1:
        rope = {"rope_type": "linear", "rope_theta": base * factor, "factor": factor ** (2 / 12)}
    return {"model_type": "gte", "architectures": ["GteModel"], "rope_parameters": rope, **more}


_NOMIC = {
    "model_type": "nomic_bert", "architectures": ["NomicBertModel"], "hidden_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4,
    "intermediate_size": 96, "max_position_embeddings": 8192, "layer_norm_eps": 1e-12, "hidden_act": "silu",
    "rope_parameters": {"rope_type": "default", "rope_theta": 1000.0},
}  # fmt: skip

GENERAL: tuple[Look, ...] = (
    *(dense(f"intfloat/{name}", "bert", normalize=True) for name in ("e5-small", "e5-small-v2", "e5-base-v2", "e5-large-v2")),
    plain("intfloat/e5-base", "bert", "mean, unit length", _MEAN_CARD),
    dense("intfloat/multilingual-e5-small", "bert", normalize=True, **_XLMR_BERT),
    dense("intfloat/multilingual-e5-base", "xlm-roberta", normalize=True),
    dense("intfloat/multilingual-e5-large", "xlm-roberta", normalize=True),
    dense("intfloat/multilingual-e5-large-instruct", "xlm-roberta", normalize=True),
    *(
        dense(f"BAAI/bge-{size}-en-v1.5", "bert", "cls", lower=True, normalize=True)
        for size in ("small", "base", "large")
    ),
    dense("BAAI/bge-small-zh-v1.5", "bert", "cls", lower=True, normalize=True),
    dense("BAAI/bge-large-zh-v1.5", "bert", "cls", lower=True, normalize=True),
    dense("BAAI/llm-embedder", "bert", "cls", lower=True, normalize=True),
    dense("BAAI/bge-m3", "xlm-roberta", "cls", length=8192, normalize=True, config=_LONG, pickled=True,
          tokens={"model_max_length": 8192}, options={"max_tokens": 1024}),
    dense("thenlper/gte-small", "bert", normalize=True),
    dense("thenlper/gte-base", "bert", normalize=True, config={"torch_dtype": "float16"}),
    dense("thenlper/gte-large", "bert", normalize=True, config={"torch_dtype": "float16"}),
    dense("Alibaba-NLP/gte-base-en-v1.5", "new", "cls", length=8192, options={"max_tokens": 1024}, twin=_gte(500000.0, 2.0)),
    dense("Alibaba-NLP/gte-large-en-v1.5", "new", "cls", length=8192, options={"max_tokens": 1024}, twin=_gte(500000.0, 2.0)),
    dense("Alibaba-NLP/gte-multilingual-base", "new", "cls", length=8192, normalize=True, vocabulary="xlm-roberta",
          config={"type_vocab_size": 1, "rope_theta": 20000, "rope_scaling": {"factor": 8.0, "type": "ntk"}, "pad_token_id": 1},
          twin=_gte(20000.0, 8.0),
          options={"max_tokens": 1024}),
    dense("Alibaba-NLP/gte-modernbert-base", "modernbert", "cls", length=8192, **_MODERN, options={"max_tokens": 1024}),
    dense("nomic-ai/nomic-embed-text-v1", "nomic", length=8192, options={"max_tokens": 1024}, twin=_NOMIC),
    dense("nomic-ai/nomic-embed-text-v1.5", "nomic", length=8192, options={"max_tokens": 1024}, twin=_NOMIC),
    dense("nomic-ai/modernbert-embed-base", "modernbert", length=8192, **_MODERN, options={"max_tokens": 1024},
          prompts={"query": "search_query: ", "document": "search_document: "}),
    dense("lightonai/modernbert-embed-large", "modernbert", length=8192, **_MODERN, options={"max_tokens": 1024},
          prompts={"query": "search_query: ", "document": "search_document: "}, normalize=True),
    dense("mixedbread-ai/mxbai-embed-large-v1", "bert", "cls", prompts={"query": _SEARCH, "passage": ""},
          config={"torch_dtype": "float16"}),
    dense("mixedbread-ai/mxbai-embed-2d-large-v1", "bert", "cls"),
    dense("mixedbread-ai/mxbai-embed-xsmall-v1", "bert", config={"max_position_embeddings": 4096}, length=4096,
          options={"max_tokens": 1024}),
    dense("mixedbread-ai/deepset-mxbai-embed-de-large-v1", "xlm-roberta", normalize=True,
          prompts={"query": "query: ", "passage": "passage: "}),
    *(
        dense(f"Snowflake/snowflake-arctic-embed-{size}", "bert", "cls", normalize=True, prompts={"query": _SEARCH})
        for size in ("xs", "s", "m", "l", "m-v1.5")
    ),
    dense("Snowflake/snowflake-arctic-embed-m-long", "nomic", "cls", length=8192, normalize=True, prompts={"query": _SEARCH},
          twin=_NOMIC, options={"max_tokens": 1024}),
    dense("Snowflake/snowflake-arctic-embed-m-v2.0", "new", "cls", length=8192, normalize=True, vocabulary="xlm-roberta",
          prompts={"query": "query: "}, config={"type_vocab_size": 1, "rope_theta": 160000, "rope_scaling": None, "pad_token_id": 1},
          twin=_gte(160000.0),
          options={"max_tokens": 1024}),
    dense("Snowflake/snowflake-arctic-embed-l-v2.0", "xlm-roberta", "cls", length=8192, normalize=True, config=_LONG,
          prompts={"query": "query: "}, tokens={"model_max_length": 8192}, options={"max_tokens": 1024}),
    dense("WhereIsAI/UAE-Large-V1", "bert", "cls"),
    dense("avsolatorio/GIST-small-Embedding-v0", "bert", "cls", normalize=True),
    dense("ibm-granite/granite-embedding-30m-english", "roberta", "cls", normalize=True, config={"torch_dtype": "bfloat16"}),
    dense("ibm-granite/granite-embedding-125m-english", "roberta", "cls", normalize=True, config={"torch_dtype": "bfloat16"}),
    dense("ibm-granite/granite-embedding-107m-multilingual", "xlm-roberta", "cls", normalize=True),
    dense("ibm-granite/granite-embedding-278m-multilingual", "xlm-roberta", "cls", normalize=True),
    dense("ibm-granite/granite-embedding-english-r2", "modernbert", "cls", length=8192, **_MODERN, options={"max_tokens": 1024},
          config={"torch_dtype": "bfloat16", "global_rope_theta": 80000.0}),
    dense("ibm-granite/granite-embedding-small-english-r2", "modernbert", "cls", length=8192, normalize=True, **_MODERN,
          options={"max_tokens": 1024}),
    Look("minishlab/potion-base-8M", "static", reference="table", config=_POTION),
    Look("minishlab/potion-retrieval-32M", "static", reference="table", config=_POTION),
    Look("minishlab/M2V_base_output", "static", reference="table", config={**_POTION, "normalize": False}),
)  # fmt: skip
