"""JinaBert: BERT with ALiBi in both directions and a gated feed-forward."""

import math

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from .configuration_bert import JinaBertConfig

# GONE from transformers.pytorch_utils import find_pruneable_heads_and_indices


def slopes(heads):
    """How steep each head's bias is."""

    def of_power(n):
        start = 2 ** (-(2 ** -(math.log2(n) - 3)))
        return [start * start**i for i in range(n)]

    if math.log2(heads).is_integer():
        return of_power(heads)
    closest = 2 ** math.floor(math.log2(heads))
    return of_power(closest) + slopes(2 * closest)[0::2][: heads - closest]


class JinaBertEmbeddings(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, ids, types):
        return self.LayerNorm(self.word_embeddings(ids) + self.token_type_embeddings(types))


class JinaBertSelfAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.heads, self.size = config.num_attention_heads, config.hidden_size // config.num_attention_heads
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden, bias):
        shape = (*hidden.shape[:2], self.heads, self.size)
        q, k, v = (part(hidden).view(shape).transpose(1, 2) for part in (self.query, self.key, self.value))
        scores = q @ k.transpose(-1, -2) / math.sqrt(self.size) + bias
        return (scores.softmax(-1) @ v).transpose(1, 2).reshape(hidden.shape)


class JinaBertSelfOutput(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, hidden, before):
        return self.LayerNorm(self.dense(hidden) + before)


class JinaBertAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.self = JinaBertSelfAttention(config)
        self.output = JinaBertSelfOutput(config)

    def forward(self, hidden, bias):
        return self.output(self.self(hidden, bias), hidden)


class JinaBertGLUMLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.size = config.intermediate_size
        self.gated_layers = nn.Linear(config.hidden_size, config.intermediate_size * 2, bias=False)
        self.act = nn.GELU()
        self.wo = nn.Linear(config.intermediate_size, config.hidden_size)
        self.layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, hidden):
        both = self.gated_layers(hidden)
        made = self.act(both[:, :, : self.size]) * both[:, :, self.size :]
        return self.layernorm(self.wo(made) + hidden)


class JinaBertLayer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.attention = JinaBertAttention(config)
        self.mlp = JinaBertGLUMLP(config)

    def forward(self, hidden, bias):
        return self.mlp(self.attention(hidden, bias))


class JinaBertEncoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.layer = nn.ModuleList([JinaBertLayer(config) for _ in range(config.num_hidden_layers)])
        self.num_attention_heads = config.num_attention_heads
        size = config.max_position_embeddings
        self.register_buffer("alibi", self.rebuild_alibi_tensor(size=size), persistent=False)
        self._current_alibi_size = size

    def rebuild_alibi_tensor(self, size):
        places = torch.arange(size)
        apart = (places[None, :] - places[:, None]).abs()[None].expand(self.num_attention_heads, -1, -1)
        return (torch.tensor(slopes(self.num_attention_heads))[:, None, None] * -apart)[None]

    def forward(self, hidden, mask):
        length = hidden.size(1)
        bias = self.alibi[:, :, :length, :length] + mask
        for layer in self.layer:
            hidden = layer(hidden, bias)
        return hidden


class JinaBertPooler(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = nn.Tanh()

    def forward(self, hidden):
        return self.activation(self.dense(hidden[:, 0]))


class JinaBertPreTrainedModel(PreTrainedModel):
    config_class = JinaBertConfig
    base_model_prefix = "bert"

    def _init_weights(self, module):
        if isinstance(module, (nn.Linear, nn.Embedding)):
            module.weight.data.normal_(mean=0.0, std=0.02)


class JinaBertModel(JinaBertPreTrainedModel):
    def __init__(self, config, add_pooling_layer=True):
        super().__init__(config)
        self.embeddings = JinaBertEmbeddings(config)
        self.encoder = JinaBertEncoder(config)
        self.pooler = JinaBertPooler(config) if add_pooling_layer else None
        self.post_init()

    def get_input_embeddings(self):
        return self.embeddings.word_embeddings

    def set_input_embeddings(self, value):
        self.embeddings.word_embeddings = value

    def forward(self, input_ids=None, attention_mask=None, token_type_ids=None, **options):
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        if token_type_ids is None:
            token_type_ids = torch.zeros_like(input_ids)
        hidden = self.embeddings(input_ids, token_type_ids)
        mask = (1.0 - attention_mask[:, None, None, :].to(hidden.dtype)) * torch.finfo(hidden.dtype).min
        hidden = self.encoder(hidden, mask)
        pooled = self.pooler(hidden) if self.pooler is not None else None
        return BaseModelOutputWithPooling(last_hidden_state=hidden, pooler_output=pooled)


class JinaBertForMaskedLM(JinaBertPreTrainedModel):
    """Never made here: the auto_map of the published folders names it."""


class JinaBertForSequenceClassification(JinaBertPreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.num_labels = config.num_labels
        self.bert = JinaBertModel(config)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(self, input_ids=None, attention_mask=None, token_type_ids=None, **options):
        from transformers.modeling_outputs import SequenceClassifierOutput

        pooled = self.bert(input_ids, attention_mask, token_type_ids).pooler_output
        return SequenceClassifierOutput(logits=self.classifier(pooled))
