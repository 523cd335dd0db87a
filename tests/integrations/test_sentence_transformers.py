"""What a program that takes a SentenceTransformer asks of it, beside sentence-transformers itself where it is installed."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from embedkit import Encoder, InputError, OptionError
from embedkit.integrations.sentence_transformers import SentenceTransformerLike
from embedkit.testing.tiny import tiny_bundle

TEXTS = ["tea from the mountains", "", "a é 日本"]


@pytest.fixture(scope="module")
def prompted(tmp_path_factory) -> Encoder:
    place = tiny_bundle(tmp_path_factory.mktemp("st") / "b", prefixes={"query": "q: ", "document": "d: "})
    return Encoder.load(place, variant="fp32", threads=1, on_truncate="ignore")


@pytest.fixture
def model(prompted) -> SentenceTransformerLike:
    return SentenceTransformerLike(prompted)


def test_its_roles_are_prompts(model, prompted):
    assert model.prompts == {"default": "", "query": "q: ", "document": "d: "}
    assert (model.encode(TEXTS) == prompted.encode(TEXTS)).all()
    assert (model.encode(sentences=TEXTS) == prompted.encode(TEXTS)).all()
    assert (model.encode(TEXTS, prompt_name="query") == prompted.encode_query(TEXTS)).all()
    assert (model.encode(TEXTS, prompt_name="passage") == prompted.encode_document(TEXTS)).all()
    assert (model.encode_query("tea") == prompted.encode_query("tea")).all()
    assert (model.encode_document(TEXTS) == prompted.encode_document(TEXTS)).all()
    assert (model.encode(TEXTS, prompt="d: ") == prompted.encode_document(TEXTS)).all()
    assert (model.encode_query(TEXTS, prompt="d: ") == prompted.encode_document(TEXTS)).all()
    model.default_prompt_name = "query"
    assert (model.encode("tea") == prompted.encode_query("tea")).all()


def test_shapes_and_types(model):
    assert model.encode("tea").shape == (8,)
    assert model.encode(TEXTS).shape == (3, 8)
    assert model.encode([]).shape == (0, 8)
    assert model.encode(np.array(TEXTS)).shape == (3, 8)
    assert isinstance(model.encode(TEXTS, convert_to_numpy=False), list)
    assert model.encode(TEXTS, precision="ubinary").shape == (3, 1)
    assert np.allclose(np.linalg.norm(model.encode(TEXTS, normalize_embeddings=True), axis=1), 1)
    assert model.encode(TEXTS, truncate_dim=4, batch_size=1, show_progress_bar=False, device="cpu").shape == (3, 4)
    assert SentenceTransformerLike(model.encoder, truncate_dim=4).encode(TEXTS).shape == (3, 4)
    assert (model.get_sentence_embedding_dimension(), model.get_embedding_dimension(), model.max_seq_length) == (
        8,
        8,
        64,
    )
    assert (model.similarity_fn_name, model.device) == ("cosine", "cpu")
    assert model.eval().to("cpu") is model


def test_tensors(model):
    torch = pytest.importorskip("torch")
    found = model.encode(TEXTS, convert_to_tensor=True)
    assert torch.equal(found, torch.from_numpy(model.encode(TEXTS)))
    assert isinstance(model.similarity(found, found), torch.Tensor)
    assert isinstance(model.similarity(list(found), found), torch.Tensor)
    assert isinstance(model.similarity_pairwise(found, found), torch.Tensor)


def test_similarities(model):
    vectors = model.encode(TEXTS)
    assert np.allclose(model.similarity(vectors, vectors), vectors @ vectors.T, atol=1e-6)
    assert np.allclose(model.similarity_pairwise(vectors, vectors[::-1]), (vectors * vectors[::-1]).sum(1), atol=1e-6)
    assert model.similarity(vectors[0], vectors).shape == (1, 3)
    with pytest.raises(InputError, match="one shape"):
        model.similarity_pairwise(vectors, vectors[:2])


def test_tokens(model):
    found = model.tokenize(["abc", "x" * 500])["input_ids"]
    assert found[0] == [256, *b"abc", 257]
    assert [len(ids) for ids in found] == [5, 64]
    assert model.preprocess(["abc"]) == model.tokenize(["abc"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt_name": "other"}, "prompt_name: this bundle has default, query, document"),
        ({"output_value": "token_embeddings"}, "output_value"),
        ({"precision": "int4"}, "precision"),
        ({"temperature": 1}, "no 'temperature'"),
    ],
)
def test_what_a_bundle_cannot_do_is_told(model, options, message):
    with pytest.raises(OptionError, match=message):
        model.encode(TEXTS, **options)
    with pytest.raises(InputError, match="expected a text or a list"):
        model.encode()


def test_a_bundle_without_dense_vectors(tmp_path):
    with pytest.raises(InputError, match="gives sparse vectors first"):
        SentenceTransformerLike(tiny_bundle(tmp_path / "b", kinds=["sparse"]))


def test_pickled_as_its_place(model):
    raw = pickle.dumps(model)
    assert len(raw) < 1000
    assert (pickle.loads(raw).encode(TEXTS) == model.encode(TEXTS)).all()


def test_its_methods_take_what_sentence_transformers_takes(model):
    st = pytest.importorskip("sentence_transformers")
    import inspect

    for name in ("encode", "encode_query", "encode_document", "similarity", "similarity_pairwise"):
        theirs = inspect.signature(getattr(st.SentenceTransformer, name)).parameters
        mine = inspect.signature(getattr(SentenceTransformerLike, name)).parameters
        if name == "encode":
            assert [p for p in theirs if p not in mine and p != "kwargs"] == []
            assert list(theirs)[:5] == list(mine)[:5]
