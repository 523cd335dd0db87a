"""Published systems that compare pictures with texts, or with pictures: the recipes as their authors run them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import save_file
from transformers import CLIPVisionModel, ResNetConfig, ResNetModel

import embedkit
import embedkit_export
from embedkit import Document, Encoder, ExportError
from embedkit_export import Recipe, Role
from helpers import models
from helpers.image_models import MAPS, pair, saved
from helpers.pictures import drawn, folder

PICTURES = [drawn(60, 40, 1), drawn(31, 77, 2), drawn(200, 200, 3), drawn(33, 32, 5), drawn(90, 45, 6)]
TEXTS = [*models.SENTENCES[:5], "a boat", "a boat [SEP] at night"]
NORMALIZE = {"kind": "normalize"}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Models of this size are faster so."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad():
        yield
    torch.set_num_threads(threads)


def export(model: Any, recipe: Recipe, where: Path, **options: Any) -> Encoder:
    """The fp32 encoder of a model by a recipe, calibrated on a few pictures."""
    report = embedkit_export.export(
        model, recipe=recipe, output=where / "bundle", variants=["fp32"], timing=False, **options
    )
    return Encoder.load(report.path, variant="fp32", on_truncate="ignore", threads=1)


def agree(encoder: Encoder, items: list[Any], expected: Any, **options: Any) -> np.ndarray:
    """The vectors expected, and the same bytes alone and in another order."""
    found = encoder.encode(items, **options)
    assert found.shape == tuple(expected.shape)
    assert np.abs(found - np.asarray(expected)).max() < 1e-4
    assert np.array_equal(encoder.encode(items[::-1], **options)[::-1], found)
    for item, row in zip(items, found, strict=True):
        assert encoder.encode(item, **options).tobytes() == row.tobytes()
    return found


def unit(x: Any) -> Any:
    return x / x.norm(dim=-1, keepdim=True)


def tokens(tokenizer: Any, texts: list[str]) -> dict[str, torch.Tensor]:
    given = tokenizer(texts, return_tensors="pt", truncation=True, max_length=16, padding=True)
    return {name: given[name] for name in ("input_ids", "attention_mask")}


def seen(processor: Any, pictures: list[Any]) -> torch.Tensor:
    return processor(pictures, return_tensors="pt")["pixel_values"]


class TestClose:
    """CLOSE: both towers of CLIP of unit length; on the side of the texts a shift, and unit length again. Several captions are
    one vector. The noise of its training is no part of it."""

    @pytest.fixture(scope="class")
    @classmethod
    def made(cls, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Any, Encoder, dict[str, Any]]:
        where = tmp_path_factory.mktemp("close")
        model, tokenizer, processor = pair("clip")
        source = saved(where / "model", model, tokenizer, processor)
        rng = torch.Generator().manual_seed(1)
        change = {"text.shift": torch.randn(24, generator=rng) * 0.1, "text.matrix": torch.randn(24, 24, generator=rng)}
        save_file(change, source / "gap.safetensors")
        projection = {"kind": "linear", "weights": "checkpoint:text_projection"}
        words = Role(stages=[projection, NORMALIZE, {"kind": "affine", "weights": "gap.safetensors:text"}, NORMALIZE])
        vision = [
            {"kind": "layer_norm", "weights": "checkpoint:vision_model.post_layernorm"},
            {"kind": "linear", "weights": "checkpoint:visual_projection"},
            NORMALIZE,
        ]
        roles = {
            **dict.fromkeys(("text", "query", "default"), words),
            **dict.fromkeys(("image", "document"), Role(stages=vision)),
        }
        encoder = export(source, Recipe(roles=roles), where)
        return model, tokenizer, processor, encoder, change

    def test_both_towers(self, made: tuple[Any, Any, Any, Encoder, dict[str, Any]]) -> None:
        model, tokenizer, processor, encoder, change = made
        words = unit(model.get_text_features(**tokens(tokenizer, TEXTS)).pooler_output)
        moved = unit((words + change["text.shift"]) @ change["text.matrix"])
        agree(encoder, TEXTS, moved)
        agree(encoder, PICTURES, unit(model.get_image_features(pixel_values=seen(processor, PICTURES)).pooler_output))
        assert float((moved - words).abs().max()) > 0.01, "without the shift the vectors are others"

    def test_several_captions_are_one_vector(self, made: tuple[Any, Any, Any, Encoder, dict[str, Any]]) -> None:
        model, tokenizer, _, encoder, _ = made
        found = embedkit.combine(encoder.encode(TEXTS[:3]), "mean", normalize=True)
        expected = encoder.encode(TEXTS[:3]).astype(np.float64).mean(axis=0)
        assert np.abs(found - expected / np.linalg.norm(expected)).max() < 1e-6
        raw = model.get_text_features(**tokens(tokenizer, TEXTS[:3])).pooler_output.numpy() * [[1.0], [5.0], [0.2]]
        before = embedkit.combine(raw, normalize=True)
        assert np.abs(embedkit.combine(raw, normalize=True, first=True) - before).max() > 1e-3

    def test_no_noise_is_left(self, made: tuple[Any, Any, Any, Encoder, dict[str, Any]]) -> None:
        for file in made[3].bundle.folder.glob("*.onnx"):
            assert not {node.op_type for node in onnx.load(file).graph.node} & {
                "RandomNormal",
                "RandomNormalLike",
                "Dropout",
            }
        assert np.array_equal(made[3].encode(TEXTS), made[3].encode(TEXTS))


PROMPTS = ["a photo of a {}.", "a drawing of the {} at night"]
WEIGHTS = {"dense": 0.3, "dense2": 0.7}


@pytest.mark.slow
@pytest.mark.parametrize("closing", ["first", "highest"])
def test_clip_rocket(closing: str, tmp_path: Path) -> None:
    """CLIP-rocket: the state at the closing token through two projections, each of unit length; the weighted sum of both
    scores ranks; a label is the mean over prompts."""
    model, tokenizer, processor = pair("clip")
    if closing == "highest":  # as the first configurations have it: the largest id closes a text
        model.config.text_config.eos_token_id = model.text_model.eos_token_id = 2
    source = saved(tmp_path / "model", model, tokenizer, processor)
    rng = torch.Generator().manual_seed(2)
    second = {f"{name}.weight": torch.randn(24, 32, generator=rng) * 0.3 for name in ("text", "vision")}
    save_file(second, source / "second.safetensors")
    joined = {"kind": "dense", "joins": WEIGHTS}
    text_output = {"kind": "dense", "stages": [{"kind": "linear", "weights": "second.safetensors:text"}, NORMALIZE]}
    norm = {"kind": "layer_norm", "weights": "checkpoint:vision_model.post_layernorm"}
    image_output = {
        "kind": "dense",
        "stages": [norm, {"kind": "linear", "weights": "second.safetensors:vision"}, NORMALIZE],
    }
    words, views = (Role(outputs={"dense2": own, "joined": joined}) for own in (text_output, image_output))
    recipe = Recipe(
        roles={**dict.fromkeys(("text", "query", "default"), words), **dict.fromkeys(("image", "document"), views)},
        fused=WEIGHTS,
        prompts={"two": PROMPTS},
    )
    encoder = export(source, recipe, tmp_path, normalize=True)

    given = tokens(tokenizer, TEXTS)
    ids = given["input_ids"]
    place = ids.argmax(dim=1) if closing == "highest" else ids.eq(3).int().argmax(dim=1)
    states = model.text_model(**given).last_hidden_state
    at = states[torch.arange(len(ids)), place]
    if closing == "first":
        assert int(place[-1]) < int(given["attention_mask"][-1].sum()) - 1, "a text that closes before its end"
    expected = {"dense": unit(model.text_projection(at)), "dense2": unit(at @ second["text.weight"].T)}
    pooled = model.vision_model(seen(processor, PICTURES)).pooler_output
    views_ = {"dense": unit(model.visual_projection(pooled)), "dense2": unit(pooled @ second["vision.weight"].T)}
    for name in WEIGHTS:
        agree(encoder, TEXTS, expected[name], output=name)
        agree(encoder, PICTURES, views_[name], output=name)
    last = states[torch.arange(len(ids)), given["attention_mask"].sum(dim=1) - 1]
    assert float((unit(model.text_projection(last)) - expected["dense"]).abs().max()) > 0.01, (
        "the last token is another"
    )

    scores = sum(weight * expected[name] @ views_[name].T for name, weight in WEIGHTS.items())
    texts_, pictures_ = encoder.encode_outputs(TEXTS), encoder.encode_outputs(PICTURES, role="image")
    assert np.abs(encoder.fused_similarity(texts_, pictures_) - scores.numpy()).max() < 1e-5
    both = texts_["joined"] @ pictures_["joined"].T  # type: ignore[operator]
    assert np.abs(both - scores.numpy()).max() < 1e-5, "one vector for a store ranks as the fused scores do"
    raw = {
        name: (model.text_projection(at) if name == "dense" else at @ second["text.weight"].T)
        @ (model.visual_projection(pooled) if name == "dense" else pooled @ second["vision.weight"].T).T
        for name in WEIGHTS
    }
    unnormalised = sum(weight * raw[name] for name, weight in WEIGHTS.items())
    assert not torch.equal(unnormalised.argsort(dim=1), scores.argsort(dim=1)), (
        "scores fused before unit length rank otherwise"
    )

    paths = folder(tmp_path / "photos", 6)
    with embedkit.open_store(f"memory:rocket-{closing}") as store:
        documents = [Document(path.name, f"picture {path.name}", {"uri": str(path)}) for path in paths]
        embedkit.ingest(documents, encoder, store, collection="photos", outputs=["joined"])
        hits = embedkit.search(TEXTS[0], encoder, store, collection="photos", k=6)
        fused = encoder.fused_similarity(
            encoder.encode_outputs(TEXTS[:1]), encoder.encode_outputs(paths, role="image")
        )[0]
        assert [hit.id for hit in hits] == [paths[i].name for i in np.argsort(-fused)]

    label = torch.stack(
        [
            unit(
                unit(
                    model.get_text_features(**tokens(tokenizer, [text.format(name) for text in PROMPTS])).pooler_output
                ).mean(0)
            )
            for name in ("boat", "harbour")
        ]
    )
    assert np.abs(embedkit.encode_labels(encoder, ["boat", "harbour"]) - label.numpy()).max() < 1e-5
    assert np.array_equal(
        embedkit.encode_labels(encoder, ["boat"], "two"), embedkit.encode_labels(encoder, ["boat"], PROMPTS)
    )


@pytest.mark.slow
def test_doco(tmp_path: Path) -> None:
    """DoCo: the patches of a language model's own picture encoder: those of the layer before the last, without the class token,
    before the last normalisation."""
    model = pair("clip")[0]
    vision = CLIPVisionModel(model.config.vision_config).eval()
    processor = pair("clip")[2]
    source = saved(tmp_path / "model", vision, processor)
    recipe = Recipe(
        dense=False,
        pooling={"mode": "mean", "without": ["first"]},
        outputs={"patches": {"kind": "tokens", "layers": [-2]}},
    )
    encoder = export(source, recipe, tmp_path)
    states = vision(seen(processor, PICTURES), output_hidden_states=True).hidden_states
    found = encoder.encode(PICTURES)
    assert encoder.kind == "tokens"
    for i, picture in enumerate(PICTURES):
        assert found[i].shape == (16, 32)
        assert np.abs(found[i] - states[-2][i, 1:].numpy()).max() < 1e-4
        assert np.abs(found[i] - states[-2][i, :-1].numpy()).max() > 0.01, "with the class token all are shifted by one"
        normed = (
            vision.vision_model.post_layernorm(states[-2])[i, 1:]
            if hasattr(vision, "vision_model")
            else states[-1][i, 1:]
        )
        assert np.abs(found[i] - normed.numpy()).max() > 0.01
        assert encoder.encode(picture) == found[i : i + 1]


class TwoSpaces(torch.nn.Module):
    """SepCLR's encoder: what is common to two groups, and what is salient of one, by a network each."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        config = ResNetConfig(embedding_size=16, layer_type="basic", **MAPS)
        self.common, self.salient = ResNetModel(config), ResNetModel(config)
        for part in (self.common, self.salient):  # running statistics that are not those of new layers
            for layer in part.modules():
                if isinstance(layer, torch.nn.BatchNorm2d):
                    layer.running_mean.uniform_(-0.2, 0.2)
                    layer.running_var.uniform_(0.5, 2)

    def forward(self, pixel_values: torch.Tensor) -> dict[str, torch.Tensor]:
        return {name: getattr(self, name)(pixel_values).pooler_output.flatten(1) for name in ("common", "salient")}


STEPS = {"size": [32, 32], "steps": [{"step": "resize", "size": [32, 32], "filter": "bilinear"}]}
SPACES = {
    name: {"kind": "dense", "part": name, "pooling": "mean", "stages": [NORMALIZE]} for name in ("common", "salient")
}


def test_sepclr(tmp_path: Path) -> None:
    """SepCLR: two networks in one graph, whose vectors are stored and searched apart."""
    model = TwoSpaces().eval()
    encoder = export(model, Recipe(image=STEPS, dense=False, outputs=SPACES), tmp_path)
    pixels = torch.stack(
        [torch.from_numpy(np.array(one.resize((32, 32), 2))).permute(2, 0, 1) / 255 for one in PICTURES]
    )
    expected = {name: unit(vector) for name, vector in model(pixels).items()}
    for name, vectors in expected.items():
        agree(encoder, PICTURES, vectors, output=name)
    assert float((expected["common"] - expected["salient"]).abs().max()) > 0.01, "swapped they are others"
    assert len(list(encoder.bundle.folder.glob("*.onnx"))) == 1, "one graph"
    paths = folder(tmp_path / "photos", 6)
    documents = [Document(path.name, f"picture {path.name}", {"uri": str(path)}) for path in paths]
    with embedkit.open_store("memory:spaces") as store:
        for name in expected:
            embedkit.ingest(documents, encoder, store, collection=name, outputs=[name])
        for name in expected:
            hits = embedkit.search(paths[0], encoder, store, collection=name, k=6)
            vectors = encoder.encode(paths, output=name)
            assert [hit.id for hit in hits] == [
                paths[i].name for i in np.argsort(-(vectors @ vectors[0]), kind="stable")
            ]
        assert store.open("common").info.fingerprint != store.open("salient").info.fingerprint


def test_statistics_of_the_batch_are_refused(tmp_path: Path) -> None:
    model = TwoSpaces().eval()
    for layer in model.salient.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean = layer.running_var = None
    with pytest.raises(ExportError, match="BatchNorm2d .* uses statistics of the batch"):
        embedkit_export.prepare(model, recipe=Recipe(image=STEPS, dense=False, outputs=SPACES))

    class Stubborn(TwoSpaces):
        def train(self, mode: bool = True) -> Stubborn:
            super().train(mode)
            self.common.train(True)
            return self

    with pytest.raises(ExportError, match="statistics of the batch"):
        embedkit_export.prepare(Stubborn(), recipe=Recipe(image=STEPS, dense=False, outputs=SPACES))

    class Whitened(torch.nn.Module):
        def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
            return pixel_values - pixel_values.mean(dim=0)

    with pytest.raises(ExportError, match="statistics of the batch"):
        embedkit_export.prepare(Whitened(), recipe=Recipe(image=STEPS))


@pytest.mark.slow
def test_two_checkpoints_in_one_graph(tmp_path: Path) -> None:
    config = ResNetConfig(embedding_size=16, layer_type="basic", **MAPS)
    nets = {}
    for seed, name in enumerate(("common", "salient")):
        torch.manual_seed(seed)
        nets[name] = ResNetModel(config).eval()
        nets[name].save_pretrained(tmp_path / name)
    outputs = {"salient": {"kind": "dense", "model": "../salient", "pooling": "mean", "stages": [NORMALIZE]}}
    encoder = export(tmp_path / "common", Recipe(image=STEPS, outputs=outputs), tmp_path, normalize=True)
    pixels = torch.stack(
        [torch.from_numpy(np.array(one.resize((32, 32), 2))).permute(2, 0, 1) / 255 for one in PICTURES]
    )
    for name, output in (("common", "dense"), ("salient", "salient")):
        agree(encoder, PICTURES, unit(nets[name](pixels).pooler_output.flatten(1)), output=output)
