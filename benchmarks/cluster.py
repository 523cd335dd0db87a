"""What a cluster loses: two Ray workers of one core each, beside one process with two threads, on the same machine.

    python benchmarks/cluster.py --bundle FOLDER [--corpus FILE.jsonl[.gz]] [--documents 6000] [--rounds 3] [--store sqlite-vec]

Both take the same documents into a store of the same kind, in turns. ``whole`` is the rate from the call to its return, with
the start of the workers, each of which loads the bundle; ``going`` that of the documents between a fifth and nine tenths, when
all are at work; ``workers`` and ``cpu`` are documents a CPU second meanwhile, of the workers alone and of all processes that the driver
has begun, Ray's own included: what else the machine does changes them little, but that Ray's own take their share of every
second, be much or little done in it. The cluster is one node on this machine, with one CPU more than the workers have,
which reads and costs next to nothing: rows are in memory already. Needs the extra ``ray`` (`make test-ray` makes an environment
with it). Writes JSON and a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from corpora import source
from machine import facts, in_words

RESULTS = Path(__file__).parent / "results"
_BLOCK = 256
_FIRST, _LAST = 0.2, 0.9
RATES = ("workers", "cpu", "going", "whole")
Note = tuple[int, float, float, float]


def documents(corpus: Path | None, count: int) -> list[dict[str, Any]]:
    texts = source(corpus)
    return [{"id": str(i), "text": f"{i} {texts[i % len(texts)]}", "n": i} for i in range(count)]


def note(done: int) -> Note:
    """So many documents, when, and the CPU seconds of this process and all that it has begun; those of workers by themselves."""
    parents, used, workers = {}, {}, set()
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = place.read_text().rpartition(")")
        except OSError:  # it has ended
            continue
        number, fields = int(place.parent.name), rest.split()
        workers |= {number} if "ray::MapWorker" in name else set()
        parents[number] = int(fields[1])
        used[number] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    mine = {os.getpid()}
    while more := {child for child, parent in parents.items() if parent in mine} - mine:
        mine |= more
    whole = sum(used[one] for one in mine)
    return done, time.perf_counter(), whole, sum(used[one] for one in mine & workers) or whole


def going(noted: list[Note], count: int) -> dict[str, float]:
    """Documents a second and a CPU second between the first note past one part of them and the last note before another."""
    inside = [note for note in noted if _FIRST * count <= note[0] <= _LAST * count]
    (first, since, *before), (last, until, *used) = inside[0], inside[-1]
    cpu, workers = (later - earlier for earlier, later in zip(before, used, strict=True))
    done = last - first
    return {"going": done / (until - since), "cpu": done / cpu, "workers": done / workers}


def one_process(rows: list[dict[str, Any]], options: argparse.Namespace, folder: str) -> list[Note]:
    from embedkit import Encoder, ingest, open_store
    from embedkit.stores.guarded import GuardedCollection

    noted: list[Note] = []
    written = GuardedCollection.upsert

    def upsert(self: Any, batch: Any) -> Any:
        found = written(self, batch)
        noted.append(note(len(batch) + (noted[-1][0] if noted else 0)))
        return found

    GuardedCollection.upsert = upsert  # type: ignore[method-assign]
    encoder = Encoder.load(options.bundle, variant="int8", threads=options.workers, on_truncate="ignore")
    with open_store(f"{options.store}://{folder}/rows") as store:
        assert ingest(rows, encoder, store, collection="bench", window=_BLOCK).written == len(rows)
    return noted


def cluster(rows: list[dict[str, Any]], options: argparse.Namespace, folder: str) -> list[Note]:
    import ray.data

    import ray
    from embedkit.ray import ingest_dataset

    ray.init(num_cpus=options.workers + 1, include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    ds = ray.data.from_items(rows, override_num_blocks=max(1, len(rows) // _BLOCK)).materialize()
    noted: list[Note] = []
    began = time.perf_counter()
    report = ingest_dataset(
        ds,
        options.bundle,
        f"{options.store}://{folder}/rows",
        collection="bench",
        workers=options.workers,
        num_cpus=1,
        batch_size=_BLOCK,
        variant="int8",
        on_progress=lambda report: noted.append(note(report.read)),
    )
    assert report.written == len(rows)
    print(f"{time.perf_counter() - began:.1f} s in the call; {report.nodes}", file=sys.stderr)
    return noted


def child(kind: str, options: argparse.Namespace) -> None:
    """One run; prints one JSON line."""
    rows = documents(options.corpus, options.documents)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        noted = {"process": one_process, "cluster": cluster}[kind](rows, options, folder)
        seconds = time.perf_counter() - began
    print(json.dumps({"kind": kind, "whole": len(rows) / seconds, **going(noted, len(rows))}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--documents", type=int, default=6_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--store", default="sqlite-vec")
    parser.add_argument("--output", type=Path, default=RESULTS / "cluster.json")
    parser.add_argument("--child", choices=["process", "cluster"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.bundle = options.bundle.absolute()
    if options.child:
        child(options.child, options)
        return
    # Ray gives its workers a lower priority than the driver has: beside other programs that would be measured too.
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    runs: list[dict[str, Any]] = []
    for _ in range(options.rounds):
        for kind in ("process", "cluster"):
            done = subprocess.run(
                [sys.executable, __file__, *sys.argv[1:], "--child", kind],
                env=environment,
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            )
            runs.append(json.loads(done.stdout.splitlines()[-1]))
            print(runs[-1], file=sys.stderr, flush=True)
    middle = {
        (kind, rate): statistics.median(run[rate] for run in runs if run["kind"] == kind)
        for kind in ("process", "cluster")
        for rate in RATES
    }
    names = {
        "process": f"one process, {options.workers} threads",
        "cluster": f"{options.workers} Ray workers, a core each",
    }
    table = [
        "| | documents a CPU second of the workers | ratio | of all | ratio | going, documents/s | ratio | whole, documents/s | ratio |",
        "|-|" + "-:|" * 8,
    ]
    for kind, name in names.items():
        rates = [f"{middle[kind, rate]:.0f} | {middle[kind, rate] / middle['process', rate]:.2f}" for rate in RATES]
        table.append(f"| {name} | {' | '.join(rates)} |")
    machine = facts()
    print("\n".join(table), in_words(machine), sep="\n")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps({"machine": machine, "documents": options.documents, "runs": runs}) + "\n")
    options.output.with_suffix(".md").write_text("\n".join(table) + "\n")


if __name__ == "__main__":
    main()
