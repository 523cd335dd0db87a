"""Models whose code comes with them, run or (where a class of transformers or a sentence takes its place) left out."""

from __future__ import annotations

from typing import Any

from ..descriptions import Look, dense, modules, pooling, reranker
from ..families import SIZE

_CODE = ("jina_bert/configuration_bert.py", "jina_bert/modeling_bert.py")
_RUN: dict[str, Any] = {"options": {"trust_remote_code": True, "max_tokens": 512}, "code": _CODE}


def _jina(head: str = "JinaBertModel", **more: Any) -> dict[str, Any]:
    auto = {"AutoConfig": "configuration_bert.JinaBertConfig", "AutoModel": "modeling_bert.JinaBertModel",
            "AutoModelForMaskedLM": "modeling_bert.JinaBertForMaskedLM",
            "AutoModelForSequenceClassification": "modeling_bert.JinaBertForSequenceClassification"}  # fmt: skip
    return {
        "model_type": "bert", "architectures": [head], "auto_map": auto, "position_embedding_type": "alibi", "feed_forward_type": "geglu",
        "emb_pooler": "mean", "attn_implementation": "torch", "max_position_embeddings": 1024, "model_max_length": 8192, **more,
    }  # fmt: skip


_TASKS = ["retrieval.query", "retrieval.passage", "separation", "classification", "text-matching"]
_FLASH = "jinaai/xlm-roberta-flash-implementation--"
_V3 = {
    "architectures": ["XLMRobertaModel"], "lora_adaptations": _TASKS, "lora_alpha": 1, "lora_rank": 4, "lora_dropout_p": 0.0,
    "lora_main_params_trainable": False, "load_trained_adapters": True, "emb_pooler": "mean", "matryoshka_dimensions": [32, 64],
    "position_embedding_type": "rotary", "rotary_emb_base": 20000.0, "task_instructions": dict.fromkeys(_TASKS, ""),
    "truncate_dim": None, "use_flash_attn": True, "use_reentrant": False, "max_position_embeddings": 8194,
    "auto_map": {"AutoConfig": _FLASH + "configuration_xlm_roberta.XLMRobertaFlashConfig",
                 "AutoModel": _FLASH + "modeling_lora.XLMRobertaLoRA",
                 "AutoModelForMaskedLM": _FLASH + "modeling_xlm_roberta.XLMRobertaForMaskedLM"},
}  # fmt: skip
_QWEN = {
    "architectures": ["Qwen2ForCausalLM"],
    "auto_map": {"AutoModel": "modeling_qwen.Qwen2Model", "AutoModelForCausalLM": "modeling_qwen.Qwen2ForCausalLM",
                 "AutoModelForSequenceClassification": "modeling_qwen.Qwen2ForSequenceClassification"},
}  # fmt: skip
_BOTH_WAYS: dict[str, Any] = {
    "config": _QWEN,
    "twin": {"is_causal": False, "rope_theta": 1000000.0, "architectures": ["Qwen2Model"]},
    "vocabulary": "qwen-eos",
    "options": {"max_tokens": 512},
}
_INSTRUCT = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: "
_STELLA = {
    "s2p_query": "Instruct: Given a web search query, retrieve relevant passages that answer the query.\nQuery: ",
    "s2s_query": "Instruct: Retrieve semantically similar text.\nQuery: ",
}


def _stella(name: str, family: str, **options: Any) -> Look:
    """Transformer, Pooling, and a Dense of 1,024 in a folder of that name, beside others of other sizes."""
    made = dense(name, family, length=512, prompts=_STELLA, **options)
    files = dict(made.files)
    files["modules.json"] = modules(("Transformer", ""), ("Pooling", "1_Pooling"), ("Dense", "2_Dense_1024"))
    weights: dict[str, Any] = {}
    for size, real in ((24, 256), (32, 1024)):
        files[f"2_Dense_{real}/config.json"] = {
            "in_features": SIZE, "out_features": size, "bias": True, "activation_function": "torch.nn.modules.linear.Identity",
        }  # fmt: skip
        weights[f"2_Dense_{real}/model.safetensors"] = {"linear.weight": (size, SIZE), "linear.bias": (size,)}
    return Look(**{**vars(made), "files": files, "layers": weights})


OWN_CODE: tuple[Look, ...] = (
    *(
        dense(f"jinaai/jina-embeddings-v2-{name}", "bert", length=8192, config=_jina(), vocabulary=words, **_RUN)
        for name, words in (("small-en", "bert"), ("base-en", "bert"), ("base-de", "roberta"), ("base-zh", "roberta"))
    ),
    dense("jinaai/jina-embeddings-v2-base-en without its code", "bert", length=8192, config=_jina(), code=_CODE,
          refused="--trust-remote-code"),
    dense("jinaai/jina-embeddings-v2-base-code", "bert", length=8192, vocabulary="roberta", **{
        **_RUN, "config": _jina(attn_implementation=None)}),
    dense("jinaai/jina-embeddings-v3", "xlm-roberta", length=8194, normalize=True, config=_V3, prefix="roberta.",
          extra={f"roberta.encoder.layers.{i}.mixer.Wqkv.parametrizations.weight.0.lora_A": (5, 4, SIZE) for i in (0,)},
          refused="jinaai/jina-embeddings-v3-hf"),
    Look("nvidia/NV-Embed-v2", "mistral",
         config={"architectures": ["NVEmbedModel"], "model_type": "nvembed", "is_mask_instruction": True, "mask_type": "b",
                 "auto_map": {"AutoConfig": "configuration_nvembed.NVEmbedConfig", "AutoModel": "modeling_nvembed.NVEmbedModel"},
                 "latent_attention_config": {"model_type": "latent_attention"}},
         files={"modules.json": modules(("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")),
                "1_Pooling/config.json": pooling("mean", include_prompt=False)},
         refused="latent_attention"),
    dense("Alibaba-NLP/gte-Qwen2-1.5B-instruct", "qwen2", "last", length=8192, normalize=True, prompts={"query": _INSTRUCT},
          **_BOTH_WAYS),
    dense("Alibaba-NLP/gte-Qwen2-7B-instruct", "qwen2", "last", length=8192, normalize=True, prompts={"query": _INSTRUCT},
          **_BOTH_WAYS),
    _stella("NovaSearch/stella_en_1.5B_v5", "qwen2", **_BOTH_WAYS),
    _stella("NovaSearch/stella_en_400M_v5", "new", twin={
        "model_type": "gte", "architectures": ["GteModel"],
        "rope_parameters": {"rope_type": "linear", "rope_theta": 320000.0, "factor": 2.0 ** (2 / 12)}},
        config={"rope_theta": 160000}),
    reranker("jinaai/jina-reranker-v1-tiny-en", "bert", config=_jina("JinaBertForSequenceClassification"), code=_CODE,
             options={"trust_remote_code": True, "max_tokens": 512}),
    reranker("jinaai/jina-reranker-v1-turbo-en", "bert", config=_jina("JinaBertForSequenceClassification"), code=_CODE,
             options={"trust_remote_code": True, "max_tokens": 512}),
    dense("nomic-ai/nomic-embed-text-v2-moe", "nomic", vocabulary="xlm-roberta", normalize=True, refused="nomic-embed-text-v2-moe",
          prompts={"query": "search_query: ", "document": "search_document: "}, twin={"model_type": "nomic_bert"},
          config={"n_layer": 2, "activation_function": "gelu", "rotary_emb_base": 10000, "moe_every_n_layers": 2, "num_experts": 4,
                  "moe_top_k": 2, "moe_normalize_expert_weights": False, "ffn_div": 1, "expert_choice_router": False,
                  "num_shared_experts": 0, "qkv_proj_bias": True, "mlp_fc1_bias": True, "mlp_fc2_bias": True, "max_trained_positions": 2048},
          extra={"encoder.layers.1.mlp.experts.bias": (SIZE,), "encoder.layers.1.mlp.experts.mlp.w1": (4 * 96, SIZE),
                 "encoder.layers.1.mlp.experts.mlp.w2": (4 * 96, SIZE), "encoder.layers.1.mlp.router.layer.weight": (4, SIZE)}),
    *(
        Look(f"rrivera1849/LUAR-{name}", "roberta", vocabulary="roberta", prefix="transformer.",
             config={"model_type": "LUAR", "architectures": ["LUAR"], "embedding_size": 32, "use_memory_efficient_attention": False,
                     "k_bucket_size": 1024, "q_bucket_size": 512,
                     "auto_map": {"AutoConfig": "config.LUARConfig", "AutoModel": "model.LUAR"}},
             extra={"linear.weight": (32, SIZE), "linear.bias": (32,)}, refused="episode")
        for name in ("MUD", "CRUD")
    ),
)  # fmt: skip
