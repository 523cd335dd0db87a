"""Published encoders that differ in what they pool: layers, places, padding, a pooler."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, RobertaModel

import embedkit_export
from embedkit import Encoder, ExportError, InputError
from embedkit_export import Pooling, Recipe, Role
from embedkit_export.cli import app
from helpers import models, systems
from helpers.systems import TEXTS, agree, apart


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Models of this size are faster so."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad():
        yield
    torch.set_num_threads(threads)


def states(folder: Path, texts: list[str], **options: Any) -> tuple[Any, torch.Tensor]:
    """All hidden states of a padded batch, and its mask."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    options = {"padding": True, "truncation": True, "max_length": 64, "return_tensors": "pt", **options}
    batch = tokenizer(texts, **options)
    out = model(
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], output_hidden_states=True
    ).hidden_states
    return out, batch["attention_mask"]


@pytest.mark.slow
class TestDSE:
    """DSE: the last four layers side by side, their mean without the first token, 128 tokens; by the command line."""

    RECIPE = """
    max_tokens = 128
    [pooling]
    mode = "mean"
    layers = [-4, -3, -2, -1]
    without = ["first"]
    """

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("dse")
        (folder / "recipe.toml").write_text(cls.RECIPE)
        return models.save("bert", folder / "bert", layers=5, max_position_embeddings=160)

    def test_parity(self, folder: Path) -> None:
        command = [sys.executable, "-m", "embedkit_export.cli", str(folder), "--recipe", "recipe.toml"]
        options = ["--output", "bundle", "--variants", "fp32", "--no-timing", "--json", "--quiet"]
        options += ["--sample", str(systems.sample(folder.parent))]
        done = subprocess.run([*command, *options], cwd=folder.parent, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "fp32" in json.loads(done.stdout)["operators"]
        encoder = systems.load(folder.parent / "bundle")
        texts = [*TEXTS, " ".join(systems.WORDS * 2)]
        hidden, mask = states(folder, texts, max_length=128)
        assert mask.shape[1] == 128
        kept = mask.clone()
        kept[:, 0] = 0
        wanted = systems.mean(torch.cat(hidden[-4:], dim=-1), kept)
        found = agree(encoder, texts, wanted)
        assert found.shape[1] == 4 * 64
        assert apart(found, systems.mean(torch.cat(hidden[-4:], dim=-1), mask)) > 1e-2

    def test_dry_run(self, folder: Path) -> None:
        before = sorted(folder.parent.iterdir())
        done = CliRunner().invoke(app, [str(folder), "--recipe", str(folder.parent / "recipe.toml"), "--dry-run"])
        assert done.exit_code == 0, done.output
        assert "pooling mean of layers -4, -3, -2, -1 (concat)" in done.output
        assert "dense: dense, 256 dimensions, not normalised" in done.output
        assert "default: '{text}', at most 128 tokens, smart cut of all, without first" in done.output
        assert sorted(folder.parent.iterdir()) == before, "nothing is written"


class TestSTAR:
    """STAR: the pooler that its card names, and the masked mean with a linear layer of its training code."""

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return models.save("roberta", tmp_path_factory.mktemp("star") / "roberta", layers=1)

    def test_both(self, folder: Path, tmp_path: Path) -> None:
        torch.manual_seed(5)
        linear = nn.Linear(64, 64)
        training = Role(pooling="mean", stages=[linear])
        encoder = systems.export(folder, Recipe(pooling="pooler", roles={"training": training}), tmp_path)
        model, tokenizer = RobertaModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
        batch = tokenizer(TEXTS, padding=True, truncation=True, max_length=64, return_tensors="pt")
        out = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
        pooler = agree(encoder, TEXTS, out.pooler_output)
        wanted = linear(systems.mean(out.last_hidden_state, batch["attention_mask"]))
        assert apart(pooler, agree(encoder, TEXTS, wanted, role="training")) > 0.1


@pytest.mark.slow
class TestSimCSE:
    """SimCSE and its kin (MultiCSR, DebCSE, WhitenedCSE): the trained head over the first token, and that token raw."""

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """As its training saves it, with what only the training needs."""
        folder = models.save("bert", tmp_path_factory.mktemp("simcse") / "bert", layers=1)
        state = load_file(folder / "model.safetensors")
        renamed = {
            (f"mlp.{key.removeprefix('pooler.')}" if key.startswith("pooler.") else f"bert.{key}"): value.clone()
            for key, value in state.items()
        }
        assert sum(key.startswith("mlp.dense.") for key in renamed) == 2
        torch.manual_seed(6)
        heads = {"whiten.running_mean": torch.randn(64), "lm_head.decoder.weight": torch.randn(9, 64)}
        save_file({**renamed, **heads}, folder / "model.safetensors")
        return folder

    @pytest.fixture(scope="class")
    @classmethod
    def encoder(cls, folder: Path) -> Encoder:
        recipe = """
        pooling = "pooler"
        [surgery]
        drop = ["whiten", "lm_head"]
        strip = ["bert"]
        rename = { mlp = "pooler" }
        [roles.raw]
        pooling = "first"
        """
        return systems.export(folder, recipe, folder.parent)

    def test_both_from_one_checkpoint(self, folder: Path, encoder: Encoder) -> None:
        state = load_file(folder / "model.safetensors")
        model = BertModel(BertConfig.from_pretrained(folder)).eval()
        own = {key.removeprefix("bert."): value for key, value in state.items() if key.startswith("bert.")}
        assert not [k for k in model.load_state_dict(own, strict=False).missing_keys if not k.startswith("pooler")]
        dense = nn.Linear(64, 64)
        dense.load_state_dict({key: state[f"mlp.dense.{key}"] for key in ("weight", "bias")})
        tokenizer = AutoTokenizer.from_pretrained(folder)
        batch = tokenizer(TEXTS, padding=True, truncation=True, max_length=64, return_tensors="pt")
        out = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
        first = out.last_hidden_state[:, 0]
        cls = agree(encoder, TEXTS, torch.tanh(dense(first)))
        raw = agree(encoder, TEXTS, first, role="raw")
        assert apart(cls, raw) > 0.1
        assert encoder.metric == "cosine"

    def test_one_text_by_itself(self, encoder: Encoder) -> None:
        vector = encoder.encode(["a single text"])
        assert vector.shape == (1, 64)
        assert np.isfinite(vector).all()

    def test_no_whitening_node(self, folder: Path, encoder: Encoder) -> None:
        lost = load_file(folder / "model.safetensors")["whiten.running_mean"].numpy()
        for file in encoder.bundle.folder.glob("*.onnx"):
            graph = onnx.load(file).graph
            operators = {node.op_type for node in graph.node}
            assert not operators & {"BatchNormalization", "InstanceNormalization", "GroupNormalization", "ReduceMean"}
            for weight in graph.initializer:
                assert not np.isin(lost, onnx.numpy_helper.to_array(weight)).any(), weight.name


class Centre(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(dim=0, keepdim=True)


class CentredMean(nn.Module):
    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        vectors = systems.mean(hidden, mask)
        return vectors - vectors.mean(dim=0, keepdim=True)


class TestBatchStatistics:
    """A vector must not depend on its neighbours, so whitening by the batch is refused and says why."""

    @pytest.mark.parametrize("kind", ["group_whitening", "whitening", "batch_norm", "zca"])
    @pytest.mark.slow
    def test_of_a_recipe(self, kind: str, tmp_path: Path) -> None:
        (tmp_path / "recipe.toml").write_text(f"stages = [{{ kind = '{kind}' }}]")
        with pytest.raises(ExportError, match=f"'{kind}' uses statistics of the batch, .* neighbours; fit it offline"):
            embedkit_export.prepare(models.make("bert", layers=1), recipe=tmp_path / "recipe.toml")

    @pytest.mark.parametrize(
        ("recipe", "found"),
        [
            (Recipe(stages=[nn.BatchNorm1d(2, track_running_stats=False)]), "BatchNorm1d"),
            (Recipe(stages=[nn.Linear(64, 32), nn.Sequential(Centre())]), "stage 2: Sequential"),
            (Recipe(token_stages=[Centre()]), "Centre"),
            (Recipe(pooling=CentredMean()), "CentredMean"),
        ],
    )
    def test_of_a_module(self, recipe: Recipe, found: str) -> None:
        with pytest.raises(ExportError, match=f"{found}.* uses statistics of the batch"):
            embedkit_export.prepare(models.make("bert", layers=1), recipe=recipe)


class TestMirrorBERT:
    """Mirror-BERT: the first token for words; for sentences the mean of all 50 places, padding too."""

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return models.save("bert", tmp_path_factory.mktemp("mirror") / "bert", layers=1)

    @pytest.fixture(scope="class")
    @classmethod
    def encoder(cls, folder: Path) -> Encoder:
        recipe = """
        pooling = "first"
        [roles.sentence]
        pad = 50
        pooling = { mode = "mean", padding = true }
        """
        return systems.export(folder, recipe, folder.parent)

    @pytest.mark.slow
    def test_words(self, folder: Path, encoder: Encoder) -> None:
        hidden, _ = states(folder, TEXTS)
        agree(encoder, TEXTS, hidden[-1][:, 0])

    def test_sentences_at_the_fixed_length(self, folder: Path, encoder: Encoder) -> None:
        hidden, mask = states(folder, TEXTS, padding="max_length", max_length=50)
        assert mask.shape[1] == 50
        found = agree(encoder, TEXTS, hidden[-1].mean(1), role="sentence")
        assert apart(found, systems.mean(hidden[-1], mask)) > 1e-2
        hidden, _ = states(folder, TEXTS, padding="max_length", max_length=40)
        assert apart(found, hidden[-1].mean(1)) > 1e-2, "another length gives other vectors"

    def test_padding_needs_a_length(self, folder: Path) -> None:
        padded = Pooling(mode="mean", padding=True)
        one_role_has_one = {"sentence": Role(pad=50)}
        for recipe in (Recipe(pooling=padded), Recipe(pooling=padded, roles=one_role_has_one)):
            with pytest.raises(ExportError, match=re.escape("give a fixed length (pad = N)")):
                embedkit_export.prepare(folder, recipe=recipe)

    @pytest.mark.slow
    def test_two_lengths(self, folder: Path, tmp_path: Path) -> None:
        """Roles may share weights and pooling, and differ in their length."""
        recipe = Recipe(pooling=Pooling(mode="mean", padding=True), pad=20, roles={"long": Role(pad=30)})
        encoder = systems.export(folder, recipe, tmp_path)
        for role, length in (("default", 20), ("long", 30)):
            hidden, _ = states(folder, TEXTS, padding="max_length", max_length=length)
            agree(encoder, TEXTS, hidden[-1].mean(1), role=role)


@pytest.mark.slow
class TestBabelBERT:
    """BabelBERT: one word, the mean of its own pieces in the layer of choice."""

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return models.save("xlm-roberta", tmp_path_factory.mktemp("babel") / "xlmr", layers=2)

    @pytest.fixture(scope="class")
    @classmethod
    def encoder(cls, folder: Path) -> Encoder:
        roles = {f"layer {k}": Role(pooling=Pooling(layers=[k], without=["special"])) for k in (0, 1)}
        return systems.export(folder, Recipe(pooling=Pooling(without=["special"]), roles=roles), folder.parent)

    @pytest.mark.parametrize(("role", "layer"), [("default", 2), ("layer 0", 0), ("layer 1", 1)])
    def test_each_layer(self, folder: Path, encoder: Encoder, role: str, layer: int) -> None:
        words = [*dict.fromkeys(systems.WORDS[:40]), "x", "incomprehensibility", "Straße", "東京"]
        tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
        rows = []
        for word in words:
            batch = tokenizer(word, return_tensors="pt")
            rows.append(model(**batch, output_hidden_states=True).hidden_states[layer][0, 1:-1].mean(0))
        assert len({len(tokenizer(word).input_ids) for word in words}) > 3, "words of one and of several pieces"
        agree(encoder, words, torch.stack(rows), role=role)

    def test_an_empty_word_is_refused(self, encoder: Encoder) -> None:
        for words in ([""], ["bread", ""]):
            with pytest.raises(InputError, match=f"text {len(words) - 1}: no token of it is left to pool"):
                encoder.encode(words)


def test_a_bert_with_a_pooler_is_what_these_are(tmp_path: Path) -> None:
    """The pooler of a saved folder is read, not made anew."""
    folder = models.save("bert", tmp_path / "bert", layers=1)
    stage = embedkit_export.prepare(folder, recipe=Recipe(pooling="pooler")).plan.graphs["default"].module.stages[0]
    assert apart(stage[0].weight, BertModel.from_pretrained(folder).pooler.dense.weight) == 0
