"""curl, as a person types it."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess

import numpy as np
import pytest

from embedkit import Encoder
from helpers.clients import KEY, TEXTS

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def curl(*given: str, data: object = None) -> str:
    body = [] if data is None else ["-H", "content-type: application/json", "-d", json.dumps(data)]
    done = subprocess.run(
        ["curl", "-sS", "--compressed", "--max-time", "20", *body, *given], capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.parametrize("header", [f"Authorization: Bearer {KEY}", f"api-key: {KEY}", f"x-api-key: {KEY}"])
def test_the_vectors_of_encode(base: str, tiny: Encoder, header: str) -> None:
    asked = {"model": "tiny", "input": TEXTS, "encoding_format": "base64"}
    answer = json.loads(curl("-H", header, f"{base}/embeddings", data=asked))
    found = np.stack([np.frombuffer(base64.b64decode(row["embedding"]), "<f4") for row in answer["data"]])
    assert found.tobytes() == tiny.encode(TEXTS).tobytes()


def test_without_the_key(base: str) -> None:
    status = curl("-o", "/dev/null", "-w", "%{http_code}", f"{base}/embeddings", data={"input": "a"})
    assert status == "401"
