"""Batches, texts that are refused, and a server that comes back with another model."""

from __future__ import annotations

import pytest

from embedkit import ClosedError, Encoder, InputError, RemoteEncoder, RemoteError
from embedkit.testing.tiny import tiny_bundle

TEXTS = [f"text {i}" for i in range(50)]


def sizes(server) -> list[int]:
    return [len(body["input"]) for body in server.asked]


def test_batches_are_no_larger_than_asked_for(url, server, encoder):
    with RemoteEncoder(url, batch_size=20, concurrency=1, on_truncate="ignore") as remote:
        server.asked.clear()
        assert (remote.encode(TEXTS) == encoder.encode(TEXTS)).all()
        assert sizes(server) == [20, 20, 10]
        server.asked.clear()
        remote.encode(["x" * 150_000, "y" * 150_000, "z"])
        assert sizes(server) == [1, 2]


def test_smaller_batches_where_the_server_takes_no_more(url, server, encoder):
    server.most = 16
    with RemoteEncoder(url, batch_size=64, concurrency=1) as remote:
        assert (remote.encode(TEXTS) == encoder.encode(TEXTS)).all()
        server.asked.clear()
        assert (remote.encode(TEXTS) == encoder.encode(TEXTS)).all()
        assert max(sizes(server)) <= 16


def test_a_refused_text_is_named_and_the_others_have_vectors(url, server, encoder):
    server.refused = {"text 7", "text 33"}
    with RemoteEncoder(url) as remote:
        with pytest.raises(InputError, match="text 7: the server refuses it: cannot encode 'text 7'"):
            remote.encode(TEXTS)
        reasons: dict[int, str] = {}
        values = remote.encode_outputs(TEXTS, on_bad=reasons.__setitem__)
        assert sorted(reasons) == [7, 33]
        kept = [text for text in TEXTS if text not in server.refused]
        assert (values["dense"] == encoder.encode(kept)).all()


def test_a_server_that_refuses_everything_blames_no_text(url, server):
    with RemoteEncoder(url) as remote:
        server.failures.extend([(400, {})] * 99)
        with pytest.raises(RemoteError, match="answered 400: try again"):
            remote.encode(TEXTS)


def test_a_server_that_comes_back_is_asked_what_it_has(url, server, encoder, tmp_path):
    with RemoteEncoder(url, retries=1) as remote:
        server.failures.append(None)
        assert (remote.encode(["a"]) == encoder.encode(["a"])).all()
        server.models["tiny"] = Encoder.load(tiny_bundle(tmp_path / "b", seed=1), variant="fp32", threads=1)
        server.failures.append(None)
        with pytest.raises(RemoteError, match="'tiny' is another one than before"):
            remote.encode(["a"])


def test_cut_texts_are_counted(url, server, encoder):
    with RemoteEncoder(url, on_truncate="ignore") as remote:
        remote.encode(["short", "long " * 100, "short too"])
        assert (remote.stats.texts, remote.stats.truncated) == (3, 1)
        with pytest.raises(InputError, match="text 1 is longer than the 64 tokens"):
            remote.encode(["short", "long " * 100], on_truncate="error")


def test_use_after_close(url):
    remote = RemoteEncoder(url)
    remote.close()
    remote.close()
    with pytest.raises(ClosedError, match="RemoteEncoder is closed"):
        remote.encode("a")
