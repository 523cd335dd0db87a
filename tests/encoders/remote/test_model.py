"""Which model is meant, and what is known of it."""

from __future__ import annotations

import numpy as np
import pytest

from embedkit import Encoder, OptionError, RemoteError
from embedkit.encoders.remote.address import Address
from embedkit.encoders.remote.client import Client
from embedkit.encoders.remote.model import PROBES, Wanted, find_model
from embedkit.stores.fingerprint import same_space
from embedkit.testing.tiny import tiny_bundle
from helpers.embedding_server import EmbeddingServer, serving


def found(url: str, name: str | None = None, **wanted):
    given = {"prompts": {}, "dimensions": None, "metric": None} | wanted
    return find_model(Client(Address.of(url), retries=0), Wanted(name, **given))


def test_our_server_says_what_it_has(url, server, encoder):
    model = found(url)
    assert (model.name, model.own, model.fingerprint) == ("tiny", True, encoder.fingerprint)
    assert (model.max_tokens, model.variant, list(model.roles)) == (64, "fp32", encoder.roles)
    assert model.outputs["dense"].dim == encoder.dim
    assert model.outputs["dense"].normalized
    assert found(url, "tiny:query").fingerprint == encoder.fingerprint


def test_a_stranger_is_known_by_what_it_gives(url, server, encoder):
    server.own = False
    model = found(url)
    assert (model.own, model.outputs["dense"].dim, model.outputs["dense"].normalized) == (False, 8, True)
    assert server.asked[0]["input"] == list(PROBES)
    server.noise = 1e-3
    assert same_space(found(url).fingerprint, model.fingerprint)
    for other in (
        found(url, prompts={"query": "query: "}),
        found(url, dimensions=None, name="tiny", prompts={"query": "q "}),
    ):
        assert not same_space(other.fingerprint, model.fingerprint)


def test_another_model_of_the_same_name_is_another(url, server, tmp_path):
    server.own = False
    before = found(url).fingerprint
    server.models["tiny"] = Encoder.load(tiny_bundle(tmp_path / "b", seed=1), variant="fp32", threads=1)
    assert not same_space(found(url).fingerprint, before)


def test_numbers_in_lists_where_base64_is_refused(url, server, encoder):
    server.own, server.base64 = False, False
    assert found(url).format == "float"


def test_one_of_several_is_named(encoder):
    with serving(EmbeddingServer(encoder, models={"a": encoder, "b": encoder})) as url:
        with pytest.raises(RemoteError, match=r"the server has a, b; name one by model=, or as http://.*/v1#NAME"):
            found(url)
        assert found(url, "b").name == "b"


def test_a_server_without_a_list(url, server):
    server.own, server.listed = False, False
    with pytest.raises(RemoteError, match="does not say which it has; name one"):
        found(url)
    assert found(url, "tiny").name == "tiny"
    with pytest.raises(RemoteError, match="no model 'other'"):
        found(url, "other")


def test_options_that_do_not_fit(url, server, encoder, tmp_path):
    with pytest.raises(OptionError, match="prompts: this server has those of its bundle"):
        found(url, prompts={"query": "q: "})
    server.models["tiny"] = Encoder.load(tiny_bundle(tmp_path / "b", kinds=["sparse"]), threads=1)
    with pytest.raises(OptionError, match="dimensions: are for dense vectors"):
        found(url, dimensions=4)


def test_fewer_numbers_than_were_asked_for_are_told(url, server, monkeypatch):
    server.own = False
    answer = server.embeddings
    monkeypatch.setattr(server, "embeddings", lambda body: answer({k: v for k, v in body.items() if k != "dimensions"}))
    with pytest.raises(OptionError, match="gave 8 numbers where 4 were asked for"):
        found(url, dimensions=4)


def test_a_reranker_is_no_encoder(url, server, monkeypatch):
    entry = server.models_listed()[0] | {"kind": "logits"}
    monkeypatch.setattr(server, "models_listed", lambda: [entry])
    with pytest.raises(RemoteError, match="numbers for classes or pairs"):
        found(url, "tiny")


def test_a_list_that_is_none(url, server, monkeypatch):
    monkeypatch.setattr(server, "models_listed", lambda: "tiny")
    with pytest.raises(RemoteError, match="expected a list of models"):
        found(url)
    monkeypatch.setattr(
        server, "models_listed", lambda: [{"id": "tiny", "fingerprint": "0", "kind": "dense", "dim": "many"}]
    )
    with pytest.raises(RemoteError, match="does not say what 'tiny' gives"):
        found(url)


def test_vectors_of_any_length(url, server, monkeypatch):
    server.own = False
    answer = server.embeddings

    def longer(body):
        status, reply = answer(body | {"encoding_format": "float"})
        for row in reply["data"]:
            row["embedding"] = (2 * np.array(row["embedding"])).tolist()
        return status, reply

    monkeypatch.setattr(server, "embeddings", longer)
    assert not found(url).outputs["dense"].normalized
