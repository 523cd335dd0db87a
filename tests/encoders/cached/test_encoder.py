"""Kept vectors are those of the encoder, bit for bit, and are not computed again."""

from __future__ import annotations

import concurrent.futures

import numpy as np
import pytest

from embedkit import CachedEncoder, DiskError, Encoder, InputError, ingest, open_store, search
from embedkit.testing.tiny import tiny_bundle

TEXTS = [f"text {i}" for i in range(100)] + ["", "é", "long " * 100]


@pytest.fixture
def cached(encoder, tmp_path):
    with CachedEncoder(encoder, tmp_path / "kept" / "vectors.sqlite") as made:
        yield made


def computed(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many items each call has computed from now on."""
    counts: list[int] = []
    submit = encoder.source.submit
    monkeypatch.setattr(
        encoder.source, "submit", lambda role, items, outputs: counts.append(len(items)) or submit(role, items, outputs)
    )
    return counts


def test_the_same_bits_and_computed_once(cached, encoder, monkeypatch, tmp_path):
    counts = computed(encoder, monkeypatch)
    for role in encoder.roles:
        expected = encoder.encode(TEXTS, role=role)
        counts.clear()
        assert cached.encode(TEXTS, role=role).tobytes() == expected.tobytes()
        assert sum(counts) == len(TEXTS)
        counts.clear()
        assert cached.encode(TEXTS[::-1], role=role).tobytes() == expected[::-1].tobytes()
        assert cached.encode(["new", *TEXTS], role=role)[1:].tobytes() == expected.tobytes()
        assert counts == [1]
    counts.clear()
    cached.close()
    with CachedEncoder(encoder, tmp_path / "kept" / "vectors.sqlite") as again:
        assert again.encode(TEXTS, dim=4).tobytes() == encoder.encode(TEXTS, dim=4).tobytes()
        assert counts == [len(TEXTS)], "by the encoder itself"
        assert again.stats.truncated == 1


@pytest.mark.parametrize("kind", ["sparse", "multivector"])
def test_other_kinds(tmp_path, kind, monkeypatch):
    encoder = Encoder.load(tiny_bundle(tmp_path / "b", kinds=[kind, "dense"]), threads=1, on_truncate="ignore")
    with CachedEncoder(encoder, tmp_path / "v") as cached:
        expected = encoder.encode_outputs(TEXTS)
        cached.encode_outputs(TEXTS)
        counts = computed(encoder, monkeypatch)
        found = cached.encode_outputs(TEXTS)
        assert counts == []
        assert found[kind] == expected[kind]
        assert found["dense"].tobytes() == expected["dense"].tobytes()


def test_variants_and_models_are_kept_apart(bundle, tmp_path):
    encoders = [Encoder.load(bundle, variant=name, threads=1, on_truncate="ignore") for name in ("fp32", "int8")]
    encoders.append(Encoder.load(tiny_bundle(tmp_path / "b", seed=1), variant="fp32", threads=1, on_truncate="ignore"))
    for encoder in encoders:
        with CachedEncoder(encoder, tmp_path / "v") as cached:
            assert cached.encode(TEXTS).tobytes() == encoder.encode(TEXTS).tobytes()
            assert cached.encode(TEXTS).tobytes() == encoder.encode(TEXTS).tobytes()


def test_ingest_and_search(cached, encoder, monkeypatch):
    with open_store("memory:cached") as store:
        rows = [{"id": str(i), "text": f"text {i}"} for i in range(50)]
        ingest(rows, cached, store, collection="c")
        counts = computed(encoder, monkeypatch)
        ingest(rows, cached, store, collection="again")
        assert counts == []
        assert search("text 7", cached, store, collection="c") == search("text 7", encoder, store, collection="again")


def test_what_is_bad_is_refused_as_without(cached):
    with pytest.raises(InputError, match="text 1: expected a string"):
        cached.encode(["a", 3])


def test_many_threads(cached, encoder):
    expected = encoder.encode(TEXTS).tobytes()
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        assert {found.tobytes() for found in threads.map(cached.encode, [TEXTS] * 40)} == {expected}


def test_a_damaged_file_costs_time_only(encoder, tmp_path):
    (tmp_path / "v").write_bytes(b"no database " * 1000)
    with CachedEncoder(encoder, tmp_path / "v") as cached:
        assert (cached.encode(TEXTS) == encoder.encode(TEXTS)).all()
        keys = [key for (key,) in cached.file._table.execute("SELECT key FROM kept")]
        cached.file.keep(dict.fromkeys(keys, b"short"))
        assert (cached.encode(TEXTS) == encoder.encode(TEXTS)).all()


def test_places_and_options(encoder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match="name another file"):
        CachedEncoder(encoder, tmp_path / "file" / "v")
    with pytest.raises(InputError, match="max_bytes"):
        CachedEncoder(encoder, tmp_path / "v", max_bytes=0)
    monkeypatch.setenv("EMBEDKIT_CACHE", str(tmp_path / "cache"))
    with CachedEncoder(encoder) as cached:
        assert cached.file.path == tmp_path / "cache" / "vectors.sqlite"
        assert np.array_equal(cached.encode("a"), encoder.encode("a"))
