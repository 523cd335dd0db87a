"""What attention sees of other tokens in a captured graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch
import transformers as tf
from torch import Tensor, nn

from embedkit_export import prepare
from embedkit_export.graphs.capture import capture
from helpers import models

LONG, SHORT = [7, 30, 4, 21, 9, 12], [5, 6, 8]


class Wrapped(nn.Module):
    """A body of somebody's own, around a model of transformers."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.config = model, model.config

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state


class NamedElsewhere(tf.BertModel):
    """A class that is written in another file than its attention."""


def bert(kind: type = tf.BertModel, *, decoder: bool, causal: bool) -> Any:
    """Of a decoder or not, whose layers were made as those of a decoder or not."""
    torch.manual_seed(0)
    config = tf.BertConfig(
        vocab_size=300,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        use_cache=False,
    )
    config.is_decoder = causal
    model = kind(config, add_pooling_layer=False).eval()
    model.config.is_decoder = decoder
    models.widen(model)
    return model


def captured(model: Any) -> tuple[onnxruntime.InferenceSession, list[str]]:
    notes: list[str] = []
    plan = prepare((model, models.make_tokenizer("word")), pooling="mean").plan
    graph = ir.to_proto(capture(plan.graphs["default"], notes)).SerializeToString()
    return onnxruntime.InferenceSession(graph), notes


def by_graph(session: onnxruntime.InferenceSession, rows: list[list[int]]) -> Any:
    width = max(map(len, rows))
    ids = np.array([row + [0] * (width - len(row)) for row in rows])
    mask = np.array([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    return session.run(None, {entry.name: given[entry.name] for entry in session.get_inputs()})[0]


def alone(model: Any, row: list[int]) -> Any:
    ids = torch.tensor([row])
    with torch.no_grad():
        out = model(input_ids=ids, attention_mask=torch.ones_like(ids))
    return (out if isinstance(out, Tensor) else out[0])[0].mean(dim=0).numpy()


@pytest.mark.parametrize("kind", [tf.BertModel, NamedElsewhere])
def test_attention_that_its_kernel_makes_causal(kind: type) -> None:
    model = bert(kind, decoder=False, causal=True)
    session, notes = captured(model)
    found = by_graph(session, [LONG, SHORT])
    for row, vector in zip([LONG, SHORT], found, strict=True):
        assert np.abs(vector - alone(model, row)).max() < 1e-5
    assert len(notes) == 1
    assert "encoder.layer.0.attention.self: is causal, and its mask is not" in notes[0]
    # Neg: as its mask says, which sees later tokens.
    model.set_attn_implementation("eager")
    assert np.abs(found[0] - alone(model, LONG)).max() > 1e-3


@pytest.mark.parametrize(("decoder", "causal"), [(True, True), (False, False)])
def test_attention_whose_mask_says_what_it_sees(decoder: bool, causal: bool) -> None:
    model = bert(decoder=decoder, causal=causal)
    session, notes = captured(model)
    for row, vector in zip([LONG, SHORT], by_graph(session, [LONG, SHORT]), strict=True):
        assert np.abs(vector - alone(model, row)).max() < 1e-5
    assert notes == []


def test_a_model_within_a_module_is_captured_as_one_by_itself() -> None:
    model = bert(decoder=False, causal=False)
    session, notes = captured(Wrapped(model))
    for row, vector in zip([LONG, SHORT], by_graph(session, [LONG, SHORT]), strict=True):
        assert np.abs(vector - alone(model, row)).max() < 1e-5
    assert notes == []
    plan = prepare((Wrapped(model), models.make_tokenizer("word")), pooling="mean").plan
    softmaxes = [node for node in capture(plan.graphs["default"]).graph if node.op_type == "Softmax"]
    added = {str(node.inputs[0].producer().op_type) for node in softmaxes}
    assert added == {"Add"}  # a mask by arithmetic, and not one of booleans for each pair of tokens
