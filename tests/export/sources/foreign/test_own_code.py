"""Models with code of their own: buffers that are in no checkpoint, and parts of transformers that are gone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import sentence_transformers as st
import torch

from embedkit.errors import ExportError
from embedkit_export.sources.foreign.own_code import gone, restore_buffers
from embedkit_export.sources.load import load
from embedkit_export.sources.source import Loading
from helpers import models

CODE = """
import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput
IMPORT


class OwnConfig(PretrainedConfig):
    model_type = "own-KEY"

    def __init__(self, vocab_size=100, hidden_size=16, length=64, **options):
        super().__init__(**options)
        self.vocab_size, self.hidden_size, self.length = vocab_size, hidden_size, length


class OwnEmbeddings(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.words = nn.Embedding(config.vocab_size, config.hidden_size)
        self.places = nn.Embedding(config.length, config.hidden_size)
        self.register_buffer("position_ids", torch.arange(config.length)[None], persistent=False)
        self.register_buffer("scale", torch.full((1,), 0.5), persistent=False)
        self.register_buffer("kept", torch.ones(1))

    def forward(self, ids):
        return self.words(ids) * self.scale + self.places(self.position_ids[:, : ids.shape[1]]) * self.kept


class OwnModel(PreTrainedModel):
    config_class = OwnConfig
    base_model_prefix = "model"

    def __init__(self, config):
        super().__init__(config)
        self.embeddings = OwnEmbeddings(config)
        self.post_init()

    def _init_weights(self, module):
        pass

    def get_input_embeddings(self):
        return self.embeddings.words

    def forward(self, input_ids=None, attention_mask=None, **options):
        return BaseModelOutput(last_hidden_state=torch.tanh(self.embeddings(input_ids)))
"""


def own(folder: Path, extra: str = "") -> Path:
    """A folder whose model is made by a file in it."""
    folder.mkdir()
    tokenizer = models.make_tokenizer("word")
    key = folder.parent.name.replace("_", "-")
    (folder / "modeling.py").write_text(CODE.replace("IMPORT", extra).replace("KEY", key))
    auto = {"AutoConfig": "modeling.OwnConfig", "AutoModel": "modeling.OwnModel"}
    config = {"model_type": f"own-{key}", "architectures": ["OwnModel"], "auto_map": auto, "vocab_size": len(tokenizer)}
    (folder / "config.json").write_text(json.dumps(config))
    tokenizer.save_pretrained(folder)
    generator = torch.Generator().manual_seed(0)
    state = {
        "embeddings.words.weight": torch.randn(len(tokenizer), 16, generator=generator),
        "embeddings.places.weight": torch.randn(64, 16, generator=generator),
        "embeddings.kept": torch.full((1,), 3.0),
    }
    torch.save(state, folder / "pytorch_model.bin")
    return folder


def expected(folder: Path, ids: list[int]) -> np.ndarray:
    state = torch.load(folder / "pytorch_model.bin")
    words, places = state["embeddings.words.weight"], state["embeddings.places.weight"]
    return torch.tanh(words[torch.tensor(ids)] * 0.5 + places[: len(ids)] * 3.0).numpy()


@pytest.mark.parametrize("plain", [True, False])
def test_buffers_that_are_in_no_checkpoint(plain: bool, tmp_path: Path) -> None:
    folder = own(tmp_path / "model")
    if not plain:
        kinds = [
            ("base.modules.transformer", "Transformer", ""),
            ("sentence_transformer.modules.pooling", "Pooling", "1_Pooling"),
        ]
        modules = [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.{home}.{kind}"}
            for i, (home, kind, path) in enumerate(kinds)
        ]
        (folder / "modules.json").write_text(json.dumps(modules))
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text('{"embedding_dimension": 16, "pooling_mode": "mean"}')
    source = load(folder, Loading(trust_remote_code=True))
    assert any("2 buffers of OwnModel" in record for record in source.records)
    ids = [5, 9, 9, 30]
    with torch.no_grad():
        found = source.backbone(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy()
    assert np.abs(found - expected(folder, ids)).max() < 1e-6
    state = source.backbone.state_dict()
    source.backbone.embeddings.position_ids.fill_(0)  # neg: what was left unset shows
    assert restore_buffers(source.backbone)
    assert torch.equal(state["embeddings.kept"], torch.full((1,), 3.0))
    assert source.backbone.embeddings.position_ids[0, :4].tolist() == [0, 1, 2, 3]


def test_stock_models_stay_as_they_are(tmp_path: Path) -> None:
    model = st.SentenceTransformer(str(models.save("bert", tmp_path / "bert")), device="cpu")
    assert restore_buffers(model) == []


def test_parts_of_transformers_that_are_gone(tmp_path: Path) -> None:
    folder = own(tmp_path / "model", "from transformers.modeling_attn_mask_utils import _prepare_4d_attention_mask")
    with pytest.raises(
        ExportError, match="needs transformers.modeling_attn_mask_utils, which transformers .* no longer has"
    ) as caught:
        load(folder, Loading(trust_remote_code=True))
    assert "transformers_version" in str(caught.value)


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (
            ImportError("cannot import name 'find_pruneable_heads' from 'transformers.pytorch_utils' (x.py)"),
            "find_pruneable_heads",
        ),
        (AttributeError("'NomicBertModel' object has no attribute 'get_head_mask'"), "get_head_mask"),
        (AttributeError("'X' object has no attribute 'all_tied_weights_keys'"), "all_tied_weights_keys"),
        (ValueError("something else"), ""),
        (ImportError("No module named 'einops'"), ""),
    ],
)
def test_what_is_gone_is_named(error: Exception, named: str) -> None:
    assert named in gone(error) if named else gone(error) == ""
