"""What is read from a sentence-transformers model, a model card and a recipe file, and what is refused; the reference
is SentenceTransformer itself."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules
from sentence_transformers.sentence_transformer.modules import Dense, LayerNorm, Normalize, Pooling, Transformer
from transformers import AutoModel, AutoTokenizer

import embedkit_export
from embedkit import Encoder, ExportError, InputError
from embedkit_export.plan import backbone
from embedkit_export.plan.detection import detect as infer
from embedkit_export.recipes import recipe
from embedkit_export.sources import load as source
from helpers import models, slow
from helpers.texts import mixed

TEXTS = ["", "a", *mixed(40, longest=80, seed=9), *models.SENTENCES]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.save("bert", tmp_path_factory.mktemp("recipe") / "bert")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "texts.txt"
    path.write_text("\n".join(mixed(60, longest=30, seed=4)))
    return path


def build(folder: Path, *rest: Any, pooling: Any = "mean", **options: Any) -> SentenceTransformer:
    transformer = Transformer(str(folder), max_seq_length=options.pop("max_seq_length", None))
    parts = [
        transformer,
        Pooling(transformer.get_embedding_dimension(), pooling_mode=pooling, **options.pop("pool", {})),
        *rest,
    ]
    return SentenceTransformer(modules=parts, device="cpu", **options)


def test_stages_and_prompts(folder: Path, sample: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = build(
        folder,
        Dense(64, 48, activation_function=torch.nn.Tanh()),
        LayerNorm(48),
        Dense(48, 24, bias=False, activation_function=torch.nn.Identity()),
        Normalize(),
        prompts={"query": "how do I ", "document": "a recipe: ", "passage": "p: ", "topic": "topic | "},
        default_prompt_name="topic",
        max_seq_length=40,
    )
    expected = {
        "default": model.encode(TEXTS),
        "query": model.encode_query(TEXTS),
        "document": model.encode_document(TEXTS),
        "topic": model.encode(TEXTS, prompt_name="topic"),
        "passage": model.encode(TEXTS, prompt_name="passage"),
    }
    implementation = model[0].auto_model.config._attn_implementation
    report = embedkit_export.export(model, output=tmp_path / "bundle", sample=sample)
    assert model[0].auto_model.config._attn_implementation == implementation, "a live model is left as it is"
    assert np.array_equal(model.encode(TEXTS), expected["default"])
    encoder = Encoder.load(tmp_path / "bundle", variant="fp32", on_truncate="ignore")
    assert encoder.max_tokens == 40
    assert encoder.dim == 24
    for role, vectors in expected.items():
        assert np.abs(encoder.encode(TEXTS, role=role) - vectors).max() < 1e-4, role
    assert np.abs(expected["query"] - expected["document"]).max() > 1e-2
    assert np.array_equal(encoder.encode_query(TEXTS), encoder.encode(TEXTS, role="query"))
    assert report.manifest.towers["query"].like == "default"
    assert any("the prompt 'passage' is the role 'passage'" in note for note in report.notes)
    saved = tmp_path / "saved"
    model.save(str(saved))
    again = embedkit_export.export(saved, output=tmp_path / "again", sample=sample)
    assert again.manifest.fingerprint == report.manifest.fingerprint


@pytest.mark.slow
def test_dense_with_a_residual(folder: Path, sample: Path, tmp_path: Path) -> None:
    torch.manual_seed(2)
    model = build(folder, Dense(64, 64, use_residual=True), Dense(64, 16, use_residual=True), pooling="cls")
    embedkit_export.export(model, output=tmp_path / "bundle", sample=sample)
    found = Encoder.load(tmp_path / "bundle", variant="fp32", on_truncate="ignore").encode(TEXTS)
    assert np.abs(found - model.encode(TEXTS)).max() < 1e-4


@pytest.mark.slow
def test_dot_product_models_stay_unnormalised(folder: Path, sample: Path, tmp_path: Path) -> None:
    model = build(folder, similarity_fn_name="dot")
    report = embedkit_export.export(model, output=tmp_path / "bundle", sample=sample)
    encoder = Encoder.load(tmp_path / "bundle", variant="fp32", on_truncate="ignore")
    assert encoder.metric == "dot"
    assert not next(iter(report.manifest.towers["default"].outputs.values())).normalized
    vectors = encoder.encode(TEXTS)
    assert np.ptp(np.linalg.norm(vectors, axis=1)) > 1e-3
    assert np.allclose(encoder.similarity(vectors, vectors), model.similarity(vectors, vectors), rtol=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda f: build(f, similarity_fn_name="manhattan"),
            "similarity: expected cosine, dot or euclidean, found 'manhattan'",
        ),
        (lambda f: SentenceTransformer(modules=[Transformer(str(f))], device="cpu"), "expected Transformer, Pooling"),
        (
            lambda f: SentenceTransformer(modules=[modules.BoW(["a", "b"])], device="cpu"),
            "cannot export the module BoW: it splits texts into words",
        ),
        (
            lambda f: build(f, modules.Router({"a": [Normalize()]}, default_route="a")),
            "Router: role 'query' has no route",
        ),
    ],
)
def test_what_cannot_be_exported_is_named(folder: Path, make: Any, message: str) -> None:
    with pytest.raises(ExportError, match=message):
        infer.infer(source.load(make(folder)))


@pytest.mark.parametrize(
    ("pooling", "options"),
    slow.after(
        1,
        [
            (
                ("mean", "cls", "max"),
                {"pool": {"include_prompt": False}, "prompts": {"query": "how do I ", "document": ""}},
            ),
            ("lasttoken", {}),
            ("weightedmean", {"pool": {"include_prompt": False}, "prompts": {"query": "how do I "}}),
            ("mean_sqrt_len_tokens", {}),
        ],
    ),
)
def test_every_pooling_of_sentence_transformers(
    pooling: Any, options: dict[str, Any], folder: Path, sample: Path, tmp_path: Path
) -> None:
    model = build(folder, pooling=pooling, **options)
    embedkit_export.export(model, output=tmp_path / "bundle", sample=sample, variants=["fp32"], timing=False)
    encoder = Encoder.load(tmp_path / "bundle", on_truncate="ignore")
    for role, expected in (("query", model.encode_query(TEXTS)), ("document", model.encode_document(TEXTS))):
        found = encoder.encode(TEXTS, role=role)
        assert np.abs(found - expected).max() < 1e-4 * max(1.0, np.abs(expected).max()), role
        assert np.array_equal(found[7], encoder.encode(TEXTS[7], role=role))


def test_max_tokens(folder: Path, sample: Path, tmp_path: Path) -> None:
    model = build(folder, Normalize())
    embedkit_export.export(model, output=tmp_path / "bundle", sample=sample, max_tokens=9)
    model.max_seq_length = 9
    encoder = Encoder.load(tmp_path / "bundle", variant="fp32", on_truncate="ignore")
    assert encoder.max_tokens == 9
    assert np.abs(encoder.encode(TEXTS) - model.encode(TEXTS)).max() < 1e-4


@pytest.mark.parametrize(("family", "pooling"), slow.but(["qwen3"], [("qwen3", "lasttoken"), ("t5", "mean")]))
def test_sentence_transformers_around_other_backbones(family: str, pooling: Any, sample: Path, tmp_path: Path) -> None:
    backbone = models.save(family, tmp_path / family)
    prompts = {"query": "how do I {read}: ", "document": ""}
    model = build(backbone, Normalize(), pooling=pooling, prompts=prompts, max_seq_length=32)
    if family == "qwen3":
        model.tokenizer.padding_side = "left"
    embedkit_export.export(model, output=tmp_path / "bundle", sample=sample, variants=["fp32"], timing=False)
    encoder = Encoder.load(tmp_path / "bundle", on_truncate="ignore")
    texts = [text for text in TEXTS if text]
    for role, encode in (("query", model.encode_query), ("document", model.encode_document)):
        expected = np.stack([encode(text) for text in texts])
        assert np.abs(encoder.encode(texts, role=role) - expected).max() < 1e-4, role


def test_a_recipe_file(folder: Path, sample: Path, tmp_path: Path) -> None:
    """Roles, braces, fields, stages with weights beside the file, against the same by hand."""
    torch.manual_seed(3)
    head, norm = torch.nn.Linear(64, 32), torch.nn.LayerNorm(32)
    save_file({f"head.{k}": v for k, v in head.state_dict().items()}, tmp_path / "head.safetensors")
    np.savez(tmp_path / "norm.npz", **{f"n.{k}": v.detach().numpy() for k, v in norm.state_dict().items()})
    file = tmp_path / "recipe.toml"
    file.write_text(
        """
similarity = "dot"
pooling = { mode = "mean", without = ["special"] }
matryoshka = [8, 16]
max_tokens = 40
stages = [
  { kind = "linear", weights = "head.safetensors:head", activation = "tanh" },
  { kind = "layer_norm", weights = "norm.npz:n" },
]
[roles.query]
template = "find {{exactly}}: {text}"
max_tokens = 20
[roles.document]
template = "{title}: {text}"
fields = { title = "the report" }
"""
    )
    report = embedkit_export.export(folder, recipe=file, output=tmp_path / "bundle", sample=sample, variants=["fp32"])
    encoder = Encoder.load(report.path, on_truncate="ignore")
    assert encoder.metric == "dot"
    assert encoder.fields("document") == {"title": "the report", "text": None}
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()

    def expected(text: str, limit: int) -> np.ndarray:
        batch = tokenizer(text, truncation=True, max_length=limit, return_tensors="pt")
        with torch.no_grad():
            hidden = model(**batch).last_hidden_state[0, 1:-1].mean(0)
            return norm(torch.tanh(head(hidden))).numpy()

    texts = [text for text in TEXTS if text.strip()]
    for role, limit, form in (("query", 20, "find {exactly}: "), ("document", 40, "the report: ")):
        wanted = np.stack([expected(form + text, limit) for text in texts])
        assert np.abs(encoder.encode(texts, role=role) - wanted).max() < 1e-4
    titled = encoder.encode_document([{"title": "bread", "text": "a recipe"}, {"text": "a recipe"}])
    assert np.abs(titled[0] - expected("bread: a recipe", 40)).max() < 1e-4
    assert np.abs(titled[1] - expected("the report: a recipe", 40)).max() < 1e-4
    assert encoder.encode("a recipe", dim=8).shape == (8,)
    for item, message in (
        ({"text": "a", "author": "b"}, "found the field 'author'"),
        ({"title": "b"}, "the field 'text' is missing"),
        ({"text": 7}, "expected a string, found int"),
    ):
        with pytest.raises(InputError, match=message):
            encoder.encode_document([item])
    with pytest.raises(InputError, match="sizes 8, 16, 32, found 9"):
        encoder.encode("a", dim=9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("similarity = 'manhattan'", "similarity: Invalid enum value 'manhattan'"),
        ("poling = 'mean'", "unknown field `poling`"),
        ("pooling = 'middle'", "pooling: Invalid enum value 'middle'"),
        ("template = 'no field'", "expected at least one field"),
        ("template = '{text} {text}'", "each once"),
        ("template = '{te-xt}'", "expected fields such as {text}"),
        ("template = '{'", "write {{ for a brace"),
        ("= 3", "recipe "),
    ],
)
def test_a_bad_recipe_says_where(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(text)
    with pytest.raises(InputError, match=re.escape(message)):
        recipe.read(tmp_path / "recipe.toml")


def test_batch_statistics_are_refused(folder: Path) -> None:
    class Centre(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x - x.mean(dim=0, keepdim=True)

    for given, message in (
        ({"kind": "group_whitening"}, "stage 1: 'group_whitening' uses statistics of the batch"),
        (torch.nn.BatchNorm1d(2, track_running_stats=False), "BatchNorm1d '' uses statistics of the batch"),
        (Centre(), "Centre uses statistics of the batch"),
    ):
        with pytest.raises(ExportError, match=message):
            embedkit_export.prepare(folder, recipe=recipe.Recipe(stages=[given]))


@pytest.mark.slow
def test_whitening_is_an_affine_stage(folder: Path, sample: Path, tmp_path: Path) -> None:
    plain = embedkit_export.export(folder, output=tmp_path / "plain", sample=sample, variants=["fp32"], timing=False)
    vectors = Encoder.load(plain.path, on_truncate="ignore").encode(mixed(200, longest=30, seed=5))
    fitted = embedkit_export.fit_whitening(vectors, 12)
    white = (vectors + fitted["shift"]) @ fitted["matrix"]
    assert np.allclose(np.cov(white, rowvar=False), np.eye(12), atol=1e-2)
    np.savez(tmp_path / "white.npz", **fitted)
    (tmp_path / "recipe.toml").write_text("stages = [{ kind = 'affine', weights = 'white.npz' }]")
    report = embedkit_export.export(
        folder,
        output=tmp_path / "white",
        recipe=tmp_path / "recipe.toml",
        sample=sample,
        variants=["fp32"],
        timing=False,
    )
    found = Encoder.load(report.path, on_truncate="ignore").encode(mixed(200, longest=30, seed=5))
    assert np.abs(found - white).max() < 1e-3


def test_a_model_card_says_the_pooling(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "model"
    shutil.copytree(folder, copy)
    (copy / "README.md").write_text("# m\n```python\nout = model(**batch)\nvectors = F.normalize(out[0][:, 0])\n```\n")
    prepared = embedkit_export.prepare(copy)
    assert prepared.recipe.pooling.mode == "first"
    assert prepared.plan.graphs["default"].dense.normalized
    assert "because the model card's code has '[0][:, 0'" in prepared.text()
    assert backbone.positions(prepared.origin.backbone) == 64
