"""One server at a real port for the clients that its users have; each test is skipped where its client is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from embedkit import Encoder
from embedkit.testing.tiny import tiny_bundle
from helpers.clients import KEY
from helpers.served import Served, quiet, served
from helpers.small_bundles import DIM, eighths, with_logits

pytest.importorskip("starlette", reason="the extra serve is not installed")


@pytest.fixture(scope="session")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Encoder]:
    root: Path = tmp_path_factory.mktemp("clients")
    folders = {
        "tiny": tiny_bundle(root / "tiny", prefixes={"query": "query: "}, kinds=("dense", "sparse", "multivector")),
        "rank": with_logits(root / "rank", eighths(DIM, 1), activation="sigmoid", pair=True),
    }
    return {
        name: Encoder.load(folder, variant="fp32", threads=1, on_truncate="ignore") for name, folder in folders.items()
    }


@pytest.fixture(scope="session")
def tiny(encoders: dict[str, Encoder]) -> Encoder:
    return encoders["tiny"]


@pytest.fixture(scope="session")
def server(encoders: dict[str, Encoder]) -> Iterator[Served]:
    """With a key, as a server has that others reach."""
    with served(encoders, quiet(keys=(KEY,)), aliases={"text-embedding-3-small": "tiny"}) as running:
        yield running


@pytest.fixture(scope="session")
def base(server: Served) -> str:
    return f"{server.url}/v1"


@pytest.fixture(autouse=True)
def no_other_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that goes elsewhere than it is told is refused by a proxy that is not there."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1,localhost")
