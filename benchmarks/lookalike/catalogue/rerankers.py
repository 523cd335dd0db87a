"""Rerankers and classifiers of pairs."""

from __future__ import annotations

from ..descriptions import Look, reranker

RERANKERS: tuple[Look, ...] = (
    *(
        reranker(f"cross-encoder/ms-marco-{name}", "bert", modern=True)
        for name in ("MiniLM-L6-v2", "MiniLM-L12-v2", "TinyBERT-L2-v2")
    ),
    reranker("cross-encoder/ms-marco-electra-base", "electra", modern=True),
    reranker("cross-encoder/stsb-roberta-base", "roberta"),
    reranker("cross-encoder/stsb-distilroberta-base", "roberta"),
    reranker("cross-encoder/quora-roberta-base", "roberta"),
    reranker("cross-encoder/qnli-electra-base", "electra"),
    reranker("cross-encoder/nli-deberta-v3-base", "deberta-v2", labels=3,
             config={"id2label": {"0": "contradiction", "1": "entailment", "2": "neutral"}}),
    reranker("cross-encoder/nli-roberta-base", "roberta", labels=3),
    reranker("cross-encoder/nli-MiniLM2-L6-H768", "roberta", labels=3),
    reranker("cross-encoder/mmarco-mMiniLMv2-L12-H384-v1", "xlm-roberta"),
    reranker("BAAI/bge-reranker-base", "xlm-roberta"),
    reranker("BAAI/bge-reranker-large", "xlm-roberta"),
    reranker("BAAI/bge-reranker-v2-m3", "xlm-roberta", config={"max_position_embeddings": 8194}, tokens={"model_max_length": 8192},
             options={"max_tokens": 1024}),
    reranker("mixedbread-ai/mxbai-rerank-xsmall-v1", "deberta-v2"),
    reranker("mixedbread-ai/mxbai-rerank-base-v1", "deberta-v2"),
    reranker("Alibaba-NLP/gte-reranker-modernbert-base", "modernbert", options={"max_tokens": 1024}),
    reranker("Alibaba-NLP/gte-multilingual-reranker-base", "new", vocabulary="xlm-roberta",
             config={"type_vocab_size": 1, "rope_theta": 20000, "rope_scaling": {"factor": 8.0, "type": "ntk"}, "pad_token_id": 1},
             twin={"model_type": "gte", "architectures": ["GteForSequenceClassification"],
                   "rope_parameters": {"rope_type": "linear", "rope_theta": 160000.0, "factor": 8.0 ** (2 / 12)}},
             tokens={"model_max_length": 8192}, options={"max_tokens": 1024}),
    reranker("ibm-granite/granite-embedding-reranker-english-r2", "modernbert", options={"max_tokens": 1024}),
    reranker("amberoad/bert-multilingual-passage-reranking-msmarco", "bert", labels=2, vocabulary="bert-cased"),
    reranker("deepset/gbert-base-germandpr-reranking", "bert", labels=2, vocabulary="bert-cased"),
    Look("Qwen/Qwen3-Reranker-0.6B", "qwen3", "reranker", head="ForCausalLM", vocabulary="qwen", reference="qwen3 reranker",
         options={"kind": "reranker", "max_tokens": 512}),
    Look("mixedbread-ai/mxbai-rerank-base-v2", "qwen2", "reranker", head="ForCausalLM", reference="mxbai reranker",
         options={"kind": "reranker", "max_tokens": 512}),
    Look("BAAI/bge-reranker-v2-gemma", "gemma", "reranker", head="ForCausalLM", reference="gemma reranker",
         options={"kind": "reranker", "max_tokens": 512}),
)  # fmt: skip
