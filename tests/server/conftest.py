"""One server for the tests that only ask; what needs another starts its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from embedkit import Encoder
from embedkit.testing.tiny import tiny_bundle
from helpers.image_bundles import picture_bundle
from helpers.served import Served, served
from helpers.small_bundles import DIM, eighths, with_logits

pytest.importorskip("starlette", reason="the extra serve is not installed")


@pytest.fixture(scope="session")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Encoder]:
    """Tiny bundles of every kind."""
    root = tmp_path_factory.mktemp("served")
    folders = {
        "tiny": tiny_bundle(root / "tiny", prefixes={"query": "query: "}, kinds=("dense", "sparse", "multivector")),
        "rank": with_logits(root / "rank", eighths(DIM, 1), activation="sigmoid", pair=True),
        "classes": with_logits(
            root / "classes", eighths(DIM, 3), labels=("red", "green", "blue"), activation="softmax"
        ),
        "pictures": picture_bundle(root / "pictures", texts=True),
    }
    return {
        name: Encoder.load(folder, variant="fp32", threads=1, on_truncate="ignore") for name, folder in folders.items()
    }


@pytest.fixture(scope="session")
def server(encoders: dict[str, Encoder]) -> Iterator[Served]:
    """All of them, with an alias."""
    with served({"tiny": encoders["tiny"], **encoders}, aliases={"text-embedding-3-small": "tiny"}) as running:
        yield running


@pytest.fixture(scope="session")
def lone(encoder: Encoder) -> Iterator[Served]:
    """The tiny bundle alone."""
    with served({"tiny": encoder}) as running:
        yield running
