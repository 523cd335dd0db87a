"""A bundle that changes under load is swapped in without a lost request; another model is not."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from embedkit import AsyncEncoder, Encoder
from embedkit.server.models import ServedModel
from embedkit.server.watching import Watcher, stamp
from embedkit.testing.tiny import tiny_bundle
from helpers.served import Served, quiet, served


def loaded(folder: Path) -> Encoder:
    return Encoder.load(folder, threads=1, engine="onnxruntime", on_truncate="ignore")


def replace(folder: Path, new: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(new, folder)


@contextmanager
def watched(folder: Path, **options: bool) -> Iterator[tuple[Served, Watcher]]:
    with served({"m": loaded(folder)}, quiet(**options)) as server:
        server.service.catalogue.models["m"].path = str(folder)

        def opened(name: str) -> ServedModel:
            encoder = loaded(folder)
            return ServedModel(name, encoder, AsyncEncoder(encoder), str(folder))

        yield server, Watcher(server.service, opened, None)


def look(server: Served, watcher: Watcher) -> None:
    asyncio.run_coroutine_threadsafe(watcher.once(), server.loop).result(60)


def test_a_changed_bundle_is_swapped_in_under_load(tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path / "m", variants=("fp32", "int8"))
    new = tiny_bundle(tmp_path / "new", variants=("fp32",))
    with watched(folder) as (server, watcher):
        codes: list[int] = []
        stop = threading.Event()

        def client() -> None:
            while not stop.is_set():
                codes.append(server.ask("/v1/embeddings", {"input": ["a"] * 20}).status)

        threads = [threading.Thread(target=client) for _ in range(4)]
        for thread in threads:
            thread.start()
        before = server.ask("/v1/models/m").json
        replace(folder, new)
        look(server, watcher)
        after = server.ask("/v1/models/m").json
        stop.set()
        for thread in threads:
            thread.join(30)
        assert set(codes) == {200}
        assert (before["variant"], after["variant"]) == ("int8", "fp32")
        assert before["fingerprint"] == after["fingerprint"]
        assert before["created"] == after["created"]


def test_another_model_is_refused_unless_that_is_allowed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    other = tiny_bundle(tmp_path / "other", seed=1)
    for allowed in (False, True):
        folder = tiny_bundle(tmp_path / f"m{allowed}")
        with watched(folder, allow_change=allowed) as (server, watcher):
            before = server.ask("/v1/models/m").json["fingerprint"]
            replace(folder, other)
            look(server, watcher)
            assert (server.ask("/v1/models/m").json["fingerprint"] != before) is allowed
            assert server.ask("/v1/embeddings", {"input": "a"}).status == 200
        told = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
        assert [line["event"] for line in told if "event" in line] == ["swapped" if allowed else "not swapped"]


def test_a_broken_bundle_leaves_the_old_one(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tiny_bundle(tmp_path / "m")
    with watched(folder) as (server, watcher):
        (folder / "embedkit.json").write_text("{}")
        look(server, watcher)
        look(server, watcher)
        assert server.ask("/v1/embeddings", {"input": "a"}).status == 200
        shutil.rmtree(folder)
        look(server, watcher)
        assert stamp(str(folder)) is None
        assert server.ask("/v1/embeddings", {"input": "a"}).status == 200
    assert capfd.readouterr().err.count("not swapped") == 1, "told once"
