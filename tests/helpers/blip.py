"""A small BLIP-2, as it is used for composed image retrieval (SPRC, Bai et al. 2024): random weights, the real classes."""

from __future__ import annotations

from typing import Any

import torch
import transformers as tf
from torch import Tensor, nn

from helpers import models

TOKENS, WIDTH = 32, 16
SIDE = 32


def retrieval(tokenizer: Any) -> Any:
    """A `Blip2ForImageTextRetrieval` with 32 learned queries."""
    torch.manual_seed(0)
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "image_size": SIDE,
        "patch_size": 8,
        "initializer_range": 0.02,  # with its own, 1e-10, every picture is the same
    }
    former = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "encoder_hidden_size": 32,
        "cross_attention_frequency": 1,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 32,
        "use_qformer_text_input": True,
        "pad_token_id": tokenizer.pad_token_id,
    }
    config = tf.Blip2Config(
        vision_config=vision,
        qformer_config=former,
        num_query_tokens=TOKENS,
        image_text_hidden_size=WIDTH,
        image_token_index=None,
    )
    made = tf.Blip2ForImageTextRetrieval(config).eval()
    models.widen(made)
    with torch.no_grad():
        made.query_tokens.normal_(0, 1)
    return made


class Target(nn.Module):
    """Pictures -> (batch, 32, dim) of the Q-Former, before the projection."""

    def __init__(self, whole: Any) -> None:
        super().__init__()
        self.vision_model, self.qformer, self.query_tokens = whole.vision_model, whole.qformer, whole.query_tokens
        self.embeddings = whole.embeddings

    def forward(self, pixel_values: Tensor) -> Tensor:
        """The learned queries once they have seen the picture."""
        seen = self.vision_model(pixel_values=pixel_values).last_hidden_state
        queries = self.embeddings(query_embeds=self.query_tokens.expand(seen.shape[0], -1, -1), input_ids=None)
        mask = torch.ones(seen.shape[:2], dtype=torch.int64)
        found: Tensor = self.qformer(
            query_embeds=queries, encoder_hidden_states=seen, encoder_attention_mask=mask
        ).last_hidden_state
        return found


class Query(Target):
    """A picture and a text -> (batch, tokens, dim) of the text, once the queries saw both, and the text these."""

    def forward(self, image: Tensor, text: Tensor, text_mask: Tensor) -> Tensor:  # type: ignore[override]
        """Two passes, as published: the queries read picture and text, then the text reads these queries."""
        seen = self.vision_model(pixel_values=image).last_hidden_state
        mask = torch.ones(seen.shape[:2], dtype=torch.int64)
        both = torch.cat([torch.ones(text.shape[0], TOKENS, dtype=torch.int64), text_mask], dim=1)
        queries = self.query_tokens.expand(seen.shape[0], -1, -1)
        fused = self.qformer(
            query_embeds=self.embeddings(input_ids=text, query_embeds=queries),
            query_length=TOKENS,
            attention_mask=both,
            encoder_hidden_states=seen,
            encoder_attention_mask=mask,
        ).last_hidden_state[:, :TOKENS]
        found: Tensor = self.qformer(
            query_embeds=self.embeddings(input_ids=text, query_embeds=fused),
            query_length=TOKENS,
            attention_mask=both,
            encoder_hidden_states=seen,
            encoder_attention_mask=mask,
        ).last_hidden_state[:, TOKENS:]
        return found


class Sprc(nn.Module):
    """Both, with the projections behind them."""

    def __init__(self, whole: Any) -> None:
        super().__init__()
        self.query, self.target = Query(whole), Target(whole)
        self.vision_projection, self.text_projection = whole.vision_projection, whole.text_projection
