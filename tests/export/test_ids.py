"""A model that reads sequences of ids, from torch to a search: SASRec (Kang and McAuley 2018), written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import embedkit
import embedkit_export
from embedkit import Encoder, InputError
from embedkit.ingestion import ingest_table
from embedkit_export import IdsInput, Recipe, TableOf

ITEMS, LONGEST, WIDTH = 90, 20, 32
RECIPE = Recipe(
    pooling={"mode": "last"},
    similarity="dot",
    ids=IdsInput(size=ITEMS, max=LONGEST),
    tables={"items": TableOf(weights="item_embedding.weight", skip=[0])},
)


class Layer(nn.Module):
    """One causal layer: attention, then two products, each behind a norm and beside a residual."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norms[0](x)).chunk(3, dim=-1)
        scores = torch.matmul(q, k.transpose(1, 2)) / WIDTH**0.5 + bias
        x = x + self.out(torch.matmul(scores.softmax(dim=-1), v))
        return x + self.down(torch.relu(self.up(self.norms[1](x))))


class SasRec(nn.Module):
    """(batch, tokens) ids, padded on the right with 0 -> (batch, tokens, dim)."""

    def __init__(self) -> None:
        super().__init__()
        self.item_embedding = nn.Embedding(ITEMS, WIDTH, padding_idx=0)
        self.position = nn.Embedding(LONGEST + 2, WIDTH)
        self.layers = nn.ModuleList(Layer() for _ in range(2))
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        tokens = input_ids.shape[1]
        places = torch.arange(tokens)
        x = self.item_embedding(input_ids) * WIDTH**0.5 + self.position(places)[None]
        later = (places[None, :] > places[:, None]).float()[None]
        bias = (later + (1.0 - attention_mask[:, None, :].float())) * -1e9
        for layer in self.layers:
            x = layer(x, bias)
        return self.norm(x)


@pytest.fixture(scope="module")
def model() -> SasRec:
    torch.manual_seed(3)
    made = SasRec().eval()
    with torch.no_grad():
        for value in made.parameters():
            if value.ndim > 1:
                value.mul_(2.0)
        made.item_embedding.weight[0] = 9.0  # by far the largest: a search that could find the padding would
    return made


@pytest.fixture(scope="module")
def bundle(model: SasRec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return embedkit_export.export(
        model, output=tmp_path_factory.mktemp("ids") / "bundle", recipe=RECIPE, timing=False
    ).path


def sequences(*lengths: int, seed: int = 5) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(1, ITEMS, length).tolist() for length in lengths]


def by_torch(model: SasRec, given: list[int]) -> np.ndarray:
    """The vector of one sequence by itself: of its last ids, gathered at length - 1."""
    ids = torch.tensor([given[-LONGEST:]])
    with torch.no_grad():
        return model(ids, torch.ones_like(ids))[0, len(ids[0]) - 1].numpy()


LENGTHS = (1, 2, 3, 5, 5, 8, 13, 19, 20, 21, 47)


def test_the_vectors_are_those_of_torch(model: SasRec, bundle: Path) -> None:
    encoder = Encoder.load(bundle, variant="fp32", on_truncate="ignore")
    given = sequences(*LENGTHS)
    expected = np.stack([by_torch(model, one) for one in given])
    found = encoder.encode(given)
    assert np.abs(found - expected).max() < 1e-4
    assert encoder.stats.truncated == 2
    # Neg: the end of the padded row, or the padding on the other side, gives other vectors.
    width = max(map(len, given))
    rows = torch.tensor([(one[-LONGEST:] + [0] * width)[:LONGEST] for one in given])
    with torch.no_grad():
        at_the_end = model(rows, (rows != 0).long())[:, -1].numpy()
        left = torch.tensor([([0] * LONGEST + one)[-LONGEST:] for one in given])
        on_the_left = model(left, (left != 0).long())[:, -1].numpy()
    assert np.abs(at_the_end - expected).max(axis=1)[:5].min() > 1e-2
    assert np.abs(on_the_left - expected).max(axis=1)[:5].min() > 1e-2


@pytest.mark.parametrize("variant", ["fp32", "int8"])
def test_a_vector_does_not_depend_on_its_company(bundle: Path, variant: str) -> None:
    encoder = Encoder.load(bundle, variant=variant, on_truncate="ignore")
    given = sequences(*LENGTHS, *LENGTHS, seed=8)
    together = encoder.encode(given)
    assert np.array_equal(encoder.encode(given[::-1])[::-1], together)
    for one, vector in zip(given, together, strict=True):
        assert encoder.encode(one).tobytes() == vector.tobytes(), "a lone sequence is one item"
    assert np.array_equal(encoder.encode([np.array(one, dtype=np.int32) for one in given]), together)
    assert np.array_equal(encoder.encode([" ".join(map(str, one)) for one in given]), together)


def test_the_bundle_keeps_its_promises_here(bundle: Path) -> None:
    report = embedkit.verify(bundle)
    assert report.passed, report
    assert embedkit.Bundle.open(bundle).manifest.schema == 2


@pytest.mark.parametrize("store", ["memory:ids", "sqlite-vec:ids.db"])
def test_a_search_finds_what_the_full_sort_finds(
    model: SasRec, bundle: Path, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry_points: None
) -> None:
    monkeypatch.chdir(tmp_path)
    encoder = Encoder.load(bundle, variant="fp32", on_truncate="ignore")
    with embedkit.open_store(store) as opened:
        assert ingest_table(encoder, opened, collection="items") == ITEMS - 1
        assert ingest_table(encoder, opened, collection="items") == ITEMS - 1, "again, where all is there"
        assert opened.open("items").count() == ITEMS - 1
        given = sequences(*LENGTHS, seed=11)
        table = model.item_embedding.weight.detach().numpy()
        for k in (1, 5, 50, ITEMS):
            answers = embedkit.search(given, encoder, opened, collection="items", k=k)
            for one, hits in zip(given, answers, strict=True):
                scores = table @ by_torch(model, one)
                order = [i for i in np.argsort(-scores, kind="stable").tolist() if i != 0][:k]
                assert [int(hit.id) for hit in hits] == order
                assert np.allclose([hit.score for hit in hits], scores[order], atol=1e-3)
        (alone,) = embedkit.search([given[3]], encoder, opened, collection="items", k=5)
        assert embedkit.search(given[3], encoder, opened, collection="items", k=5) == alone


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        ([0], "0 is the id of the padding"),
        ([4, 0, 5], "0 is the id of the padding"),
        ([ITEMS], f"expected ids from 0 to {ITEMS - 1}, found {ITEMS}"),
        ([-1], "expected ids from 0"),
        ([1, True], "found True in it"),
        ([1, 2.0], "found 2.0 in it"),
        ("1 two", "found 'two' in it"),
        ("", "it has no id"),
        (np.array([[1]]), "expected integers in one dimension"),
        (7, "expected a sequence of integers, found int"),
    ],
)
def test_what_is_no_sequence_is_named(bundle: Path, item: Any, problem: str) -> None:
    encoder = Encoder.load(bundle, variant="fp32")
    with pytest.raises(InputError, match=problem):
        encoder.encode([[3], item])


def test_a_recipe_that_does_not_fit(model: SasRec, tmp_path: Path) -> None:
    unknown = Recipe(pooling={"mode": "last"}, ids=RECIPE.ids, tables={"items": TableOf(weights="nothing")})
    with pytest.raises(embedkit.ExportError, match=r"no parameter 'nothing'; it has item_embedding\.weight"):
        embedkit_export.export(model, output=tmp_path / "bundle", recipe=unknown)
    with pytest.raises(embedkit.ExportError, match="needs `ids` in the recipe"):
        embedkit_export.export(model, output=tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_the_dry_run_shows_what_is_read(model: SasRec) -> None:
    text = embedkit_export.prepare(model, recipe=RECIPE).text()
    assert f"ids below {ITEMS}, the last {LONGEST}, padded on the right with 0" in text
