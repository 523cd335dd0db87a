"""Look-alikes of published models, each exported and compared with its reference.

    python benchmarks/lookalikes.py [--only WORD] [--work FOLDER] [--again] [--table docs/models.md]

A look-alike has a published model's own configuration files (as they are on the hub), its tokenizer's form, and small random weights:
nothing is fetched, and what is compared is the way from the files to the vectors. Each is exported in fp32 and compared with
sentence-transformers, or with what the code in its card computes, in every role. What was found is kept in ``--work``, so that a run
that was interrupted goes on; ``--again`` makes all anew. The table is written with ``--table``. Ends with 1 where a model differs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

# Of what tests share: a graph that equals an earlier one is captured once, and capturing takes nearly all of the time.
sys.path.insert(1, str(Path(__file__).parents[1] / "tests"))

import transformers
from lookalike.catalogue import LOOKS
from lookalike.comparison import Comparison, compare
from lookalike.table import table

from embedkit_export.graphs.capture import capture
from embedkit_export.pipeline import variant_maker
from helpers.captures import Captures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="models whose name holds this word")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "embedkit-lookalikes")
    parser.add_argument("--again", action="store_true", help="make also those that were made before")
    parser.add_argument("--quick", action="store_true", help="compare torch modules, without a capture")
    parser.add_argument("--table", type=Path, help="write the table of all models into this file")
    options = parser.parse_args()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    variant_maker.capture = Captures(capture)
    found: list[Comparison] = []
    for look in LOOKS:
        if options.only.lower() not in look.name.lower():
            continue
        kept = options.work / f"{look.name.replace('/', '+')}.json"
        if kept.is_file() and not options.again:
            before = Comparison(**json.loads(kept.read_text()))
            if before.right and (before.captured or options.quick):
                found.append(before)
                continue
        folder = options.work / f"now-{os.getpid()}"
        shutil.rmtree(folder, ignore_errors=True)
        began = time.monotonic()
        try:
            result = compare(look, folder, quick=options.quick)
        except Exception as error:  # the others are compared all the same
            said = f"{type(error).__name__}: {' '.join(str(error).split())}"
            found.append(Comparison(look.name, look.kind, "", "", None, said, False))
            print(f"{look.name:60} failed: {said}", flush=True)
            continue
        shutil.rmtree(folder, ignore_errors=True)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(asdict(result)))
        print(f"{look.name:60} {result.verdict} ({time.monotonic() - began:.0f} s)", flush=True)
        found.append(result)
    wrong = [one for one in found if not one.right]
    print(f"{len(found)} models, {sum(one.difference is not None for one in found)} exported, {len(wrong)} wrong")
    for one in wrong:
        print(f"  {one.name}: {one.verdict}")
    if options.table is not None:
        options.table.write_text(table(found), encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
