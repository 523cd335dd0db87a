"""Late interaction: a vector for each token, in the folders of Stanford's ColBERT and of PyLate."""

from __future__ import annotations

from typing import Any

from ..descriptions import Look, modules
from ..families import SIZE

_SKIPPED = list("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")


def stanford(name: str, **options: Any) -> Look:
    """BERT with a linear layer among its weights."""
    about = {"query_maxlen": 32, "doc_maxlen": 180, "dim": 32, "similarity": "cosine", "mask_punctuation": True,
             "attend_to_mask_tokens": False, "query_token_id": "[unused0]", "doc_token_id": "[unused1]", "query_token": "[Q]",
             "doc_token": "[D]"}  # fmt: skip
    config = {"architectures": ["HF_ColBERT"], **options.pop("config", {})}
    return Look(
        name, "bert", "multivector", vocabulary="colbert", config=config, prefix="bert.", extra={"linear.weight": (32, SIZE)},
        files={"artifact.metadata": {**about, **options.pop("about", {})}}, **options,
    )  # fmt: skip


def pylate(name: str, family: str, vocabulary: str, *, length: int = 299, **options: Any) -> Look:
    """A Transformer, a Dense for token vectors, and the rest in config_sentence_transformers.json."""
    about = {
        "__version__": {"sentence_transformers": "4.0.2", "pylate": "1.1.7"}, "prompts": {}, "default_prompt_name": None,
        "similarity_fn_name": "MaxSim", "query_prefix": "[Q] ", "document_prefix": "[D] ", "query_length": 32, "document_length": 300,
        "attend_to_expansion_tokens": False, "skiplist_words": _SKIPPED, "do_query_expansion": True, **options.pop("about", {}),
    }  # fmt: skip
    files = {
        "modules.json": modules(("Transformer", ""), ("pylate.models.Dense.Dense", "1_Dense")),
        "sentence_bert_config.json": {"max_seq_length": length, "do_lower_case": False},
        "1_Dense/config.json": {
            "in_features": SIZE, "out_features": 32, "bias": False, "activation_function": "torch.nn.modules.linear.Identity",
        },
        "config_sentence_transformers.json": about,
    }  # fmt: skip
    weights = {"1_Dense/model.safetensors": {"linear.weight": (32, SIZE)}}
    return Look(name, family, "multivector", vocabulary=vocabulary, files=files, layers=weights, **options)


M3_TOKENS = """
max_tokens = 1024
pooling = { mode = "first", masked = false, without = ["first"] }
dense = false
[outputs.multivector]
kind = "multivector"
stages = [{ kind = "linear", weights = "colbert_linear.pt" }, { kind = "normalize" }]
"""

LATE_INTERACTION: tuple[Look, ...] = (
    stanford("colbert-ir/colbertv2.0"),
    stanford("answerdotai/answerai-colbert-small-v1", about={"doc_maxlen": 300}),
    pylate("lightonai/colbertv2.0", "bert", "colbert", about={"query_prefix": "[unused0]", "document_prefix": "[unused1]",
                                                               "query_length": 32, "document_length": 180}),
    pylate("lightonai/GTE-ModernColBERT-v1", "modernbert", "colbert-modernbert"),
    pylate("lightonai/Reason-ModernColBERT", "modernbert", "colbert-modernbert", about={"query_length": 128, "document_length": 1024},
           length=1023),
    pylate("mixedbread-ai/mxbai-edge-colbert-v0-17m", "modernbert", "colbert-modernbert", about={"query_length": 48, "document_length": 512},
           length=511),
    Look("jinaai/jina-colbert-v2", "xlm-roberta", "multivector", prefix="roberta.", refused="jina-colbert-v2",
         config={"architectures": ["ColBERTXLMRModel"], "max_position_embeddings": 8194, "position_embedding_type": "rotary",
                 "rotary_emb_base": 20000.0, "use_flash_attn": True,
                 "auto_map": {"AutoConfig": "jinaai/xlm-roberta-flash-implementation--configuration_xlm_roberta.XLMRobertaFlashConfig",
                              "AutoModel": "jinaai/jina-colbert-v2--modeling_xlmr_colbert.ColBERTXLMRModel"}},
         files={"artifact.metadata": {"query_maxlen": 32, "doc_maxlen": 300, "dim": 32, "similarity": "cosine", "mask_punctuation": True,
                                      "attend_to_mask_tokens": False, "query_token_id": "[QueryMarker]", "doc_token_id": "[DocumentMarker]"}},
         extra={"linear.weight": (32, SIZE), "roberta.encoder.layers.0.mixer.Wqkv.weight": (3 * SIZE, SIZE)}),
    Look("BAAI/bge-m3, vectors of tokens", "xlm-roberta", "multivector", reference="bge-m3 tokens", pickled=True,
         config={"max_position_embeddings": 8194}, pickles={"colbert_linear.pt": {"weight": (SIZE, SIZE), "bias": (SIZE,)}},
         options={"recipe": M3_TOKENS}),
)  # fmt: skip
