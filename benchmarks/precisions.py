"""Recall@10 and bytes of what a store keeps in float32, float16, int8 and bits, with and without full vectors to rank by.

    python benchmarks/precisions.py BUNDLE --corpus docs.jsonl.gz --queries queries.jsonl.gz --qrels qrels.tsv [--stores sqlite-vec,lancedb]

A data set of BEIR's form: JSON lines with `_id` (or `id`), `title` and `text`, and judgements of query, document and score. It is
encoded once, written to a new collection of each store in each precision that the store has, and searched with all judged queries.
Printed: nDCG@10 by the judgements, recall@10 of the ten that comparing all float32 vectors finds, the bytes of a row that the store
tells, and those of its dense vector as the precision keeps it. `--picture docs/images/precisions` draws recall and bytes of a row,
light and dark. PostgreSQL is asked where PGHOST is set.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pictures.charts import THEMES, Theme, svg, words

import embedkit
from embedkit.ingestion import info
from embedkit.records.batch import RecordBatch
from embedkit.stores.contract import CollectionSpec
from embedkit.stores.keeping import PRECISIONS, Keeping

_BYTES = {"float32": 4.0, "float16": 2.0, "int8": 1.0, "binary": 0.125, "int8+full": 5.0, "binary+full": 4.125}
_SHAPES = {"sqlite-vec": "circle", "lancedb": "square", "qdrant-edge": "triangle", "pgvector": "diamond"}
_SCHEMES = tuple(_SHAPES)


def rows(path: Path) -> Iterator[tuple[str, str]]:
    """Ids and texts."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield str(row.get("_id", row.get("id"))), f"{row.get('title') or ''} {row['text']}".strip()


def judgements(path: Path) -> dict[str, dict[str, float]]:
    """Scores of documents by query."""
    found: dict[str, dict[str, float]] = {}
    with path.open(encoding="utf-8") as lines:
        for row in csv.reader(lines, delimiter="\t"):
            if len(row) >= 3 and row[-1].replace(".", "", 1).isdecimal():
                found.setdefault(row[0], {})[row[-2]] = float(row[-1])
    return found


def ndcg(ranked: list[str], judged: dict[str, float]) -> float:
    """Of the ten best."""
    discount = 1 / np.log2(np.arange(2, 12))
    gains = np.array([judged.get(row_id, 0.0) for row_id in ranked[:10]])
    best = np.sort(list(judged.values()))[::-1][:10]
    ideal = float((best * discount[: len(best)]).sum())
    return float((gains * discount[: len(gains)]).sum()) / ideal if ideal else 0.0


def measured(bundle: str, corpus: Path, queries: Path, qrels: Path, schemes: list[str]) -> list[dict]:
    """A row of the table for each store and precision."""
    judged = judgements(qrels)
    ids, texts = map(list, zip(*rows(corpus), strict=True))
    asked = [(row_id, text) for row_id, text in rows(queries) if row_id in judged]
    encoder = embedkit.Encoder.load(bundle, on_truncate="ignore")
    documents, questions = encoder.encode_document(texts), encoder.encode_query([text for _, text in asked])
    best = [{ids[i] for i in order} for order in np.argsort(-(questions @ documents.T), axis=1)[:, :10]]
    batch = RecordBatch(ids, documents, [""] * len(ids), [{}] * len(ids), [""] * len(ids))
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for scheme in schemes:
            url = "pgvector:" if scheme == "pgvector" else f"{scheme}:{folder}/{scheme}"
            with embedkit.open_store(url) as store:
                for precision in (each for each in PRECISIONS if each in store.caps.precisions):
                    spec = CollectionSpec(
                        f"precisions {precision}", documents.shape[1], "cosine", Keeping(precision).added_to("-")
                    )
                    docs = store.ensure(spec, if_exists="replace")
                    docs.upsert(batch)
                    docs.flush()
                    answers = [[hit.id for hit in hits] for hits in docs.query(questions, 10)]
                    size = info(store, collection=spec.name, sample=0).bytes
                    near = [len(set(some) & want) / 10 for some, want in zip(answers, best, strict=True)]
                    good = [ndcg(some, judged[row_id]) for some, (row_id, _) in zip(answers, asked, strict=True)]
                    found.append(
                        {
                            "store": scheme,
                            "precision": precision,
                            "ndcg": round(float(np.mean(good)), 4),
                            "recall": round(float(np.mean(near)), 4),
                            "row_bytes": None if size is None else round(size / len(ids)),
                            "vector_bytes": round(_BYTES[precision] * documents.shape[1]),
                        }
                    )
                    print(json.dumps(found[-1]), flush=True)
                    store.drop(spec.name)
    return found


def picture(found: list[dict], theme: Theme) -> str:
    """A row for each precision with a mark for each store: left recall, right the bytes of a row."""
    top, tall = 78, 42
    precisions = [name for name in PRECISIONS if any(row["precision"] == name for row in found)]
    height = top + tall * len(precisions) + 40
    low = np.floor(10 * min(row["recall"] for row in found)) / 10
    most = 1000 * np.ceil(max(row["row_bytes"] or 0 for row in found) / 1000)
    panels = {
        "recall": (110, 320, low, 1.0, [f"{step:.1f}" for step in np.arange(low, 1.01, 0.1)]),
        "row_bytes": (360, 570, 0.0, most, [f"{step:,.0f}" for step in np.arange(0, most + 1, 1000)]),
    }
    parts = [words(110, 16, "recall@10", theme.text, size=15, bold=True)]
    parts.append(words(360, 16, "bytes of a row", theme.text, size=15, bold=True))
    for left, right, _, _, told in panels.values():
        for i, text in enumerate(told):
            x = left + (right - left) * i / (len(told) - 1)
            parts.append(f'<path d="M{x:.1f} {top} V{height - 36}" stroke="{theme.other}" stroke-width="0.5"/>')
            parts.append(words(x, height - 18, text, theme.quiet, size=12, anchor="middle"))
    for i, (name, shape) in enumerate(_SHAPES.items()):
        parts += [mark(shape, 116 + 110 * i, 42, theme.text), words(128 + 110 * i, 47, name, theme.text, size=13)]
    for i, precision in enumerate(precisions):
        middle = top + tall * (i + 0.5)
        parts.append(words(96, middle + 5, precision, theme.text, size=13, anchor="end"))
        for row in (row for row in found if row["precision"] == precision):
            y = middle + 8 * (list(_SHAPES).index(row["store"]) - (len(_SHAPES) - 1) / 2)
            for what, (left, right, least, full, _) in panels.items():
                if row[what] is not None:
                    x = left + (right - left) * (row[what] - least) / (full - least)
                    parts.append(mark(_SHAPES[row["store"]], x, y, theme.own))
    return svg(height, parts, "Recall and bytes of each precision in each store")


def mark(shape: str, x: float, y: float, color: str) -> str:
    """A point."""
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="none" stroke="{color}" stroke-width="2"/>'
    corners = {
        "square": [(-5, -5), (5, -5), (5, 5), (-5, 5)],
        "triangle": [(0, -6), (6, 5), (-6, 5)],
        "diamond": [(0, -7), (7, 0), (0, 7), (-7, 0)],
    }[shape]
    path = " ".join(f"{x + a:.1f},{y + b:.1f}" for a, b in corners)
    return f'<polygon points="{path}" fill="none" stroke="{color}" stroke-width="2"/>'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", nargs="?")
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--queries", type=Path)
    parser.add_argument("--qrels", type=Path)
    parser.add_argument("--stores", default=",".join(_SCHEMES if os.environ.get("PGHOST") else _SCHEMES[:-1]))
    parser.add_argument("--results", type=Path, help="Write what was measured here; without BUNDLE, read it.")
    parser.add_argument("--picture", help="Where pictures go: NAME-light.svg and NAME-dark.svg.")
    given = parser.parse_args()
    if given.bundle:
        found = measured(given.bundle, given.corpus, given.queries, given.qrels, given.stores.split(","))
        if given.results:
            given.results.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    else:
        found = json.loads(given.results.read_text(encoding="utf-8"))
    print("| store | precision | nDCG@10 | recall@10 | bytes of a vector | bytes of a row |\n|-|-|-:|-:|-:|-:|")
    for row in found:
        told = "" if row["row_bytes"] is None else f"{row['row_bytes']:,}"
        print(
            f"| {row['store']} | {row['precision']} | {row['ndcg']:.3f} | {row['recall']:.3f} | {row['vector_bytes']:,} | {told} |"
        )
    for theme in THEMES if given.picture else ():
        Path(f"{given.picture}-{theme.name}.svg").write_text(picture(found, theme), encoding="utf-8")


if __name__ == "__main__":
    main()
