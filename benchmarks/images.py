"""Many pictures into a store: memory, where the time goes, torch on the same weights beside it, and a folder with broken files.

    python benchmarks/images.py [--pictures 5000] [--against 256] [--rounds 3] [--small 10000] [--bundle FOLDER] [--decode fast]

The pictures are the real ones of scikit-image, scikit-learn and matplotlib, enlarged, cropped and saved again, no two the same. Without
``--bundle`` EfficientNet-Lite0 is exported first. Each run is a process of its own; 0 leaves one out. Writes JSON.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from machine import facts, in_words, peak_megabytes
from pictures.packages import pictures

KINDS = (("JPEG", "jpg"), ("JPEG", "jpg"), ("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp"))
WEB, SMALL = (500, 1600), (48, 96)
"""Pixels of the longer edge, from and to."""
BROKEN = 100
"""Of so many small files one is broken."""
AT_A_TIME = 16


def saved(folder: Path, count: int, edges: tuple[int, int], *, broken: bool = False) -> list[str]:
    """Write ``count`` pictures into a folder, in as many folders below it as make a thousand each; the names of the broken ones."""
    from PIL import Image

    real = [Image.open(path).convert("RGB") for path in pictures() if path.suffix in (".jpg", ".png")]
    real = [picture for picture in real if min(picture.size) >= 250]
    bad = []
    for number in range(count):
        rng = np.random.default_rng(number)
        picture = real[number % len(real)]
        width, height = (int(edge * rng.uniform(0.5, 1.0)) for edge in picture.size)
        left, top = (
            int(rng.uniform(0, whole - part)) for whole, part in zip(picture.size, (width, height), strict=True)
        )
        longest = rng.integers(*edges)
        size = tuple(max(1, round(edge * longest / max(width, height))) for edge in (width, height))
        made = picture.crop((left, top, left + width, top + height)).resize(size, Image.Resampling.BICUBIC)
        kind, suffix = KINDS[number % len(KINDS)]
        file = io.BytesIO()
        made.save(file, kind, quality=int(rng.integers(60, 95)))
        data, name = file.getvalue(), f"{number // 1000:03}/{number:06}.{suffix}"
        if broken and number % BROKEN == BROKEN // 2:
            data = (data[: len(data) // 2], b"", b"a text that is called a picture", data[:11])[number // BROKEN % 4]
            bad.append(name)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return bad


def ingested(bundle: Path, photos: Path, decode: str) -> dict[str, Any]:
    """Ingest a folder into a new collection, and tell what it took; seconds of preparing and computing are summed over threads."""
    import embedkit
    from embedkit.runtime.frontends.image.modality import ImageBatch

    encoder = embedkit.Encoder.load(bundle, decode=decode)  # type: ignore[arg-type]
    clocks = {"preparing": Clock(), "computing": Clock()}
    ImageBatch.tensors = clocks["preparing"].around(ImageBatch.tensors)  # type: ignore[method-assign]
    sessions = {id(tower.session): tower.session for tower in encoder.loaded.towers.values()}
    for session in sessions.values():
        type(session).run = clocks["computing"].around(type(session).run)  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as work:
        rows = embedkit.FileRows([photos], format="image", root=photos)
        report = embedkit.ingest(
            rows, encoder, f"sqlite-vec:{work}/store.db", collection="photos", dead_letters=f"{work}/dead.jsonl"
        )
        dead = Path(work, "dead.jsonl")
        letters = [json.loads(line)["id"] for line in dead.read_text().splitlines()] if report.dead else []
    assert "torch" not in sys.modules
    seconds = {name: clock.seconds for name, clock in clocks.items()}
    return {
        **json.loads(report.to_json()),
        **seconds,
        "peak_mb": peak_megabytes(),
        "variant": encoder.variant,
        "dead_ids": letters,
    }


class Clock:
    """Seconds that calls took, on all threads together."""

    def __init__(self) -> None:
        self.seconds, self._lock = 0.0, threading.Lock()

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return call(*arguments, **named)
            finally:
                with self._lock:
                    self.seconds += time.perf_counter() - began

        return timed


def against_torch(bundle: Path, photos: Path, count: int, rounds: int) -> dict[str, Any]:
    """Pictures a second of embedkit's variants and of torch with the weights of EfficientNet-Lite0, from files and from pixels, in turns;
    torch prepares with the same code on as many threads. The nearness of their vectors is that of one run."""
    import torch
    from pictures.lite0 import trained

    from embedkit import Bundle, Encoder
    from embedkit.runtime.frontends.image.pixels import Prepared, prepared

    model, _ = trained()
    files = sorted(path for path in photos.rglob("*") if path.is_file())[:count]
    graph = Bundle.open(bundle).tower("default").graph
    assert graph is not None
    encoders = {name: Encoder.load(bundle, variant=name) for name in graph.variants}
    frontend = next(iter(encoders.values())).modality().frontend
    threads = ThreadPoolExecutor(os.cpu_count())

    def pixels(paths: list[Path]) -> list[Any]:
        return list(threads.map(lambda path: prepared(frontend, path), paths))

    def by_torch(given: list[Any]) -> Any:
        with torch.no_grad():
            parts = []
            for start in range(0, len(given), AT_A_TIME):
                batch = torch.from_numpy(np.stack(given[start : start + AT_A_TIME])).permute(0, 3, 1, 2)
                parts.append(model((batch.float() / 255 - 0.5) / 0.5).mean(dim=(2, 3)).numpy())
        return np.concatenate(parts)

    ready = pixels(files)
    kept = [Prepared(one) for one in ready]
    calls: dict[str, Callable[[], Any]] = {
        "torch, from files": lambda: by_torch(pixels(files)),
        "torch, from pixels": lambda: by_torch(ready),
    }
    for name, encoder in encoders.items():
        calls[f"{name}, from files"] = lambda encoder=encoder: encoder.encode(files)
        calls[f"{name}, from pixels"] = lambda encoder=encoder: encoder.encode(kept)
    found = {name: call() for name, call in calls.items()}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    used: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            began, cpu = time.perf_counter(), time.process_time()
            call()
            used[name].append(time.process_time() - cpu)
            seconds[name].append(time.perf_counter() - began)
    rates = {name: len(files) / statistics.median(taken) for name, taken in seconds.items()}
    costs = {name: statistics.median(taken) / len(files) for name, taken in used.items()}
    out: dict[str, Any] = {}
    for name, rate in rates.items():
        way = name.partition(", ")[2]
        a, b = found[name], found[f"torch, {way}"]
        cosines = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
        out[name] = {
            "per_second": rate, "ratio": rate / rates[f"torch, {way}"], "cpu_seconds": costs[name],
            "cpu_ratio": costs[f"torch, {way}"] / costs[name], "cosine_mean": float(cosines.mean()), "cosine_min": float(cosines.min()),
        }  # fmt: skip
    return out


def child(*arguments: object) -> dict[str, Any]:
    """A run in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, *map(str, arguments)], check=True, stdout=subprocess.PIPE, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=5_000)
    parser.add_argument("--against", type=int, default=256, help="pictures that torch encodes too")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--small", type=int, default=10_000, help="small files, of which 1 %% are broken")
    parser.add_argument("--bundle", type=Path, help="a bundle of EfficientNet-Lite0; without it that is exported first")
    parser.add_argument("--decode", default="exact")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "images.json")
    parser.add_argument("--ingest", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--torch", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ingest:
        print(json.dumps(ingested(options.bundle, options.ingest, options.decode)))
        return
    if options.torch:
        print(json.dumps(against_torch(options.bundle, options.torch, options.against, options.rounds)))
        return
    results: dict[str, Any] = {"machine": facts()}
    with tempfile.TemporaryDirectory() as work:
        home = Path(work)
        bundle = options.bundle
        if bundle is None:
            from pictures.lite0 import exported

            bundle = home / "bundle"
            exported(bundle, progress=True)
        count = max(options.pictures, options.against)
        print(f"saving {count:,} pictures", file=sys.stderr, flush=True)
        saved(home / "web", count, WEB)
        if options.pictures:
            results["ingest"] = run = child("--ingest", home / "web", "--bundle", bundle, "--decode", options.decode)
            print(
                f"{run['written']:,} pictures with {run['variant']} ({options.decode}) in {run['seconds']:.0f} s: at most "
                f"{run['peak_mb']:.0f} MB; preparing {run['preparing']:.0f} s, computing {run['computing']:.0f} s of threads"
            )
        if options.against:
            given = ("--torch", home / "web", "--against", options.against, "--rounds", options.rounds)
            results["against torch"] = runs = child(*given, "--bundle", bundle)
            for name, one in runs.items():
                near = f"cosine {one['cosine_mean']:.5f}, worst {one['cosine_min']:.5f}"
                cost = f"{1000 * one['cpu_seconds']:6.1f} ms of processors, torch {one['cpu_ratio']:.2f} times that"
                print(f"{name:22} {one['per_second']:7.1f}/s  {one['ratio']:5.2f} times torch, {cost}  {near}")
        if options.small:
            print(f"saving {options.small:,} small pictures", file=sys.stderr, flush=True)
            bad = saved(home / "small", options.small, SMALL, broken=True)
            results["broken"] = run = child("--ingest", home / "small", "--bundle", bundle)
            print(
                f"{options.small:,} small files in {run['seconds']:.0f} s: {run['written']:,} written, "
                f"{run['dead']:,} with a reason, {run['duplicates']:,} again; at most {run['peak_mb']:.0f} MB"
            )
            assert sorted(run.pop("dead_ids")) == sorted(bad), "other files than the broken ones"
            assert run["written"] == options.small - len(bad), "a good one was lost"
    print(in_words(results["machine"]))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(results) + "\n")


if __name__ == "__main__":
    main()
