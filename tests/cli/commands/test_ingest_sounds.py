"""Folders of sounds, from the command line to the hits."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedkit import Encoder
from embedkit.runtime.frontends.audio import decoding
from helpers.commands import STORE, error

pytest.importorskip("soundfile")
pytest.importorskip("soxr")
import soundfile

from helpers.audio_bundles import RATE, sound_bundle, tone

PITCHES = {"low.wav": 300, "middle.flac": 1500, "sub/high.ogg": 2600, "sub/highest.mp3": 3300}


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sound_bundle(tmp_path_factory.mktemp("bundles") / "sounds")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sound_bundle(tmp_path_factory.mktemp("bundles") / "both", texts=True)


@pytest.fixture
def sounds(folder: Path) -> Path:
    where = folder / "sounds"
    (where / "sub").mkdir(parents=True)
    for name, hertz in PITCHES.items():
        soundfile.write(where / name, tone(hertz, 0.8, 16_000), 16_000)
    (where / "low.txt").write_text("A deep hum.")
    (where / "broken.wav").write_bytes((where / "low.wav").read_bytes()[:-10])
    (where / "short.wav").write_bytes(b"")
    soundfile.write(where / "frame.wav", np.zeros(100, np.float32), RATE)
    nan = tone(300, 0.5)
    nan[9] = np.nan
    soundfile.write(where / "nan.wav", nan, RATE, subtype="FLOAT")
    (where / "text.wav").write_text("words")
    return where


def hits_of(out: str) -> dict[str, Any]:
    return {hit["id"]: hit for hit in json.loads(out)["hits"]}


@pytest.mark.parametrize("kind", ["heard", "both"])
def test_a_folder(kind: str, request: pytest.FixtureRequest, run: Any, sounds: Path, folder: Path) -> None:
    bundle = request.getfixturevalue(kind)
    code, out, err = run("ingest", bundle, "sounds", *STORE, "--dead-letters", "bad.jsonl")
    assert code == 0, err
    assert "4 written" in out
    assert "not read, since they are no sounds (1): sounds/low.txt" in err
    reasons = {row["id"]: row["reason"] for row in map(json.loads, (folder / "bad.jsonl").read_text().splitlines())}
    for name, why in {
        "broken.wav": "ends 10 bytes too early",
        "short.wav": "the file is empty",
        "frame.wav": "100 samples at 8,000 a second, and the model needs at least 256",
        "nan.wav": "sample 9 is no finite number",
        "text.wav": "no sound that can be read",
    }.items():
        assert why in reasons.pop(name)
    assert not reasons
    assert "4 unchanged" in run("ingest", bundle, "sounds", *STORE, "--dead-letters", "bad.jsonl")[1]
    soundfile.write(folder / "query.aiff", tone(2550, 0.6, 44_100), 44_100)
    found = hits_of(run("search", bundle, "--audio", "query.aiff", *STORE, "--json")[1])
    assert next(iter(found)) == "sub/high.ogg"
    low = found["low.wav"]
    assert (low["text"], low["metadata"]["media"], low["metadata"]["seconds"]) == ("A deep hum.", "audio", 0.8)
    assert low["metadata"]["uri"] == "sounds/low.wav"
    shutil.rmtree(sounds / "sub")
    for name in ("broken.wav", "short.wav", "frame.wav", "nan.wav", "text.wav"):
        (sounds / name).unlink()
    assert "2 deleted" in run("sync", bundle, "sounds", *STORE)[1]
    assert run("check", bundle, "sounds", *STORE, "--vectors", 5)[0] == 0
    (sounds / "low.txt").write_text("Another caption.")
    assert run("check", bundle, "sounds", *STORE)[0] == 1
    assert "no image" in error(run("search", bundle, "--image", "query.aiff", *STORE))


def test_texts_ask_for_sounds(both: Path, run: Any, sounds: Path) -> None:
    run("ingest", both, "sounds", *STORE)
    assert len(hits_of(run("search", both, "a deep hum", *STORE, "--json")[1])) == 4


def test_long_sounds_in_parts(heard: Path, run: Any, folder: Path) -> None:
    (folder / "long").mkdir()
    pieces = [tone(hertz, 1.0, 16_000) for hertz in (300, 1500, 3300)]
    soundfile.write(folder / "long" / "a.flac", np.concatenate(pieces), 16_000)
    soundfile.write(folder / "long" / "b.wav", tone(700, 0.4, 16_000), 16_000)
    cut = ("--chunk", "1s", "--overlap", "0.25s")
    assert "5 written" in run("ingest", heard, "long", *STORE, *cut)[1]
    assert "5 unchanged" in run("ingest", heard, "long", *STORE, *cut)[1]
    assert run("check", heard, "long", *STORE, *cut, "--vectors", 9)[0] == 0
    soundfile.write(folder / "query.wav", tone(3300, 0.9), RATE)
    first, *_ = json.loads(run("search", heard, "--audio", "query.wav", *STORE, "--json")[1])["hits"]
    about = first["metadata"]
    assert (first["id"], about["start"], about["end"], about["chunks"]) == ("a.flac#3", 2.0, 3.0, 4)
    assert (about["source"], about["seconds"], first["text"]) == ("a.flac", 3.0, "a.flac")
    alone = Encoder.load(heard).encode_audio((pieces[2], 16_000))
    assert np.allclose(first["score"], Encoder.load(heard).encode_audio(Path("query.wav")) @ alone, atol=1e-4)


def test_parts_of_a_sound_that_is_too_long_as_a_whole(
    heard: Path, run: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "LONGEST", 2)
    (folder / "long").mkdir()
    soundfile.write(folder / "long" / "a.wav", tone(1500, 3.0, 16_000), 16_000)
    assert "0 written" in run("ingest", heard, "long", *STORE, "--dead-letters", "bad.jsonl")[1]
    assert "at most 2 seconds are decoded; cut it (--chunk 10s" in (folder / "bad.jsonl").read_text()
    assert "3 written" in run("ingest", heard, "long", *STORE, "--chunk", "1s")[1]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--chunk", "100"], "chunking by sentences is for texts, and this bundle reads sounds; give --chunk SECONDS"),
        (["--chunk", "2s"], "the model reads 1.008 seconds of a sound"),
        (["--chunk", "1s", "--overlap", "3"], "expected seconds, as 2s, found 3"),
        (["--chunk", "1s", "--overlap", "1s"], "chunk overlap: expected less than the size"),
        (["--chunk", "1s", "--chunk-by", "tokens"], "sounds are cut by seconds alone"),
        (["--chunk", "9", "--overlap", "1s"], "expected a number of tokens, found 1s"),
        (["--chunk", "0s"], "chunk size: expected a number from 0.01"),
        (["--overlap", "1s"], "give --chunk"),
    ],
)
def test_parts_that_cannot_be(options: list[str], problem: str, heard: Path, run: Any, sounds: Path) -> None:
    code, _, err = run("ingest", heard, "sounds", *STORE, *options)
    assert code != 0
    assert problem in err


def test_a_bundle_of_texts_has_no_seconds(bundle: Path, run: Any, folder: Path) -> None:
    (folder / "a.md").write_text("Words.")
    assert "chunking by seconds is for sounds, and this bundle reads texts" in error(
        run("ingest", bundle, "a.md", *STORE, "--chunk", "2s")
    )
