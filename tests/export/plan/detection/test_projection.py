"""Text encoders with a projection of their own: their vectors are its, or they are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from embedkit import Encoder, ExportError
from embedkit_export import Recipe, export, prepare
from helpers import models

SIZES = {
    "hidden_size": 48,
    "num_attention_heads": 3,
    "num_hidden_layers": 1,
    "intermediate_size": 50,
    "projection_dim": 24,
}
IMAGES = {**SIZES, "image_size": 16, "patch_size": 8}


def sizes(tokenizer: Any) -> dict[str, Any]:
    special = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
    return {**SIZES, "vocab_size": len(tokenizer), "max_position_embeddings": 32, **special}


def saved(kind: str, folder: Path) -> tuple[Any, Any]:
    tokenizer = models.make_tokenizer("word")
    torch.manual_seed(0)
    config = sizes(tokenizer)
    if kind == "ClapText":
        config["max_position_embeddings"] = 40
    model = getattr(transformers, f"{kind}ModelWithProjection")(getattr(transformers, f"{kind}Config")(**config)).eval()
    models.widen(model)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model, tokenizer


def whole_clip(folder: Path) -> tuple[Any, Any]:
    tokenizer = models.make_tokenizer("word")
    torch.manual_seed(0)
    config = transformers.CLIPConfig(text_config=sizes(tokenizer), vision_config=IMAGES, projection_dim=24)
    model = transformers.CLIPModel(config).eval()
    models.widen(model)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model, tokenizer


@pytest.mark.parametrize("kind", ["CLIPText", "MetaClip2Text", "ClapText"])
def test_the_projection_is_part_of_the_recipe(kind: str, tmp_path: Path) -> None:
    model, tokenizer = saved(kind, tmp_path / "model")
    found = prepare(tmp_path / "model", max_tokens=16)
    assert (
        f"pooling: {'pooler' if kind == 'ClapText' else 'eos'}, by which the vectors of {kind}ModelWithProjection"
        in found.text()
    )
    graph = found.plan.graphs["default"]
    assert graph.outputs["dense"].dim == 24
    given = tokenizer(models.SENTENCES[0], return_tensors="pt", truncation=True, max_length=16)
    with torch.no_grad():
        expected = model(**{name: given[name] for name in ("input_ids", "attention_mask")}).text_embeds
        vectors = graph.module(given["input_ids"], given["attention_mask"])
    assert torch.allclose(vectors, expected, atol=1e-5)


def test_exported(tmp_path: Path) -> None:
    model, tokenizer = saved("CLIPText", tmp_path / "model")
    export(tmp_path / "model", output=tmp_path / "bundle", variants=["fp32"], timing=False)
    given = tokenizer(list(models.SENTENCES), return_tensors="pt", padding=True, truncation=True, max_length=32)
    with torch.no_grad():
        expected = model(input_ids=given["input_ids"], attention_mask=given["attention_mask"]).text_embeds
    found = Encoder.load(tmp_path / "bundle").encode(list(models.SENTENCES))
    assert abs(found - expected.numpy()).max() < 1e-4


@pytest.mark.parametrize("named", [None, "CLIPTextModelWithProjection"])
def test_of_a_pair_of_encoders_that_of_texts(named: str | None, tmp_path: Path) -> None:
    """Where nothing says how pictures are prepared: with its projection, and a note that they are left out."""
    model, tokenizer = whole_clip(tmp_path / "clip")
    found = prepare(tmp_path / "clip", recipe=Recipe(model_class=named))
    assert ("its pictures are left out" in found.text()) is (named is None)
    given = tokenizer(models.SENTENCES[1], return_tensors="pt")
    ids, mask = given["input_ids"][:, :32], given["attention_mask"][:, :32]
    with torch.no_grad():
        expected = model.text_projection(model.text_model(input_ids=ids, attention_mask=mask).pooler_output)
        vectors = found.plan.graphs["default"].module(ids, mask)
    assert torch.allclose(vectors, expected, atol=1e-5)


def test_a_projection_of_an_unknown_pooling(tmp_path: Path) -> None:
    """A model that pools its second token."""
    model, tokenizer = saved("CLIPText", tmp_path / "model")

    def second(_module: object, _given: object, out: Any) -> Any:
        out.pooler_output = out.last_hidden_state[:, 1]
        return out

    model.text_model.register_forward_hook(second)
    with pytest.raises(
        ExportError, match=r"CLIPTextModelWithProjection pools its tokens in a way that is not known here"
    ):
        prepare((model, tokenizer))
