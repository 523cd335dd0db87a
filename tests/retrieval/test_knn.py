from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import embedkit
from embedkit import Hit, InputError, OptionError, knn

torch = pytest.importorskip("torch")


def hits(scores: list[float], labels: list[str], field: str = "label") -> list[Hit]:
    return [Hit(str(i), score, "", {field: label}) for i, (score, label) in enumerate(zip(scores, labels, strict=True))]


def by_torch(scores: list[float], labels: list[str], temperature: float, k: int) -> dict[str, float]:
    """As the authors of SimCLR's and DCL's code weigh neighbours: top-k, exp(sim / T), added up by class."""
    names = sorted(set(labels))
    weights, places = torch.tensor(scores, dtype=torch.float64).topk(min(k, len(scores)))
    classes = torch.tensor([names.index(label) for label in labels])[places]
    one_hot = torch.nn.functional.one_hot(classes, len(names)).double()
    return dict(zip(names, (one_hot * (weights / temperature).exp()[:, None]).sum(dim=0).tolist(), strict=True))


@pytest.mark.parametrize(("temperature", "k"), [(0.5, 200), (0.07, 5), (1.0, 1), (0.1, 12)])
def test_weights_are_those_of_torch(temperature: float, k: int) -> None:
    rng = np.random.default_rng(3)
    scores, labels = rng.uniform(-1, 1, 30).tolist(), rng.choice(["ship", "cat", "frog"], 30).tolist()
    found, wanted = knn(hits(scores, labels), temperature=temperature, k=k), by_torch(scores, labels, temperature, k)
    assert found == pytest.approx({name: value for name, value in wanted.items() if value}, rel=1e-12)
    assert list(found.values()) == sorted(found.values(), reverse=True)


NEAR_AND_MANY = hits([0.95, 0.30, 0.29, 0.28], ["near", "many", "many", "many"])


def test_it_is_no_count_of_neighbours() -> None:
    counted = max(("near", 1), ("many", 3), key=lambda one: one[1])[0]
    assert counted == "many"
    assert next(iter(knn(NEAR_AND_MANY, temperature=0.1))) == "near"


def test_the_temperature_decides() -> None:
    without = {"near": math.exp(0.95), "many": math.exp(0.30) + math.exp(0.29) + math.exp(0.28)}
    assert max(without, key=without.__getitem__) == "many", "T left out"
    assert knn(NEAR_AND_MANY, temperature=1.0) == pytest.approx(without)
    assert next(iter(knn(NEAR_AND_MANY, temperature=1.0))) == "many"
    with pytest.raises(TypeError):
        knn(NEAR_AND_MANY)  # type: ignore[call-arg]


def test_what_has_no_class_or_no_temperature() -> None:
    with pytest.raises(
        InputError, match="hit '0': expected a text or an integer as its class in the field 'kind', found None"
    ):
        knn(hits([0.5], ["a"]), temperature=0.5, label="kind")
    with pytest.raises(InputError, match="found none"):
        knn([], temperature=0.5)
    for wrong in (0, -1.0, float("nan"), True):
        with pytest.raises(OptionError, match="temperature"):
            knn(NEAR_AND_MANY, temperature=wrong)
    with pytest.raises(OptionError, match="give a larger one"):
        knn(NEAR_AND_MANY, temperature=1e-4)
    with pytest.raises(OptionError, match="k"):
        knn(NEAR_AND_MANY, temperature=0.5, k=0)


def test_from_a_store(tmp_path: Path) -> None:
    """Pictures by their colours, to the class of what is near them."""
    pytest.importorskip("PIL")
    from PIL import Image

    from helpers.image_bundles import COLORS, picture_bundle

    encoder = embedkit.Encoder.load(picture_bundle(tmp_path / "bundle"))
    documents = []
    for name, color in COLORS.items():
        for number in range(3):
            path = tmp_path / f"{name}{number}.png"
            Image.new("RGB", (12, 9), tuple(abs(level - 7 * number) for level in color)).save(path)
            documents.append(embedkit.Document(path.name, name, {"uri": str(path), "label": name}))
    embedkit.ingest(documents, encoder, "memory:knn", collection="photos", dead_letters=tmp_path / "dead.jsonl")
    for name, color in COLORS.items():
        query = np.full((8, 8, 3), [abs(level - 25) for level in color], np.uint8)
        found = embedkit.search(query, encoder, "memory:knn", collection="photos", k=6)  # type: ignore[call-overload]
        votes = knn(found, temperature=0.1)
        assert next(iter(votes)) == name
        assert votes[name] == pytest.approx(sum(math.exp(h.score / 0.1) for h in found if h.metadata["label"] == name))
