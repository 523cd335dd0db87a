"""Checkpoints that lack weights, have others, or have them in another shape: by whatever way and class they are read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.sentence_transformer.modules import LayerNorm, Pooling

from embedkit import ExportError
from embedkit_export import prepare
from embedkit_export.sources import load as source
from embedkit_export.sources.weights.completeness import complete, left_over
from helpers import models
from helpers.slow import but

QUERY = "encoder.layer.1.attention.self.query.weight"

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.save("bert", tmp_path_factory.mktemp("plain") / "bert", layers=2)


@pytest.fixture(scope="module")
def whole(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers folder with modules of its own behind the pooling."""
    folder = tmp_path_factory.mktemp("whole") / "st"
    reader = Transformer(str(plain))
    SentenceTransformer(modules=[reader, Pooling(64), Dense(64, 32), LayerNorm(32)]).save(str(folder))
    return folder


def edited(folder: Path, to: Path, edit: Callable[[State], Any], file: str = "model.safetensors") -> Path:
    """A copy of a folder with another state dict."""
    shutil.copytree(folder, to)
    state = load_file(to / file)
    edit(state)
    save_file(state, to / file, metadata={"format": "pt"})
    return to


def configured(folder: Path, **changes: Any) -> Path:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    return folder


EDITS: dict[str, tuple[Callable[[State], Any], str]] = {
    "missing": (lambda state: state.pop(QUERY), rf"lacks 1 weights of BertModel \(first: {QUERY}\), which would be random"),
    "a table": (
        lambda state: state.pop("embeddings.position_embeddings.weight"),
        r"lacks 1 weights of BertModel \(first: embeddings\.position_embeddings\.weight\)",
    ),
    "of another shape": (
        lambda state: state.update({QUERY: torch.ones(3, 5)}),
        rf"1 weights of another shape than BertModel has by its config.json: {QUERY} is \(3, 5\), not \(64, 64\)",
    ),
    "a layer more": (
        lambda state: state.update({QUERY.replace(".1.", ".2."): torch.ones(64, 64)}),
        r'no place for 1 weights of the checkpoint \(first: encoder\.layer\.2.*drop = \["encoder\.layer\.2\.attention\.self\.query"\]',
    ),
    "a projection": (
        lambda state: state.update({"projection.weight": torch.ones(8, 64)}),
        r'no place for 1 weights of the checkpoint \(first: projection\.weight\).*drop = \["projection"\]',
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["plain", "whole"])
@pytest.mark.parametrize("edit", EDITS)
def test_a_checkpoint_that_does_not_fit_ends_with_the_names(
    edit: str, kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    change, message = EDITS[edit]
    folder = edited(request.getfixturevalue(kind), tmp_path / "edited", change)
    with pytest.raises(ExportError, match=message):
        source.load(folder)


@pytest.mark.parametrize(
    ("file", "edit", "message"),
    [
        ("2_Dense", lambda state: state.pop("linear.bias"), r"Missing key.*linear\.bias"),
        ("2_Dense", lambda state: state.update({"linear.weight": torch.ones(3, 3)}), r"size mismatch for linear\.weight"),
        ("2_Dense", lambda state: state.update({"residual.weight": torch.ones(3, 3)}), r"Unexpected key.*residual\.weight"),
        ("3_LayerNorm", lambda state: state.pop("norm.weight"), r"Missing key.*norm\.weight"),
    ],
)  # fmt: skip
def test_the_same_of_the_other_modules(
    file: str, edit: Callable[[State], Any], message: str, whole: Path, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match=message) as caught:
        source.load(edited(whole, tmp_path / "edited", edit, f"{file}/model.safetensors"))
    assert "\n" not in str(caught.value)


HEADS = ["bert ForMaskedLM", "bert ForPreTraining", "bert ForQuestionAnswering", "distilbert ForMaskedLM", "roberta ForMaskedLM",
         "roberta ForTokenClassification", "mpnet ForMaskedLM", "albert ForPreTraining", "electra ForPreTraining",
         "deberta-v2 ForSequenceClassification", "modernbert ForMaskedLM", "t5 ForConditionalGeneration", "gpt2 LMHeadModel",
         "qwen3 ForCausalLM", "opt ForCausalLM", "qwen2-moe ForCausalLM"]  # fmt: skip


@pytest.mark.parametrize("case", but(HEADS[:2] + HEADS[6:7] + HEADS[-4:-2], HEADS))
def test_a_head_that_is_left_out_is_no_fault(case: str, tmp_path: Path) -> None:
    """Nor are a pooler and positions of older checkpoints; also where the configuration does not name the class."""
    family, head = case.split()
    folder = models.save(
        family, tmp_path / "head", head=head, **({"is_decoder": True} if head == "ForCausalLM" else {})
    )
    expected = source.load(folder).backbone
    old = edited(
        configured(folder, architectures=None),
        tmp_path / "old",
        lambda state: state.update(
            {
                "pooler.dense.weight": torch.ones(64, 64),
                "embeddings.position_ids": torch.arange(64)[None],
                "h.0.attn.masked_bias": torch.tensor(-1e4),
            }
        ),
    )
    found = source.load(old).backbone
    ids = torch.tensor([[5, 9, 11, 6]])
    with torch.no_grad():
        assert torch.equal(found(input_ids=ids)[0], expected(input_ids=ids)[0])


def test_an_old_decoder_has_causal_masks_in_its_checkpoint() -> None:
    model = models.make("gpt2")[0]
    keys = ["h.0.attn.bias", "h.1.attn.masked_bias", "h.1.attn.c_attn.wrong"]
    assert left_over(model, keys) == ["h.1.attn.c_attn.wrong"]


@pytest.mark.parametrize("kind", ["reranker", "classifier"])
def test_a_head_that_is_asked_for_and_not_there(kind: str, plain: Path, whole: Path) -> None:
    for folder in (plain, whole)[: 1 + (kind == "reranker")]:
        with pytest.raises(
            ExportError, match=r"lacks 2 weights of BertForSequenceClassification \(first: classifier\.bias"
        ):
            prepare(folder, kind=kind)


def test_a_pooler_that_a_head_reads_is_missed(tmp_path: Path) -> None:
    folder = models.save("bert", tmp_path / "classes", head="ForSequenceClassification")
    lacking = edited(
        folder,
        tmp_path / "lacking",
        lambda state: [state.pop(f"bert.pooler.dense.{name}") for name in ("weight", "bias")],
    )
    with pytest.raises(ExportError, match=r"lacks 2 weights of BertForSequenceClassification \(first: bert\.pooler"):
        prepare(lacking, kind="classifier")


def test_a_module_that_would_be_made_at_random(plain: Path, whole: Path) -> None:
    for folder in (plain, whole):
        with pytest.raises(
            ExportError, match="has no SparseAutoEncoder, and sentence-transformers would make one at random"
        ):
            prepare(folder, kind="sparse")


def test_weights_may_be_left_out_knowingly(whole: Path, tmp_path: Path) -> None:
    from embedkit_export import Recipe, Surgery

    odd = edited(whole, tmp_path / "odd", EDITS["a projection"][0])
    found = prepare(odd, recipe=Recipe(surgery=Surgery(drop=["projection"])))
    assert "drop 'projection': 1 weights" in found.plan.records


def test_tied_weights_may_be_stored_once(tmp_path: Path) -> None:
    folder = models.save("bert", tmp_path / "mlm", head="ForMaskedLM")
    assert "cls.predictions.decoder.weight" not in load_file(folder / "model.safetensors")
    model, notes = complete(lambda: transformers.BertForMaskedLM.from_pretrained(folder), "here")
    assert model.cls.predictions.decoder.weight is model.bert.embeddings.word_embeddings.weight
    assert notes == []


def test_the_class_is_told_where_a_model_brings_code(plain: Path, tmp_path: Path) -> None:
    folder = tmp_path / "code"
    shutil.copytree(plain, folder)
    configured(
        folder,
        auto_map={"AutoModel": "modeling_own.OwnModel", "AutoModelForMaskedLM": "elsewhere--modeling_own.OwnWords"},
    )
    (folder / "modeling_own.py").write_text(
        "from transformers import BertConfig, BertModel\n\n\nclass OwnModel(BertModel):\n    config_class = BertConfig\n"
    )
    text = prepare(folder).text()
    assert "BertModel of transformers was taken in the place of the model's own class" in text
    assert "config.json names modeling_own.OwnModel, modeling_own.OwnWords (auto_map)" in text
    assert "--trust-remote-code" in text
    run = prepare(folder, trust_remote_code=True).text()
    assert "OwnModel was taken, a class of the model's own code (modeling_own.py)" in run
    lacking = edited(folder, tmp_path / "lacking", lambda state: state.pop(QUERY))
    with pytest.raises(ExportError, match=r"lacks 1 weights of BertModel.*modeling_own\.OwnModel.*--trust-remote-code"):
        prepare(lacking)


def test_transformers_is_as_it_was(plain: Path) -> None:
    before = transformers.PreTrainedModel.__dict__["from_pretrained"]
    source.load(plain)
    with pytest.raises(RuntimeError, match="stop"):
        complete(lambda: (_ for _ in ()).throw(RuntimeError("stop")), "here")
    assert transformers.PreTrainedModel.__dict__["from_pretrained"] is before
