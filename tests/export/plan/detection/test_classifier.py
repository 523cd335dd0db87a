"""Cross-encoders and classifiers: logits of pairs and of texts, rankings and classes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentence_transformers as st
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

import embedkit_export
from embedkit import Classifier, InputError, Reranker
from embedkit.errors import ExportError
from embedkit.runtime.outputs import activated
from embedkit.runtime.verification import verify
from embedkit_export.plan.tokenizers import Tokenizers
from embedkit_export.recipes.recipe import Recipe
from helpers import models, slow
from helpers.systems import TEXTS, load, sample

FAMILIES = ("bert", "roberta", "deberta-v2", "distilbert", "albert", "modernbert")
SEGMENTED = ("bert", "albert")
"""Families that read which segment a token is of."""
PAIRS = [(TEXTS[i], TEXTS[-1 - i]) for i in range(len(TEXTS))]


def saved(family: str, folder: Path, *, labels: int = 1, **config: Any) -> Path:
    model, tokenizer = models.make(family, head="ForSequenceClassification", num_labels=labels, **config)
    if family in SEGMENTED:
        tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
        tokenizer.init_kwargs["model_input_names"] = tokenizer.model_input_names
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def exported(model: Any, folder: Path, *, pairs: bool, **options: Any) -> Path:
    folder.mkdir(exist_ok=True)
    report = embedkit_export.export(
        model,
        output=folder / "bundle",
        sample=sample(folder, ("query", "document") if pairs else ("text",)),
        timing=False,
        **{"variants": ("fp32",), **options},
    )
    assert not report.missing
    return report.path


def logits_of_torch(folder: Path, pairs: list[tuple[str, str]], limit: int = 32) -> np.ndarray:
    """(n, labels), each pair by itself, cut as transformers does it."""
    model, tokenizer = (
        AutoModelForSequenceClassification.from_pretrained(folder).eval(),
        AutoTokenizer.from_pretrained(folder),
    )
    rows = []
    for query, document in pairs:
        given = tokenizer([query], [document], truncation=True, max_length=limit, return_tensors="pt")
        with torch.no_grad():
            rows.append(model(**given).logits[0])
    return torch.stack(rows).numpy()


@pytest.mark.parametrize("family", slow.but(("bert", "modernbert"), FAMILIES))
def test_the_scores_of_pairs_of_every_family_are_those_of_torch(family: str, tmp_path: Path) -> None:
    folder = saved(family, tmp_path / "model")
    bundle = exported(folder, tmp_path, pairs=True, kind="reranker", max_tokens=32)
    encoder = load(bundle)
    items = [{"query": query, "document": document} for query, document in PAIRS]
    found = encoder.encode(items, output="logits")
    assert np.abs(found - logits_of_torch(folder, PAIRS)).max() < 1e-4
    assert np.array_equal(encoder.encode(items[::-1], output="logits")[::-1], found)
    for i, item in enumerate(items):
        assert encoder.encode([item], output="logits").tobytes() == found[i : i + 1].tobytes()
    if family in SEGMENTED:  # Neg: with one segment only, the scores are others
        kept = encoder.loaded.towers["default"]
        real = kept.session.run
        kept.session.run = lambda given, names: real({**given, "token_type_ids": 0 * given["token_type_ids"]}, names)  # type: ignore[method-assign]
        assert np.abs(encoder.encode(items, output="logits") - found).max() > 1e-3


def test_a_cross_encoder_ranks_as_in_torch(tmp_path: Path) -> None:
    saved("bert", tmp_path / "body", hidden=128)
    model = st.CrossEncoder(str(tmp_path / "body"), max_length=40, device="cpu")
    model.save_pretrained(str(tmp_path / "model"))
    bundle = exported(tmp_path / "model", tmp_path, pairs=True, variants=("fp32", "int8"))
    for variant, near in (("fp32", 1e-4), ("int8", 0.05)):
        reranker = Reranker.load(bundle, variant=variant)
        expected = model.predict(PAIRS)
        assert np.abs(reranker.score(PAIRS) - expected).max() < near
        found = reranker.rank(TEXTS[4], TEXTS)
        assert [one.document for one in found] == [TEXTS[one.index] for one in found]
        assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
        assert reranker.rank(TEXTS[4], TEXTS, 3) == found[:3]
        if variant == "fp32":
            assert [one.index for one in found] == [one["corpus_id"] for one in model.rank(TEXTS[4], TEXTS)]
    assert reranker.rank("a question", []) == []
    assert [one.index for one in reranker.rank("the same", ["text"] * 4)] == [0, 1, 2, 3]
    assert verify(bundle).passed
    live = Reranker.load(exported(model, tmp_path / "live", pairs=True))
    assert np.abs(live.score(PAIRS) - expected).max() < 1e-4
    for wrong in ("a text", [("a", "b", "c")], ["ab"]):
        with pytest.raises(InputError):
            reranker.score(wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="list of texts"):
        reranker.rank("a", "b")
    with pytest.raises(InputError, match="k: expected"):
        reranker.rank("a", ["b"], 0)


@pytest.mark.parametrize(("problem", "function"), [(None, "softmax"), ("multi_label_classification", "sigmoid")])
def test_classes_of_texts(problem: str | None, function: str, tmp_path: Path) -> None:
    names = {0: "news", 1: "sport", 2: "weather"}
    folder = saved("roberta", tmp_path / "model", labels=3, id2label=names, problem_type=problem)
    bundle = exported(folder, tmp_path, pairs=False, kind="classifier", max_tokens=32)
    classifier = Classifier.load(bundle, on_truncate="ignore")
    assert (classifier.labels, classifier.multilabel) == (list(names.values()), problem is not None)
    model, tokenizer = (
        AutoModelForSequenceClassification.from_pretrained(folder).eval(),
        AutoTokenizer.from_pretrained(folder),
    )
    rows = []
    for text in TEXTS:
        with torch.no_grad():
            logits = model(**tokenizer([text], truncation=True, max_length=32, return_tensors="pt")).logits[0]
        rows.append(logits.softmax(0) if function == "softmax" else logits.sigmoid())
    expected = torch.stack(rows).numpy()
    found = classifier.predict_proba(TEXTS)
    assert np.abs(found - expected).max() < 1e-4
    if function == "softmax":
        assert classifier.predict(TEXTS) == [names[i] for i in expected.argmax(axis=1)]
        assert classifier.predict(TEXTS[3]) == classifier.predict(TEXTS)[3]
    else:
        assert classifier.predict(TEXTS, threshold=0.4) == [
            [names[i] for i in np.flatnonzero(row >= 0.4)] for row in expected
        ]
    for i, text in enumerate(TEXTS):
        assert classifier.predict_proba([text]).tobytes() == found[i : i + 1].tobytes()
    with pytest.raises(InputError, match="threshold"):
        classifier.predict(TEXTS, threshold=2)
    with pytest.raises(InputError, match="Classifier"):
        Reranker.load(bundle)


def test_what_has_no_head_is_refused(tmp_path: Path, bundle: Path) -> None:
    plain = models.save("bert", tmp_path / "plain")
    with pytest.raises(ExportError, match="lacks"):
        embedkit_export.prepare(plain, kind="classifier")
    with pytest.raises(ExportError, match="no head for classes"):
        embedkit_export.prepare(models.make("bert"), kind="classifier")
    with pytest.raises(InputError, match="no numbers for classes"):
        Reranker.load(bundle)
    model = st.CrossEncoder(str(saved("bert", tmp_path / "odd")), device="cpu")
    model.activation_fn = torch.nn.Softplus()
    with pytest.raises(ExportError, match="activation: expected"):
        embedkit_export.prepare(model)


def test_classes_of_pairs_by_a_recipe(tmp_path: Path) -> None:
    folder = saved("bert", tmp_path / "model", labels=2)
    recipe = Recipe(template=["{premise}", "{claim}"], max_tokens=32)
    report = embedkit_export.export(
        folder,
        output=tmp_path / "bundle",
        recipe=recipe,
        kind="classifier",
        variants=("fp32",),
        timing=False,
        sample=sample(tmp_path, ("premise", "claim")),
    )
    found = Classifier.load(report.path).predict_proba([{"premise": a, "claim": b} for a, b in PAIRS])
    logits = torch.from_numpy(logits_of_torch(folder, PAIRS))
    assert np.abs(found - logits.softmax(1).numpy()).max() < 1e-4


def test_a_regression_gives_its_numbers(tmp_path: Path) -> None:
    folder = saved("bert", tmp_path / "model", problem_type="regression")
    prepared = embedkit_export.prepare(folder, kind="classifier")
    output = prepared.plan.graphs["default"].outputs["logits"]
    measured = pipeline("text-classification", model=str(folder), device="cpu")
    tokenizers = Tokenizers(prepared.plan, tmp_path)
    module = prepared.plan.graphs["default"].module
    for text in TEXTS[:3]:
        feed = tokenizers.feed("default", text)
        with torch.no_grad():
            found = module(*(torch.from_numpy(np.asarray(feed[name])) for name in module.inputs)).numpy()
        assert activated(found, output.activation)[0, 0] == pytest.approx(measured(text)[0]["score"], abs=1e-5)
    assert "this model measures (problem type regression)" in prepared.text()


@pytest.mark.parametrize(
    ("labels", "config", "expected"),
    [
        (1, {}, "sigmoid"),
        (3, {}, "identity"),
        (1, {"problem_type": "regression"}, "sigmoid"),
        (1, {"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}, "identity"),
        (1, {"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Tanh"}}, "tanh"),
    ],
)
def test_a_live_model_of_pairs_scores_as_its_folder(
    labels: int, config: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    live = models.make("bert", head="ForSequenceClassification", num_labels=labels, **config)
    for model in (live, saved("bert", tmp_path / "model", labels=labels, **config)):
        plan = embedkit_export.prepare(model, kind="reranker").plan
        assert plan.graphs["default"].outputs["logits"].activation == expected


def test_a_head_that_is_left_out_is_told(tmp_path: Path, minilm_folder: Path) -> None:
    prepared = embedkit_export.prepare(saved("bert", tmp_path / "model", labels=2))
    assert "whose head for classes is left out" in prepared.text()
    folder = tmp_path / "setfit"
    shutil.copytree(minilm_folder, folder)
    (folder / "model_head.pkl").write_bytes(b"not read")
    assert "model_head.pkl is not read" in embedkit_export.prepare(folder).text()


@pytest.mark.parametrize("kind", ["classifier", "reranker"])
def test_classes_that_a_decoder_behind_an_encoder_gives_are_refused(kind: str, tmp_path: Path) -> None:
    sizes = {"d_kv": 16, "d_ff": 64, "num_decoder_layers": 1, "eos_token_id": 1, "decoder_start_token_id": 0}
    model, tokenizer = models.make("t5", head="ForSequenceClassification", num_labels=1, **sizes)
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    told = {
        "classifier": r"T5ForSequenceClassification reads its classes off its decoder.* without --kind",
        "reranker": r"what the decoder of T5ForSequenceClassification gives, which is not exported: give an encoder",
    }
    with pytest.raises(ExportError, match=told[kind]):
        embedkit_export.prepare(tmp_path / "model", kind=kind)
