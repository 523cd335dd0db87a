"""Published retrievers: questions and passages read apart, compared by raw dot products, found in a store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertModel,
    DPRConfig,
    DPRContextEncoder,
    DPRQuestionEncoder,
    XLMRobertaConfig,
    XLMRobertaModel,
)

import embedkit
import embedkit_export
from embedkit import Document, EmbedkitError, Encoder
from embedkit_export import Recipe, Role
from helpers import models, systems
from helpers.systems import TEXTS, TITLES, agree, apart

QUESTIONS = [" ".join(TEXTS[-1].split()[start : start + 6]) for start in range(0, 60, 7)]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Models of this size are faster so."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad():
        yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def here(entry_points: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugins can be found, and what an ingestion leaves goes away."""
    monkeypatch.chdir(tmp_path)


def nearest(questions: Any, passages: Any, k: int) -> list[list[str]]:
    """The ids of the ``k`` passages with the largest dot products, by brute force."""
    scores = np.asarray(questions) @ np.asarray(passages).T
    return [[str(i) for i in np.argsort(-row)[:k]] for row in scores]


def answers(encoder: Encoder, store: Any, questions: Sequence[str], k: int) -> list[list[str]]:
    found = embedkit.search(list(questions), encoder, store, collection="passages", k=k)
    return [[hit.id for hit in hits] for hits in found]


@pytest.mark.slow
class TestContriever:
    """Contriever: one BERT out of a training checkpoint, the masked mean, no unit length, the dot product."""

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = models.save("bert", tmp_path_factory.mktemp("contriever") / "bert", layers=1)
        state = BertModel.from_pretrained(folder).state_dict()
        (folder / "model.safetensors").unlink()
        both = {f"encoder_q.{key}": value for key, value in state.items() if not key.startswith("pooler")}
        both |= {key.replace("encoder_q", "encoder_k"): value * 0.5 for key, value in both.items()}
        whole = {"step": 3, "model": {**both, "queue": torch.randn(64, 7), "queue_ptr": torch.zeros(1)}}
        torch.save(whole, folder / "checkpoint.pth")
        return folder

    @pytest.fixture(scope="class")
    @classmethod
    def encoder(cls, folder: Path) -> Encoder:
        recipe = """
        similarity = "dot"
        [surgery]
        checkpoint = "checkpoint.pth"
        strip = ["encoder_q"]
        drop = ["encoder_k", "queue", "queue_ptr"]
        [roles.document]
        template = "{title} {text}"
        fields = { title = "" }
        """
        return systems.export(folder, recipe, folder.parent)

    def expected(self, folder: Path, texts: list[str]) -> torch.Tensor:
        state = torch.load(folder / "checkpoint.pth", weights_only=True)["model"]
        model = BertModel(BertConfig.from_pretrained(folder)).eval()
        own = {key.removeprefix("encoder_q."): value for key, value in state.items() if key.startswith("encoder_q.")}
        assert set(model.load_state_dict(own, strict=False).missing_keys) <= {
            "pooler.dense.weight",
            "pooler.dense.bias",
        }
        tokenizer = AutoTokenizer.from_pretrained(folder)
        batch = tokenizer(texts, padding=True, truncation=True, max_length=64, return_tensors="pt")
        hidden = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])[0]
        hidden = hidden.masked_fill(~batch["attention_mask"][..., None].bool(), 0.0)
        vectors: torch.Tensor = hidden.sum(dim=1) / batch["attention_mask"].sum(dim=1)[..., None]
        return vectors

    def test_parity(self, folder: Path, encoder: Encoder) -> None:
        agree(encoder, TEXTS, self.expected(folder, TEXTS), role="query")
        items = [{"title": title, "text": text} for title, text in zip(TITLES, TEXTS, strict=True)]
        wanted = self.expected(folder, [f"{item['title']} {item['text']}" for item in items])
        found = agree(encoder, items, wanted, role="document")
        assert np.ptp(np.linalg.norm(found, axis=1)) > 1e-2, "raw: of no unit length"
        assert encoder.metric == "dot"

    def test_a_dot_index_ranks_as_brute_force(self, folder: Path, encoder: Encoder) -> None:
        documents = [Document(str(i), text) for i, text in enumerate(TEXTS)]
        with embedkit.open_store("qdrant://:memory:") as store:
            report = embedkit.ingest(documents, encoder, store, collection="passages")
            assert report.written == len(TEXTS)
            assert store.open("passages").info.metric == "dot"
            passages = self.expected(folder, [f" {text}" for text in TEXTS])
            wanted = nearest(self.expected(folder, QUESTIONS), passages, 5)
            assert answers(encoder, store, QUESTIONS, 5) == wanted
            unit = passages / passages.norm(dim=1, keepdim=True)
            assert nearest(self.expected(folder, QUESTIONS), unit, 5) != wanted, "unit length would rank otherwise"

    def test_a_cosine_index_is_refused(self, encoder: Encoder) -> None:
        with embedkit.open_store("qdrant://:memory:") as store:
            with pytest.raises(EmbedkitError, match="metric"):
                embedkit.ingest([Document("0", "a text")], encoder, store, collection="passages", metric="cosine")
            store.ensure(embedkit.CollectionSpec("passages", encoder.dim, "cosine", encoder.fingerprint))
            with pytest.raises(EmbedkitError, match="metric"):
                embedkit.ingest([Document("0", "a text")], encoder, store, collection="passages")
            with pytest.raises(EmbedkitError, match="metric"):
                embedkit.search("a question", encoder, store, collection="passages")


class TestDPR:
    """DPR: the real classes of the question and the context encoder, from two folders."""

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("dpr")
        tokenizer = models.make_tokenizer("word")
        tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]  # as DPR's own tokenizers
        for seed, kind in enumerate((DPRQuestionEncoder, DPRContextEncoder)):
            torch.manual_seed(seed)
            config = DPRConfig(
                vocab_size=len(tokenizer),
                hidden_size=64,
                num_hidden_layers=1,
                num_attention_heads=4,
                intermediate_size=128,
                max_position_embeddings=64,
                pad_token_id=tokenizer.pad_token_id,
            )
            model = kind(config)
            models.widen(model)
            model.save_pretrained(folder / kind.__name__)
            tokenizer.save_pretrained(folder / kind.__name__)
        return folder

    @pytest.fixture(scope="class")
    @classmethod
    def encoder(cls, folder: Path) -> Encoder:
        recipe = """
        pooling = "first"
        similarity = "dot"
        [roles.query]
        model = "DPRQuestionEncoder"
        [roles.document]
        template = ["{title}", "{text}"]
        fields = { title = "" }
        """
        return systems.export(folder / "DPRContextEncoder", recipe, folder)

    def expected(self, folder: Path, kind: Any, *texts: list[str]) -> torch.Tensor:
        tokenizer = AutoTokenizer.from_pretrained(folder / kind.__name__)
        options = {"truncation": True, "max_length": 64}
        batch = tokenizer(*texts, padding=True, return_tensors="pt", **options)
        vectors: torch.Tensor = kind.from_pretrained(folder / kind.__name__).eval()(**batch).pooler_output
        return vectors

    def test_parity(self, folder: Path, encoder: Encoder) -> None:
        questions = agree(encoder, TEXTS, self.expected(folder, DPRQuestionEncoder, TEXTS), role="query")
        items = [{"title": title, "text": text} for title, text in zip(TITLES, TEXTS, strict=True)]
        agree(encoder, items, self.expected(folder, DPRContextEncoder, TITLES, TEXTS), role="document")
        bare = self.expected(folder, DPRContextEncoder, TEXTS)
        assert apart(questions, bare) > 0.1

    def test_top_k_equals_brute_force(self, folder: Path, encoder: Encoder) -> None:
        rows = zip(TITLES, TEXTS, strict=True)
        documents = [Document(str(i), text, {"title": title}) for i, (title, text) in enumerate(rows)]
        passages = self.expected(folder, DPRContextEncoder, TITLES, TEXTS)
        wanted = nearest(self.expected(folder, DPRQuestionEncoder, QUESTIONS), passages, 5)
        for url in ("qdrant://:memory:", "chroma:index"):
            with embedkit.open_store(url) as store:
                embedkit.ingest(documents, encoder, store, collection="passages")
                assert answers(encoder, store, QUESTIONS, 5) == wanted, url


@pytest.mark.slow
class TestCCP:
    """CCP: question and context encoders in one checkpoint, passages as pairs, a shift for each language."""

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("ccp") / "xlmr"
        state = {}
        for seed, name in enumerate(("question_model", "ctx_model")):
            model, tokenizer = models.make("xlm-roberta", layers=1, seed=seed, vocab_size=220)
            state |= {f"{name}.{key}": value.clone() for key, value in model.state_dict().items()}
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        save_file(state, folder / "model.safetensors")
        rng = np.random.default_rng(0)
        german = {"shift": rng.normal(size=64), "matrix": np.eye(64) + rng.normal(size=(64, 64)) * 0.05}
        np.savez(folder / "german.npz", **{key: value.astype(np.float32) for key, value in german.items()})
        return folder

    @pytest.fixture(scope="class")
    @classmethod
    def encoder(cls, folder: Path) -> Encoder:
        question = embedkit_export.Surgery(select="question_model")
        german = [{"kind": "affine", "weights": "german.npz"}]
        recipe = Recipe(
            pooling="first",
            similarity="dot",
            max_tokens=48,
            surgery=embedkit_export.Surgery(select="ctx_model"),
            roles={
                "query": Role(surgery=question),
                "german": Role(surgery=question, stages=german),
                "document": Role(template=["{title}", "{text}"]),
            },
        )
        return systems.export(folder, recipe, folder.parent, fields=("title", "text"))

    def expected(self, name: str, folder: Path, *texts: list[str]) -> torch.Tensor:
        model, state = (
            XLMRobertaModel(XLMRobertaConfig.from_pretrained(folder)).eval(),
            load_file(folder / "model.safetensors"),
        )
        own = {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
        model.load_state_dict(own)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        batch = tokenizer(*texts, padding=True, truncation=True, max_length=48, return_tensors="pt")
        out = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
        first: torch.Tensor = out.last_hidden_state[:, 0]
        return first

    def test_questions(self, folder: Path, encoder: Encoder) -> None:
        wanted = self.expected("question_model", folder, TEXTS)
        agree(encoder, TEXTS, wanted, role="query")
        with np.load(folder / "german.npz") as data:
            affine = (wanted.numpy() + data["shift"]) @ data["matrix"]
        agree(encoder, TEXTS, affine, role="german")

    def test_passages(self, folder: Path, encoder: Encoder) -> None:
        items = [{"title": title, "text": text} for title, text in zip(TITLES, TEXTS, strict=True)]
        tokenizer = AutoTokenizer.from_pretrained(folder)
        for item in [*items, {"title": TEXTS[-1], "text": TEXTS[-2]}]:
            wanted = tokenizer(item["title"], item["text"], truncation=True, max_length=48).input_ids
            assert systems.ids(encoder, item, "document") == wanted
        found = agree(encoder, items, self.expected("ctx_model", folder, TITLES, TEXTS), role="document")
        assert np.array_equal(found, encoder.encode(items))
        assert apart(found, self.expected("question_model", folder, TITLES, TEXTS)) > 0.1

    def test_dry_run(self, folder: Path, encoder: Encoder) -> None:
        assert encoder.roles == ["default", "document", "german", "query"]
        assert encoder.fields("document") == {"title": None, "text": None}
        recipe = Recipe(
            pooling="first",
            surgery=embedkit_export.Surgery(select="ctx_model"),
            roles={"document": Role(template=["{title}", "{text}"], max_tokens=30)},
        )
        shown = embedkit_export.prepare(folder, recipe=recipe).text()
        assert "select 'ctx_model'" in shown
        assert "document: '{title}|{text}', at most 30 tokens" in shown


class TestVacancySBERT:
    """VacancySBERT: one siamese encoder for titles, and for titles with skills; the recall of a search."""

    SKILLS = [" ".join(reversed(text.split()[:9])) for text in TEXTS]  # noqa: RUF012

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return models.save("mpnet", tmp_path_factory.mktemp("vacancies") / "mpnet", layers=1)

    @pytest.fixture(scope="class")
    @classmethod
    def encoder(cls, folder: Path) -> Encoder:
        recipe = Recipe(roles={"query": Role(template="{title}"), "document": Role(template="{title} {skills}")})
        return systems.export(folder, recipe, folder.parent, fields=("title", "skills"))

    def expected(self, folder: Path, texts: list[str]) -> torch.Tensor:
        tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
        batch = tokenizer(texts, padding=True, truncation=True, max_length=64, return_tensors="pt")
        hidden = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
        return systems.mean(hidden, batch["attention_mask"])

    def test_parity(self, folder: Path, encoder: Encoder) -> None:
        agree(encoder, TEXTS, self.expected(folder, TEXTS), role="query")
        agree(encoder, [{"title": text} for text in TEXTS], self.expected(folder, TEXTS), role="query")
        items = [{"title": title, "skills": skills} for title, skills in zip(TEXTS, self.SKILLS, strict=True)]
        wanted = self.expected(folder, [f"{item['title']} {item['skills']}" for item in items])
        agree(encoder, items, wanted, role="document")

    def test_recall_equals_brute_force(self, folder: Path, encoder: Encoder) -> None:
        rows = list(zip(TEXTS, self.SKILLS, strict=True))
        documents = [Document(str(i), title, {"skills": skills}) for i, (title, skills) in enumerate(rows)]
        passages = self.expected(folder, [f"{title} {skills}" for title, skills in rows])
        titles = [" ".join(text.split()[:4]) for text in TEXTS]
        asked = self.expected(folder, titles)
        wanted = nearest(asked, passages / passages.norm(dim=1, keepdim=True), 10)
        with embedkit.open_store("qdrant://:memory:") as store:
            assert embedkit.ingest(documents, encoder, store, collection="passages").written == len(documents)
            found = answers(encoder, store, titles, 10)
        for k in (1, 5, 10):
            recall = [np.mean([str(i) in row[:k] for i, row in enumerate(ranked)]) for ranked in (found, wanted)]
            assert recall[0] == recall[1]
        assert found == wanted
