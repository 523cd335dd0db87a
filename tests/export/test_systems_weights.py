"""Published encoders with weights of their own making: experts, cut decoders, merged checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from torch import nn
from transformers import AutoModel, AutoTokenizer, BertModel

import embedkit_export
from embedkit import Encoder, ExportError, InputError
from embedkit_export import Pooling, Recipe, Side, TokenChoice
from helpers import models, systems
from helpers.systems import TEXTS, agree, apart

EXPERTS = 3


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Models of this size are faster so."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad():
        yield
    torch.set_num_threads(threads)


class Experts(nn.Module):
    """A BERT whose feed-forward weights are stacked, one set for each expert, and gathered for each row."""

    def __init__(self, bert: BertModel) -> None:
        super().__init__()
        self.config = bert.config
        self.embeddings, self.layers = bert.embeddings, bert.encoder.layer
        size = {"up": (EXPERTS, 64, 128), "up_bias": (EXPERTS, 1, 128), "down": (EXPERTS, 128, 64)}
        size["down_bias"] = (EXPERTS, 1, 64)
        self.stacks = nn.ModuleList(
            nn.ParameterDict({name: torch.randn(shape) * 0.1 for name, shape in size.items()}) for _ in self.layers
        )

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, expert: torch.Tensor) -> torch.Tensor:
        padding = (1.0 - attention_mask[:, None, None, :].float()) * torch.finfo(torch.float32).min
        hidden = self.embeddings(input_ids=input_ids)
        for layer, stack in zip(self.layers, self.stacks, strict=True):
            own = layer.attention.self
            q, k, v = (
                part(hidden).unflatten(-1, (self.config.num_attention_heads, -1)).transpose(1, 2)
                for part in (own.query, own.key, own.value)
            )
            weights = (torch.matmul(q, k.transpose(2, 3)) / q.shape[-1] ** 0.5 + padding).softmax(dim=-1)
            seen = torch.matmul(weights, v).transpose(1, 2).flatten(2)
            hidden = layer.attention.output(seen, hidden)
            wide = nn.functional.gelu(torch.matmul(hidden, stack["up"][expert]) + stack["up_bias"][expert])
            back = torch.matmul(wide, stack["down"][expert]) + stack["down_bias"][expert]
            hidden = layer.output.LayerNorm(back + hidden)
        return hidden

    def single(self, bert: BertModel, expert: int) -> BertModel:
        """The ordinary BERT of one expert."""
        for layer, stack in zip(bert.encoder.layer, self.stacks, strict=True):
            layer.intermediate.dense.weight.copy_(stack["up"][expert].T)
            layer.intermediate.dense.bias.copy_(stack["up_bias"][expert, 0])
            layer.output.dense.weight.copy_(stack["down"][expert].T)
            layer.output.dense.bias.copy_(stack["down_bias"][expert, 0])
        return bert


class TestExperts:
    """Mixture of experts: a domain's token in the first place, an expert's feed-forward in every layer, a head."""

    TOKENS = {"general": "[CLS]", "biology": "[BIO]", "physics": "[PHY]"}  # noqa: RUF012

    @pytest.fixture(scope="class")
    @classmethod
    def made(cls) -> tuple[Experts, Any, list[nn.Module]]:
        model, tokenizer = models.make("bert")
        tokenizer.add_tokens(["[BIO]", "[PHY]"], special_tokens=True)
        model.resize_token_embeddings(len(tokenizer))
        torch.manual_seed(3)
        head = [nn.LayerNorm(64), nn.Linear(64, 48), nn.Tanh(), nn.Linear(48, 32)]
        head[0].bias.normal_(0, 0.3)
        return Experts(model).eval(), tokenizer, head

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return tmp_path_factory.mktemp("experts")

    @pytest.fixture(scope="class")
    @classmethod
    def encoder(cls, made: tuple[Experts, Any, list[nn.Module]], folder: Path) -> Encoder:
        experts, tokenizer, head = made
        recipe = Recipe(
            stages=list(head),
            first_token=TokenChoice(field="domain", values=cls.TOKENS, default="general"),
            inputs={"expert": Side(field="expert", values={"a": 0, "b": 1, "c": 2})},
        )
        return systems.export((experts, tokenizer), recipe, folder, variants=["fp32", "int8"])

    def expected(self, made: tuple[Experts, Any, list[nn.Module]], texts: list[str], domain: str, expert: int) -> Any:
        experts, tokenizer, head = made
        bert = BertModel(experts.config).eval()
        bert.embeddings.load_state_dict(experts.embeddings.state_dict())
        bert.encoder.layer.load_state_dict(experts.layers.state_dict())
        batch = tokenizer(texts, padding=True, truncation=True, max_length=64, return_tensors="pt")
        token_ids, mask = batch["input_ids"], batch["attention_mask"]
        token_ids[:, 0] = tokenizer.convert_tokens_to_ids(self.TOKENS[domain])
        hidden = experts.single(bert, expert)(input_ids=token_ids, attention_mask=mask).last_hidden_state
        vectors = systems.mean(hidden, mask)
        for stage in head:
            vectors = stage(vectors)
        return vectors

    def test_each_expert(self, encoder: Encoder, made: tuple[Experts, Any, list[nn.Module]]) -> None:
        every = []
        for number, expert in enumerate("abc"):
            wanted = self.expected(made, TEXTS, "biology", number)
            items = [{"text": text, "expert": expert, "domain": "biology"} for text in TEXTS]
            every.append(agree(encoder, items, wanted))
        assert apart(every[0], every[1]) > 0.1
        assert apart(every[1], every[2]) > 0.1

    def test_each_domain(self, encoder: Encoder, made: tuple[Experts, Any, list[nn.Module]]) -> None:
        plain = agree(encoder, [{"text": t, "expert": "a"} for t in TEXTS], self.expected(made, TEXTS, "general", 0))
        items = [{"text": text, "expert": "a", "domain": "physics"} for text in TEXTS]
        assert apart(plain, agree(encoder, items, self.expected(made, TEXTS, "physics", 0))) > 0.01

    def test_a_mixed_batch_equals_one_by_one(
        self, encoder: Encoder, made: tuple[Experts, Any, list[nn.Module]], folder: Path
    ) -> None:
        items, wanted = [], []
        for i, text in enumerate(TEXTS * 2):
            domain = list(self.TOKENS)[i % 2]
            items.append({"text": text, "expert": "abc"[i % 3], "domain": domain})
            wanted.append(self.expected(made, [text], domain, i % 3)[0])
        agree(encoder, items, torch.stack(wanted))
        small = systems.load(folder / "bundle", "int8")
        found = small.encode(items)
        assert all(small.encode(item).tobytes() == row.tobytes() for item, row in zip(items, found, strict=True))

    def test_an_expert_must_be_chosen(self, encoder: Encoder) -> None:
        with pytest.raises(InputError, match="'expert' is missing"):
            encoder.encode("a text")
        with pytest.raises(InputError, match="expected one of a, b, c, found 'd'"):
            encoder.encode({"text": "a text", "expert": "d"})


@pytest.mark.slow
class TestCosmo:
    """COSMO's text side: the first layers of a decoder, one learned latent that attends to all places, a head."""

    PAD = 24

    @pytest.fixture(scope="class")
    @classmethod
    def made(cls) -> tuple[Any, Any]:
        return models.make("llama", layers=3)

    @pytest.fixture(scope="class")
    @classmethod
    def parts(cls) -> dict[str, Any]:
        torch.manual_seed(4)
        attention = nn.MultiheadAttention(64, 4, batch_first=True)
        attention.in_proj_bias.normal_(0, 0.2)
        attention.out_proj.bias.normal_(0, 0.2)
        parts = {
            "attention": attention.eval(),
            "up": nn.Linear(64, 96),
            "down": nn.Linear(96, 64),
            "norm": nn.LayerNorm(64),
            "out": nn.Linear(64, 40),
        }
        return {"latent": torch.randn(1, 64), **parts}

    @pytest.fixture(scope="class")
    @classmethod
    def encoder(cls, made: tuple[Any, Any], parts: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Encoder:
        folder = tmp_path_factory.mktemp("cosmo")
        for part in made:
            part.save_pretrained(folder / "llama")
        attention = parts["attention"]
        q, k, v = attention.in_proj_weight.chunk(3)
        q_bias, k_bias, v_bias = attention.in_proj_bias.chunk(3)
        state = {"pool.latent": parts["latent"]}
        weights = {"to_q": (q, q_bias), "to_k": (k, k_bias), "to_v": (v, v_bias)}
        weights["to_out"] = (attention.out_proj.weight, attention.out_proj.bias)
        for name, (weight, bias) in weights.items():
            state |= {f"pool.{name}.weight": weight, f"pool.{name}.bias": bias}
        for name in ("up", "down", "norm", "out"):
            state |= {f"{name}.{key}": value for key, value in parts[name].state_dict().items()}
        save_file({key: np.ascontiguousarray(value.numpy()) for key, value in state.items()}, folder / "w.safetensors")
        recipe = f"""
        pad = {cls.PAD}
        stages = [
          {{ kind = "mlp", weights = ["w.safetensors:up", "w.safetensors:down"], activation = "gelu", residual = true }},
          {{ kind = "layer_norm", weights = "w.safetensors:norm" }},
          {{ kind = "linear", weights = "w.safetensors:out" }},
        ]
        [surgery]
        layers = 2
        [pooling]
        mode = "attention"
        weights = "w.safetensors:pool"
        heads = 4
        padding = true
        """
        return systems.export(folder / "llama", recipe, folder)

    def expected(self, made: tuple[Any, Any], parts: dict[str, Any], texts: list[str], length: int) -> torch.Tensor:
        """With the second hidden state of the whole model."""
        model, tokenizer = made
        batch = tokenizer(texts, padding="max_length", truncation=True, max_length=length, return_tensors="pt")
        out = model(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], output_hidden_states=True
        ).hidden_states[2]
        pooled = parts["attention"](parts["latent"][None].expand(len(texts), -1, -1), out, out)[0][:, 0]
        pooled = pooled + parts["down"](nn.functional.gelu(parts["up"](pooled)))
        vectors: torch.Tensor = parts["out"](parts["norm"](pooled))
        return vectors

    def test_parity_at_the_fixed_length(self, encoder: Encoder, made: tuple[Any, Any], parts: dict[str, Any]) -> None:
        found = agree(encoder, TEXTS, self.expected(made, parts, TEXTS, self.PAD))
        assert apart(found, self.expected(made, parts, TEXTS, self.PAD + 16)) > 1e-3
        assert encoder.max_tokens == self.PAD

    def test_the_model_is_cut(self, made: tuple[Any, Any], tmp_path: Path) -> None:
        for part in made:
            part.save_pretrained(tmp_path)
        surgery = embedkit_export.Surgery(layers=2)
        cut = embedkit_export.prepare(tmp_path, recipe=Recipe(surgery=surgery)).origin.backbone
        token_ids = torch.tensor([[5, 6, 7, 8, 9]])
        whole = made[0](input_ids=token_ids, output_hidden_states=True)
        assert apart(cut(input_ids=token_ids).last_hidden_state, whole.hidden_states[2]) < 1e-6
        assert apart(whole.last_hidden_state, whole.hidden_states[2]) > 0.1


class TestFusionSent:
    """FusionSent: two fine-tuned checkpoints merged on the sphere, tensor by tensor, then the mean."""

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("fusionsent")
        for seed, name in enumerate("ab"):
            # Tokenizers that are trained anew may differ.
            models.save("bert", folder / name, layers=1, seed=seed, vocab_size=320)
        a, b = (load_file(folder / name / "model.safetensors") for name in "ab")
        # A layer that training has hardly moved, which is mixed linearly.
        near = {k: v + np.float32(1e-3) * b[k] for k, v in a.items() if "attention.output" in k or "LayerNorm" in k}
        save_file({**b, **near}, folder / "b" / "model.safetensors", metadata={"format": "pt"})
        return folder

    def merged(self, folder: Path) -> dict[str, Any]:
        a, b = (load_file(folder / name / "model.safetensors") for name in "ab")
        out, kinds = {}, set()
        for name in a:
            x, y = a[name].astype(np.float64).ravel(), b[name].astype(np.float64).ravel()
            cosine = x @ y / max(np.linalg.norm(x) * np.linalg.norm(y), 1e-12)
            kinds.add(abs(cosine) > 0.9995)
            if abs(cosine) > 0.9995:
                mixed = (x + y) / 2
            else:
                angle = np.arccos(cosine)
                mixed = np.sin(angle / 2) / np.sin(angle) * (x + y)
            out[name] = torch.from_numpy(mixed.reshape(a[name].shape).astype(np.float32))
        assert kinds == {True, False}
        return out

    def test_parity(self, folder: Path) -> None:
        recipe = """
        stages = [{ kind = "normalize" }]
        [surgery.slerp]
        with = "b"
        t = 0.5
        """
        encoder = systems.export(folder / "a", recipe, folder)
        model, tokenizer = AutoModel.from_pretrained(folder / "a").eval(), AutoTokenizer.from_pretrained(folder / "a")
        apart_from = [self.vectors(model, tokenizer)]
        model.load_state_dict(self.merged(folder))
        found = agree(encoder, TEXTS, self.vectors(model, tokenizer))
        apart_from.append(self.vectors(AutoModel.from_pretrained(folder / "b").eval(), tokenizer))
        assert min(apart(found, vectors) for vectors in apart_from) > 0.01
        assert any("slerp" in record for record in encoder.bundle.manifest.source.surgery)

    @staticmethod
    def vectors(model: Any, tokenizer: Any) -> torch.Tensor:
        batch = tokenizer(TEXTS, padding=True, truncation=True, max_length=64, return_tensors="pt")
        hidden = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
        return nn.functional.normalize(systems.mean(hidden, batch["attention_mask"]), dim=1)


def test_attention_over_padding_needs_a_fixed_length(tmp_path: Path) -> None:
    pooling = Pooling(mode="attention", padding=True, weights="w.safetensors:pool")
    with pytest.raises(ExportError, match="give a fixed length"):
        embedkit_export.prepare(models.make("bert", layers=1), recipe=Recipe(pooling=pooling))
