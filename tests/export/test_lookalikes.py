"""Look-alikes of published models (benchmarks/lookalikes.py): equal to their references, or refused as foreseen."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from lookalike.catalogue import LOOKS
from lookalike.comparison import compare

from helpers import slow

QUICK = {
    "sentence-transformers/LaBSE", "intfloat/e5-mistral-7b-instruct-plain", "Alibaba-NLP/gte-Qwen2-1.5B-instruct",
    "opensearch-project/opensearch-neural-sparse-encoding-doc-v3-gte", "cross-encoder/nli-deberta-v3-base", "nvidia/NV-Embed-v2",
}  # fmt: skip
"""One of each kind; no graph is captured of any, which the tests of exports do."""
BY_NAME = {look.name: look for look in LOOKS if look.kind != "multivector"}


@pytest.mark.parametrize("name", slow.but(QUICK, BY_NAME))
def test_a_lookalike_is_equal_or_refused_as_foreseen(name: str, tmp_path: Path) -> None:
    found = compare(BY_NAME[name], tmp_path, quick=True)
    assert found.right, found.verdict


def test_the_page_has_the_most_used_models() -> None:
    assert len(LOOKS) == len({look.name for look in LOOKS}) >= 150
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    assert sum(look.name in page for look in LOOKS) >= 150
