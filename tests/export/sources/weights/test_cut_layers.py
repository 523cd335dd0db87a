"""Models cut to their first layers; the reference is the hidden states of the whole model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from embedkit import ExportError
from embedkit_export.recipes.surgery import Surgery
from embedkit_export.sources import surgery
from embedkit_export.sources.weights.cut_layers import cut_layers
from helpers import models
from helpers.checkpoints import (
    COMMON,
    IDS,
    MASK,
    NORMED,
    bert,
    family,
    hidden,
)


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("name", ["bert", "distilbert", "deberta", *NORMED])
def test_layers(name: str, layers: int) -> None:
    whole = family(name)
    with torch.no_grad():
        expected = whole(input_ids=IDS, attention_mask=MASK, output_hidden_states=True).hidden_states[layers]
    cut = family(name)
    record = cut_layers(cut, layers)
    torch.testing.assert_close(hidden(cut), expected, rtol=0, atol=0)
    assert cut.config.num_hidden_layers == layers
    assert len(getattr(cut.config, "layer_types", None) or [0] * layers) == layers
    assert record.startswith(f"layers: kept the first {layers} of 4 (")
    assert record.endswith(" taken out") == (name in NORMED)
    # The config says what the model is: another model made of it takes the weights.
    fresh = type(cut)(type(cut.config).from_dict(cut.config.to_dict()))
    assert all("norm" in key or "ln_f" in key for key in fresh.state_dict().keys() ^ cut.state_dict().keys())


@pytest.mark.parametrize(
    ("name", "norm"),
    [
        ("gpt2", "ln_f"),
        ("llama", "norm"),
        ("mistral", "norm"),
        ("gemma3", "norm"),
        ("opt", "decoder.final_layer_norm"),
        ("modernbert", "final_norm"),
        ("t5", "encoder.final_layer_norm"),
    ],
)
def test_layers_with_the_final_norm(name: str, norm: str) -> None:
    whole = family(name)
    with torch.no_grad():
        states = whole(input_ids=IDS, attention_mask=MASK, output_hidden_states=True).hidden_states
        expected = whole.get_submodule(norm)(states[2])
    cut = family(name)
    record = cut_layers(cut, 2, final_norm=True)
    torch.testing.assert_close(hidden(cut), expected, rtol=0, atol=0)
    assert not torch.allclose(expected, states[2], atol=1e-2)
    assert record.endswith(f", final norm {norm} kept")


def test_layers_of_a_folder(tmp_path: Path) -> None:
    folder = models.save("bert", tmp_path / "bert", layers=3)
    whole = transformers.AutoModel.from_pretrained(folder)
    model, records = surgery.apply(folder, Surgery(layers=2))
    with torch.no_grad():
        expected = whole(input_ids=IDS, attention_mask=MASK, output_hidden_states=True).hidden_states[2]
    torch.testing.assert_close(hidden(model), expected, rtol=0, atol=0)
    assert records[-1] == "layers: kept the first 2 of 3 (encoder.layer)"


def test_layers_that_cannot_be_cut() -> None:
    for layers in (0, 4, 5):
        with pytest.raises(ExportError, match=f"expected 1 to 3 of the model's 4 layers, found {layers}"):
            cut_layers(family("bert"), layers)
    t5 = transformers.T5Model(family("t5").config)
    with pytest.raises(ExportError, match=r"found encoder.block, decoder.block; build an encoder"):
        cut_layers(t5, 2)
    albert = transformers.AlbertModel(transformers.AlbertConfig(embedding_size=8, num_hidden_layers=3, **COMMON))
    with pytest.raises(ExportError, match="found none"):
        cut_layers(albert, 2)
    with pytest.raises(ExportError, match="no norm follows the last layer"):
        cut_layers(family("bert"), 2, final_norm=True)
    with pytest.raises(ExportError, match="the model's config counts no layers"):
        cut_layers(torch.nn.Linear(2, 2), 1)


def test_a_model_that_uses_all_its_layers_is_refused() -> None:
    """One that mixes the layers' outputs: its first layers alone do not give its hidden states."""

    class Mixed(transformers.BertModel):  # type: ignore[misc]
        def forward(self, **inputs: Any) -> Any:
            output = super().forward(**inputs)
            output.last_hidden_state = torch.stack(output.hidden_states).mean(0)
            return output

    with pytest.raises(ExportError, match=r"Mixed cut to 2 layers does not give hidden_states\[2\]"):
        cut_layers(bert(layers=4, kind=Mixed), 2)
