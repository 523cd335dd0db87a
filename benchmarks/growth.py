"""What a row costs as a collection grows: one ingest of many rows into each store, with vectors that cost nothing.

    python benchmarks/growth.py [--rows 1000000] [--stores sqlite-vec lancedb ...] [--dim 16] [--output FILE.json]

Each store gets one `embedkit.ingest` in a process of its own. Its vectors are drawn at random, so that what is measured is
all else: reading, hashing, looking up, writing. The microseconds of a row are given for each stretch of the rows, by when the
source was asked for them; the time from the last row to the end of the ingest, in which some stores make their index, by
itself. Then the same rows come once more, of which the store has all, to see what looking up costs a row. ``memory`` is this
process's memory: what embedkit costs without a database. Servers run on loopback, on the same cores, whose time is not in the
CPU seconds. Writes JSON and a Markdown table.
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
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from machine import facts, in_words, peak_megabytes
from places import address

STORES = ("memory", "sqlite-vec", "lancedb", "qdrant-edge", "pgvector")
STRETCHES = (10_000, 100_000, 200_000, 500_000, 900_000, 1_000_000, 5_000_000, 10_000_000)
RESULTS = Path(__file__).parent / "results"


class Source:
    """Rows with a number each, which notes when it was asked for some of them, and the CPU seconds of this process by then."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.met: list[tuple[int, float, float]] = []

    def __iter__(self) -> Iterator[dict[str, Any]]:
        stretches = {0, *(number for number in STRETCHES if number < self.rows)}
        for i in range(self.rows):
            if i in stretches:
                self._note(i)
            yield {"id": f"row {i:09}", "text": f"the text of row {i}", "n": i, "group": i % 10}
        self._note(self.rows)

    def _note(self, row: int) -> None:
        self.met.append((row, time.perf_counter(), time.process_time()))
        if row:
            (first, since, before), (last, until, used) = self.met[-2:]
            costs = [1e6 * spent / (last - first) for spent in (until - since, used - before)]
            print(f"{first:,} to {last:,}: {costs[0]:.0f} us a row ({costs[1]:.0f})", file=sys.stderr, flush=True)


def child(url: str, rows: int, dim: int) -> None:
    """Fill a store, and look all up again; prints one JSON line."""
    from embedkit import Encoder, ingest, open_store
    from embedkit.ingestion import info
    from embedkit.testing.tiny import tiny_bundle

    rng = np.random.default_rng(0)

    class Free(Encoder):
        def encode_outputs(self, texts: Any, *, outputs: Any, **options: Any) -> Any:
            found = rng.standard_normal((len(texts), dim), dtype=np.float32)
            return {outputs[0]: found / np.linalg.norm(found, axis=1, keepdims=True)}

    with tempfile.TemporaryDirectory() as folder, open_store(url) as store:
        encoder = Free.load(tiny_bundle(Path(folder) / "bundle", dim=dim), variant="fp32")
        source = Source(rows)
        assert ingest(source, encoder, store, collection="bench").written == rows
        ended = time.perf_counter()
        peak, size = peak_megabytes(), info(store, collection="bench", sample=0)
        again = Source(rows)
        assert ingest(again, encoder, store, collection="bench").unchanged == rows
        stretches = [
            {
                "from": first,
                "to": last,
                "us_a_row": 1e6 * (until - since) / (last - first),
                "cpu_us_a_row": 1e6 * (used - before) / (last - first),
            }
            for (first, since, before), (last, until, used) in pairwise(source.met)
        ]
        found = {
            "stretches": stretches,
            "end_seconds": ended - source.met[-1][1],
            "unchanged_us_a_row": 1e6 * (again.met[-1][1] - again.met[0][1]) / rows,
            "peak_mb": peak,
            "bytes_a_row": (size.bytes or 0) / rows,
            "index": size.index,
        }
    print(json.dumps(found))


def table(runs: list[dict[str, Any]]) -> str:
    """The runs as Markdown."""
    stretches = [(one["from"], one["to"]) for one in runs[0]["stretches"]]
    heads = [f"{first:,} to {last:,}" for first, last in stretches]
    lines = [
        "| store | " + " | ".join(heads) + " | end, s | unchanged | bytes a row | peak MB | index |",
        "|-|" + "-:|" * (len(heads) + 4) + "-|",
    ]
    for run in runs:
        costs = [f"{one['us_a_row']:.0f} ({one['cpu_us_a_row']:.0f})" for one in run["stretches"]]
        rest = [
            f"{run['end_seconds']:.1f}",
            f"{run['unchanged_us_a_row']:.0f}",
            f"{run['bytes_a_row']:.0f}",
            f"{run['peak_mb']:.0f}",
        ]
        lines.append("| " + " | ".join([run["store"], *costs, *rest, run["index"]]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=16)
    parser.add_argument("--stores", nargs="*", default=list(STORES))
    parser.add_argument("--output", type=Path, default=RESULTS / "growth.json")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.rows, options.dim)
        return
    runs = []
    for name in options.stores:
        with tempfile.TemporaryDirectory() as folder, address(name, Path(folder)) as (url, environment):
            print(f"{name} ...", file=sys.stderr, flush=True)
            command = [sys.executable, __file__, "--rows", str(options.rows), "--dim", str(options.dim), "--child", url]
            done = subprocess.run(
                command, cwd=folder, env=os.environ | environment, check=True, stdout=subprocess.PIPE, text=True
            )
            runs.append({"store": name, **json.loads(done.stdout.splitlines()[-1])})
            print(json.dumps(runs[-1]), file=sys.stderr, flush=True)
    machine = facts()
    print(table(runs), in_words(machine), sep="\n")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(
        json.dumps({"machine": machine, "rows": options.rows, "dim": options.dim, "runs": runs}) + "\n"
    )
    options.output.with_suffix(".md").write_text(table(runs) + "\n")


if __name__ == "__main__":
    main()
