"""How long 100 passages take to rerank: a cross-encoder of MiniLM's size in int8 beside sentence-transformers' CrossEncoder
in torch, in turns in one process, both on all CPUs.

    python benchmarks/rerank.py [--corpus FILE.jsonl[.gz]] [--passages 100] [--rounds 5]

The head is random, since no trained cross-encoder comes with the model; that changes no time. Writes JSON and prints a table.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from corpora import source
from machine import facts, in_words
from systems import model_folder

RESULTS = Path(__file__).parent / "results"
QUESTION = "how is a file read line by line"


def cross_encoder(folder: Path) -> Path:
    """The trained body with a random head for one number, as a transformers folder."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(0)
    body = model_folder()
    inner = body if (body / "config.json").exists() else next(body.glob("0_*"))
    model = AutoModelForSequenceClassification.from_pretrained(inner, num_labels=1)
    torch.nn.init.normal_(model.classifier.weight, 0.0, 0.3)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(inner).save_pretrained(folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--passages", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULTS / "rerank.json")
    options = parser.parse_args()
    import sentence_transformers
    import torch

    import embedkit_export
    from embedkit import Reranker
    from embedkit.system.processes import cpu_count

    passages = source(options.corpus)[: options.passages]
    torch.set_num_threads(cpu_count())
    with tempfile.TemporaryDirectory() as name:
        folder = cross_encoder(Path(name) / "model")
        bundle = embedkit_export.export(
            folder, output=Path(name) / "bundle", kind="reranker", max_tokens=256, timing=False
        ).path
        peer = sentence_transformers.CrossEncoder(str(folder), max_length=256, device="cpu")
        systems: dict[str, Callable[[], Any]] = {
            "sentence-transformers, torch": lambda: peer.rank(QUESTION, passages),
        }
        for variant in ("fp32", "int8"):
            reranker = Reranker.load(bundle, variant=variant)
            systems[f"embedkit {variant}"] = lambda reranker=reranker: reranker.rank(QUESTION, passages)  # type: ignore[misc]
        seconds: dict[str, list[float]] = {system: [] for system in systems}
        for number in range(options.rounds + 1):
            for system, run in systems.items():
                began = time.perf_counter()
                run()
                if number:  # the first warms up
                    seconds[system].append(time.perf_counter() - began)
    middle = {system: statistics.median(times) for system, times in seconds.items()}
    slowest = middle["sentence-transformers, torch"]
    print("| system | seconds | times as fast |", "|-|-:|-:|", sep="\n")
    for system, took in middle.items():
        print(f"| {system} | {took:.2f} | {slowest / took:.1f} |")
    machine = facts()
    print(in_words(machine))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps({"machine": machine, "passages": len(passages), "seconds": middle}) + "\n")


if __name__ == "__main__":
    main()
