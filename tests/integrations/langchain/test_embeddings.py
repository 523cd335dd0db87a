"""LangChain's own suites of embeddings, and what they do not ask."""

from __future__ import annotations

import pickle

import pytest

pytest.importorskip("langchain_tests")

from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests

from embedkit import BundleError, Encoder
from embedkit.integrations.langchain import EmbedkitEmbeddings
from embedkit.testing.tiny import tiny_bundle


class _Tiny:
    @pytest.fixture(autouse=True)
    def _place(self, bundle) -> None:
        type(self).place = bundle

    @property
    def embeddings_class(self) -> type[EmbedkitEmbeddings]:
        return EmbedkitEmbeddings

    @property
    def embedding_model_params(self) -> dict:
        return {"bundle": self.place, "threads": 1}


class TestUnit(_Tiny, EmbeddingsUnitTests):
    pass


class TestIntegration(_Tiny, EmbeddingsIntegrationTests):
    pass


def test_each_role_has_its_template(tmp_path):
    encoder = Encoder.load(tiny_bundle(tmp_path / "b", prefixes={"query": "q: ", "document": "d: "}), threads=1)
    found = EmbedkitEmbeddings(encoder)
    assert found.embed_query("tea") == encoder.encode("q: tea").tolist()
    assert found.embed_documents(["tea", ""]) == encoder.encode(["d: tea", "d: "]).tolist()
    assert EmbedkitEmbeddings(encoder, dim=4).embed_query("tea") == encoder.encode("q: tea", dim=4).tolist()


def test_pickled_as_its_place_and_refuses_another_model(tmp_path):
    place = tiny_bundle(tmp_path / "b")
    found = EmbedkitEmbeddings(place, variant="fp32")
    raw = pickle.dumps(found)
    assert len(raw) < 1000
    again = pickle.loads(raw)
    assert again.embed_query("tea") == found.embed_query("tea")
    assert again.encoder.variant == "fp32"
    import shutil

    shutil.rmtree(place)
    tiny_bundle(place, seed=1)
    with pytest.raises(BundleError, match="written with another model"):
        pickle.loads(raw)
