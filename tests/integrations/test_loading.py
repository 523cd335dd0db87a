"""Encoders from what an integration is given, written down and found again."""

from __future__ import annotations

import json

import pytest

from embedkit import BundleError, Encoder, InputError, RemoteEncoder
from embedkit.integrations.loading import described, encoder_of, found_again, missing
from embedkit.testing.tiny import tiny_bundle
from helpers.embedding_server import EmbeddingServer, serving


def test_a_bundle_and_an_address(bundle, encoder, monkeypatch):
    monkeypatch.delenv("http_proxy", raising=False)
    assert encoder_of(encoder) is encoder
    assert isinstance(encoder_of(str(bundle)), Encoder)
    with serving(EmbeddingServer(encoder)) as url:
        for found in (encoder_of(encoder), encoder_of(url)):
            about = json.loads(json.dumps(described(found)))
            again = found_again(about)
            assert type(again) is type(found)
            assert (again.encode("a") == encoder.encode("a")).all()
        assert isinstance(again, RemoteEncoder)
    with pytest.raises(InputError, match="encoder: expected"):
        encoder_of(7)


def test_another_model_at_the_place(tmp_path, encoder):
    about = described(encoder) | {"bundle": str(tiny_bundle(tmp_path / "other", seed=1))}
    with pytest.raises(BundleError, match="written with another model"):
        found_again(about)


def test_a_framework_that_is_not_there():
    error = missing("llama-index-core", "llama-index")
    assert isinstance(error, ImportError)
    assert str(error) == (
        "embedkit.integrations.llama_index needs the package 'llama-index-core': run  pip install 'embedkit-onnx[llama-index]'"
    )
