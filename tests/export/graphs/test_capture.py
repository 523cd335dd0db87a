"""From torch to ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx_ir as ir
import pytest
import torch
import transformers
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

import embedkit_export
from embedkit import ExportError
from embedkit_export import prepare
from embedkit_export.graphs import capture
from embedkit_export.graphs.programs.lowering import is_known
from helpers import models


def test_capture_leaves_the_plan_and_transformers_as_they_were(tmp_path: Path) -> None:
    plan = prepare(models.save("bert", tmp_path / "bert", layers=1)).plan.graphs["default"]
    before = {name: tensor.clone() for name, tensor in plan.module.state_dict().items()}
    attention, masks = dict(ALL_ATTENTION_FUNCTIONS), dict(ALL_MASK_ATTENTION_FUNCTIONS)
    how = plan.module.backbone.config._attn_implementation
    first, second = (ir.to_proto(capture.capture(plan)).SerializeToString() for _ in range(2))
    assert first == second
    assert plan.module.backbone.config._attn_implementation == how
    assert dict(ALL_ATTENTION_FUNCTIONS) == attention
    assert dict(ALL_MASK_ATTENTION_FUNCTIONS) == masks
    after = plan.module.state_dict()
    assert all(tensor.equal(after[name]) for name, tensor in before.items())
    assert list(after) == list(before)


def test_a_captured_graph_keeps_the_numbers_that_the_model_lets_go(tmp_path: Path) -> None:
    plan = prepare(models.save("bert", tmp_path / "bert", layers=1)).plan.graphs["default"]
    captured = capture.capture(plan)
    before = ir.to_proto(captured).SerializeToString()
    for weight in plan.module.parameters():
        weight.data = torch.empty(0)
    assert ir.to_proto(captured).SerializeToString() == before


@pytest.mark.parametrize(("head", "kind"), [("ForMaskedLM", "sparse"), ("ForSequenceClassification", "reranker")])
def test_a_head_is_captured_at_the_first_try_and_lowered_here(
    head: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where torch fails to follow it, it tries the whole again by a way that takes four times as long."""
    plan = prepare(models.save("bert", tmp_path / "bert", head=head), kind=kind).plan.graphs["default"]
    tries: list[bool] = []
    export = torch.export.export

    def counted(*given: Any, **named: Any) -> Any:
        tries.append(named["strict"])
        program = export(*given, **named)
        assert is_known(program)
        return program

    monkeypatch.setattr(torch.export, "export", counted)
    capture.capture(plan)
    assert tries == [False]


def test_a_graph_of_one_length_is_refused() -> None:
    sizes: dict[str, Any] = {"d_model": 32, "n_head": 4, "d_head": 8, "d_inner": 48, "vocab_size": 400}
    sizes |= {"block_sizes": [1], "num_decoder_layers": 1}
    model = transformers.FunnelModel(transformers.FunnelConfig(**sizes)).eval()
    plan = embedkit_export.prepare((model, models.make_tokenizer("word")), max_tokens=60).plan
    with pytest.raises(ExportError, match=r"FunnelModel: the captured graph takes tokens = 7 only"):
        capture.capture(plan.graphs["default"])
