"""JinaBert's configuration."""

from transformers import PretrainedConfig


class JinaBertConfig(PretrainedConfig):
    """BERT's, with ALiBi and a gated feed-forward."""

    model_type = "bert"

    def __init__(
        self, vocab_size=30528, hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072,
        max_position_embeddings=8192, type_vocab_size=2, layer_norm_eps=1e-12, pad_token_id=0, position_embedding_type="alibi",
        feed_forward_type="geglu", emb_pooler="mean", attn_implementation="torch", use_cache=True, **options,
    ):  # fmt: skip
        super().__init__(pad_token_id=pad_token_id, **options)
        self.vocab_size, self.hidden_size, self.num_hidden_layers = vocab_size, hidden_size, num_hidden_layers
        self.num_attention_heads, self.intermediate_size = num_attention_heads, intermediate_size
        self.max_position_embeddings, self.type_vocab_size = max_position_embeddings, type_vocab_size
        self.layer_norm_eps, self.position_embedding_type = layer_norm_eps, position_embedding_type
        self.feed_forward_type, self.emb_pooler, self.use_cache = feed_forward_type, emb_pooler, use_cache
