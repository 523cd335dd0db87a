"""The names of measures, and which way is better."""

from __future__ import annotations

import numpy as np
import pytest

from embedkit import Encoder
from embedkit.evaluation import Classification, ImageText, NamedClasses, Pairs, Retrieval, Similarities, Texts
from embedkit.evaluation.measures import MEASURES, described
from embedkit.vectors.multivector import MultiVectors
from helpers.image_bundles import picture_bundle
from helpers.measured import Given

pytest.importorskip("sklearn")
pytest.importorskip("pytrec_eval")

TEXTS = tuple(f"t{i}" for i in range(12))
SIDES = TEXTS[:6], TEXTS[6:]


def test_every_measure_of_every_task_has_a_name_and_no_other(tmp_path):
    tokens = MultiVectors.of([np.eye(3, dtype=np.float32)] * 12)
    encoder = Given(TEXTS, np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32), tokens=tokens)
    labelled = tuple((text, "ab"[i % 2]) for i, text in enumerate(TEXTS))
    tasks = [
        Retrieval("here", SIDES[0], ({0: 1},) * 6, lambda: SIDES[1], 6, at=(1, 5), wordings=(SIDES[0],)),
        Similarities("here", *SIDES, tuple(map(float, range(6)))),
        Pairs("here", *SIDES, (True, False) * 3),
        Classification("here", labelled, labelled),
        Texts("here", TEXTS),
    ]
    found = set()
    for task in tasks:
        measured = task.measure(encoder)
        found |= {*measured.statistic(np.arange(measured.units)), *measured.fixed}
    pytest.importorskip("PIL")
    both = Encoder.load(picture_bundle(tmp_path / "bundle", texts=True))
    pictures = tuple(np.full((4, 4, 3), 60 * i, np.uint8) for i in range(4))
    for task in (
        ImageText("here", pictures, tuple((f"text {i}",) for i in range(4))),
        NamedClasses("here", pictures, ("a", "b") * 2, ("a", "b"), ("{}",)),
    ):
        measured = task.measure(both)
        found |= {*measured.statistic(np.arange(measured.units)), *measured.fixed}
    assert {name.partition("@")[0] for name in found} == MEASURES.keys()


def test_depths_are_named():
    assert described("ndcg@10") == ("nDCG@10", 1)
    assert described("uniformity") == ("uniformity", -1)
    assert described("threshold") == ("threshold", 0)
    with pytest.raises(KeyError):
        described("bleu")
