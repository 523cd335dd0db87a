"""Many clients with one short text each: one call after another, a thread a client, and AsyncEncoder.

    python benchmarks/concurrency.py [--bundle FOLDER] [--clients 32] [--requests 1000]

All three take the same requests, in turns in one process. On a machine that does other work too the CPU time of a
request tells more than the requests per second. Writes JSON and a picture.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from machine import facts

from embedkit import AsyncEncoder, Encoder
from embedkit.ingestion.readers.docstrings import standard_library

Run = tuple[float, list[float], np.ndarray]
"""Seconds for all, seconds of each request, vectors."""


def one_by_one(encoder: Encoder, texts: list[str], clients: int) -> Run:
    started = time.perf_counter()
    timed = [_timed(encoder, text) for text in texts]
    return time.perf_counter() - started, [t for t, _ in timed], np.stack([vector for _, vector in timed])


def thread_per_client(encoder: Encoder, texts: list[str], clients: int) -> Run:
    with ThreadPoolExecutor(clients) as threads:
        started = time.perf_counter()
        timed = list(threads.map(lambda text: _timed(encoder, text), texts))
        return time.perf_counter() - started, [t for t, _ in timed], np.stack([vector for _, vector in timed])


def async_encoder(encoder: Encoder, texts: list[str], clients: int) -> Run:
    vectors = np.empty((len(texts), encoder.dim), dtype=np.float32)
    latencies: list[float] = []

    async def client(service: AsyncEncoder, numbers: range) -> None:
        for i in numbers:
            began = time.perf_counter()
            vectors[i] = await service.encode(texts[i])
            latencies.append(time.perf_counter() - began)

    async def main() -> float:
        async with AsyncEncoder(encoder) as service:
            started = time.perf_counter()
            await asyncio.gather(*(client(service, range(i, len(texts), clients)) for i in range(clients)))
            return time.perf_counter() - started

    return asyncio.run(main()), latencies, vectors


def _timed(encoder: Encoder, text: str) -> tuple[float, np.ndarray]:
    began = time.perf_counter()
    vector = encoder.encode(text)
    return time.perf_counter() - began, vector


SYSTEMS: dict[str, Callable[[Encoder, list[str], int], Run]] = {
    "one by one": one_by_one,
    "a thread a client": thread_per_client,
    "AsyncEncoder": async_encoder,
}


def picture(rows: dict[str, dict[str, float]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 3.2), constrained_layout=True)
    bars = left.barh(list(rows), [row["requests_per_second"] for row in rows.values()], color="#4477aa")
    left.bar_label(bars, fmt="%.0f", padding=3)
    left.set_xlabel("requests per second")
    left.margins(x=0.15)
    for i, (label, color) in enumerate((("p50", "#88ccee"), ("p95", "#4477aa"), ("p99", "#223355"))):
        places = np.arange(len(rows)) + (i - 1) * 0.27
        right.barh(places, [row[f"{label}_ms"] for row in rows.values()], 0.25, label=label, color=color)
    right.set_yticks(range(len(rows)), list(rows))
    right.set_xlabel("milliseconds of a request")
    right.legend()
    for axes in (left, right):
        axes.invert_yaxis()
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="a bundle; without it all-MiniLM-L6-v2 is exported first")
    parser.add_argument("--variant", default="auto")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "concurrency.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bundle = options.bundle
        if bundle is None:
            from systems import model_folder

            import embedkit_export

            bundle = Path(folder) / "bundle"
            embedkit_export.export(model_folder(), output=bundle, progress=True)
        encoder = Encoder.load(bundle, variant=options.variant, on_truncate="ignore")
    summaries = [document.text.split("\n")[1] for document in standard_library()]
    texts = [" ".join(text.split()[:8]) for text in summaries[:: max(1, len(summaries) // options.requests)]]
    texts = texts[: options.requests]
    runs: dict[str, list[Run]] = {name: [] for name in SYSTEMS}
    cpu: dict[str, list[float]] = {name: [] for name in SYSTEMS}
    expected = encoder.encode(texts)
    for _ in range(options.rounds):
        for name, system in SYSTEMS.items():
            began = time.process_time()
            runs[name].append(system(encoder, texts, options.clients))
            cpu[name].append(time.process_time() - began)
            assert np.array_equal(runs[name][-1][2], expected), f"{name}: not the vectors of one call"
    rows = {}
    for name, found in runs.items():
        cuts = np.percentile([t for run in found for t in run[1]], [50, 95, 99]) * 1000
        seconds = statistics.median(run[0] for run in found)
        rows[name] = {
            "requests_per_second": len(texts) / seconds,
            "cpu_ms": statistics.median(cpu[name]) / len(texts) * 1000,
            **{f"{label}_ms": float(cut) for label, cut in zip(("p50", "p95", "p99"), cuts, strict=True)},
        }
    base = rows["one by one"]["requests_per_second"]
    print(f"{len(texts)} requests, {options.clients} clients, {encoder.variant}, {encoder.threads} threads\n")
    print("| system | requests/s | ratio | CPU ms | p50 ms | p95 ms | p99 ms |\n|-|-|-|-|-|-|-|")
    for name, row in rows.items():
        rate = row["requests_per_second"]
        times = " | ".join(f"{row[f'{label}_ms']:.1f}" for label in ("p50", "p95", "p99"))
        print(f"| {name} | {rate:.0f} | {rate / base:.1f} | {row['cpu_ms']:.2f} | {times} |")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    about = {
        "machine": facts(),
        "threads": encoder.threads,
        "variant": encoder.variant,
        "clients": options.clients,
        "requests": len(texts),
    }
    options.output.write_text(json.dumps({**about, "systems": rows}, indent=2) + "\n")
    picture(rows, options.output.with_suffix(".png"))


if __name__ == "__main__":
    main()
