"""Rerankers and classifiers of pairs."""

from __future__ import annotations

from typing import Any

from ..descriptions import Look, pooling, reranker
from ..families import SIZE


def ettin(name: str) -> Look:
    """ModernBERT's first vector, a layer, a norm, and a layer whose number is the score, as sentence-transformers 5.4 saves it."""
    base, dense = "sentence_transformers.base.modules.", "torch.nn.modules."
    kinds = [
        *(
            base + "transformer.Transformer",
            "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
            base + "dense.Dense",
        ),
        *("sentence_transformers.sentence_transformer.modules.layer_norm.LayerNorm", base + "dense.Dense"),
    ]
    places = ["", "1_Pooling", "2_Dense", "3_LayerNorm", "4_Dense"]
    first: dict[str, Any] = {"in_features": SIZE, "out_features": SIZE, "bias": False, "activation_function": dense + "activation.GELU",
                             "module_input_name": "sentence_embedding", "module_output_name": "sentence_embedding"}  # fmt: skip
    last = {
        **first,
        "out_features": 1,
        "bias": True,
        "activation_function": dense + "linear.Identity",
        "module_output_name": "scores",
    }
    files = {
        "modules.json": [
            {"idx": i, "name": str(i), "path": place, "type": kind} for i, (place, kind) in enumerate(zip(places, kinds, strict=True))
        ],
        "sentence_bert_config.json": {"transformer_task": "feature-extraction", "module_output_name": "token_embeddings",
                                      "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}},
        "1_Pooling/config.json": pooling("cls"),
        "2_Dense/config.json": first,
        "3_LayerNorm/config.json": {"dimension": SIZE},
        "4_Dense/config.json": last,
        "config_sentence_transformers.json": {
            "__version__": {"sentence_transformers": "5.4.0"}, "model_type": "CrossEncoder", "prompts": {}, "default_prompt_name": None,
            "activation_fn": dense + "linear.Identity",
        },
    }  # fmt: skip
    layers = {
        "2_Dense/model.safetensors": {"linear.weight": (SIZE, SIZE)},
        "3_LayerNorm/model.safetensors": {"norm.weight": (SIZE,), "norm.bias": (SIZE,)},
        "4_Dense/model.safetensors": {"linear.weight": (1, SIZE), "linear.bias": (1,)},
    }
    return Look(
        name,
        "modernbert",
        "reranker",
        files=files,
        layers=layers,
        tokens={"model_max_length": 7999},
        options={"max_tokens": 1024},
    )


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
    *(ettin(f"cross-encoder/ettin-reranker-{size}-v1") for size in ("17m", "32m", "68m", "150m", "400m", "1b")),
    reranker("jinaai/jina-reranker-v2-base-multilingual", "xlm-roberta", tokens={"model_max_length": 1024}, refused="jina-reranker-v2",
             config={"architectures": ["XLMRobertaForSequenceClassification"], "max_position_embeddings": 1026, "use_flash_attn": True,
                     "position_embedding_type": "absolute", "auto_map": {
                         "AutoConfig": "configuration_xlm_roberta.XLMRobertaFlashConfig",
                         "AutoModel": "modeling_xlm_roberta.XLMRobertaModel",
                         "AutoModelForSequenceClassification": "modeling_xlm_roberta.XLMRobertaForSequenceClassification"}},
             extra={"roberta.encoder.layers.0.mixer.Wqkv.weight": (3 * SIZE, SIZE), "roberta.encoder.layers.0.mlp.fc1.weight": (96, SIZE)}),
)  # fmt: skip
