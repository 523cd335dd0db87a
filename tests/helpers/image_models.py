"""Small models of pictures of the real classes, with random weights, and their processors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers as tf

from helpers import models

SIZE = {"height": 32, "width": 32}
EDGE = {"shortest_edge": 32}
VIT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 32,
    "patch_size": 8,
}
TEXTS = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
MAPS = {"hidden_sizes": [16, 32], "depths": [1, 1]}


def single(kind: str) -> tuple[Any, Any]:
    """A model of pictures and its image processor."""
    torch.manual_seed(0)
    if kind == "vit":
        made: Any = tf.ViTModel(tf.ViTConfig(**VIT)), tf.ViTImageProcessorPil(size=SIZE)
    elif kind == "dinov2":
        config = tf.Dinov2Config(
            hidden_size=32, num_hidden_layers=2, num_attention_heads=4, image_size=28, patch_size=7
        )
        crop = {"height": 28, "width": 28}
        made = tf.Dinov2Model(config), tf.BitImageProcessorPil(size=EDGE, crop_size=crop)
    elif kind == "swin":
        config = tf.SwinConfig(
            embed_dim=16, depths=[1, 1], num_heads=[2, 2], image_size=32, patch_size=4, window_size=4
        )
        made = tf.SwinModel(config), tf.ViTImageProcessorPil(size=SIZE)
    elif kind == "convnext":
        made = tf.ConvNextModel(tf.ConvNextConfig(num_stages=2, **MAPS)), tf.ConvNextImageProcessorPil(size=EDGE)
    elif kind == "resnet":
        config = tf.ResNetConfig(embedding_size=16, layer_type="basic", **MAPS)
        made = tf.ResNetModel(config), tf.ConvNextImageProcessorPil(size=EDGE)
    elif kind == "clip":
        config = tf.CLIPVisionConfig(projection_dim=24, **VIT)
        made = tf.CLIPVisionModelWithProjection(config), tf.CLIPImageProcessorPil(size=EDGE, crop_size=SIZE)
    else:
        made = tf.SiglipVisionModel(tf.SiglipVisionConfig(**VIT)), tf.SiglipImageProcessorPil(size=SIZE)
    return made[0].eval(), made[1]


SINGLE = ("vit", "dinov2", "swin", "convnext", "resnet", "clip", "siglip")


def pair(kind: str) -> tuple[Any, Any, Any]:
    """A model of texts and pictures, its tokenizer and its image processor."""
    tokenizer = models.make_tokenizer("word")
    torch.manual_seed(0)
    words = {"vocab_size": len(tokenizer), "max_position_embeddings": 16, **TEXTS}
    special = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
    if kind == "clip":
        config: Any = tf.CLIPConfig(text_config={**words, **special}, vision_config=VIT, projection_dim=24)
        made: Any = tf.CLIPModel(config), tf.CLIPImageProcessorPil(size=EDGE, crop_size=SIZE)
    else:
        config = tf.SiglipConfig(text_config={**words, **special}, vision_config=VIT)
        made = tf.SiglipModel(config), tf.SiglipImageProcessorPil(size=SIZE)
    model = made[0].eval()
    models.widen(model)
    return model, tokenizer, made[1]


def saved(folder: Path, *parts: Any) -> Path:
    """All parts in one folder, as transformers keeps them."""
    for part in parts:
        part.save_pretrained(folder)
    return folder


def image_vectors(model: Any, processor: Any, pictures: list[Any]) -> Any:
    """(n, dim) float32: the vectors that transformers gives of pictures, each by itself."""
    rows = []
    with torch.no_grad():
        for picture in pictures:
            values = processor(picture, return_tensors="pt")["pixel_values"]
            if hasattr(model, "get_image_features"):
                out = model.get_image_features(pixel_values=values)
                out = out if isinstance(out, torch.Tensor) else out.pooler_output
            else:
                whole = model(values)
                out = whole.image_embeds if hasattr(whole, "image_embeds") else whole.pooler_output
            rows.append(out.flatten(1)[0])
    return torch.stack(rows).numpy()


def querying() -> tuple[Any, Any]:
    """BLIP-2's encoder of pictures with its queries, and its image processor."""
    torch.manual_seed(0)
    layers = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = tf.Blip2Config(
        vision_config={**layers, "image_size": 32, "patch_size": 8},
        qformer_config={**layers, "encoder_hidden_size": 32, "vocab_size": 40},
        text_config={"model_type": "opt", "hidden_size": 32, "num_hidden_layers": 1, "ffn_dim": 32, "vocab_size": 40},
        num_query_tokens=4,
        image_text_hidden_size=16,
    )
    model = tf.Blip2VisionModelWithProjection(config).eval()
    torch.nn.init.normal_(model.query_tokens)
    return model, tf.BlipImageProcessorPil(size=SIZE)
