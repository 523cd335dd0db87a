"""Every setting of sentence-transformers that changes a vector is honoured, or refused by its name.

The settings are those that the classes of the installed version write: a new one fails here until it is in the table.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer, SparseEncoder
from sentence_transformers.base.modules import Dense, Module, Normalize, Router, Transformer
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
from sentence_transformers.sentence_transformer import modules as dense_modules
from sentence_transformers.sparse_encoder import modules as sparse_modules
from torch import nn

from embedkit import Encoder, ExportError, Reranker
from embedkit_export import export, prepare
from helpers import models

HONOURED, REFUSED, LOADED, NO_CHANGE = "honoured", "refused by name", "read by the module itself", "changes no vector"

SETTINGS: dict[type[Module], dict[str, str]] = {
    Transformer: {
        "transformer_task": LOADED,
        "modality_config": REFUSED,
        "module_output_name": REFUSED,
        "processing_kwargs": HONOURED,
        "unpad_inputs": NO_CHANGE,
        "query_length": HONOURED,
        "document_length": HONOURED,
        "query_expansion": REFUSED,
    },
    Dense: {
        "in_features": LOADED,
        "out_features": LOADED,
        "bias": LOADED,
        "activation_function": HONOURED,
        "module_input_name": REFUSED,
        "module_output_name": REFUSED,
        "use_residual": HONOURED,
    },
    Normalize: {"module_input_name": REFUSED, "module_output_name": REFUSED},
    Router: {"default_route": HONOURED, "allow_empty_key": NO_CHANGE, "route_mappings": HONOURED},
    MultiVectorMask: {"skiplist_words": HONOURED, "skiplist_tasks": HONOURED, "keep_only_token_ids": REFUSED},
    dense_modules.Pooling: {"embedding_dimension": LOADED, "pooling_mode": HONOURED, "include_prompt": HONOURED},
    dense_modules.LayerNorm: {"dimension": LOADED},
    dense_modules.Dropout: {"dropout": NO_CHANGE},
    dense_modules.WeightedLayerPooling: {
        "embedding_dimension": LOADED,
        "layer_start": HONOURED,
        "num_hidden_layers": HONOURED,
    },
    sparse_modules.SpladePooling: {
        "pooling_strategy": HONOURED,
        "activation_function": HONOURED,
        "embedding_dimension": LOADED,
    },
}
MODEL_SETTINGS = {
    SentenceTransformer: {"similarity_fn_name": HONOURED, "truncate_dim": HONOURED},
    SparseEncoder: {"similarity_fn_name": REFUSED, "max_active_dims": HONOURED},
    CrossEncoder: {"activation_fn": HONOURED, "keep_in_fp32_modules": NO_CHANGE},
}
OF_ALL = {"__version__", "model_type", "prompts", "default_prompt_name"}
"""What every model states: its prompts become templates."""
TOKENIZER_CALL = {"common", "text", "chat_template", "audio", "image", "video"}


@pytest.mark.parametrize("kind", SETTINGS, ids=lambda kind: kind.__name__)
def test_the_table_has_every_setting_of_a_module(kind: type[Module]) -> None:
    assert set(SETTINGS[kind]) == set(kind.config_keys)


def test_the_table_has_every_setting_of_a_model(plain: Path, tmp_path: Path) -> None:
    dense = SentenceTransformer(str(saved(plain, tmp_path / "dense")), truncate_dim=16, device="cpu")
    dense.save(str(tmp_path / "again"))
    written = set(json.loads((tmp_path / "again" / "config_sentence_transformers.json").read_text()))
    assert written == OF_ALL | set(MODEL_SETTINGS[SentenceTransformer])
    assert set(Transformer._VALID_PROCESSING_KWARGS_KEYS) == TOKENIZER_CALL


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.save("bert", tmp_path_factory.mktemp("plain") / "bert")


def saved(plain: Path, folder: Path, *after: Any, **options: Any) -> Path:
    """A sentence-transformers folder; ``options`` of its Transformer module."""
    reader = Transformer(str(plain), **options)
    SentenceTransformer(modules=[reader, dense_modules.Pooling(64), *after], device="cpu").save(str(folder))
    return folder


def stated(folder: Path, file: str, **changes: Any) -> Path:
    path = folder / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return folder


LONG = " ".join(models.SENTENCES)


@pytest.fixture(scope="module")
def lengths(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model that reads 20 tokens of a text, 9 of a question and 40 of a document, and its bundle."""
    base = tmp_path_factory.mktemp("lengths")
    folder = saved(plain, base / "model", query_length=9, document_length=40, max_seq_length=20)
    export(folder, output=base / "bundle", variants=["fp32"], timing=False)
    return folder, base / "bundle"


def test_lengths_of_questions_and_documents(lengths: tuple[Path, Path]) -> None:
    folder, bundle = lengths
    model, encoder = SentenceTransformer(str(folder), device="cpu"), Encoder.load(bundle, on_truncate="ignore")
    for role in ("query", "document"):
        expected = getattr(model, f"encode_{role}")([LONG, "short"])
        assert abs(getattr(encoder, f"encode_{role}")([LONG, "short"]) - expected).max() < 1e-5
    assert abs(encoder.encode([LONG]) - model.encode([LONG])).max() < 1e-5
    assert [encoder.bundle.tower(role).frontend.longest for role in ("default", "query", "document")] == [20, 9, 40]


def limits(folder: Path, **options: Any) -> dict[str, int]:
    roles = prepare(folder, **options).plan.roles
    return {name: role.frontend.longest for name, role in roles.items()}


def test_the_length_of_the_tokenizers_call_comes_first(plain: Path, tmp_path: Path) -> None:
    """As `Transformer.preprocess` has it."""
    called = {"text": {"max_length": 12, "padding": "max_length"}, "common": {"return_tensors": "pt"}}
    folder = saved(plain, tmp_path / "model", query_length=9, processing_kwargs=called)
    model = SentenceTransformer(str(folder), device="cpu")
    assert model.preprocess([LONG], task="query")["input_ids"].shape[1] == 12
    assert limits(folder) == {"default": 12, "query": 12, "document": 12}


@pytest.mark.slow
def test_the_same_of_a_cross_encoder(tmp_path: Path) -> None:
    plain = models.save("bert", tmp_path / "plain", head="ForSequenceClassification", num_labels=1)
    folder = tmp_path / "model"
    CrossEncoder(str(plain), device="cpu", activation_fn=nn.Tanh()).save(str(folder))
    stated(folder, "sentence_bert_config.json", processing_kwargs={"text": {"max_length": 14}})
    pairs = [("where is the boat", LONG), ("bread", "a recipe for bread")]
    expected = CrossEncoder(str(folder), device="cpu").predict(pairs)
    assert limits(folder)["default"] == 14
    export(folder, output=tmp_path / "bundle", variants=["fp32"], timing=False)
    found = Reranker.load(tmp_path / "bundle")
    assert abs(found.score(pairs) - expected).max() < 1e-5
    assert found.encoder.outputs()["logits"].activation == "tanh"


@pytest.mark.slow
def test_euclidean_similarity(plain: Path, tmp_path: Path) -> None:
    folder = stated(
        saved(plain, tmp_path / "model"), "config_sentence_transformers.json", similarity_fn_name="euclidean"
    )
    export(folder, output=tmp_path / "bundle", variants=["fp32"], timing=False)
    model, encoder = SentenceTransformer(str(folder), device="cpu"), Encoder.load(tmp_path / "bundle")
    vectors = encoder.encode(list(models.SENTENCES))
    expected = model.similarity(model.encode(list(models.SENTENCES)), model.encode(list(models.SENTENCES)))
    assert encoder.metric == "euclidean"
    assert abs(encoder.similarity(vectors, vectors) - expected.numpy()).max() < 1e-3
    assert not encoder.allows("cosine")


CALLS: list[tuple[dict[str, Any], str]] = [
    ({"text": {"truncation": False}}, "processing_kwargs: truncation"),
    ({"text": {"truncation": "only_first"}}, "processing_kwargs: truncation"),
    ({"text": {"add_special_tokens": False}}, "processing_kwargs: add_special_tokens = False"),
    ({"common": {"stride": 4}}, "processing_kwargs: stride = 4"),
    ({"text": {"is_split_into_words": True}}, "processing_kwargs: is_split_into_words"),
]


@pytest.mark.parametrize(("called", "message"), CALLS)
def test_what_else_the_tokenizer_is_told(called: dict[str, Any], message: str, plain: Path, tmp_path: Path) -> None:
    folder = stated(saved(plain, tmp_path / "model"), "sentence_bert_config.json", processing_kwargs=called)
    with pytest.raises(ExportError, match=message):
        prepare(folder)


WAYS: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (lambda text: {"message": text, "text": text}, "modality_config: this model puts a text into its chat template"),
    (lambda text: {"text": {**text, "method_output_name": ["hidden_states", -2]}}, "modality_config: expected last_hidden_state"),
    (lambda text: {"text": {**text, "method_output_name": "pooler_output"}}, "modality_config: expected last_hidden_state"),
    (lambda text: {"text": {**text, "method": "get_text_features"}}, "modality_config: expected last_hidden_state"),
]  # fmt: skip


@pytest.mark.parametrize(("way", "message"), WAYS)
def test_another_way_through_the_model(way: Any, message: str, plain: Path, tmp_path: Path) -> None:
    folder = saved(plain, tmp_path / "model")
    text = {"method": "forward", "method_output_name": "last_hidden_state"}
    stated(folder, "sentence_bert_config.json", modality_config=way(text), module_output_name="token_embeddings")
    with pytest.raises(ExportError, match=message):
        prepare(folder)


def test_questions_that_are_filled_up(plain: Path, tmp_path: Path) -> None:
    folder = saved(plain, tmp_path / "model", query_expansion={"strategy": "fixed", "length": 16, "attend": True})
    with pytest.raises(ExportError, match="query_expansion"):
        prepare(folder)


@pytest.mark.parametrize("name", ["manhattan", "euclidean-of-ours"])
def test_a_similarity_that_no_store_has(name: str, plain: Path, tmp_path: Path) -> None:
    folder = stated(saved(plain, tmp_path / "model"), "config_sentence_transformers.json", similarity_fn_name=name)
    if name == "manhattan":
        with pytest.raises(ExportError, match="similarity: expected cosine, dot or euclidean, found 'manhattan'"):
            prepare(folder)
    else:  # one that sentence-transformers does not know either
        assert prepare(folder).recipe.similarity == "cosine"


def test_a_function_of_the_models_own_code(plain: Path, tmp_path: Path) -> None:
    """sentence-transformers would take another one in its place, with a warning that is not seen."""
    folder = saved(plain, tmp_path / "model", Dense(64, 32))
    own = tmp_path / "own"
    shutil.copytree(folder, own)
    stated(own, "2_Dense/config.json", activation_function="own_code.Curve")
    with pytest.raises(
        ExportError, match=r"2_Dense/config\.json: the activation own_code\.Curve is code of the model's own"
    ):
        prepare(own)
    scorer = tmp_path / "scorer"
    CrossEncoder(
        str(models.save("bert", tmp_path / "classes", head="ForSequenceClassification", num_labels=1)), device="cpu"
    ).save(str(scorer))
    stated(scorer, "config_sentence_transformers.json", activation_fn="own_code.Curve")
    with pytest.raises(ExportError, match=r"config_sentence_transformers\.json: the activation own_code\.Curve"):
        prepare(scorer)


@pytest.mark.parametrize("change", [{"module_input_name": "token_embeddings"}, {"module_output_name": "other"}])
def test_a_dense_module_elsewhere(change: dict[str, str], plain: Path, tmp_path: Path) -> None:
    folder = stated(saved(plain, tmp_path / "model", Dense(64, 32)), "2_Dense/config.json", **change)
    with pytest.raises(ExportError, match="a Dense module here is expected to be over the sentence vector"):
        prepare(folder)


def test_each_part_keeps_its_precision(plain: Path, tmp_path: Path) -> None:
    """A layer in float32 beside a backbone in bfloat16: sentence-transformers rounds it as the backbone is."""
    from safetensors.torch import load_file, save_file

    folder = saved(plain, tmp_path / "model", Dense(64, 32, activation_function=nn.Identity()))
    state = load_file(folder / "model.safetensors")
    norm = "encoder.layer.0.output.LayerNorm.weight"
    half = {name: value if name == norm else value.bfloat16() for name, value in state.items()}
    half[norm] = torch.linspace(0.3, 1.7, 64)
    save_file(half, folder / "model.safetensors", metadata={"format": "pt"})
    stated(folder, "config.json", dtype="bfloat16")
    module = prepare(folder).plan.graphs["default"].module
    layer = load_file(folder / "2_Dense" / "model.safetensors")["linear.weight"]
    assert torch.equal(module.stages[0][0].weight, layer)
    own = module.backbone.state_dict()
    assert torch.equal(own[norm], half[norm])
    assert all(torch.equal(own[name], value.float()) for name, value in half.items() if "pooler" not in name)
