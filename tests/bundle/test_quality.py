"""The tables of what was measured: every figure where its column says."""

from __future__ import annotations

import pytest

from embedkit.bundle import Quality, SizeQuality, Variant
from embedkit.bundle.quality import TextTable, measure_table, quality_table, size_table


def variant(cosine: float, *, speed: float | None = None, **more) -> Variant:
    quality = Quality(300, 1.21e-3, cosine, cosine - 0.1, 0.9, **more)
    return Variant(file="a.onnx", quality=quality, golden_cosine_min=1.0, tokens_per_second=speed)


def cells(table: TextTable) -> list[dict[str, str]]:
    """The Markdown read back: a row by its columns."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.markdown().splitlines()]
    head, rule, *rows = lines
    assert set(rule) == {"-"}
    assert len(rule) == len(head)
    return [dict(zip(head, row, strict=True)) for row in rows]


VARIANTS = {
    "fp32": variant(1.0, labels={"ndcg@10": 0.71236}, measures={"sparse: mean cosine": 0.123456}),
    "int8": variant(
        0.98765,
        speed=12_345.6,
        labels={"ndcg@10": 0.7, "recall@10": 0.25},
        matryoshka=[SizeQuality(8, 0.5, 0.25, 0.125, {"ndcg@10": 0.5}), SizeQuality(16, 0.75, 0.5, 0.25)],
    ),
}
BYTES = {"fp32": 90_260_000, "int8": 1_000}


def test_quality():
    first, second = cells(quality_table(VARIANTS, BYTES))
    assert first == {
        "variant": "fp32",
        "MB": "90.3",
        "mean cosine": "1.00000",
        "worst cosine": "0.90000",
        "top-10 overlap": "0.900",
        "largest difference": "1.2e-03",
        "ndcg@10": "0.7124",
        "recall@10": "",
        "tokens per CPU-second": "",
    }
    assert second["MB"] == "0.0"
    assert second["mean cosine"] == "0.98765"
    assert second["recall@10"] == "0.2500"
    assert second["tokens per CPU-second"] == "12,346"


def test_what_was_not_measured_has_no_column():
    plain = quality_table({"fp32": variant(1.0)}, BYTES)
    assert plain.columns[-1] == "largest difference"
    for table in (size_table({"fp32": variant(1.0)}), measure_table({"fp32": variant(1.0)})):
        assert (table.rows, table.text(), table.markdown()) == ((), "", "")


def test_sizes_and_measures():
    assert [(row["variant"], row["numbers"], row["mean cosine"]) for row in cells(size_table(VARIANTS))] == [
        ("int8", "8", "0.50000"),
        ("int8", "16", "0.75000"),
    ]
    assert [row["ndcg@10"] for row in cells(size_table(VARIANTS))] == ["0.5000", ""]
    assert cells(measure_table(VARIANTS)) == [{"measured": "sparse: mean cosine", "fp32": "0.12346", "int8": ""}]


@pytest.mark.parametrize("name", ["w4", "a-name-that-is-long"])
def test_the_columns_of_a_terminal_are_aligned(name):
    head, *rows = (
        quality_table({name: VARIANTS["fp32"], "int8": VARIANTS["int8"]}, {name: 5, "int8": 9}).text().splitlines()
    )
    assert rows[0].startswith(name)
    ends = [head.index(column) + len(column) for column in ("MB", "mean cosine", "largest difference", "ndcg@10")]
    for row in rows:
        assert all(row[end - 1] != " " and row[end : end + 1] in (" ", "") for end in ends)
