"""Resident memory while `Encoder.stream` reads many texts, one of them a megabyte long: one run, a picture.

    python benchmarks/memory.py [--bundle FOLDER] [--corpus FILE.jsonl[.gz]] [--texts 100000] [--words N]

The texts are those of the corpus again and again, each with a number in front so that no two are equal; ``--words``
cuts them short. Text number 1,000 is a megabyte long. A second process encodes the first tenth only, for comparison:
memory that grew with the number of texts would show. Writes JSON and a picture.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from corpora import source
from machine import facts, in_words, peak_megabytes, resident_megabytes
from systems import model_folder

LONG_AT, LONG = 1_000, "one megabyte of text, " * 48_000
_STEP = 0.5


def texts(corpus: Path | None, count: int, words: int | None) -> Iterator[str]:
    found = source(corpus)
    for i in range(count):
        text = found[i % len(found)]
        yield LONG if i == LONG_AT else f"{i} " + (" ".join(text.split()[:words]) if words else text)


def child(bundle: Path, corpus: Path | None, count: int, words: int | None) -> None:
    """Stream the texts; prints one JSON line."""
    from embedkit import Encoder

    encoder = Encoder.load(bundle, variant="int8", on_truncate="ignore")
    began, done = time.perf_counter(), 0
    samples: list[tuple[float, int, float]] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_STEP):
            samples.append((time.perf_counter() - began, done, resident_megabytes()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    for vectors in encoder.stream(texts(corpus, count, words)):
        done += len(vectors)
    ended.set()
    watcher.join()
    seconds = time.perf_counter() - began
    print(json.dumps({"texts": done, "seconds": seconds, "peak_mb": peak_megabytes(), "samples": samples}))


def picture(runs: list[dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 3.2), constrained_layout=True)
    for run, color in zip(runs, ("#4477aa", "#ee8866"), strict=False):
        _, done, memory = zip(*run["samples"], strict=True)
        axes.plot(done, memory, color=color, label=f"{run['texts']:,} texts: at most {run['peak_mb']:.0f} MB")
    axes.set_ylim(0, None)
    axes.set_xlabel("texts encoded")
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
    axes.set_ylabel("resident MB")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="a bundle; without it all-MiniLM-L6-v2 is exported first")
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--words", type=int)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "memory.json")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.bundle, options.corpus, options.child, options.words)
        return
    with tempfile.TemporaryDirectory() as folder:
        bundle = options.bundle
        if bundle is None:
            import embedkit_export

            bundle = Path(folder) / "bundle"
            embedkit_export.export(model_folder(), output=bundle, progress=True)
        given = [f"--{name}={getattr(options, name)}" for name in ("corpus", "words") if getattr(options, name)]
        runs = []
        for count in (options.texts, max(LONG_AT + 1, options.texts // 10)):
            print(f"encoding {count:,} texts", file=sys.stderr, flush=True)
            command = [sys.executable, __file__, "--child", str(count), "--bundle", str(bundle), *given]
            found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            runs.append(json.loads(found.strip().splitlines()[-1]))
    for run in runs:
        rate = run["texts"] / run["seconds"]
        print(f"{run['texts']:,} texts: at most {run['peak_mb']:.0f} MB, {rate:.0f} texts/s")
    machine = facts()
    print(in_words(machine))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps({"machine": machine, "runs": runs}) + "\n")
    picture(runs, options.output.with_suffix(".png"))


if __name__ == "__main__":
    main()
