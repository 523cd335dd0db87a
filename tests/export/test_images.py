"""Models of pictures from torch to a search: single ones, and those of texts and pictures in one bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf

import embedkit
import embedkit_export
from embedkit import Encoder, Image, InputError
from embedkit.bundle.manifest import ImageFrontend
from helpers import models
from helpers.image_models import SINGLE, image_vectors, pair, querying, saved, single
from helpers.pictures import drawn, folder, of_modes
from helpers.pictures import saved as png
from helpers.slow import but

PICTURES = [drawn(60, 40, 1), drawn(31, 77, 2), drawn(200, 200, 3), drawn(3, 5, 4), drawn(33, 32, 5)]
TWO = ["fp32", "int8"]


def same_alone(encoder: Encoder, together: np.ndarray, items: list[Any], **options: Any) -> None:
    """The same bytes alone, in pairs, and turned round."""
    for item, vector in zip(items, together, strict=True):
        assert encoder.encode(item, **options).tobytes() == vector.tobytes()
    assert np.array_equal(encoder.encode(items[:2], **options), together[:2])
    assert np.array_equal(encoder.encode(items[::-1], **options)[::-1], together)


@pytest.mark.parametrize("kind", but(["vit"], SINGLE))
def test_a_model_of_pictures(kind: str, tmp_path: Path) -> None:
    model, processor = single(kind)
    report = embedkit_export.export(
        saved(tmp_path / "model", model, processor), output=tmp_path / "bundle", timing=False
    )
    encoder = Encoder.load(report.path, variant="fp32")
    found = encoder.encode(PICTURES)
    assert np.abs(found - image_vectors(model, processor, PICTURES)).max() < 1e-4
    same_alone(encoder, found, PICTURES)
    assert embedkit.verify(report.path).passed
    assert any("drawn pictures" in note for note in report.notes)
    variants = report.manifest.towers["default"].graph.variants  # type: ignore[union-attr]
    assert ("static int8" if kind == "resnet" else "row-wise int8") in variants["int8"].form
    same_alone(quick := Encoder.load(report.path, variant="int8"), quick.encode(PICTURES), PICTURES)


@pytest.fixture(scope="module", params=["clip", pytest.param("siglip", marks=pytest.mark.slow)])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Any, Path]:
    where = tmp_path_factory.mktemp(request.param)
    model, tokenizer, processor = pair(request.param)
    sample = folder(where / "photos", 12)[0].parent
    report = embedkit_export.export(
        saved(where / "model", model, tokenizer, processor), output=where / "bundle", timing=False, sample=sample
    )
    assert report.sample == "docstrings of Python's standard library, photos"
    return model, tokenizer, processor, report.path


def text_vectors(model: Any, tokenizer: Any, texts: list[str]) -> np.ndarray:
    """As transformers documents it: SigLIP's texts are padded to the longest that it reads."""
    siglip = type(model).__name__.startswith("Siglip")
    padding = {"padding": "max_length"} if siglip else {"padding": True}
    given = tokenizer(texts, return_tensors="pt", truncation=True, max_length=16, **padding)
    options = {} if siglip else {"attention_mask": given["attention_mask"]}
    with torch.no_grad():
        out = model.get_text_features(input_ids=given["input_ids"], **options)
    return (out if isinstance(out, torch.Tensor) else out.pooler_output).numpy()


def test_texts_and_pictures_in_one_bundle(both: tuple[Any, Any, Any, Path]) -> None:
    model, tokenizer, processor, path = both
    encoder = Encoder.load(path, variant="fp32", on_truncate="ignore")
    assert encoder.roles == ["default", "document", "image", "query", "text"]
    texts = list(models.SENTENCES)
    found = encoder.encode(texts)
    assert np.abs(found - text_vectors(model, tokenizer, texts)).max() < 1e-4
    assert np.array_equal(encoder.encode_query(texts), found)
    seen = encoder.encode(PICTURES, role="image")
    assert np.abs(seen - image_vectors(model, processor, PICTURES)).max() < 1e-4
    assert np.array_equal(encoder.encode_document(PICTURES), seen)
    assert np.array_equal(encoder.encode_image(PICTURES), seen)
    assert np.array_equal(encoder.encode(PICTURES), seen), "an item's type decides"
    assert np.array_equal(encoder.encode(PICTURES[0]), seen[0])
    assert np.array_equal(encoder.encode_document(texts), found)
    with pytest.raises(InputError, match="a string is a text"):
        encoder.encode_image("cat.jpg")
    same_alone(encoder, seen, PICTURES, role="image")
    assert seen.shape[1] == found.shape[1]
    assert embedkit.verify(path).passed


def test_classes_by_their_names_are_what_transformers_makes_of_them(both: tuple[Any, Any, Any, Path]) -> None:
    model, tokenizer, processor, path = both
    siglip = type(model).__name__.startswith("Siglip")
    labels = ["boat", "bread", "rain"]
    judge = embedkit.ZeroShot(Encoder.load(path, variant="fp32", on_truncate="ignore"), labels, prompts="plain")
    padding = {"padding": "max_length"} if siglip else {"padding": True}
    given = tokenizer(labels, return_tensors="pt", truncation=True, max_length=16, **padding)
    options = {} if siglip else {"attention_mask": given["attention_mask"]}
    rows = []
    with torch.no_grad():
        for picture in PICTURES:
            pixels = processor(picture, return_tensors="pt")["pixel_values"]
            rows.append(model(input_ids=given["input_ids"], pixel_values=pixels, **options).logits_per_image[0])
    logits = torch.stack(rows)
    expected = (logits.sigmoid() if siglip else logits.softmax(dim=1)).numpy()
    assert np.abs(judge.predict_proba(PICTURES) - expected).max() < 1e-4
    assert judge.multilabel is siglip
    assert judge.matching.scale == pytest.approx(model.logit_scale.exp().item())


def test_one_graph_for_each_half(both: tuple[Any, Any, Any, Path]) -> None:
    manifest = embedkit.Bundle.open(both[3]).manifest
    assert manifest.schema == 2
    assert {role: tower.like for role, tower in manifest.towers.items()} == {
        "default": None,
        "document": None,
        "image": "document",
        "query": "default",
        "text": "default",
    }
    assert manifest.scorers["main"].left == "query.dense"
    assert manifest.scorers["main"].right == "document.dense"
    for owner in ("default", "document"):
        assert set(manifest.towers[owner].graph.variants) == {"fp32", "int8"}
        quality = manifest.towers[owner].graph.variants["int8"].quality
        assert 0.98 < quality.cosine_min < 1.0
        assert quality.cosine_mean > 0.998


def test_other_modes_and_files_are_what_the_processor_makes_of_them(
    both: tuple[Any, Any, Any, Path], tmp_path: Path
) -> None:
    model, _, processor, path = both
    encoder = Encoder.load(path, variant="fp32")
    modes = of_modes()
    given = [modes[mode] for mode in ("RGBA", "L", "LA", "P", "1", "CMYK")]
    if getattr(processor, "do_convert_rgb", None):
        expected = image_vectors(model, processor, given)
        assert np.abs(encoder.encode(given, role="image") - expected).max() < 1e-4
    data = png(modes["RGBA"])
    (tmp_path / "a.png").write_bytes(data)
    vectors = encoder.encode([tmp_path / "a.png", Image(data), modes["RGBA"]], role="image")
    assert np.array_equal(vectors, np.repeat(vectors[:1], 3, axis=0))


def test_pictures_are_found_by_words_and_by_pictures(both: tuple[Any, Any, Any, Path], tmp_path: Path) -> None:
    encoder = Encoder.load(both[3], variant="fp32")
    paths = folder(tmp_path / "photos", 5)
    documents = [embedkit.Document(path.name, f"picture {path.name}", {"uri": str(path)}) for path in paths]
    (tmp_path / "broken.png").write_bytes(paths[0].read_bytes()[:200])
    documents.append(embedkit.Document("broken", "broken", {"uri": str(tmp_path / "broken.png")}))
    with embedkit.open_store("memory:photos") as store:
        report = embedkit.ingest(documents, encoder, store, collection="photos", dead_letters=tmp_path / "dead.jsonl")
        assert (report.written, report.dead) == (5, 1)
        assert "truncated PNG" in (tmp_path / "dead.jsonl").read_text()
        for path in paths:
            hits = embedkit.search(path, encoder, store, collection="photos", k=2)
            assert hits[0].id == path.name
            assert hits[0].score > 0.9999
        (found,) = embedkit.search(["a boat"], encoder, store, collection="photos", k=5)
        scores = encoder.similarity(encoder.encode("a boat")[None], encoder.encode(paths))[0]
        assert [hit.id for hit in found] == [paths[i].name for i in np.argsort(-scores, kind="stable")]


def test_bad_pictures_are_named(both: tuple[Any, Any, Any, Path], tmp_path: Path) -> None:
    encoder = Encoder.load(both[3], variant="fp32")
    bad = tmp_path / "b.jpg"
    bad.write_text("a text that is called a picture")
    with pytest.raises(InputError, match=r"image 1: .*b\.jpg: no picture: expected JPEG"):
        encoder.encode([drawn(), bad], role="image")
    with pytest.raises(InputError, match="image 1: .*the file is empty"):
        encoder.encode([drawn(), Image(b"")], role="image")
    with pytest.raises(InputError, match=r"image 0: a string is a text, .*pathlib\.Path"):
        encoder.encode(["cat.jpg"], role="image")


def test_the_dry_run_shows_every_step_and_where_it_is_from(tmp_path: Path) -> None:
    model, tokenizer, processor = pair("clip")
    said = embedkit_export.prepare(saved(tmp_path, model, tokenizer, processor), max_tokens=12).text()
    for line in (
        "resize to 32: fit shortest, filter bicubic",
        "crop to 32 x 32 (height x width): round floor, pad ceil, fill 0",
        "to RGB, transparency on white",
        "mean [0.48145466, 0.4578275, 0.40821073]) / std [0.26862954, 0.26130258, 0.27577711]",
        "image: resize: size.shortest_edge, resample of CLIPImageProcessor (preprocessor_config.json)",
        "by which get_image_features of CLIPModel comes out",
    ):
        assert line in said


def test_a_table_in_the_recipe_takes_the_place_of_the_processor(tmp_path: Path) -> None:
    model, tokenizer, processor = pair("clip")
    source = saved(tmp_path / "model", model, tokenizer, processor)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        '[roles.image.image]\nsize = [32, 32]\nmean = [0.5, 0.5, 0.5]\nstd = [0.5, 0.5, 0.5]\nalpha = "drop"\n'
        'steps = [{ step = "resize", size = [32, 32], filter = "nearest" }]\n'
    )
    found = embedkit_export.prepare(source, recipe=recipe)
    frontend = found.plan.roles["image"].frontend
    assert isinstance(frontend, ImageFrontend)
    assert (frontend.alpha, frontend.steps[0].filter) == ("drop", "nearest")  # type: ignore[union-attr]
    assert found.plan.roles["image"].processor is None


def test_live_objects_and_a_module_of_torch(tmp_path: Path) -> None:
    model, processor = single("vit")
    assert embedkit_export.prepare((model, processor)).plan.roles["default"].frontend.kind == "image"

    class Small(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Conv2d(3, 8, 4, stride=4)

        def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.layer(pixel_values))

    recipe = embedkit_export.Recipe(image={"size": [16, 16], "steps": [{"step": "resize", "size": [16, 16]}]})
    torch.manual_seed(0)
    small = Small().eval()
    report = embedkit_export.export(small, output=tmp_path / "bundle", recipe=recipe, variants=["fp32"], timing=False)
    picture = drawn(40, 30)
    pixels = torch.from_numpy(np.array(picture.resize((16, 16), 3))).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        expected = small(pixels).mean(dim=(2, 3))[0].numpy()
    assert np.abs(Encoder.load(report.path).encode(picture) - expected).max() < 1e-5


def test_a_model_without_a_word_of_its_pictures(tmp_path: Path) -> None:
    model, _ = single("vit")
    with pytest.raises(embedkit.ExportError, match="nothing says how its pictures are prepared: .*preprocessor_config"):
        embedkit_export.prepare(saved(tmp_path, model))


def test_a_processor_that_does_more_than_it_says(tmp_path: Path) -> None:
    model, processor = single("vit")
    source = saved(tmp_path / "model", model, processor)
    found = json.loads((source / "preprocessor_config.json").read_text())
    found |= {
        "image_processor_type": "PerceiverImageProcessor",
        "do_center_crop": True,
        "crop_size": {"height": 32, "width": 32},
    }
    (source / "preprocessor_config.json").write_text(json.dumps(found))
    with pytest.raises(embedkit.ExportError, match="other pixels than PerceiverImageProcessor"):
        embedkit_export.export(source, output=tmp_path / "bundle", variants=["fp32"], timing=False)


def test_a_sample_that_the_model_does_not_read(tmp_path: Path) -> None:
    model, processor = single("vit")
    source = saved(tmp_path / "model", model, processor)
    (tmp_path / "texts.txt").write_text("one\ntwo\n")
    with pytest.raises(InputError, match="this model reads image: expected a folder of pictures"):
        embedkit_export.export(source, output=tmp_path / "bundle", sample=tmp_path / "texts.txt")


@pytest.mark.slow
def test_a_vector_for_each_query_of_blip2(tmp_path: Path) -> None:
    model, processor = querying()
    source = saved(tmp_path / "model", model, processor)
    report = embedkit_export.export(source, output=tmp_path / "bundle", variants=["fp32"], timing=False)
    encoder = Encoder.load(report.path, variant="fp32")
    found = encoder.encode(PICTURES)
    assert (encoder.kind, found.dim) == ("multivector", 16)
    with torch.no_grad():
        expected = [model(processor(one, return_tensors="pt")["pixel_values"]).image_embeds[0] for one in PICTURES]
    for i, (picture, rows) in enumerate(zip(PICTURES, expected, strict=True)):
        assert np.abs(found[i] - rows.numpy()).max() < 1e-4
        assert encoder.encode(picture) == found[i : i + 1]


@pytest.mark.slow
def test_dinov3_scales_before_it_resizes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = tf.DINOv3ViTConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, image_size=32, patch_size=8
    )
    model = tf.DINOv3ViTModel(config).eval()
    source = saved(tmp_path / "model", model)
    said = {"image_processor_type": "DINOv3ViTImageProcessorFast", "size": {"height": 32, "width": 32}, "resample": 2}
    said |= {"rescale_factor": 1 / 255, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    (source / "preprocessor_config.json").write_text(json.dumps(said))
    report = embedkit_export.export(source, output=tmp_path / "bundle", variants=["fp32"], timing=False)
    encoder = Encoder.load(report.path, variant="fp32")
    found = encoder.encode(PICTURES)
    mean, std = (torch.tensor(said[name]).reshape(1, 3, 1, 1) for name in ("image_mean", "image_std"))
    for picture, row in zip(PICTURES, found, strict=True):
        scaled = torch.from_numpy(np.asarray(picture, np.float32)).permute(2, 0, 1)[None] / 255
        values = torch.nn.functional.interpolate(scaled, (32, 32), mode="bilinear", antialias=True)
        with torch.no_grad():
            expected = model((values - mean) / std).pooler_output[0].numpy()
        assert np.abs(row - expected).max() < 1e-3
    same_alone(encoder, found, PICTURES)
    assert embedkit.verify(report.path).passed


@pytest.mark.slow
def test_mofi_resizes_plainly_and_reads_texts_without_a_mask(tmp_path: Path) -> None:
    model, tokenizer, processor = pair("clip")
    source = saved(tmp_path / "model", model, tokenizer, processor)
    image = {
        "size": [32, 32],
        "steps": [
            {"step": "resize", "size": [32], "fit": "shortest", "filter": "bilinear", "engine": "plain"},
            {"step": "crop", "size": [32, 32], "round": "half_even"},
        ],
        "mean": processor.image_mean,
        "std": processor.image_std,
    }
    words = embedkit_export.Role(pad=16, padding="read")
    views = embedkit_export.Role(image=image)
    roles = {**dict.fromkeys(("text", "query", "default"), words), **dict.fromkeys(("image", "document"), views)}
    report = embedkit_export.export(
        source,
        output=tmp_path / "bundle",
        recipe=embedkit_export.Recipe(roles=roles),
        normalize=True,
        variants=["fp32"],
        timing=False,
    )
    encoder = Encoder.load(report.path, variant="fp32", on_truncate="ignore")
    mean, std = (torch.tensor(numbers).reshape(1, 3, 1, 1) for numbers in (processor.image_mean, processor.image_std))
    for picture, row in zip(PICTURES[:3], encoder.encode(PICTURES[:3]), strict=True):
        levels = torch.from_numpy(np.asarray(picture, np.float32)).permute(2, 0, 1)[None]
        width, height = picture.size
        short = min(width, height)
        sides = (32 if height == short else int(32 * height / short), 32 if width == short else int(32 * width / short))
        whole = torch.nn.functional.interpolate(levels, sides, mode="bilinear", align_corners=False)
        top, left = (round((side - 32) / 2) for side in sides)
        cut = whole[..., top : top + 32, left : left + 32]
        own = encoder.modality("image").prepared([picture])["pixels"]
        assert np.abs(own - cut.numpy()).max() < 1
        wide = torch.nn.functional.interpolate(levels, sides, mode="bilinear", antialias=True)
        if short > 32:
            assert np.abs(own - wide[..., top : top + 32, left : left + 32].numpy()).mean() > 1, (
                "with a wide filter it is another"
            )
        with torch.no_grad():
            vector = model.get_image_features(pixel_values=(cut / 255 - mean) / std).pooler_output
        assert np.abs(row - (vector / vector.norm())[0].numpy()).max() < 1e-4
    given = tokenizer(list(models.SENTENCES), return_tensors="pt", truncation=True, max_length=16, padding="max_length")
    with torch.no_grad():
        vectors = model.get_text_features(input_ids=given["input_ids"]).pooler_output
    assert (
        np.abs(encoder.encode(list(models.SENTENCES)) - (vectors / vectors.norm(dim=1, keepdim=True)).numpy()).max()
        < 1e-4
    )
