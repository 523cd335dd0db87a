"""Recall@10 and bytes of what a store keeps in float32, float16, int8 and bits, with and without full vectors to rank by.

    python benchmarks/precisions.py BUNDLE --corpus docs.jsonl.gz --queries queries.jsonl.gz --qrels qrels.tsv [--stores sqlite-vec,lancedb]

A data set of BEIR's form: JSON lines with `_id` (or `id`), `title` and `text`, and judgements of query, document and score. It is
encoded once, written to a new collection of each store in each precision that the store has, and searched with all judged queries.
Printed: nDCG@10 by the judgements, recall@10 of the ten that comparing all float32 vectors finds, the bytes of a row that the store
tells, and those of its dense vector as the precision keeps it. `pictures/charts.py` draws recall and bytes of a row from what
`pictures/measured.json` holds of `--results`. PostgreSQL is asked where PGHOST is set.
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

import embedkit
from embedkit.ingestion import info
from embedkit.records.batch import RecordBatch
from embedkit.stores.contract import CollectionSpec
from embedkit.stores.keeping import PRECISIONS, Keeping

_BYTES = {"float32": 4.0, "float16": 2.0, "int8": 1.0, "binary": 0.125, "int8+full": 5.0, "binary+full": 4.125}
_SCHEMES = ("sqlite-vec", "lancedb", "qdrant-edge", "pgvector")


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", nargs="?")
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--queries", type=Path)
    parser.add_argument("--qrels", type=Path)
    parser.add_argument("--stores", default=",".join(_SCHEMES if os.environ.get("PGHOST") else _SCHEMES[:-1]))
    parser.add_argument("--results", type=Path, help="Write what was measured here; without BUNDLE, read it.")
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


if __name__ == "__main__":
    main()
