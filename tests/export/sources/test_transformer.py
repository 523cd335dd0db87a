"""The class that reads a transformers folder, and the part of it that gives token vectors."""

from __future__ import annotations

from pathlib import Path

import pytest
import transformers as tf

from embedkit import ExportError
from embedkit_export.sources.source import Loading
from embedkit_export.sources.transformer import backbone_of, load_model, model_class
from helpers import models


def test_the_class_of_a_configuration() -> None:
    assert model_class(tf.BertConfig()) is tf.AutoModel
    assert model_class(tf.T5Config()).__name__ == "T5EncoderModel"
    assert model_class(tf.CLIPConfig(architectures=["CLIPTextModelWithProjection"])) is tf.CLIPTextModelWithProjection
    assert model_class(tf.BertConfig(), "BertForMaskedLM") is tf.BertForMaskedLM
    with pytest.raises(ExportError, match="transformers has no class 'Nothing'"):
        model_class(tf.BertConfig(), "Nothing")


def test_a_folder_is_loaded_whole(tmp_path: Path) -> None:
    folder = models.save("bert", tmp_path / "bert")
    model, records, notes = load_model(folder, Loading())
    assert type(model).__name__ == "BertModel"
    assert not model.training
    assert (records, notes) == ([], [])


def test_heads_and_halves_are_left_out() -> None:
    small = {
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 8,
        "vocab_size": 9,
    }
    whole = tf.BertForMaskedLM(tf.BertConfig(**small))
    assert backbone_of(whole) == (whole.bert, [])
    t5 = tf.T5Model(tf.T5Config(d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2, vocab_size=9))
    assert backbone_of(t5)[0] is t5.encoder
