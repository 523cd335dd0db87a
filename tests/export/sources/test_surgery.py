"""Surgery on checkpoints of the real transformers classes; the references are those classes, peft, and numpy."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file

from embedkit import ExportError
from embedkit.errors import MissingExtraError
from embedkit_export.recipes.surgery import Average, Surgery
from embedkit_export.sources import adapters, surgery
from helpers.checkpoints import (
    Bomb,
    adapter,
    bert,
    checkpoint,
    family,
    hidden,
    numbered,
    plain,
    reference_slerp,
    same,
    under,
)


def test_code_in_an_adapter_is_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    folder, _ = adapter(tmp_path / "adapter", bert())
    (folder / "adapter_model.safetensors").unlink()
    torch.save({"a": Bomb(trace)}, folder / "adapter_model.bin")
    with pytest.raises(ExportError, match="peft cannot merge"):
        adapters.merge(bert(), folder)
    assert not trace.exists()


# Models


def test_two_towers(tmp_path: Path) -> None:
    question, context = bert(1), bert(2)
    both = under("question_encoder.", question.state_dict()) | under("ctx_encoder.", context.state_dict())
    folder = checkpoint(tmp_path / "dpr", question.config)
    torch.save({"model_dict": both, "epoch": 2}, folder / "biencoder.pt")
    for prefix, tower in (("question_encoder.", question), ("ctx_encoder", context)):
        model, records = surgery.apply(folder, Surgery(checkpoint="biencoder.pt", select=prefix))
        torch.testing.assert_close(hidden(model), hidden(tower), rtol=0, atol=0)
        assert records == [f"select {prefix!r}: kept {len(both) // 2} of {len(both)} weights"]
        assert not model.training
    with pytest.raises(
        ExportError, match='not in the checkpoint.*try select = "ctx_encoder" or select = "question_encoder"'
    ):
        surgery.apply(folder, Surgery(drop=["ctx_encoder.pooler"]))


def test_wrong_prefix(tmp_path: Path) -> None:
    model = bert()
    folder = checkpoint(tmp_path, model.config, under("encoder_q.", model.state_dict()))
    with pytest.raises(ExportError, match=r"select 'encoder\.q'.*has encoder_q.embeddings, encoder_q.encoder"):
        surgery.apply(folder, Surgery(select="encoder.q"))


def test_contriever(tmp_path: Path) -> None:
    model = bert()
    state = under("encoder_q.", model.state_dict()) | under("encoder_k.", bert(9).state_dict())
    folder = checkpoint(tmp_path, model.config, {**state, "queue": torch.ones(4, 4)}, "pytorch_model.bin")
    found, records = surgery.apply(folder, Surgery(strip=["encoder_q"], drop=["encoder_k"]))
    torch.testing.assert_close(hidden(found), hidden(model), rtol=0, atol=0)
    assert records[0].startswith("strip 'encoder_q': ")
    assert records[-1] == "load: left over, not in the model: queue"


@pytest.mark.parametrize("prefix", ["", "bert."])
def test_simcse(tmp_path: Path, prefix: str) -> None:
    """``mlp.dense`` beside the model, which SimCSE trains, is the pooler."""
    model = bert()
    state = {
        ("mlp" + key.removeprefix("pooler") if key.startswith("pooler") else prefix + key): tensor
        for key, tensor in model.state_dict().items()
    }
    folder = checkpoint(tmp_path, model.config, {**state, "mlp2.dense.weight": torch.zeros(2)})
    found, records = surgery.apply(folder, Surgery(rename={"mlp": "pooler"}))
    same(found.state_dict(), model.state_dict())
    assert records[0] == "rename 'mlp' to 'pooler' in 2 weights"
    assert records[-1].endswith("mlp2.dense.weight")
    missing, records = surgery.apply(folder, Surgery(drop=["mlp"]))
    assert "made at random, not to be used: pooler.dense.weight, pooler.dense.bias" in records[-1]
    torch.testing.assert_close(hidden(missing), hidden(model), rtol=0, atol=0)
    torch.manual_seed(71)
    again, _ = surgery.apply(folder, Surgery(drop=["mlp"]))
    drawn = torch.rand(3)
    torch.manual_seed(71)
    assert torch.equal(drawn, torch.rand(3)), "the random numbers of the caller were used up"
    same(again.state_dict(), missing.state_dict())


def test_base_prefix_and_heads(tmp_path: Path) -> None:
    """A model with a head, loaded without it, and a bare model, loaded below a head's prefix."""
    headed = bert(kind=transformers.BertForMaskedLM)
    headed.save_pretrained(tmp_path / "headed")
    found, records = surgery.apply(tmp_path / "headed", Surgery(drop=["cls"]))
    torch.testing.assert_close(hidden(found), hidden(headed.bert), rtol=0, atol=0)
    assert any("base prefix 'bert.'" in record for record in records)
    found, records = surgery.apply(tmp_path / "headed", Surgery(strip=["bert"]))
    assert any("left over, not in the model: cls.predictions.bias, " in record for record in records)

    bare = bert(kind=transformers.BertModel)
    bare.save_pretrained(tmp_path / "bare")
    kind = transformers.BertForSequenceClassification
    with pytest.raises(ExportError, match="2 weights of the model are not in the checkpoint: classifier"):
        surgery.apply(tmp_path / "bare", Surgery(), build=kind)
    state = {**bare.state_dict(), "head.weight": torch.ones(2, 32), "head.bias": torch.ones(2)}
    checkpoint(tmp_path / "bare", bare.config, state)
    found, _ = surgery.apply(tmp_path / "bare", Surgery(rename={"head": "classifier"}), build=kind)
    torch.testing.assert_close(hidden(found.bert), hidden(bare), rtol=0, atol=0)
    assert torch.equal(found.classifier.weight, torch.ones(2, 32))


def test_old_names_and_tied_weights(tmp_path: Path) -> None:
    model = bert()
    old = {
        "bert." + key.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for key, tensor in model.state_dict().items()
    }
    old["bert.embeddings.position_ids"] = torch.arange(32)[None]
    found, records = surgery.apply(checkpoint(tmp_path / "old", model.config, old), Surgery())
    same(found.state_dict(), model.state_dict())
    assert records[-1].endswith("bert.embeddings.position_ids")

    t5 = family("t5")
    t5.save_pretrained(tmp_path / "t5")
    assert len(load_file(tmp_path / "t5" / "model.safetensors")) < len(t5.state_dict())
    found, _ = surgery.apply(tmp_path / "t5", Surgery(), build=transformers.T5EncoderModel)
    torch.testing.assert_close(hidden(found), hidden(t5), rtol=0, atol=0)
    two = {**t5.state_dict(), "shared.weight": torch.zeros_like(t5.shared.weight)}
    checkpoint(tmp_path / "t5", t5.config, two)
    with pytest.raises(ExportError, match="ties encoder.embed_tokens.weight and shared.weight"):
        surgery.apply(tmp_path / "t5", Surgery(), build=transformers.T5EncoderModel)


def test_own_names_come_first() -> None:
    """A model that has a ``gamma`` of its own keeps it."""

    class Scaled(torch.nn.Module):
        base_model_prefix = "inner"

        def __init__(self) -> None:
            super().__init__()
            self.gamma = torch.nn.Parameter(torch.zeros(()))
            self.weight = torch.nn.Parameter(torch.zeros(()))

    state = numbered("inner.gamma", "inner.weight", "outer.gamma")
    fitted, records = surgery.fit(Scaled(), state)
    assert plain(fitted) == {"gamma": 0, "weight": 1}
    assert records[-1] == "load: left over, not in the model: outer.gamma"


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    model = bert()
    state = model.state_dict()
    folder = checkpoint(tmp_path, model.config, {**state, "bert.pooler.dense.bias": torch.ones(32)})
    with pytest.raises(ExportError, match=r"are both pooler.dense.bias of the model"):
        surgery.apply(folder, Surgery())
    checkpoint(tmp_path, model.config, {**state, "pooler.dense.bias": torch.ones(31)})
    with pytest.raises(ExportError, match=r"pooler.dense.bias: expected \(32,\), found \(31,\)"):
        surgery.apply(folder, Surgery())
    checkpoint(tmp_path, model.config, under("student.", state))
    with pytest.raises(ExportError, match="surgery: 39 weights of the model.* and 34 more.*; use|try"):
        surgery.apply(folder, Surgery())
    with pytest.raises(ExportError, match="expected a folder with config.json"):
        surgery.apply(tmp_path / "none", Surgery())


def test_slerp_and_average_of_folders(tmp_path: Path) -> None:
    """The second is stored with its head and another prefix, as a training run leaves it."""
    first, second = bert(1), bert(2, kind=transformers.BertForSequenceClassification)
    first.save_pretrained(tmp_path / "first")
    checkpoint(tmp_path / "second", second.config, under("module.", second.state_dict()))
    asked = msgspec.convert({"strip": ["module"], "slerp": {"with": "second", "t": 0.25}}, Surgery)
    with pytest.raises(ExportError, match="strip 'module'"):
        surgery.apply(tmp_path / "first", asked, root=tmp_path)
    checkpoint(tmp_path / "first", first.config, under("module.", first.state_dict()))
    model, records = surgery.apply(tmp_path / "first", asked, root=tmp_path)
    bases = second.bert.state_dict()
    for key, tensor in first.state_dict().items():
        expected = reference_slerp(tensor.double().numpy(), bases[key].double().numpy(), 0.25)
        np.testing.assert_allclose(model.state_dict()[key].numpy(), expected, rtol=1e-5, atol=1e-7)
    assert records[-2].startswith("second: load: left over, not in the model: ")
    assert records[-1] == "slerp of 2 checkpoints, t = 0.25: 39 weights, 0 of them linearly, with second"

    third = bert(3)
    third.save_pretrained(tmp_path / "third")
    asked = Surgery(strip=["module"], average=Average(others=["second", "third"], weights=[2, 1, 1]))
    model, records = surgery.apply(tmp_path / "first", asked, root=tmp_path)
    for key, tensor in first.state_dict().items():
        expected = (2 * tensor + bases[key] + third.state_dict()[key]) / 4
        torch.testing.assert_close(model.state_dict()[key], expected)
    assert records[-1] == "average of 3 checkpoints, 0.5 : 0.25 : 0.25, with second, third"


def test_checkpoints_in_half_precision(tmp_path: Path) -> None:
    model = bert().half()
    model.save_pretrained(tmp_path)
    found, _ = surgery.apply(tmp_path, Surgery())
    same(found.state_dict(), model.float().state_dict())
    found, _ = surgery.apply(tmp_path, Surgery(), build=lambda config: transformers.BertModel(config).half())
    same(found.state_dict(), model.state_dict())


# Adapters


def test_lora(tmp_path: Path) -> None:
    bert(1).save_pretrained(tmp_path / "base")
    _, tuned = adapter(tmp_path / "first", bert(1), seed=2)
    expected = hidden(tuned)
    model, records = surgery.apply(tmp_path / "base", Surgery(lora=["first"]), root=tmp_path)
    assert not torch.allclose(expected, hidden(bert(1)), atol=1e-2)
    torch.testing.assert_close(hidden(model), expected, rtol=1e-5, atol=1e-5)
    assert type(model) is transformers.BertModel
    assert not any("lora" in key for key in model.state_dict())
    assert records == ["lora first: merged 16 weights, LORA, r = 4"]

    _, tuned = adapter(tmp_path / "second", tuned.merge_and_unload(), seed=3, target_modules=["key"], use_rslora=True)
    expected = hidden(tuned)
    model, records = surgery.apply(tmp_path / "base", Surgery(lora=["first", "second"]), root=tmp_path)
    torch.testing.assert_close(hidden(model), expected, rtol=1e-5, atol=1e-5)
    assert len(records) == 2


def test_lora_of_a_headed_decoder(tmp_path: Path) -> None:
    """Trained on the language model, merged into the model without its head."""
    base = family("llama")
    language = transformers.LlamaForCausalLM(base.config)
    language.model.load_state_dict(base.state_dict())
    folder, tuned = adapter(tmp_path, language.eval(), task="CAUSAL_LM", target_modules=["q_proj", "down_proj"])
    expected = hidden(tuned.base_model.model.model)
    model, _ = adapters.merge(base, folder)
    torch.testing.assert_close(hidden(model), expected, rtol=1e-5, atol=1e-5)


def test_adapters_that_do_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _ = adapter(tmp_path / "deep", bert(layers=3))
    with pytest.raises(ExportError, match="lora deep: made for another model.*layer.2"):
        adapters.merge(bert(), folder)
    folder, _ = adapter(tmp_path / "shallow", bert(layers=1))
    with pytest.raises(ExportError, match="lora shallow: made for another model.*layer.1"):
        adapters.merge(bert(), folder)
    with pytest.raises(ExportError, match="lora shallow: peft cannot merge"):
        adapters.merge(family("llama"), folder)
    with pytest.raises(ExportError, match="expected a folder with adapter_config.json"):
        adapters.merge(bert(), "someone/adapter")
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtraError, match=r"'peft'.*pip install 'embedkit-onnx\[export\]'"):
        adapters.merge(bert(), folder)
