"""The pooling that the code of a model card has."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from embedkit_export.plan.detection.card import from_card


@pytest.mark.parametrize(
    ("code", "mode", "normal"),
    [
        ("last_token_pool(out, mask)", "last", False),
        ("F.normalize(mean_pooling(out))", "mean", True),
        ("out.last_hidden_state[:, 0]", "first", False),
        ("out.pooler_output", "pooler", False),
    ],
)
def test_code_says_it(code: str, mode: str, normal: bool, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(f"# m\n```python\n{code}\n```\n")
    found = from_card(SimpleNamespace(folder=tmp_path))
    assert found.recipe.pooling.mode == mode
    assert bool(found.recipe.stages) == normal
    assert any(repr(mode) in note for note in found.notes)


@pytest.mark.parametrize("card", [None, b"mean_pooling(out)", b"```\nmean_pooling(o) or cls_pool\n```", b"\xff\xfe"])
def test_the_mean_where_nothing_or_too_much_is_said(card: bytes | None, tmp_path: Path) -> None:
    if card is not None:
        (tmp_path / "README.md").write_bytes(card)
    assert from_card(SimpleNamespace(folder=tmp_path)).reasons == ["pooling: mean, because nothing says otherwise"]
