"""A server under many clients, beside the encoder alone: how much is lost to HTTP, the queue and JSON.

    python benchmarks/serve.py [--bundle FOLDER] [--variant int8] [--clients 64] [--requests 500] [--texts 4]
                               [--infinity .venv-infinity/bin/infinity_emb]

The same texts go through `Encoder.encode` in one call, through the server from many clients with base64, and from a lone client
one by one, in turns; then a lone client asks while another sends 2,048 texts at a time. The server runs in a process of its own,
and so does infinity, which serves the model's folder with torch, in an environment of its own, made with
``pip install torch==2.13.0 'infinity-emb[server]==0.0.78' 'sentence-transformers<5.2'``. Writes JSON.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import multiprocessing
import os
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from machine import facts

from embedkit import Encoder
from embedkit.ingestion.readers.docstrings import standard_library


def serve(folder: str, variant: str | None, pipe: Connection) -> None:
    """The life of the server's process."""
    import asyncio

    from embedkit.server.process import ListenAddress, serve_until_signal
    from embedkit.server.settings import ServeSettings

    def load(path: str) -> Encoder:
        return Encoder.load(path, variant=variant, engine="onnxruntime", on_truncate="ignore")

    settings = ServeSettings(access_log=False, drain=0.0)
    asyncio.run(serve_until_signal({"bundle": folder}, load, settings, ListenAddress(port=0), started=pipe.send))


def infinity(command: Path) -> Iterator[str]:
    """The address of infinity with the model's folder, once it is ready; it ends with the generator."""
    from systems import model_folder

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = f"v2 --engine torch --device cpu --no-bettertransformer --dtype float32 --host 127.0.0.1 --port {port}"
    named = ["--url-prefix", "/v1", "--served-model-name", "bundle", "--model-id", str(model_folder())]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = {**os.environ, "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
    with subprocess.Popen([command, *arguments.split(), *named], env=environment, **quiet) as process:  # type: ignore[call-overload]
        url = f"http://127.0.0.1:{port}"
        try:
            for _ in range(120):
                time.sleep(1)
                with suppress(OSError):
                    Client(url).encode(["ready?"])
                    break
            yield url
        finally:
            process.terminate()


class Client:
    """A connection that stays open."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=600)

    def encode(self, texts: list[str]) -> np.ndarray:
        body = json.dumps({"model": "bundle", "input": texts, "encoding_format": "base64"})
        self._connection.request("POST", "/v1/embeddings", body, {"content-type": "application/json"})
        answer = self._connection.getresponse()
        data = json.loads(answer.read())
        assert answer.status == 200, data
        return np.stack([np.frombuffer(base64.b64decode(one["embedding"]), "<f4") for one in data["data"]])


def many(url: str, requests: list[list[str]], clients: int) -> tuple[float, np.ndarray]:
    found: list[np.ndarray | None] = [None] * len(requests)

    def work(first: int) -> None:
        client = Client(url)
        for i in range(first, len(requests), clients):
            found[i] = client.encode(requests[i])

    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as threads:
        list(threads.map(work, range(clients)))
    return time.perf_counter() - started, np.concatenate([one for one in found if one is not None])


def timed(call: object, texts: list[str]) -> list[float]:
    """Milliseconds of each text by itself."""
    out = []
    for text in texts:
        started = time.perf_counter()
        call([text])  # type: ignore[operator]
        out.append((time.perf_counter() - started) * 1000)
    return out


def beside_a_large_one(url: str, large: list[str], questions: list[str]) -> list[float]:
    """Milliseconds of each question while another client sends a large request again and again."""
    stop = threading.Event()

    def work() -> None:
        client = Client(url)
        while not stop.is_set():
            client.encode(large)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.5)
    try:
        return timed(Client(url).encode, questions)
    finally:
        stop.set()
        thread.join()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--variant", help="of the bundle: fp32, int8; the bundle's own choice without it")
    parser.add_argument("--infinity", type=Path, help="the command of infinity, in its own environment")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--texts", type=int, default=4)
    parser.add_argument(
        "--large", type=int, default=2048, help="texts of the request that a lone question comes beside"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/serve.json"))
    given = parser.parse_args()
    folder = given.bundle
    if folder is None:
        from systems import model_folder

        import embedkit_export

        folder = Path(tempfile.mkdtemp()) / "bundle"
        embedkit_export.export(model_folder(), output=folder)
    documents = [document.text for document in islice(standard_library(), given.requests * given.texts)]
    requests = [documents[i : i + given.texts] for i in range(0, len(documents), given.texts)]
    here, there = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=serve, args=(str(folder), given.variant, there), daemon=True
    )
    process.start()
    there.close()  # else a server that does not start is waited for
    url = here.recv()
    encoder = Encoder.load(folder, variant=given.variant, engine="onnxruntime", on_truncate="ignore")
    texts = [text for request in requests for text in request]
    expected = encoder.encode(texts)
    with contextmanager(infinity)(given.infinity) if given.infinity else nullcontext() as peer:
        servers = {"served": url} | ({"infinity": peer} if peer else {})
        rates: dict[str, list[float]] = {name: [] for name in ("alone", *servers)}
        lone: dict[str, list[float]] = {name: [] for name in ("alone", *servers)}
        differences = {}
        for _ in range(given.rounds):
            started = time.perf_counter()
            encoder.encode(texts)
            rates["alone"].append(len(texts) / (time.perf_counter() - started))
            lone["alone"] += timed(encoder.encode, texts[:100])
            for name, where in servers.items():
                seconds, vectors = many(where, requests, given.clients)
                rates[name].append(len(texts) / seconds)
                lone[name] += timed(Client(where).encode, texts[:100])
                differences[name] = float(np.abs(vectors - expected).max())
        assert differences["served"] == 0
    held = beside_a_large_one(url, (texts * given.large)[: given.large], texts[:20])
    process.terminate()
    process.join(60)
    report = {
        "machine": facts(),
        "texts_per_second": {name: round(statistics.median(values), 1) for name, values in rates.items()},
        "largest_difference": differences,
        "of_alone": round(statistics.median(rates["served"]) / statistics.median(rates["alone"]), 3),
        "lone_client_ms": {name: round(statistics.median(values), 2) for name, values in lone.items()},
        "beside_2048_texts_ms": {
            "median": round(statistics.median(held), 1),
            "p99": round(float(np.quantile(held, 0.99)), 1),
        },
    }
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps({name: value for name, value in report.items() if name != "machine"}, indent=2))


if __name__ == "__main__":
    main()
