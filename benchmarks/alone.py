"""One text at a time, by one thread and by several: what a request costs that leaves the other threads idle.

    python benchmarks/alone.py [--tokens 256] [--threads 2] [--variants int8,fp32] [--bundle FOLDER] [--rounds 30]

The bundle is all-MiniLM-L6-v2, exported first where none is given. Both encoders take turns at a few calls each; the vectors are
compared byte by byte. The machine should do nothing else: the threads of one text wait for the slowest of them. Writes JSON
with the facts of the machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from machine import facts, in_words
from systems import model_folder

_CALLS = 10
_WARMED = 3
_READY = 60.0
"""Seconds in which the session of several threads is opened, and its bytes compared."""


def text_of(encoder: Any, tokens: int) -> str:
    """A text that the encoder reads as about so many tokens."""
    count = encoder.loaded.towers["default"].prepare(["word"], 1)[0].tokens - 1
    return " ".join(["word"] * (tokens - count))


def seconds(encoder: Any, text: str) -> list[float]:
    """Of some calls, warmed up."""
    found = []
    for _ in range(_WARMED + _CALLS):
        began = time.perf_counter()
        encoder.encode(text)
        found.append(time.perf_counter() - began)
    return found[_WARMED:]


def measured(bundle: Path, variant: str, options: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds of a text by one thread and by several, medians and least, and their ratios."""
    from embedkit import Encoder

    one, several = (Encoder.load(bundle, variant=variant, threads=n) for n in (1, options.threads))
    text = text_of(one, options.tokens)
    ended = time.monotonic() + _READY
    expected = one.encode(text).tobytes()
    tower = several.loaded.towers["default"]
    (batch,) = tower.prepare([text], 1)
    assert several.loaded.alone is not None
    while several.loaded.alone(several.loaded, "default", batch) is None and time.monotonic() < ended:
        time.sleep(0.1)
    if several.loaded.alone(several.loaded, "default", batch) is None:
        sys.exit(f"error: {variant} of {batch.tokens} tokens is computed by one thread")
    times: dict[str, list[float]] = {"one": [], "several": []}
    for _ in range(options.rounds):
        times["one"] += seconds(one, text)
        times["several"] += seconds(several, text)
    assert several.encode(text).tobytes() == expected
    median = {name: 1e3 * statistics.median(found) for name, found in times.items()}
    least = {name: 1e3 * min(found) for name, found in times.items()}
    return {
        "tokens": batch.tokens,
        "median_ms": median,
        "least_ms": least,
        "ratio": median["several"] / median["one"],
        "ratio_of_least": least["several"] / least["one"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--variants", default="int8,fp32")
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "alone.json")
    options = parser.parse_args()
    with ExitStack() as stack:
        bundle = options.bundle
        if bundle is None:
            import embedkit_export

            bundle = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "bundle"
            embedkit_export.export(model_folder(), output=bundle, progress=True, timing=False)
        rows = {variant: measured(bundle, variant, options) for variant in options.variants.split(",")}
    machine = facts()
    print(in_words(machine))
    for variant, row in rows.items():
        one, several = row["median_ms"]["one"], row["median_ms"]["several"]
        print(
            f"{variant}, {row['tokens']} tokens: {one:.1f} ms by one thread, {several:.1f} by {options.threads} ({row['ratio']:.2f}; least "
            f"{row['ratio_of_least']:.2f})"
        )
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(
        json.dumps({"machine": machine, "threads": options.threads, "rows": rows}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
