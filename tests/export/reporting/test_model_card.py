"""The bundle's README: every figure is the manifest's."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from embedkit import Bundle
from embedkit.bundle.manifest import Manifest, SizeQuality
from embedkit.testing.tiny import tiny_bundle
from embedkit_export.reporting.model_card import PICTURE, model_card

SMALLER = [SizeQuality(4, 0.8125, 0.5, 0.25, {"ndcg@10": 0.375})]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    prefixes = {"query": "a|b `c`: "}
    return Bundle.open(tiny_bundle(tmp_path_factory.mktemp("card") / "b", prefixes=prefixes))


def changed(manifest: Manifest, **quality: object) -> Manifest:
    """The same with other figures of its int8 variant."""
    tower = manifest.towers["default"]
    assert tower.graph is not None
    variants = dict(tower.graph.variants)
    int8 = variants["int8"]
    speed = quality.pop("speed", None)
    variants["int8"] = msgspec.structs.replace(
        int8, tokens_per_second=speed, quality=msgspec.structs.replace(int8.quality, **quality)
    )
    graph = msgspec.structs.replace(tower.graph, variants=variants)
    towers = {**manifest.towers, "default": msgspec.structs.replace(tower, graph=graph)}
    return msgspec.structs.replace(manifest, towers=towers)


def table(card: str, first: str) -> list[list[str]]:
    """The cells of the table whose first column is ``first`` and that follows it."""
    lines = card[card.index(f"| {first} |") :].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if not line.startswith("|-")]


def test_each_variant_has_its_size_on_disk(bundle: Bundle) -> None:
    card = model_card(bundle.manifest, bundle.folder, "a sample", {"w4": "below its gate"})
    head, *rows = table(card, "variant")
    assert [row[0] for row in rows] == list(bundle.tower("default").graph.variants)  # type: ignore[union-attr]
    for name, size in ((row[0], row[1]) for row in rows):
        assert float(size) == pytest.approx(Path(bundle.folder / f"model.{name}.onnx").stat().st_size / 1e6, abs=0.05)
    assert "tokens per CPU-second" not in head
    assert PICTURE not in card
    assert "`w4` was asked for and is not here: below its gate." in card
    assert f"# {bundle.manifest.source.name}" in card
    assert ": a sample." in card


def test_what_else_was_measured_has_its_tables(bundle: Bundle) -> None:
    figures = {"labels": {"ndcg@10": 0.5}, "measures": {"sparse: mean cosine": 0.75}, "matryoshka": SMALLER}
    card = model_card(changed(bundle.manifest, speed=1_234.0, **figures), bundle.folder, "a sample")
    assert table(card, "variant")[-1][-2:] == ["0.5000", "1,234"]
    assert table(card, "variant | numbers") == [
        ["variant", "numbers", "mean cosine", "worst cosine", "top-10 overlap", "ndcg@10"],
        ["int8", "4", "0.81250", "0.50000", "0.250", "0.3750"],
    ]
    assert table(card, "measured") == [["measured", "fp32", "int8"], ["sparse: mean cosine", "", "0.75000"]]
    assert f"({PICTURE})" in card


def test_templates_are_code_on_one_line(bundle: Bundle) -> None:
    card = model_card(bundle.manifest, bundle.folder, "a sample")
    assert "- `query`: `` a\\|b `c`: {text} ``, at most 64 tokens" in card
