"""A server of the tiny bundle, as embedkit's speaks and as a stranger's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from embedkit import Encoder
from helpers.embedding_server import EmbeddingServer, serving


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "EMBEDKIT_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server(encoder: Encoder) -> EmbeddingServer:
    return EmbeddingServer(encoder)


@pytest.fixture
def url(server: EmbeddingServer) -> Iterator[str]:
    with serving(server) as address:
        yield address
