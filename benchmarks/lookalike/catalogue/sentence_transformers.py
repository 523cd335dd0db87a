"""Models of the organisation sentence-transformers, and those that are saved as theirs are."""

from __future__ import annotations

from typing import Any

from ..descriptions import Look, dense, modules

_ST = "sentence-transformers/"
_MINILM: dict[str, Any] = {"config": {"gradient_checkpointing": False}, "tokens": {"name_or_path": "nreimers/MiniLM"}}
_UNIGRAM_BERT: dict[str, Any] = {
    "vocabulary": "xlm-roberta",
    "tokens": {"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": True, "strip_accents": None},
}
"""BERT's layers behind XLM-RoBERTa's pieces."""
_TANH, _NONE = "activation.Tanh", "linear.Identity"

SENTENCE_TRANSFORMERS: tuple[Look, ...] = (
    dense(_ST + "all-MiniLM-L6-v2", "bert", length=256, normalize=True, **_MINILM),
    dense(_ST + "all-MiniLM-L12-v2", "bert", length=128, normalize=True, pickled=True),
    dense(_ST + "all-MiniLM-L12-v1", "bert", length=128, normalize=True),
    dense(_ST + "paraphrase-MiniLM-L6-v2", "bert", length=128),
    dense(_ST + "paraphrase-MiniLM-L3-v2", "bert", length=128),
    dense(_ST + "multi-qa-MiniLM-L6-cos-v1", "bert", normalize=True),
    dense(_ST + "msmarco-MiniLM-L6-v3", "bert"),
    dense(_ST + "all-mpnet-base-v2", "mpnet", length=384, normalize=True),
    dense(_ST + "all-mpnet-base-v1", "mpnet", length=512, normalize=True),
    dense(_ST + "paraphrase-mpnet-base-v2", "mpnet"),
    dense(_ST + "multi-qa-mpnet-base-dot-v1", "mpnet", "cls"),
    dense(_ST + "multi-qa-mpnet-base-cos-v1", "mpnet", normalize=True),
    dense(_ST + "all-distilroberta-v1", "roberta", normalize=True),
    dense(_ST + "all-roberta-large-v1", "roberta", length=256, normalize=True),
    dense(_ST + "nli-roberta-base-v2", "roberta", length=75),
    dense(_ST + "stsb-roberta-base", "roberta", length=128, lower=True),
    dense(_ST + "msmarco-distilbert-base-tas-b", "distilbert", "cls"),
    dense(_ST + "msmarco-distilbert-base-v4", "distilbert", length=512),
    dense(_ST + "msmarco-distilbert-dot-v5", "distilbert", length=512, about={"similarity_fn_name": "dot"}),
    dense(_ST + "msmarco-bert-base-dot-v5", "bert"),
    dense(_ST + "multi-qa-distilbert-cos-v1", "distilbert", normalize=True),
    dense(_ST + "bert-base-nli-mean-tokens", "bert", length=128),
    dense(_ST + "bert-base-nli-max-tokens", "bert", "max", length=128),
    dense(_ST + "distilbert-base-nli-stsb-mean-tokens", "distilbert", length=128),
    dense(_ST + "quora-distilbert-multilingual", "distilbert", length=128, vocabulary="bert-cased"),
    dense(
        _ST + "distiluse-base-multilingual-cased-v1", "distilbert", length=128, vocabulary="bert-cased", layers=[(32, _TANH, True)]
    ),
    dense(
        _ST + "distiluse-base-multilingual-cased-v2", "distilbert", length=128, vocabulary="bert-cased", layers=[(32, _TANH, True)]
    ),
    dense(_ST + "paraphrase-multilingual-MiniLM-L12-v2", "bert", length=128, **_UNIGRAM_BERT),
    dense(_ST + "paraphrase-multilingual-mpnet-base-v2", "xlm-roberta", length=128),
    dense(_ST + "stsb-xlm-r-multilingual", "xlm-roberta", length=128),
    dense(_ST + "LaBSE", "bert", "cls", length=256, vocabulary="bert-cased", layers=[(48, _TANH, True)], normalize=True),
    dense(_ST + "use-cmlm-multilingual", "bert", length=256, vocabulary="bert-cased", normalize=True),
    dense(_ST + "allenai-specter", "bert", "cls"),
    dense(_ST + "facebook-dpr-ctx_encoder-single-nq-base", "bert", "cls"),
    dense(_ST + "facebook-dpr-question_encoder-single-nq-base", "bert", "cls"),
    dense(_ST + "sentence-t5-base", "t5", length=256, layers=[(32, _NONE, False)], normalize=True, head="EncoderModel"),
    dense(_ST + "sentence-t5-xxl", "t5", length=256, layers=[(32, _NONE, False)], normalize=True, head="EncoderModel",
          config={"torch_dtype": "float16", "feed_forward_proj": "gated-gelu"}),
    dense(_ST + "gtr-t5-base", "t5", layers=[(32, _NONE, False)], normalize=True, head="EncoderModel"),
    dense(_ST + "gtr-t5-large", "t5", layers=[(32, _NONE, False)], normalize=True, head="EncoderModel", pickled=True),
    dense(_ST + "clip-ViT-B-32-multilingual-v1", "distilbert", length=128, vocabulary="bert-cased", layers=[(32, _NONE, False)]),
    dense("kev/tsdae-bert-base", "bert", "cls", length=75),
    Look(
        _ST + "static-retrieval-mrl-en-v1",
        "static-module",
        files={
            "modules.json": modules(("StaticEmbedding", "0_StaticEmbedding")),
            "config_sentence_transformers.json": {"prompts": {}, "default_prompt_name": None, "similarity_fn_name": "cosine"},
        },
    ),
    Look(
        _ST + "static-similarity-mrl-multilingual-v1",
        "static-module",
        vocabulary="bert-cased",
        files={
            "modules.json": modules(("StaticEmbedding", "0_StaticEmbedding")),
            "config_sentence_transformers.json": {"prompts": {}, "default_prompt_name": None, "similarity_fn_name": "cosine"},
        },
    ),
    Look(
        _ST + "average_word_embeddings_glove.6B.300d",
        "",
        files={"modules.json": modules(("WordEmbeddings", "0_WordEmbeddings"), ("Pooling", "1_Pooling"))},
        refused="WordEmbeddings",
    ),
    Look(
        _ST + "clip-ViT-B-32",
        "clip-module",
        files={"modules.json": modules(("CLIPModel", "0_CLIPModel"))},
        refused="CLIPTextModelWithProjection",
    ),
)  # fmt: skip
