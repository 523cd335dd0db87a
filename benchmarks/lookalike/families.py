"""What config.json says in the families of published models: their own settings beside small sizes."""

from __future__ import annotations

from typing import Any

SIZE = 48
"""Numbers of a token's vector in every look-alike."""

_BERT = {
    "attention_probs_dropout_prob": 0.1, "classifier_dropout": None, "gradient_checkpointing": False, "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1, "hidden_size": SIZE, "initializer_range": 0.02, "intermediate_size": 96, "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512, "num_attention_heads": 4, "num_hidden_layers": 1, "pad_token_id": 0,
    "position_embedding_type": "absolute", "torch_dtype": "float32", "transformers_version": "4.30.2", "type_vocab_size": 2,
    "use_cache": True,
}  # fmt: skip
_ROBERTA = {
    **_BERT, "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1, "layer_norm_eps": 1e-5, "max_position_embeddings": 514,
    "type_vocab_size": 1, "output_past": True,
}  # fmt: skip
_LLAMA = {
    "attention_dropout": 0.0, "attention_bias": False, "hidden_act": "silu", "hidden_size": SIZE, "intermediate_size": 96,
    "max_position_embeddings": 32768, "num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 1, "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0, "tie_word_embeddings": False, "torch_dtype": "bfloat16", "transformers_version": "4.41.2", "use_cache": True,
    "initializer_range": 0.02,
}  # fmt: skip
_GEMMA = {
    **_LLAMA, "head_dim": 16, "hidden_activation": "gelu_pytorch_tanh", "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2,
    "max_position_embeddings": 8192, "tie_word_embeddings": True,
}  # fmt: skip
_T5 = {
    "d_ff": 96, "d_kv": 12, "d_model": SIZE, "decoder_start_token_id": 0, "dropout_rate": 0.1, "eos_token_id": 1,
    "feed_forward_proj": "relu", "initializer_factor": 1.0, "is_encoder_decoder": True, "layer_norm_epsilon": 1e-6, "n_positions": 512,
    "num_heads": 4, "num_layers": 1, "num_decoder_layers": 1, "output_past": True, "pad_token_id": 0,
    "relative_attention_num_buckets": 32, "relative_attention_max_distance": 128, "torch_dtype": "float32", "use_cache": True,
    "transformers_version": "4.11.3", "tie_word_embeddings": True,
}  # fmt: skip

FAMILIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bert": ("bert", "Bert", {"model_type": "bert", **_BERT}),
    "roberta": ("roberta", "Roberta", {"model_type": "roberta", **_ROBERTA}),
    "xlm-roberta": ("xlm-roberta", "XLMRoberta", {"model_type": "xlm-roberta", **_ROBERTA}),
    "mpnet": (
        "mpnet",
        "MPNet",
        {**_ROBERTA, "model_type": "mpnet", "relative_attention_num_buckets": 32, "layer_norm_eps": 1e-5},
    ),
    "distilbert": (
        "distilbert",
        "DistilBert",
        {
            "model_type": "distilbert", "activation": "gelu", "attention_dropout": 0.1, "dim": SIZE, "dropout": 0.1, "hidden_dim": 96,
            "initializer_range": 0.02, "max_position_embeddings": 512, "n_heads": 4, "n_layers": 1, "pad_token_id": 0,
            "qa_dropout": 0.1, "seq_classif_dropout": 0.2, "sinusoidal_pos_embds": False, "tie_weights_": True,
            "transformers_version": "4.6.1",
        },
    ),
    "electra": (
        "electra",
        "Electra",
        {**_BERT, "model_type": "electra", "embedding_size": 32, "summary_activation": "gelu", "summary_last_dropout": 0.1,
         "summary_type": "first", "summary_use_proj": True},
    ),
    "deberta-v2": (
        "deberta-v2",
        "DebertaV2",
        {**_BERT, "model_type": "deberta-v2", "layer_norm_eps": 1e-7, "max_relative_positions": -1, "norm_rel_ebd": "layer_norm",
         "pooler_dropout": 0, "pooler_hidden_act": "gelu", "pooler_hidden_size": SIZE, "pos_att_type": ["p2c", "c2p"],
         "position_biased_input": False, "position_buckets": 16, "relative_attention": True, "share_att_key": True,
         "type_vocab_size": 0},
    ),
    "modernbert": (
        "modernbert",
        "ModernBert",
        {
            "model_type": "modernbert", "attention_bias": False, "attention_dropout": 0.0, "bos_token_id": 1, "classifier_activation": "gelu",
            "classifier_bias": False, "classifier_dropout": 0.0, "classifier_pooling": "mean", "cls_token_id": 1,
            "decoder_bias": True, "deterministic_flash_attn": False, "embedding_dropout": 0.0, "eos_token_id": 2,
            "global_attn_every_n_layers": 3, "global_rope_theta": 160000.0, "gradient_checkpointing": False,
            "hidden_activation": "gelu", "hidden_size": SIZE, "initializer_cutoff_factor": 2.0, "initializer_range": 0.02,
            "intermediate_size": 72, "layer_norm_eps": 1e-5, "local_attention": 128, "local_rope_theta": 10000.0,
            "max_position_embeddings": 8192, "mlp_bias": False, "mlp_dropout": 0.0, "norm_bias": False, "norm_eps": 1e-5,
            "num_attention_heads": 4, "num_hidden_layers": 2, "pad_token_id": 3, "position_embedding_type": "absolute",
            "reference_compile": False, "repad_logits_with_grad": False, "sep_token_id": 2, "sparse_pred_ignore_index": -100,
            "sparse_prediction": False, "torch_dtype": "float32", "transformers_version": "4.48.0",
        },
    ),
    "nomic": (
        "bert",
        "NomicBert",
        {
            "model_type": "nomic_bert", "activation_function": "swiglu", "attn_pdrop": 0.0, "bos_token_id": None, "causal": False,
            "dense_seq_output": True, "embd_pdrop": 0.0, "eos_token_id": None, "fused_bias_fc": True, "fused_dropout_add_ln": True,
            "initializer_range": 0.02, "layer_norm_epsilon": 1e-12, "mlp_fc1_bias": False, "mlp_fc2_bias": False, "n_embd": SIZE,
            "n_head": 4, "n_inner": 96, "n_layer": 1, "n_positions": 8192, "pad_vocab_size_multiple": 64, "parallel_block": False,
            "parallel_block_tied_norm": False, "prenorm": False, "qkv_proj_bias": False, "reorder_and_upcast_attn": False,
            "resid_pdrop": 0.0, "rotary_emb_base": 1000, "rotary_emb_fraction": 1.0, "rotary_emb_interleaved": False,
            "rotary_emb_scale_base": None, "rotary_scaling_factor": None, "scale_attn_by_inverse_layer_idx": False,
            "scale_attn_weights": True, "summary_activation": None, "summary_first_dropout": 0.0, "summary_proj_to_labels": True,
            "summary_type": "cls_index", "summary_use_proj": True, "torch_dtype": "float32", "transformers_version": "4.37.2",
            "type_vocab_size": 2, "use_cache": True, "use_flash_attn": True, "use_rms_norm": False, "use_xentropy": True,
            "auto_map": {"AutoConfig": "nomic-ai/nomic-bert-2048--configuration_hf_nomic_bert.NomicBertConfig",
                         "AutoModel": "nomic-ai/nomic-bert-2048--modeling_hf_nomic_bert.NomicBertModel",
                         "AutoModelForMaskedLM": "nomic-ai/nomic-bert-2048--modeling_hf_nomic_bert.NomicBertForPreTraining"},
        },
    ),
    "new": (
        "bert",
        "Gte",
        {
            **_BERT, "model_type": "new", "layer_norm_type": "layer_norm", "logn_attention_clip1": False, "logn_attention_scale": False,
            "max_position_embeddings": 8192, "pack_qkv": True, "position_embedding_type": "rope", "rope_scaling": {"factor": 2.0, "type": "ntk"},
            "rope_theta": 500000, "type_vocab_size": 0, "unpad_inputs": False, "use_memory_efficient_attention": False,
            "attention_probs_dropout_prob": 0.0,
            "auto_map": {"AutoConfig": "Alibaba-NLP/new-impl--configuration.NewConfig", "AutoModel": "Alibaba-NLP/new-impl--modeling.NewModel",
                         "AutoModelForMaskedLM": "Alibaba-NLP/new-impl--modeling.NewForMaskedLM",
                         "AutoModelForSequenceClassification": "Alibaba-NLP/new-impl--modeling.NewForSequenceClassification"},
        },
    ),
    "t5": ("t5", "T5", {"model_type": "t5", **_T5}),
    "mistral": (
        "mistral-eos",
        "Mistral",
        {**_LLAMA, "model_type": "mistral", "bos_token_id": 1, "eos_token_id": 2, "sliding_window": 4096, "rms_norm_eps": 1e-5},
    ),
    "llama": ("mistral", "Llama", {**_LLAMA, "model_type": "llama", "bos_token_id": 1, "eos_token_id": 2, "pretraining_tp": 1}),
    "qwen2": (
        "qwen",
        "Qwen2",
        {**_LLAMA, "model_type": "qwen2", "rope_theta": 1000000.0, "max_window_layers": 28, "sliding_window": 32768,
         "use_sliding_window": False},
    ),
    "qwen3": (
        "qwen-eos",
        "Qwen3",
        {**_LLAMA, "model_type": "qwen3", "head_dim": 16, "max_window_layers": 28, "rope_scaling": None, "rope_theta": 1000000,
         "sliding_window": None, "use_sliding_window": False, "tie_word_embeddings": True},
    ),
    "gemma": ("gemma", "Gemma", {**_GEMMA, "model_type": "gemma", "hidden_act": "gelu"}),
    "gemma2": (
        "gemma-eos",
        "Gemma2",
        {**_GEMMA, "model_type": "gemma2", "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0, "cache_implementation": "hybrid",
         "query_pre_attn_scalar": 16, "sliding_window": 4096},
    ),
    "gemma3": (
        "gemma-eos",
        "Gemma3Text",
        {**_GEMMA, "model_type": "gemma3_text", "num_hidden_layers": 2, "_sliding_window_pattern": 6,
         "attn_logit_softcapping": None, "final_logit_softcapping": None,
         "layer_types": ["sliding_attention", "full_attention"], "max_position_embeddings": 2048, "query_pre_attn_scalar": 16,
         "rope_local_base_freq": 10000.0, "rope_scaling": None, "rope_theta": 1000000.0, "sliding_window": 512,
         "use_bidirectional_attention": True},
    ),
    "clip": (
        "clip",
        "CLIP",
        {"model_type": "clip_text_model", "hidden_size": SIZE, "intermediate_size": 96, "num_attention_heads": 4, "num_hidden_layers": 1,
         "max_position_embeddings": 77, "hidden_act": "quick_gelu", "projection_dim": 32, "layer_norm_eps": 1e-5},
    ),
    "dpr": ("bert", "DPR", {"model_type": "dpr", **_BERT, "projection_dim": 0}),
}  # fmt: skip
"""By name: the usual vocabulary, how the classes in transformers begin, and config.json."""
