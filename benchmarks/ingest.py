"""What writing costs: an ingest into each store beside encoding the same texts alone, one process each, one after another.

    python benchmarks/ingest.py [--bundle FOLDER] [--corpus FILE.jsonl[.gz]] [--documents 50000] [--stores chroma-server lancedb ...]

The texts are those of the corpus again and again, each with a number in front so that no two are equal. ``encode`` is run
before and after the stores; a store's cost is its seconds over the mean of the two. Servers run on loopback; their memory is
not counted. Writes JSON and a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from corpora import source
from machine import facts, in_words, peak_megabytes
from places import address
from systems import model_folder

STORES = ("chroma-server", "pgvector", "lancedb", "qdrant-edge", "sqlite-vec", "chroma")
RESULTS = Path(__file__).parent / "results"


def documents(corpus: Path | None, count: int) -> Iterator[dict[str, Any]]:
    texts = source(corpus)
    for i in range(count):
        yield {"id": str(i), "text": f"{i} {texts[i % len(texts)]}", "n": i, "group": i % 10}


def child(name: str, url: str, options: argparse.Namespace) -> None:
    """One run; prints one JSON line."""
    from embedkit import Encoder, ingest

    encoder = Encoder.load(options.bundle, variant="int8", on_truncate="ignore")
    encoder.encode(["a text to begin with"] * 8)
    began, cpu = time.perf_counter(), time.process_time()
    rows = documents(options.corpus, options.documents)
    if name == "encode":
        done = sum(len(part) for part in encoder.stream((row["text"] for row in rows), role="document"))
    else:
        done = ingest(rows, encoder, url, collection="bench").written
    used = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - cpu}
    print(json.dumps({"store": name, "documents": done, "peak_mb": peak_megabytes(), **used}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--documents", type=int, default=50_000)
    parser.add_argument("--stores", nargs="*", default=list(STORES))
    parser.add_argument("--output", type=Path, default=RESULTS / "ingest.json")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(*options.child, options)
        return
    with tempfile.TemporaryDirectory() as folder:
        if options.bundle is None:
            import embedkit_export

            options.bundle = Path(folder) / "bundle"
            embedkit_export.export(model_folder(), output=options.bundle, progress=True)
        given = [f"--{key}={value}" for key in ("bundle", "corpus", "documents") if (value := getattr(options, key))]

        def run(name: str, url: str, environment: dict[str, str]) -> dict[str, Any]:
            print(f"{name} ...", file=sys.stderr, flush=True)
            command = [sys.executable, __file__, *given, "--child", name, url]
            done = subprocess.run(
                command, cwd=folder, env=os.environ | environment, check=True, stdout=subprocess.PIPE, text=True
            )
            found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
            return found

        runs = [run("encode", "-", {})]
        for name in options.stores:
            with address(name, Path(folder)) as (url, environment):
                runs.append(run(name, url, environment))
        runs.append(run("encode", "-", {}))
    alone = (runs[0]["seconds"] + runs[-1]["seconds"]) / 2
    table = ["| store | seconds | of encoding alone | documents/s | peak MB |", "|-|-|-|-|-|"]
    for one in runs:
        cost, rate = one["seconds"] / alone, one["documents"] / one["seconds"]
        table.append(f"| {one['store']} | {one['seconds']:.1f} | {cost:.2f} | {rate:.0f} | {one['peak_mb']:.0f} |")
    machine = facts()
    print("\n".join(table), in_words(machine), sep="\n")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps({"machine": machine, "runs": runs}) + "\n")
    options.output.with_suffix(".md").write_text("\n".join(table) + "\n")


if __name__ == "__main__":
    main()
