"""Published encoders that read a text inside a prompt, or cut it in a way of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, T5EncoderModel

import embedkit_export
from embedkit import Encoder, ExportError
from embedkit_export import Pooling, Recipe, Role
from embedkit_export.plan.tokenizers import Tokenizers
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


@pytest.mark.slow
class TestDefSent:
    """DefSent+: the state at the mask of a prompt."""

    BEFORE, AFTER = 'This sentence : "', '" means [MASK] . '

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return models.save("bert", tmp_path_factory.mktemp("defsent") / "bert", layers=1)

    @pytest.fixture(scope="class")
    @classmethod
    def encoder(cls, folder: Path) -> Encoder:
        recipe = f"pooling = 'mask'\ntemplate = '{cls.BEFORE}{{text}}{cls.AFTER}'\n"
        return systems.export(folder, recipe, folder.parent)

    def rows(self, folder: Path, texts: list[str]) -> list[list[int]]:
        """The prompt whole, and as much of the sentence as there is room for."""
        tokenizer = AutoTokenizer.from_pretrained(folder)
        before, after = (tokenizer(part, add_special_tokens=False).input_ids for part in (self.BEFORE, self.AFTER))
        room = 64 - 2 - len(before) - len(after)
        out = []
        for text in texts:
            inside = tokenizer(text, add_special_tokens=False).input_ids[:room]
            out.append([tokenizer.cls_token_id, *before, *inside, *after, tokenizer.sep_token_id])
        return out

    def test_parity(self, folder: Path, encoder: Encoder) -> None:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        token_ids, mask = systems.pad(self.rows(folder, TEXTS), tokenizer.pad_token_id)
        hidden = AutoModel.from_pretrained(folder).eval()(input_ids=token_ids, attention_mask=mask).last_hidden_state
        expected = hidden[token_ids == tokenizer.mask_token_id]
        agree(encoder, TEXTS, expected)
        assert apart(expected, hidden[:, 0]) > 0.1

    def test_a_thousand_words_keep_one_mask(self, folder: Path, encoder: Encoder) -> None:
        text = " ".join((systems.WORDS * 20)[:1000])
        found = systems.ids(encoder, text)
        assert found == self.rows(folder, [text])[0]
        assert len(found) == 64
        assert found.count(AutoTokenizer.from_pretrained(folder).mask_token_id) == 1
        assert np.isfinite(encoder.encode(text)).all()

    def test_dry_run(self, encoder: Encoder, folder: Path) -> None:
        shown = embedkit_export.prepare(folder, recipe=folder.parent / "recipe.toml").text()
        assert "pooling mask" in shown
        assert f"default: {self.BEFORE + '{text}' + self.AFTER!r}, at most 64 tokens, smart cut of content" in shown


class TestUniXcoder:
    """CoCoSoDa: UniXcoder in its mode for encoding alone, code and queries cut at different lengths."""

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        model, tokenizer = models.make("roberta", layers=1)
        tokenizer.add_tokens(["<encoder-only>"], special_tokens=True)
        model.resize_token_embeddings(len(tokenizer))
        folder = tmp_path_factory.mktemp("unixcoder") / "roberta"
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    @pytest.fixture(scope="class")
    @classmethod
    def encoder(cls, folder: Path) -> Encoder:
        recipe = Recipe(
            template="<encoder-only></s>{text}",
            stages=[{"kind": "normalize"}],
            similarity="dot",
            roles={"query": Role(max_tokens=24), "document": Role(max_tokens=48)},
        )
        return systems.export(folder, recipe, folder.parent)

    @pytest.mark.parametrize(("role", "limit"), [("query", 24), ("document", 48), ("default", 48)])
    def test_ids_and_parity(self, folder: Path, encoder: Encoder, role: str, limit: int) -> None:
        code = "def area(width: float) -> float:\n\treturn width * width  # a <square>\n"
        texts = [*TEXTS, code, code * 9, " leading and trailing "]
        tokenizer = AutoTokenizer.from_pretrained(folder)
        start = [tokenizer.cls_token, "<encoder-only>", tokenizer.sep_token]
        rows = []
        for text in texts:
            tokens = [*start, *tokenizer.tokenize(text)[: limit - 4], tokenizer.sep_token]
            rows.append(tokenizer.convert_tokens_to_ids(tokens))
        assert [systems.ids(encoder, text, role) for text in texts] == rows
        assert max(map(len, rows)) == limit
        token_ids, mask = systems.pad(rows, tokenizer.pad_token_id)
        hidden = AutoModel.from_pretrained(folder).eval()(input_ids=token_ids, attention_mask=mask).last_hidden_state
        found = agree(encoder, texts, nn.functional.normalize(systems.mean(hidden, mask), dim=1), role=role)
        assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
        assert encoder.metric == "dot"


@pytest.mark.slow
class TestRankGen:
    """RankGen: prefixes, ids sliced after tokenising, the first token through a projection without a bias."""

    LIMITS = {"query": ("pre ", 40), "document": ("suffi ", 12)}  # noqa: RUF012

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """As the authors save it: the encoder and the projection in one checkpoint."""
        model, tokenizer = models.make("t5", layers=1)
        folder = tmp_path_factory.mktemp("rankgen") / "t5"
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        torch.manual_seed(1)
        state = {f"t5_encoder.{key}": value.clone() for key, value in model.state_dict().items()}
        save_file({**state, "projection.weight": torch.randn(48, 64) / 8}, folder / "model.safetensors")
        return folder

    @pytest.fixture(scope="class")
    @classmethod
    def encoder(cls, folder: Path) -> Encoder:
        recipe = """
        pooling = "first"
        stages = [{ kind = "linear", weights = "checkpoint:projection" }]
        similarity = "dot"
        truncate = "slice"
        [surgery]
        strip = ["t5_encoder"]
        [roles.query]
        template = "pre {text}"
        max_tokens = 40
        [roles.document]
        template = "suffi {text}"
        max_tokens = 12
        """
        return systems.export(folder, recipe, folder.parent)

    @pytest.mark.parametrize("role", ["query", "document"])
    def test_parity(self, folder: Path, encoder: Encoder, role: str) -> None:
        prefix, limit = self.LIMITS[role]
        tokenizer, state = AutoTokenizer.from_pretrained(folder), load_file(folder / "model.safetensors")
        model, projection = T5EncoderModel(AutoConfig.from_pretrained(folder)).eval(), nn.Linear(64, 48, bias=False)
        projection.load_state_dict({"weight": state.pop("projection.weight")})
        model.load_state_dict({key.removeprefix("t5_encoder."): value for key, value in state.items()})
        batch = tokenizer([prefix + text for text in TEXTS], padding=True, return_tensors="pt")
        token_ids, mask = batch["input_ids"][:, :limit], batch["attention_mask"][:, :limit]
        hidden = model(input_ids=token_ids, attention_mask=mask).last_hidden_state
        agree(encoder, TEXTS, projection(hidden[:, 0]), role=role)
        assert apart(encoder.encode(TEXTS, role=role), projection(systems.mean(hidden, mask))) > 0.1
        rows = [row[kept.bool()].tolist() for row, kept in zip(token_ids, mask, strict=True)]
        assert [systems.ids(encoder, text, role) for text in TEXTS] == rows
        assert rows[0][-1] == tokenizer.eos_token_id
        assert len(rows[-1]) == limit
        assert rows[-1][-1] != tokenizer.eos_token_id, "the slice loses the closing token"


class Latents(nn.Module):
    """Latent attention as its authors write it: tokens attend to latents, then a gated feed-forward."""

    def __init__(self, dim: int, heads: int, width: int, count: int) -> None:
        super().__init__()
        self.heads = heads
        self.latents = nn.Parameter(torch.randn(count, dim))
        self.norm, self.norm_context, self.norm_ff = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.to_q = nn.Linear(dim, heads * width, bias=False)
        self.to_kv = nn.Linear(dim, 2 * heads * width, bias=False)
        self.to_out = nn.Linear(heads * width, dim, bias=False)
        self.up, self.down = nn.Linear(dim, 8 * dim), nn.Linear(4 * dim, dim)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        batch = hidden.shape[0]
        context = self.norm_context(self.latents)[None].expand(batch, -1, -1)
        q = self.to_q(self.norm(hidden))
        k, v = self.to_kv(context).chunk(2, dim=-1)
        q, k, v = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (q, k, v))
        seen = nn.functional.scaled_dot_product_attention(q, k, v)
        hidden = hidden + self.to_out(seen.transpose(1, 2).flatten(2))
        x, gate = self.up(self.norm_ff(hidden)).chunk(2, dim=-1)
        return hidden + self.down(x * nn.functional.gelu(gate))

    def published(self) -> dict[str, torch.Tensor]:
        """The weights under the names of the published checkpoint."""
        names = {
            "norm": "cross_attend_blocks.0.norm",
            "norm_context": "cross_attend_blocks.0.norm_context",
            "to_q": "cross_attend_blocks.0.fn.to_q",
            "to_kv": "cross_attend_blocks.0.fn.to_kv",
            "to_out": "cross_attend_blocks.0.fn.to_out",
            "norm_ff": "cross_attend_blocks.1.norm",
            "up": "cross_attend_blocks.1.fn.net.0",
            "down": "cross_attend_blocks.1.fn.net.2",
            "latents": "latents",
        }
        out = {}
        for key, value in self.state_dict().items():
            module, dot, kind = key.partition(".")
            out[f"latent_attention_model.{names[module]}{dot}{kind}"] = value.clone()
        return out


class TestNVEmbed:
    """NV-Embed: a decoder whose tokens see each other, an instruction that is read and not pooled, latent attention."""

    TASK = "given a question find what answers it"

    @pytest.fixture(scope="class")
    @classmethod
    def made(cls) -> tuple[Any, Any]:
        return models.make("mistral", layers=1)

    @pytest.fixture(scope="class")
    @classmethod
    def latents(cls) -> Latents:
        torch.manual_seed(2)
        module = Latents(64, heads=2, width=24, count=6).eval()
        for norm in (module.norm, module.norm_context, module.norm_ff):
            norm.bias.normal_(0, 0.2)
        return module

    @classmethod
    def recipe(cls, stage: Any) -> Recipe:
        return Recipe(
            causal=False,
            token_stages=[stage],
            pooling=Pooling(mode="mean"),
            stages=[{"kind": "normalize"}],
            roles={
                "query": Role(template="Instruct: {task}\nQuery: {text}", fields={"task": cls.TASK}, without=["prefix"])
            },
        )

    @pytest.fixture(scope="class")
    @classmethod
    def encoder(cls, made: tuple[Any, Any], latents: Latents, tmp_path_factory: pytest.TempPathFactory) -> Encoder:
        folder = tmp_path_factory.mktemp("nvembed")
        for part in made:
            part.save_pretrained(folder / "mistral")
        save_file(latents.published(), folder / "mistral" / "latents.safetensors")
        stage = {"kind": "latent_attention", "weights": "latents.safetensors:latent_attention_model", "heads": 2}
        return systems.export(folder / "mistral", cls.recipe(stage), folder)

    def expected(
        self, made: tuple[Any, Any], latents: Latents, texts: list[str], prefix: str = "", *, masked: bool = True
    ) -> torch.Tensor:
        model, tokenizer = made
        batch = tokenizer([prefix + text for text in texts], padding=True, truncation=True, return_tensors="pt")
        mask = batch["attention_mask"]
        everywhere = (1.0 - mask[:, None, None, :].float()) * torch.finfo(torch.float32).min
        everywhere = everywhere.expand(-1, 1, mask.shape[1], -1)
        hidden = model(input_ids=batch["input_ids"], attention_mask=everywhere).last_hidden_state
        pool = mask.clone()
        if masked:
            pool[:, : len(tokenizer.tokenize(prefix))] = 0
        return nn.functional.normalize(systems.mean(latents(hidden), pool), dim=1)

    def test_a_later_token_alters_an_earlier_state(self, made: tuple[Any, Any], latents: Latents) -> None:
        prepared = embedkit_export.prepare(made, recipe=self.recipe(latents))
        a, b = torch.tensor([[7, 8, 9, 10]]), torch.tensor([[7, 8, 9, 50]])
        states = [prepared.origin.backbone(input_ids=x).last_hidden_state[0, 0] for x in (a, b)]
        assert apart(*states) > 1e-2
        states = [made[0](input_ids=x).last_hidden_state[0, 0] for x in (a, b)]
        assert apart(*states) == 0, "the model that was given is left causal"

    def test_passages(self, encoder: Encoder, made: tuple[Any, Any], latents: Latents) -> None:
        agree(encoder, TEXTS, self.expected(made, latents, TEXTS), role="document")

    def test_queries(self, encoder: Encoder, made: tuple[Any, Any], latents: Latents) -> None:
        texts = TEXTS[:-2]
        found = agree(
            encoder, texts, self.expected(made, latents, texts, f"Instruct: {self.TASK}\nQuery: "), role="query"
        )
        unmasked = self.expected(made, latents, texts, f"Instruct: {self.TASK}\nQuery: ", masked=False)
        assert apart(found, unmasked) > 1e-2
        other = [{"task": "find the same", "text": text} for text in texts]
        agree(
            encoder,
            other,
            self.expected(made, latents, texts, "Instruct: find the same\nQuery: "),
            role="query",
        )

    def test_latent_attention_as_a_module(
        self, encoder: Encoder, made: tuple[Any, Any], latents: Latents, tmp_path: Path
    ) -> None:
        own = systems.export(made, self.recipe(latents), tmp_path)
        found = agree(own, TEXTS, self.expected(made, latents, TEXTS), role="document")
        assert apart(found, encoder.encode_document(TEXTS)) < 1e-4

    def test_the_published_folder(self, made: tuple[Any, Any], latents: Latents, tmp_path: Path) -> None:
        """Its configuration and the names of its weights, by the recipe that the refusal without one tells."""
        folder = tmp_path / "nv-embed"
        model, tokenizer = made
        tokenizer.save_pretrained(folder)
        state = {f"embedding_model.{name}": value for name, value in model.state_dict().items()}
        save_file({**state, **latents.published()}, folder / "model.safetensors", metadata={"format": "pt"})
        text = {**model.config.to_dict(), "model_type": "bidir_mistral"}
        config = {"model_type": "nvembed", "architectures": ["NVEmbedModel"], "text_config": text}
        config["auto_map"] = {"AutoModel": "modeling_nvembed.NVEmbedModel"}
        (folder / "config.json").write_text(json.dumps(config))
        with pytest.raises(ExportError, match=r"causal = false, \[surgery\] select"):
            embedkit_export.prepare(folder)
        (tmp_path / "recipe.toml").write_text(
            """causal = false
            pooling = { mode = "mean", without = ["prefix"] }
            token_stages = [{ kind = "latent_attention", weights = "checkpoint:latent_attention_model", heads = 2 }]
            stages = [{ kind = "normalize" }]
            surgery = { select = "embedding_model." }
            [roles.query]
            template = "Instruct: find\\nQuery: {text}" """
        )
        plan = embedkit_export.prepare(folder, recipe=tmp_path / "recipe.toml").plan
        tokenizers = Tokenizers(plan, tmp_path)
        for role, prefix in (("document", ""), ("query", "Instruct: find\nQuery: ")):
            expected = self.expected(made, latents, TEXTS[:4], prefix)
            module = plan.graphs[plan.roles[role].graph].module
            for text_, row in zip(TEXTS[:4], expected, strict=True):
                feed = tokenizers.feed(role, text_)
                with torch.no_grad():
                    found = module(*(torch.from_numpy(np.asarray(feed[name])) for name in module.inputs))
                assert apart(found[0], row) < 1e-5

    def test_dry_run(self, made: tuple[Any, Any], latents: Latents) -> None:
        shown = embedkit_export.prepare(made, recipe=self.recipe(latents)).text()
        assert "without prefix" in shown
        assert "'Instruct: {task}\\nQuery: {text}', at most 64 tokens" in shown
