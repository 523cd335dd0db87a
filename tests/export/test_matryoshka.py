"""The smaller sizes of Matryoshka vectors: measured for each variant, against numpy and the runtime."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sklearn.metrics import ndcg_score

import embedkit_export
from embedkit import Encoder, ingest, open_store, search
from embedkit_export import ExportReport, Gates, Recipe
from embedkit_export.verification import sample as samples
from embedkit_export.verification import texts
from helpers import models

SIZES = [16, 8]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.save("bert", tmp_path_factory.mktemp("matryoshka") / "bert")


@pytest.fixture(scope="module")
def searches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("searches") / "searches.jsonl"
    rows = [
        {"query": " ".join(words[i : i + 5]), "relevant": [" ".join(words[i:] + words[:i])]}
        for words in map(str.split, models.SENTENCES)
        for i in range(6)  # other words in front, so that no two texts have equal vectors
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.fixture(scope="module", params=["dot", "cosine"])
def report(
    request: pytest.FixtureRequest, folder: Path, searches: Path, tmp_path_factory: pytest.TempPathFactory
) -> ExportReport:
    """Compared by dot the vectors have unit length, by cosine any."""
    stages = [{"kind": "normalize"}] if request.param == "dot" else []
    recipe = Recipe(similarity=request.param, matryoshka=SIZES, stages=stages)
    return embedkit_export.export(
        folder,
        recipe=recipe,
        output=tmp_path_factory.mktemp("report") / "bundle",
        variants=["fp32", "int8", "w4"],
        sample=searches,
        timing=False,
        gates=Gates(cosine_mean=0, cosine_min=0, top10_overlap=0, labels=1),
    )


def reached(sample: samples.Sample, encoder: Encoder, size: int) -> dict[str, float]:
    """nDCG@10 by scikit-learn and recall@10, of a search by cosine over vectors of ``size`` numbers."""
    asked, documents = (
        np.asarray(encoder.encode(list(given), role=role, dim=size), dtype=np.float64)
        for given, role in (([query.text for query in sample.queries], "query"), (sample.documents, "document"))
    )
    asked, documents = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (asked, documents))
    scores = (asked @ documents.T).astype(np.float32)
    grades = np.array([[query.relevant.get(d, 0) for d in range(len(sample.documents))] for query in sample.queries])
    # Of equal scores the first: scikit-learn ranks them by chance.
    order = np.argsort(-scores, axis=1, kind="stable")
    ranks = np.argsort(order, axis=1)
    hits = np.take_along_axis(grades > 0, order[:, :10], axis=1).sum(axis=1) / (grades > 0).sum(axis=1)
    return {"ndcg@10": float(ndcg_score(grades, -ranks, k=10)), "recall@10": float(hits.mean())}


def test_each_size_is_measured_for_each_variant(report: ExportReport, searches: Path) -> None:
    sample = samples.read(searches)
    judged = [*texts.GOLDEN, *sample.judged(), *texts.longest([str(text) for text in sample.judged()])]
    exact = Encoder.load(report.path, variant="fp32", on_truncate="ignore")
    variants = report.manifest.towers["default"].graph.variants  # type: ignore[union-attr]
    for name in ("int8", "w4"):
        encoder = Encoder.load(report.path, variant=name, on_truncate="ignore")
        assert [cut.dim for cut in variants[name].quality.matryoshka] == sorted(SIZES)
        for measured in variants[name].quality.matryoshka:
            size = measured.dim
            a, b = (e.encode(judged, dim=size).astype(np.float64) for e in (encoder, exact))
            a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
            cosines = (a * b).sum(axis=1)
            assert measured.cosine_mean == pytest.approx(cosines.mean(), abs=1e-6)
            assert measured.cosine_min == pytest.approx(cosines.min(), abs=1e-6)
            nearest = [np.argsort(-(x @ x.T - 9 * np.eye(len(x))), axis=1)[:, :10] for x in (a, b)]
            overlap = np.mean([len({*x} & {*y}) / 10 for x, y in zip(*nearest, strict=True)])
            assert measured.top10_overlap == pytest.approx(overlap, abs=5e-3)  # near ties
            labels = reached(sample, encoder, size)
            assert measured.labels == pytest.approx(labels, abs=1e-6)
    worst = [cut.cosine_min for cut in variants["w4"].quality.matryoshka]
    assert max(worst) < variants["fp32"].quality.matryoshka[0].cosine_min


def test_the_report_and_the_card_say_it(report: ExportReport) -> None:
    measured = report.manifest.towers["default"].graph.variants["int8"].quality.matryoshka[0]  # type: ignore[union-attr]
    figures = ["int8", "8", f"{measured.cosine_mean:.5f}", f"{measured.cosine_min:.5f}"]
    assert [line.split()[:4] for line in report.text().splitlines()].count(figures) == 1
    assert (
        f"| int8 | 8 | {measured.cosine_mean:.5f} | {measured.cosine_min:.5f} |"
        in (report.path / "README.md").read_text()
    )
    manifest = json.loads((report.path / "embedkit.json").read_text())
    stored = manifest["towers"]["default"]["graph"]["variants"]["int8"]["quality"]["matryoshka"][0]
    assert (stored["dim"], stored["labels"]) == (8, measured.labels)


def test_a_model_that_cuts_its_vectors_by_itself(folder: Path, searches: Path, tmp_path: Path) -> None:
    """Its size is the default one and is measured; the whole vector is exported and can be asked for."""
    model = SentenceTransformer(str(folder), truncate_dim=16, device="cpu")
    report = embedkit_export.export(model, output=tmp_path / "bundle", variants=["fp32"], sample=searches, timing=False)
    encoder = Encoder.load(report.path)
    expected = model.encode(list(models.SENTENCES))
    assert expected.shape == (8, 16)
    texts = list(models.SENTENCES)
    assert np.abs(encoder.encode(texts) - expected).max() < 1e-4
    assert np.abs(encoder.encode(texts, dim=16) - expected).max() < 1e-4
    for dim in (8, 48):
        assert np.abs(encoder.encode(texts, dim=dim) - model.encode(texts, truncate_dim=dim)).max() < 1e-4
    assert encoder.dim == 16
    assert encoder.encode([]).shape == (0, 16)
    for values in (encoder.encode_outputs(texts), next(iter(encoder.stream_outputs(texts)))):
        assert values["dense"].tobytes() == encoder.encode(texts).tobytes()
    assert encoder.encode_outputs([])["dense"].shape == (0, 16)
    assert next(iter(encoder.stream(texts))).shape == (8, 16)
    assert encoder.encode(texts, precision="binary").shape == (8, 2)
    rows = [{"id": str(i), "text": text} for i, text in enumerate(texts)]
    store = open_store("memory://")
    ingest(rows, encoder, store, collection="cut")
    assert store.open("cut").info.dim == 16
    assert search(texts[3], encoder, store, collection="cut", k=1)[0].id == "3"
    assert embedkit_export.prepare(model).recipe.dim == 16
    measured = report.manifest.towers["default"].graph.variants["fp32"].quality.matryoshka  # type: ignore[union-attr]
    assert [cut.dim for cut in measured] == [16]
    assert model.truncate_dim == 16
