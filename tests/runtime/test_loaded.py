"""Loaded bundles: threads that they share, and values whichever way they are asked for."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from embedkit import Encoder, InputError, ingest
from embedkit.testing.tiny import tiny_bundle
from helpers.small_bundles import changed


def test_encoders_share_their_threads(bundle: Path) -> None:
    before = set(threading.enumerate())  # other encoders of this process may have threads of their own
    encoders = [Encoder.load(bundle, threads=3, variant="fp32", on_truncate="ignore") for _ in range(6)]
    for encoder in encoders:
        encoder.encode([f"text {i}" * (i % 9) for i in range(200)])
    started = [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("embedkit_")]
    assert len(started) <= 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_an_encoder_works_after_a_fork(encoder: Encoder) -> None:
    expected = encoder.encode(["a", "b"])
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # ends it where it hangs
        try:
            os.write(write, encoder.encode(["a", "b"]).tobytes())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read() == expected.tobytes()
    os.waitpid(child, 0)


@pytest.fixture(scope="module")
def beyond(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of an earlier version whose tokenizer has a token that its table has not, and that does not say so."""
    from tokenizers import Tokenizer

    folder = tiny_bundle(tmp_path_factory.mktemp("beyond") / "bundle", variants=("fp32",))
    file = folder / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.add_tokens(["<new>"])
    tokenizer.save(str(file))
    return changed(folder, lambda _: {})


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_no_error_of_an_engine_reaches_a_user(engine: str, beyond: Path, tmp_path: Path) -> None:
    """The text is named, and an ingest keeps the rows beside it."""
    pytest.importorskip(engine)
    encoder = Encoder.load(beyond, engine=engine, variant="fp32", threads=2)
    texts = ["a", "some text", "one <new> token", "b" * 30]
    with pytest.raises(InputError, match=r"^text 2: .*the graph cannot compute .*25[0-9]"):
        encoder.encode(texts)
    with pytest.raises(InputError, match=r"^text 0: .*the graph cannot compute"):
        encoder.encode("<new>")
    for compute in (encoder.loaded.values, encoder.loaded.computed):
        with pytest.raises(InputError, match=r"^text 2: .*the graph cannot compute"):
            compute("default", encoder.loaded.fill("default", texts))
    rows = [{"id": str(i), "text": text} for i, text in enumerate(texts)]
    report = ingest(rows, encoder, "memory://", collection=f"beyond-{engine}", dead_letters=tmp_path / "refused.jsonl")
    assert (report.written, report.dead) == (3, 1)
    (refused,) = (tmp_path / "refused.jsonl").read_text().splitlines()
    assert "the graph cannot compute" in refused
    assert '"2"' in refused
