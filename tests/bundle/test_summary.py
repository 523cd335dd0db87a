"""What a bundle says of itself, for reading and as JSON."""

from __future__ import annotations

import json

import pytest

from embedkit.bundle import Bundle, Output, Part
from embedkit.bundle.manifest import Matching
from embedkit.bundle.summary import about, measured_variants, summary, summary_text, template, variant_bytes
from embedkit.testing.tiny import tiny_bundle
from helpers.image_bundles import picture_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return Bundle.open(tiny_bundle(tmp_path_factory.mktemp("summary") / "b", prefixes={"query": "query: "}))


def test_sizes_are_those_of_the_files(bundle):
    variants = measured_variants(bundle.manifest)
    assert list(variants) == list(bundle.tower("default").graph.variants)
    for variant in variants.values():
        files = [variant.file, *variant.data]
        assert variant_bytes(bundle.manifest, variant) == sum((bundle.folder / file).stat().st_size for file in files)


def test_the_two_forms_say_the_same(bundle):
    whole, lines = json.loads(json.dumps(summary(bundle))), summary_text(bundle).splitlines()
    assert lines[0] == f"{whole['name']}  ({bundle.folder})"
    assert lines[1].split() == ["fingerprint", whole["fingerprint"]]
    shown = {line.split()[0]: line.split() for line in lines}
    for name, about_variant in whole["roles"]["default"]["variants"].items():
        quality = about_variant["quality"]
        assert shown[name][1] == f"{about_variant['bytes'] / 1e6:.1f}"
        assert float(shown[name][2]) == pytest.approx(quality["cosine_mean"], abs=1e-5)
        assert f"against torch on {quality['texts']:,} texts" in lines


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (
            Output(kind="dense", dim=1024, normalized=True, matryoshka=[8, 64]),
            "dense, 1,024 dimensions, also 8, 64, of unit length",
        ),
        (
            Output(kind="dense", dim=8, normalized=True, tokens="states"),
            "dense, 8 dimensions, of unit length, the mean of states",
        ),
        (Output(kind="sparse", dim=30_000, top=9), "sparse, weights of some of 30,000 words, at most 9"),
        (Output(kind="logits", dim=1), "logits, 1 logit"),
        (
            Output(kind="logits", dim=2, labels=["no", "yes"], activation="softmax"),
            "logits, 2 logits (no, yes), softmax makes scores of them",
        ),
        (Output(kind="tokens", dim=4), "tokens, a vector of 4 dimensions for each token, not normalised"),
        (
            Output(kind="multivector", dim=4),
            "multivector, a vector of 4 dimensions for each token that is kept, not normalised",
        ),
    ],
)
def test_outputs_in_words(output, said):
    assert about(output) == said
    assert about(output, "dot") == f"{said}, compared by dot"


def test_templates():
    parts = [Part(lit="a: "), Part(field="text"), Part(pair=True), Part(field="other")]
    assert template(parts) == "a: {text} | {other}"


def test_many_labels_and_what_makes_probabilities(tmp_path):
    pytest.importorskip("PIL")
    many = [f"label {i}" for i in range(1000)]
    said = about(Output(kind="logits", dim=1000, labels=many))
    assert "1,000 logits (label 0, label 1" in said
    assert "label 9, ...)" in said
    assert "label 500" not in said
    matching = Matching(fn="sigmoid", scale=9.5, bias=-2.5)
    bundle = Bundle.open(picture_bundle(tmp_path / "both", texts=True, matching=matching))
    assert "matching     sigmoid of 9.5 * cosine -2.5" in summary_text(bundle)
    assert summary(bundle)["matching"] == {"fn": "sigmoid", "scale": 9.5, "bias": -2.5}
