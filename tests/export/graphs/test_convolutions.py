"""Convolutions as products, against torch; and the models that have some."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
import transformers
from torch import nn

from embedkit_export import Recipe
from embedkit_export.graphs import convolutions
from embedkit_export.graphs.programs.lowering import lowered_lightly
from embedkit_export.graphs.programs.shortcuts import in_short
from embedkit_export.quantization import rowwise as quantize
from embedkit_export.quantization.calibration import sessions
from helpers import models, slow, systems
from helpers.systems import TEXTS, agree


class Tokens(nn.Module):
    """(batch, tokens, channels) through convolutions that take (batch, channels, tokens)."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layers(x.transpose(1, 2)).transpose(1, 2)
        return out


def captured(module: nn.Module, width: int, tokens: int = 7, axes: dict[int, Any] | None = None) -> ir.Model:
    given = (torch.randn(3, tokens, width),)
    axes = axes or {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens")}
    with lowered_lightly(), in_short():
        program = torch.onnx.export(
            module.eval(), given, dynamo=True, dynamic_shapes=(axes,), verbose=False, opset_version=21
        )
    assert program is not None
    model: ir.Model = program.model
    return model


def kinds(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


@pytest.mark.parametrize(
    ("kernel", "options", "products"),
    [
        (1, {}, 1),
        (3, {"padding": 1}, 1),
        (5, {"padding": 4, "dilation": 2, "bias": False}, 1),
        (4, {"padding": "same"}, 1),
        (3, {"padding": 1, "groups": 3}, 3),
        (7, {"padding": 3, "groups": 24}, 0),
        (1, {"groups": 2}, 2),
    ],
)
@pytest.mark.parametrize("out", slow.but([24], [24, 48]))
def test_a_convolution_is_torchs(kernel: int, options: dict[str, Any], products: int, out: int) -> None:
    torch.manual_seed(kernel)
    module = Tokens(nn.Conv1d(24, out, kernel, **options), nn.GELU(), nn.Conv1d(out, 9, 1))
    model = captured(module, 24)
    assert convolutions.expand(model) == 2
    assert "Conv" not in kinds(model)
    depthwise_of_two = products == 0 and out == 48  # two outputs a channel
    assert kinds(model).count("MatMul") == (24 if depthwise_of_two else products) + 1
    session = sessions.open_session(model)
    name = session.get_inputs()[0].name
    for batch, tokens in ((1, 1), (2, 2), (5, 33)):  # fewer tokens than the kernel has places, too
        x = torch.randn(batch, tokens, 24)
        found = session.run(None, {name: x.numpy()})[0]
        with torch.no_grad():
            np.testing.assert_allclose(found, module(x).numpy(), rtol=1e-4, atol=1e-5)
        alone = session.run(None, {name: x[-1:].numpy()})[0]
        assert np.array_equal(alone[0], found[-1])


def test_products_of_convolutions_can_be_quantised() -> None:
    model = captured(Tokens(nn.Conv1d(24, 40, 3, padding=1), nn.Conv1d(40, 24, 1, groups=2)), 24)
    convolutions.expand(model)
    assert [product.weight.shape for product in quantize.products(model)] == [(72, 40), (20, 12), (20, 12)]


@pytest.mark.parametrize(
    ("kernel", "options"),
    [
        (3, {"stride": 2, "padding": 1}),
        (3, {}),
        (10, {"stride": 5, "bias": False}),
        (4, {"padding": 2}),  # one token more than before
        (2, {"stride": 2}),
        (3, {"stride": 3, "padding": 2, "dilation": 2, "groups": 4}),
        (16, {"padding": 8, "groups": 4}),  # gathered
        (17, {"stride": 3, "padding": 5, "dilation": 2}),
        (32, {"padding": 16, "groups": 24}),
    ],
)
def test_another_number_of_tokens(kernel: int, options: dict[str, Any]) -> None:
    torch.manual_seed(kernel)
    module = Tokens(nn.Conv1d(24, 24, kernel, **options))
    model = captured(module, 24, 60, {0: torch.export.Dim.AUTO, 1: torch.export.Dim.AUTO})
    assert convolutions.expand(model) == 1
    assert "Conv" not in kinds(model)
    session = sessions.open_session(model)
    name = session.get_inputs()[0].name
    for batch, tokens in ((1, 40), (2, 43), (5, 77)):
        x = torch.randn(batch, tokens, 24)
        found = session.run(None, {name: x.numpy()})[0]
        with torch.no_grad():
            np.testing.assert_allclose(found, module(x).numpy(), rtol=1e-4, atol=1e-5)
        alone = session.run(None, {name: x[-1:].numpy()})[0]
        assert np.array_equal(alone[0], found[-1])


def vectors(model: Any, tokenizer: Any) -> torch.Tensor:
    """Means over the tokens of each text, padded beside a longer one: padding must not get into the convolution."""
    rows = []
    for text in TEXTS:
        batch = tokenizer([text, TEXTS[-1]], truncation=True, max_length=64, padding=True, return_tensors="pt")
        with torch.no_grad():
            states = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
        rows.append(systems.mean(states, batch["attention_mask"])[0])
    return torch.stack(rows)


@pytest.mark.parametrize(("kernel", "groups", "act"), slow.but([5], [(3, 1, "tanh"), (5, 3, "gelu")]))
def test_deberta_with_its_convolution(kernel: int, groups: int, act: str, tmp_path: Path) -> None:
    """He et al. 2021, `conv_kernel_size`: of the embeddings, added to what the first layer gives."""
    options = {"conv_kernel_size": kernel, "conv_groups": groups, "conv_act": act}
    model, tokenizer = models.make("deberta-v2", hidden=60, layers=2, num_attention_heads=3, **options)
    expected = vectors(model, tokenizer)
    encoder = systems.export((model, tokenizer), Recipe(), tmp_path, variants=("fp32", "int8", "w8"))
    agree(encoder, TEXTS, expected)
    graph = ir.load(tmp_path / "bundle" / "model.int8.onnx").graph
    assert sum(node.op_type == "MatMulIntegerToFloat" for node in graph) == 16 + groups  # two tables of positions too
    int8 = systems.load(tmp_path / "bundle", "int8").encode(TEXTS)
    assert torch.nn.functional.cosine_similarity(torch.from_numpy(int8), expected).min() > 0.99


@pytest.mark.parametrize("groups", slow.but([3], [1, 3]))
@pytest.mark.slow
def test_squeezebert(groups: int, tmp_path: Path) -> None:
    """Iandola et al. 2020: all its products are convolutions of one token."""
    tokenizer = models.make_tokenizer("word")
    names = ("q", "k", "v", "intermediate", "output")
    config = transformers.SqueezeBertConfig(
        vocab_size=len(tokenizer), hidden_size=96, embedding_size=96, num_hidden_layers=2, num_attention_heads=3,
        intermediate_size=144, max_position_embeddings=70, **{f"{name}_groups": groups for name in names},
        post_attention_groups=1,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.SqueezeBertModel(config).eval()
    models.widen(model)
    encoder = systems.export((model, tokenizer), Recipe(), tmp_path, variants=("fp32", "int8", "w4"))
    agree(encoder, TEXTS, vectors(model, tokenizer))
    graph = ir.load(tmp_path / "bundle" / "model.int8.onnx").graph
    assert sum(node.op_type == "MatMulIntegerToFloat" for node in graph) == 2 * (5 * groups + 1)
