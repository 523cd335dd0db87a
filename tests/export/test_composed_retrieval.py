"""Composed image retrieval from torch to a search: a picture and a text ask, 32 vectors a picture answer (SPRC)."""

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
from embedkit import Encoder, InputError
from embedkit_export import Recipe, Role
from helpers import models
from helpers.blip import SIDE, TOKENS, WIDTH, Sprc, retrieval
from helpers.pictures import drawn, folder

PICTURES = [drawn(60, 40, 1), drawn(31, 77, 2), drawn(90, 90, 3), drawn(5, 9, 4), drawn(33, 32, 5)]
TEXTS = ["rain", "the river is cold", "a new engine with two doors", "is red", "the committee met in the old house"]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return models.make_tokenizer("word")


@pytest.fixture(scope="module")
def whole(tokenizer: Any) -> Any:
    return retrieval(tokenizer)


@pytest.fixture(scope="module")
def processor() -> Any:
    return tf.BlipImageProcessorPil(size={"height": SIDE, "width": SIDE})


def recipe(live: Sprc) -> Recipe:
    ends = [{"kind": "normalize"}]
    return Recipe(
        dense=False,
        roles={
            "query": Role(
                module="query",
                parts={"image": Role(image="auto"), "text": Role(max_tokens=20)},
                outputs={"views": {"kind": "multivector", "count": 1, "stages": [live.text_projection, *ends]}},
            ),
            "document": Role(
                module="target",
                image="auto",
                outputs={"views": {"kind": "multivector", "count": TOKENS, "stages": [live.vision_projection, *ends]}},
            ),
        },
    )


@pytest.fixture(scope="module")
def bundle(whole: Any, tokenizer: Any, processor: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    live = Sprc(whole)

    class Both:
        image_processor = processor

    both = Both()
    both.tokenizer = tokenizer  # type: ignore[attr-defined]
    return embedkit_export.export(
        (live, both),
        output=tmp_path_factory.mktemp("sprc") / "bundle",
        recipe=recipe(live),
        timing=False,
        variants=["fp32"],
    ).path


@pytest.fixture(scope="module")
def encoder(bundle: Path) -> Encoder:
    return Encoder.load(bundle, variant="fp32", on_truncate="ignore")


def queries_by_torch(whole: Any, tokenizer: Any, processor: Any, pictures: list[Any], texts: list[str]) -> np.ndarray:
    """As SPRC runs it, each query by itself, with the classes of transformers alone."""
    rows = []
    former, embeddings = whole.qformer, whole.embeddings
    for picture, text in zip(pictures, texts, strict=True):
        with torch.no_grad():
            values = processor(picture, return_tensors="pt")["pixel_values"]
            seen = whole.vision_model(pixel_values=values).last_hidden_state
            ids = tokenizer(text, return_tensors="pt", truncation=True, max_length=20)["input_ids"]
            ones = torch.ones(1, TOKENS + ids.shape[1], dtype=torch.int64)
            given = embeddings(input_ids=ids, query_embeds=whole.query_tokens)
            fused = former(
                query_embeds=given, query_length=TOKENS, attention_mask=ones, encoder_hidden_states=seen
            ).last_hidden_state[:, :TOKENS]
            given = embeddings(input_ids=ids, query_embeds=fused)
            out = former(
                query_embeds=given, query_length=TOKENS, attention_mask=ones, encoder_hidden_states=seen
            ).last_hidden_state[:, TOKENS]
            rows.append(torch.nn.functional.normalize(whole.text_projection(out), dim=-1)[0])
    return torch.stack(rows).numpy()


def targets_by_torch(whole: Any, processor: Any, pictures: list[Any]) -> np.ndarray:
    """(n, 32, dim) by `Blip2VisionModelWithProjection`, which has the same weights."""
    other = tf.Blip2VisionModelWithProjection(whole.config).eval()
    other.load_state_dict(whole.state_dict(), strict=False)
    with torch.no_grad():
        return torch.cat(
            [other(processor(picture, return_tensors="pt")["pixel_values"]).image_embeds for picture in pictures]
        ).numpy()


def composed(pictures: list[Any] = PICTURES, texts: list[str] = TEXTS) -> list[dict[str, Any]]:
    return [{"image": picture, "text": text} for picture, text in zip(pictures, texts, strict=True)]


def test_the_vectors_are_those_of_torch(whole: Any, tokenizer: Any, processor: Any, encoder: Encoder) -> None:
    expected = queries_by_torch(whole, tokenizer, processor, PICTURES, TEXTS)
    found = encoder.encode_query(composed())
    assert [len(one) for one in found] == [1] * 5
    assert np.abs(found.values - expected).max() < 1e-4
    targets = targets_by_torch(whole, processor, PICTURES)
    documents = encoder.encode_document(PICTURES)
    assert np.abs(documents.values.reshape(5, TOKENS, WIDTH) - targets).max() < 1e-4
    scores = encoder.similarity(found, documents)
    wanted = np.einsum("qd,ntd->qnt", expected, targets)
    assert np.abs(scores - wanted.max(axis=2)).max() < 1e-4
    # Neg: the mean for the largest, and a query of the text alone (a grey picture), are something else.
    assert np.abs(scores - wanted.mean(axis=2)).max() > 1e-2
    grey = [np.full((SIDE, SIDE, 3), 128, np.uint8)] * 5
    assert np.abs(encoder.encode_query(composed(grey)).values - expected).max(axis=1).min() > 1e-3
    assert np.abs(encoder.encode_query(composed(texts=["rain"] * 5)).values[1:] - expected[1:]).max(axis=1).min() > 1e-3


def test_a_vector_does_not_depend_on_its_company(encoder: Encoder) -> None:
    items = [*composed(), *composed(texts=TEXTS[::-1])]
    together = encoder.encode_query(items)
    for one, row in zip(items, together, strict=True):
        assert encoder.encode_query(one).values.tobytes() == row.tobytes()
    assert encoder.encode_query(items[::-1]) == together[np.arange(10)[::-1]]


def test_a_search_ranks_as_einsum_and_max_do(
    whole: Any, tokenizer: Any, processor: Any, encoder: Encoder, tmp_path: Path
) -> None:
    paths = folder(tmp_path / "photos", 8)
    documents = [embedkit.Document(path.name, path.name, {"uri": str(path)}) for path in paths]
    with embedkit.open_store("memory:sprc") as store:
        report = embedkit.ingest(documents, encoder, store, collection="photos")
        assert report.written == 8
        answers = embedkit.search(composed(), encoder, store, collection="photos", k=8)
    from PIL import Image

    targets = targets_by_torch(whole, processor, [Image.open(path).convert("RGB") for path in paths])
    wanted = np.einsum("qd,ntd->qnt", queries_by_torch(whole, tokenizer, processor, PICTURES, TEXTS), targets).max(
        axis=2
    )
    for row, hits in zip(wanted, answers, strict=True):
        assert [hit.id for hit in hits] == [paths[i].name for i in np.argsort(-row, kind="stable")]
        assert np.allclose([hit.score for hit in hits], np.sort(row)[::-1], atol=1e-4)


def test_the_bundle_keeps_its_promises_here(bundle: Path) -> None:
    report = embedkit.verify(bundle)
    assert report.passed, report
    manifest = json.loads((bundle / "embedkit.json").read_text())
    assert manifest["schema"] == 2
    assert manifest["scorers"] == {"main": {"fn": "maxsim", "left": "query.views", "right": "document.views"}}
    frontend = manifest["towers"]["query"]["frontend"]
    assert frontend["kind"] == "composed"
    assert {name: part["kind"] for name, part in frontend["parts"].items()} == {"image": "image", "text": "text"}


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        ({"image": PICTURES[0]}, "item 1: the part 'text' is missing; expected the parts 'image', 'text'"),
        ({"text": "rain"}, "item 1: the part 'image' is missing"),
        ({"image": PICTURES[0], "text": "rain", "sound": 1}, "found the part 'sound'"),
        ({"image": PICTURES[0], "text": 7}, "item 1, part 'text': expected"),
        ({"image": "cat.jpg", "text": "rain"}, "item 1, part 'image': a string is a text"),
        ({"image": Path("none.jpg"), "text": "rain"}, "item 1: part 'image': none.jpg: cannot be read"),
        ("rain", "item 1: expected a mapping with the parts 'image', 'text'"),
    ],
)
def test_what_is_no_composed_item_is_named(encoder: Encoder, item: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        encoder.encode_query([composed()[0], item])
