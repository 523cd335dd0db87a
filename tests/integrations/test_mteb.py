"""MTEB's protocols, on its own mock tasks, against the same computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("mteb")

import mteb
from mteb.cache import ResultCache
from mteb.mocks.mock_tasks.classification import MockClassificationTask
from mteb.mocks.mock_tasks.reranking import MockRerankingTask
from mteb.mocks.mock_tasks.retrieval import MockRetrievalTask
from mteb.mocks.mock_tasks.sts import MockSTSTask
from mteb.models.models_protocols import CrossEncoderProtocol, EncoderProtocol
from mteb.types import PromptType

from embedkit import Encoder, InputError, Reranker
from embedkit.integrations.mteb import EmbedkitCrossEncoder, EmbedkitModel
from embedkit.testing.tiny import tiny_bundle
from helpers.small_bundles import DIM, eighths, with_logits


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("mteb") / "b", prefixes={"query": "q: ", "document": "d: "})


@pytest.fixture(scope="module")
def model(place) -> EmbedkitModel:
    return EmbedkitModel(place, variant="fp32", threads=1)


@pytest.mark.parametrize("task", [MockSTSTask, MockRetrievalTask, MockRerankingTask, MockClassificationTask])
def test_tasks_run(model, task):
    found = mteb.evaluate(model, task(), cache=None, show_progress_bar=False)
    (result,) = found.task_results
    assert 0 <= result.get_score() <= 1


def test_the_protocols(model, tmp_path):
    assert isinstance(model, EncoderProtocol)
    assert not isinstance(model, CrossEncoderProtocol)
    cross = EmbedkitCrossEncoder(with_logits(tmp_path / "b", eighths(DIM, 1), pair=True))
    assert isinstance(cross, CrossEncoderProtocol)
    assert not isinstance(cross, EncoderProtocol)


def test_each_role_has_its_template(model):
    batches, texts = [{"text": ["a", "b"]}, {"text": ["c"]}], ["a", "b", "c"]
    encoder = model.encoder
    assert (model.encode(batches, prompt_type=PromptType.query) == encoder.encode_query(texts)).all()
    assert (model.encode(batches, prompt_type=PromptType.document) == encoder.encode_document(texts)).all()
    assert (model.encode(batches) == encoder.encode(texts)).all()
    with pytest.raises(InputError, match="holds image"):
        model.encode([{"image": []}])


def test_similarities(model):
    vectors = model.encoder.encode(["a", "b", "c"])
    assert np.allclose(model.similarity(vectors, vectors), vectors @ vectors.T, atol=1e-6)
    assert np.allclose(model.similarity_pairwise(vectors, vectors), 1, atol=1e-6)


def test_two_variants_never_share_a_cache(place, tmp_path):
    cache = ResultCache(tmp_path / "cache")
    models = [EmbedkitModel(place, variant=variant, threads=1) for variant in ("fp32", "int8")]
    models += [EmbedkitModel(place, variant="fp32", threads=1, dim=4, name="someone/tiny")]
    metas = [model.mteb_model_meta for model in models]
    assert metas[0].name == "embedkit/tiny--fp32"
    assert metas[2].name == "someone/tiny--fp32-4"
    assert len({meta.name for meta in metas}) == len({meta.revision for meta in metas}) == 3
    for one in models:
        mteb.evaluate(one, MockSTSTask(), cache=cache, show_progress_bar=False)
    written = [file for file in (tmp_path / "cache").rglob("*.json") if "meta" not in file.name]
    assert len(written) == 3


def test_a_cross_encoder_reranks(tmp_path):
    place = with_logits(tmp_path / "b", eighths(DIM, 1), pair=True)
    model = EmbedkitCrossEncoder(place, threads=1)
    found = model.predict([{"text": ["a", "b"]}], [{"text": ["c"]}, {"text": ["d"]}])
    assert (found == Reranker.load(place, threads=1).score([("a", "c"), ("b", "d")])).all()
    with pytest.raises(InputError, match="as many documents"):
        model.predict([{"text": ["a"]}], [])
    assert model.mteb_model_meta.revision.endswith(model.reranker.encoder.variant)
    (result,) = mteb.evaluate(model, MockRerankingTask(), cache=None, show_progress_bar=False).task_results
    assert 0 <= result.get_score() <= 1


def test_a_bundle_without_dense_vectors(tmp_path):
    with pytest.raises(InputError, match="gives sparse vectors first"):
        EmbedkitModel(Encoder.load(tiny_bundle(tmp_path / "b", kinds=["sparse"]), threads=1))
