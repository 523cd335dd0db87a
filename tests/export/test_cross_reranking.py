"""Pictures found by vectors, and the first of them ranked again by what is stored of them and the question (1-to-K)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf
from torch import Tensor, nn

import embedkit
import embedkit_export
from embedkit import CrossScorer, Encoder, InputError
from embedkit.bundle.manifest import Resize
from embedkit_export import CrossOf, FeaturesInput, ImageInput, Recipe, Role
from helpers import models
from helpers.pictures import drawn
from helpers.systems import sample

pytestmark = pytest.mark.slow

EDGE, PLACES, WIDTH, DIM = 32, 16, 32, 12
PICTURES = [drawn(40 + 7 * i, 60 - 3 * i, i) for i in range(7)]
TEXTS = ["rain", "the old house in the north", "a river"]
IMAGE = ImageInput(size=[EDGE, EDGE], steps=[Resize(size=[EDGE, EDGE])])


class Texts(nn.Module):
    """XLM-R of which every second layer is kept."""

    def __init__(self, size: int) -> None:
        super().__init__()
        config = tf.XLMRobertaConfig(
            vocab_size=size,
            hidden_size=WIDTH,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=40,
            pad_token_id=0,
        )
        self.model = tf.XLMRobertaModel(config, add_pooling_layer=False)
        self.model.encoder.layer = self.model.encoder.layer[::2]
        models.widen(self.model)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state


class Cross(nn.Module):
    """Words of a question and places of a picture -> the words once they have seen these."""

    def __init__(self, texts: Texts) -> None:
        super().__init__()
        config = tf.BertConfig(
            vocab_size=8,
            hidden_size=WIDTH,
            intermediate_size=64,
            num_hidden_layers=1,
            num_attention_heads=4,
            is_decoder=True,
            add_cross_attention=True,
        )
        self.texts, self.model = texts, tf.BertModel(config, add_pooling_layer=False)
        self.model.config.is_decoder = False  # each word sees all words
        self.model.encoder.layer[0].attention.self.is_causal = False  # also where none is padded
        models.widen(self.model)

    def forward(self, text: Tensor, text_mask: Tensor, image: Tensor, image_mask: Tensor) -> Tensor:
        return self.model(
            inputs_embeds=self.texts(text, text_mask),
            attention_mask=text_mask,
            encoder_hidden_states=image,
            encoder_attention_mask=image_mask,
            use_cache=False,
        ).last_hidden_state


class OneToK(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        swin = tf.SwinConfig(
            embed_dim=16, depths=[1, 1], num_heads=[2, 2], image_size=EDGE, patch_size=4, window_size=4
        )
        self.image, self.texts = tf.SwinModel(swin, add_pooling_layer=False), Texts(size)
        self.cross = Cross(self.texts)
        self.image_projection, self.text_projection = nn.Linear(WIDTH, DIM), nn.Linear(WIDTH, DIM)
        self.match = nn.Linear(WIDTH, 1)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return models.make_tokenizer("word")


@pytest.fixture(scope="module")
def live(tokenizer: Any) -> OneToK:
    return OneToK(len(tokenizer)).eval()


@pytest.fixture(scope="module")
def bundle(live: OneToK, tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    normal = {"kind": "normalize"}
    recipe = Recipe(
        roles={
            "query": Role(module="texts", max_tokens=16, pooling="first", stages=[live.text_projection, normal]),
            "document": Role(
                module="image",
                image=IMAGE,
                pooling="mean",
                stages=[live.image_projection, normal],
                outputs={"places": {"kind": "tokens", "count": PLACES}},
            ),
            "match": Role(
                module="cross",
                parts={"text": Role(max_tokens=16), "image": Role(features=FeaturesInput(shape=["any", WIDTH]))},
                pooling="first",
                dense=False,
                outputs={"match": {"kind": "logits", "stages": [live.match]}},
            ),
        },
        cross={"rerank": CrossOf(tower="match", takes={"image": "document.places"}, stored="image")},
    )
    return embedkit_export.export(
        (live, tokenizer),
        output=tmp_path_factory.mktemp("onetok") / "bundle",
        recipe=recipe,
        timing=False,
        variants=["fp32"],
        sample=sample(tmp_path_factory.mktemp("sample")),
    ).path


@pytest.fixture(scope="module")
def encoder(bundle: Path) -> Encoder:
    return Encoder.load(bundle, variant="fp32")


def places_by_torch(live: OneToK, picture: Any) -> Tensor:
    pixels = torch.from_numpy(np.asarray(picture.resize((EDGE, EDGE), 3)).copy()).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        return live.image(pixels).last_hidden_state[0]


def words_by_torch(live: OneToK, tokenizer: Any, text: str) -> tuple[Tensor, Tensor]:
    given = tokenizer(text, return_tensors="pt")
    return given["input_ids"], given["attention_mask"]


def score_by_torch(live: OneToK, tokenizer: Any, text: str, places: Tensor, *, padding: int = 0) -> float:
    ids, mask = words_by_torch(live, tokenizer, text)
    places = torch.cat([places, torch.zeros(padding, WIDTH)])[None]
    with torch.no_grad():
        hidden = live.cross(ids, mask, places, torch.ones(1, places.shape[1], dtype=torch.int64))
        return float(live.match(hidden[0, 0]))


def test_the_towers_are_those_of_torch(live: OneToK, tokenizer: Any, encoder: Encoder) -> None:
    expected = []
    for text in TEXTS:
        with torch.no_grad():
            hidden = live.texts(*words_by_torch(live, tokenizer, text))[0, 0]
            expected.append(nn.functional.normalize(live.text_projection(hidden), dim=-1))
    assert np.abs(encoder.encode_query(TEXTS) - torch.stack(expected).numpy()).max() < 1e-4
    places = torch.stack([places_by_torch(live, picture) for picture in PICTURES])
    found = encoder.encode_outputs(PICTURES, role="document")
    assert np.abs(found["places"].values.reshape(places.shape) - places.numpy()).max() < 1e-4
    with torch.no_grad():
        vectors = nn.functional.normalize(live.image_projection(places.mean(dim=1)), dim=-1)
    assert np.abs(found["dense"] - vectors.numpy()).max() < 1e-4
    for picture, row in zip(PICTURES, found["dense"], strict=True):
        assert encoder.encode_document(picture).tobytes() == row.tobytes()


def test_the_first_hits_are_ranked_again_as_torch_ranks_them(
    live: OneToK, tokenizer: Any, encoder: Encoder, tmp_path: Path
) -> None:
    found = encoder.encode_outputs(PICTURES, role="document")
    np.save(tmp_path / "places.npy", np.stack(list(found["places"])).astype(np.float16))
    stored = np.load(tmp_path / "places.npy")
    scorer = CrossScorer(encoder)
    assert scorer.stored == "document.places"
    for text in TEXTS:
        near = np.argsort(-(found["dense"] @ encoder.encode_query(text)), kind="stable")[:5]
        expected = [score_by_torch(live, tokenizer, text, torch.from_numpy(stored[i].astype(np.float32))) for i in near]
        scores = scorer.score(text, stored[near])
        assert np.abs(scores - expected).max() < 1e-4
        ranked = scorer.rank(text, stored[near], k=3)
        assert [hit.index for hit in ranked] == np.argsort(-np.array(expected), kind="stable")[:3].tolist()
        for i, score in zip(near, scores, strict=True):
            assert scorer.score(text, stored[i : i + 1]).tobytes() == score.tobytes()


def test_places_of_any_number_are_told_from_padding(live: OneToK, tokenizer: Any, encoder: Encoder) -> None:
    features = [places_by_torch(live, picture).numpy()[: 1 + 3 * i] for i, picture in enumerate(PICTURES[:5])]
    scores = CrossScorer(encoder).score(TEXTS[1], features)
    for one, score in zip(features, scores, strict=True):
        assert abs(score_by_torch(live, tokenizer, TEXTS[1], torch.from_numpy(one)) - score) < 1e-4
    # Neg: without the mask of the places the padding is read.
    wrong = score_by_torch(live, tokenizer, TEXTS[1], torch.from_numpy(features[0]), padding=len(features[-1]) - 1)
    assert abs(wrong - scores[0]) > 1e-3


def test_the_bundle_keeps_its_promises_here(bundle: Path, encoder: Encoder) -> None:
    assert embedkit.verify(bundle).passed
    scorer = CrossScorer(encoder)
    with pytest.raises(InputError, match="part 'image': expected numbers of the shape"):
        scorer.score("rain", np.zeros((2, PLACES, WIDTH + 1), np.float32))
    with pytest.raises(InputError, match="expected those of several items"):
        scorer.score("rain", "places.npy")  # type: ignore[arg-type]
    assert scorer.rank("rain", []) == []
