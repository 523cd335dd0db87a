"""Small models of sentence-transformers that read pictures, with random weights, as folders."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from helpers import models
from helpers.image_models import pair, saved, single


def old_folder(folder: Path) -> Path:
    """As sentence-transformers kept CLIP before version 5.4: one module, and no Transformer."""
    model, tokenizer, processor = pair("clip")
    saved(folder / "0_CLIPModel", model, tokenizer, processor)
    modules = [{"idx": 0, "name": "0", "path": "0_CLIPModel", "type": "sentence_transformers.models.CLIPModel"}]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "config_sentence_transformers.json").write_text(
        json.dumps({"__version__": {"sentence_transformers": "2.7.0"}})
    )
    return folder


def new_folder(folder: Path) -> Path:
    """CLIP in a Transformer of several modalities, and a layer behind both."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense, Normalize, Transformer

    saved(folder / "clip", *pair("clip"))
    torch.manual_seed(5)
    made = [Transformer(str(folder / "clip")), Dense(24, 12), Normalize()]
    SentenceTransformer(modules=made, device="cpu").save_pretrained(str(folder / "st"))
    return folder / "st"


def pictures_alone(folder: Path) -> Path:
    """A ViT and its class token."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    saved(folder / "vit", *single("vit"))
    made = [Transformer(str(folder / "vit")), Pooling(32, pooling_mode="mean")]
    SentenceTransformer(modules=made, device="cpu").save_pretrained(str(folder / "st"))
    return folder / "st"


def routed(folder: Path) -> Path:
    """A route for texts (BERT) and one for pictures (ViT), each with a layer of its own."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense, Router, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    words = models.save("bert", folder / "bert", layers=1)
    saved(folder / "vit", *single("vit"))
    torch.manual_seed(6)
    text = [Transformer(str(words)), Pooling(64, pooling_mode="mean"), Dense(64, 16)]
    image = [Transformer(str(folder / "vit")), Pooling(32, pooling_mode="cls"), Dense(32, 16)]
    router = Router({"text": text, "image": image}, default_route="text", route_mappings={(None, "image"): "image"})
    SentenceTransformer(modules=[router], device="cpu").save_pretrained(str(folder / "st"))
    return folder / "st"


FOLDERS = {"old": old_folder, "new": new_folder, "alone": pictures_alone, "routed": routed}
