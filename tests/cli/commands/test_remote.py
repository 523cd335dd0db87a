"""A server's address where a command takes a bundle."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from embedkit import Encoder
from embedkit.encoders.remote.client import Client
from helpers.embedding_server import EmbeddingServer, serving

STORE = ["--store", "sqlite-vec:index.db", "--collection", "docs"]

pytest.importorskip("sqlite_vec")


@pytest.fixture
def url(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("http_proxy", "HTTP_PROXY", "EMBEDKIT_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with serving(EmbeddingServer(encoder)) as address:
        yield address


def test_ingest_search_encode_and_check(run, bundle, docs, url):
    code, _, err = run("ingest", url, docs, *STORE)
    assert code == 0, err
    assert "0 written" in run("ingest", bundle, docs, *STORE, "--variant", "fp32")[1]
    near = json.loads(run("search", url, "text number 7", *STORE, "--json")[1])
    assert near == json.loads(run("search", bundle, "text number 7", *STORE, "--variant", "fp32", "--json")[1])
    assert run("search", f"{url}#tiny", "text number 7", *STORE, "--rerank", url)[0] == 0
    assert run("check", url, docs, *STORE, "--vectors", 3)[0] == 0
    assert json.loads(run("encode", url, "a")[1]) == json.loads(run("encode", bundle, "a", "--variant", "fp32")[1])


def test_what_the_server_alone_can_choose_is_refused(run, url):
    code, _, err = run("search", url, "a", *STORE, "--variant", "int8")
    assert code == 2
    assert "--variant: is for a bundle that is loaded here" in " ".join(err.split())


def test_a_server_that_is_not_there_is_told_in_a_line(run, monkeypatch):
    slept: list[float] = []
    monkeypatch.setitem(
        Client.__init__.__kwdefaults__, "sleep", slept.append
    )  # time.sleep itself was taken at the import
    code, _, err = run("search", "http://127.0.0.1:9/v1", "a", *STORE)
    assert code == 1
    assert err.startswith("error: http://127.0.0.1:9/v1: connection refused")
    assert len(slept) == 5


def test_eval_beside_a_bundle(run, bundle, folder, url):
    pytest.importorskip("scipy")
    (folder / "sts.tsv").write_text(
        "sentence1\tsentence2\tscore\n" + "".join(f"a {i}\tb {i % 3}\t{i % 5}\n" for i in range(30))
    )
    code, out, err = run(
        "eval", bundle, url, "--variant", "fp32", "--sts", "sts.tsv", "--resamples", 0, "--json", "--quiet"
    )
    assert code == 0, err
    local, remote = json.loads(out)["results"]
    assert (remote["name"], remote["fingerprint"]) == (url, local["fingerprint"])
    assert {name: one["value"] for name, one in remote["estimates"].items()} == {
        name: one["value"] for name, one in local["estimates"].items()
    }
