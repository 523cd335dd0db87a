"""Classes in the shapes of vLLM and TEI: those of `Classifier`."""

from __future__ import annotations

import numpy as np

from embedkit import Classifier, Encoder
from helpers.served import Served

TEXTS = ["rain", "sun", "x" * 300]


def test_classify(server: Served, encoders: dict[str, Encoder]) -> None:
    classifier = Classifier(encoders["classes"])
    for path in ("/classify", "/v1/classify"):
        got = server.ask(path, {"input": TEXTS, "model": "classes"}).json
        assert [one["label"] for one in got["data"]] == classifier.predict(TEXTS)
        assert np.array_equal(np.float32([one["probs"] for one in got["data"]]), classifier.predict_proba(TEXTS))
        assert got["data"][0]["num_classes"] == 3
        assert got["usage"]["truncated_texts"] == 1
    got = server.ask("/classify", {"input": "rain"}).json
    assert (got["model"], len(got["data"])) == ("classes", 1)


def test_predict(server: Served, encoders: dict[str, Encoder]) -> None:
    expected = Classifier(encoders["classes"]).predict_proba(TEXTS)
    single = server.ask("/predict", {"inputs": "rain"}).json
    assert [one["score"] for one in single] == sorted((one["score"] for one in single), reverse=True)
    assert {one["label"] for one in single} == {"red", "green", "blue"}
    for given in (TEXTS, [[text] for text in TEXTS]):
        rows = server.ask("/predict", {"inputs": given}).json
        for row, wanted in zip(rows, expected, strict=True):
            by_label = {one["label"]: np.float32(one["score"]) for one in row}
            assert [by_label[label] for label in ("red", "green", "blue")] == wanted.tolist()
    raw = server.ask("/predict", {"inputs": "rain", "raw_scores": True}).json
    logits = encoders["classes"].encode(["rain"], output="logits")[0]
    assert sorted(np.float32([one["score"] for one in raw])) == sorted(logits)


def test_a_pair(server: Served, encoders: dict[str, Encoder]) -> None:
    expected = Classifier(encoders["rank"]).predict_proba([{"query": "tea", "document": "rain"}])[0]
    got = server.ask("/predict", {"inputs": ["tea", "rain"], "model": "rank"}).json
    assert [np.float32(one["score"]) for one in got] == expected.tolist()
    got = server.ask("/predict", {"inputs": [["tea", "rain"], ["a", "b"]], "model": "rank"}).json
    assert np.float32(got[0][0]["score"]) == expected[0]


def test_what_is_refused(server: Served) -> None:
    got = server.ask("/predict", {"inputs": ["a"], "model": "tiny"})
    assert (got.status, got.json["error_type"]) == (422, "validation")
    assert "gives no classes" in got.json["error"]
    got = server.ask("/predict", {"inputs": [["a", "b", "c"]], "model": "rank"})
    assert "expected 2 texts each" in got.json["error"]
    assert server.ask("/predict", {"inputs": []}).json["error_type"] == "empty"
    got = server.ask("/predict", {"inputs": "x" * 300, "truncate": False, "model": "classes"})
    assert (got.status, got.json["error_type"]) == (422, "validation")
    assert server.ask("/classify", {"input": ["a"], "model": "tiny"}).status == 400
