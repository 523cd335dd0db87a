"""Late chunks beside plain ones: how often the right document stands above, and what encoding costs.

    python benchmarks/late_chunking.py BUNDLE DATA [DATA ...] [--chunk 64,128] [--join 1] [--documents N] [--variant int8] [--threads 1]

BUNDLE was exported with ``--late``. DATA is a folder with ``docs.jsonl`` and ``queries.jsonl`` (``id``, ``text``, ``title``; may be
gzipped) and ``qrels.tsv`` (query, document, relevance; a header). The same chunks are encoded by themselves and from their documents; a
document's score is that of its best chunk. ``--join 5`` makes long documents of five that follow each other; those that were
joined are what is looked for then, by the chunks that begin in them. ``--documents N`` takes those that answer a question and the first
others, N in all. Seconds are of the processor, encoding alone, with one
thread unless given. Prints a table and JSON.
"""

from __future__ import annotations

import argparse
import bisect
import gzip
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import facts, in_words

import embedkit


def lines(folder: Path, name: str) -> list[dict[str, Any]]:
    """The rows of a file of JSON lines, gzipped or not."""
    path = next(path for path in (folder / name, folder / f"{name}.gz") if path.exists())
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


class Data:
    """Documents, each several that were joined, questions, and which of the joined ones answer them."""

    def __init__(self, folder: Path, join: int, most: int | None = None) -> None:
        rows = [(row["id"], f"{row.get('title', '')} {row['text']}".strip()) for row in lines(folder, "docs.jsonl")]
        rows = [(row_id, text) for row_id, text in rows if text]
        judged = [line.split("\t") for line in (folder / "qrels.tsv").read_text(encoding="utf-8").splitlines()[1:]]
        answers = {document for _, document, relevance in judged if float(relevance) > 0}
        others = [row_id for row_id, _ in rows if row_id not in answers][: max(0, (most or len(rows)) - len(answers))]
        kept = {*answers, *others}
        rows = [row for row in rows if row[0] in kept]
        self.number = {row_id: number for number, (row_id, _) in enumerate(rows)}
        self.documents: list[embedkit.Document] = []
        self.starts: list[list[int]] = []
        self.join = join
        for first in range(0, len(rows), join):
            texts = [text for _, text in rows[first : first + join]]
            places = [0, *np.cumsum([len(text) + 2 for text in texts]).tolist()]
            self.starts.append(places[:-1])
            self.documents.append(embedkit.Document(str(first // join), "\n\n".join(texts)))
        relevant: dict[str, set[int]] = {}
        for query, document, relevance in judged:
            if float(relevance) > 0 and document in self.number:
                relevant.setdefault(query, set()).add(self.number[document])
        texts = {row["id"]: row["text"] for row in lines(folder, "queries.jsonl")}
        self.queries = [texts[query] for query in relevant]
        self.relevant = list(relevant.values())

    def owner(self, source: str, start: int) -> int:
        """The number of the document in which a chunk begins."""
        return int(source) * self.join + bisect.bisect(self.starts[int(source)], start) - 1


def ndcg(scores: np.ndarray, relevant: list[set[int]], k: int = 10) -> float:
    """The mean over questions, of (questions, documents) scores."""
    found = []
    for row, wanted in zip(scores, relevant, strict=True):
        best = np.lexsort((np.arange(len(row)), -row))[:k]
        gain = sum(1 / np.log2(place + 2) for place, number in enumerate(best.tolist()) if number in wanted)
        found.append(gain / sum(1 / np.log2(place + 2) for place in range(min(k, len(wanted)))))
    return float(np.mean(found))


def measured(encoder: embedkit.Encoder, data: Data, chunking: embedkit.Chunking) -> dict[str, Any]:
    """One way of cutting."""
    chunks = list(embedkit.chunked(data.documents, encoder, chunking))
    collection = "late" if chunking.late else "plain"
    cut = embedkit.chunked(data.documents, encoder, chunking)
    with embedkit.open_store(f"memory:{time.monotonic_ns()}") as store:
        began = time.process_time()
        report = embedkit.ingest(cut, encoder, store, collection=collection)
        seconds = time.process_time() - began
        rows = store.open(collection).whole([row.id for row in chunks])[0]
    assert report.written == len(chunks) == len(rows)
    vectors = np.stack([row.vector for row in rows])
    owners = np.array([data.owner(row.metadata["source"], row.metadata["start"]) for row in rows])
    near = encoder.encode_query(data.queries) @ vectors.T
    scores = np.full((len(near), len(data.number)), -np.inf, np.float32)
    for owner in np.unique(owners):
        scores[:, owner] = near[:, owners == owner].max(axis=1)
    return {"chunks": len(rows), "ndcg@10": round(100 * ndcg(scores, data.relevant), 1), "seconds": round(seconds, 1)}


def main() -> None:
    """Print the table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--chunk", default="64,128")
    parser.add_argument("--join", type=int, default=1)
    parser.add_argument("--documents", type=int)
    parser.add_argument("--variant", default="int8")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    encoder = embedkit.Encoder.load(given.bundle, variant=given.variant, threads=given.threads, on_truncate="ignore")
    rows = []
    print(
        "| data | documents | chunk | chunks | plain nDCG@10 | late nDCG@10 | plain s | late s |\n|-|-:|-:|-:|-:|-:|-:|-:|"
    )
    for folder in given.data:
        data = Data(folder, given.join, given.documents)
        for size in map(int, given.chunk.split(",")):
            plain, late = (measured(encoder, data, embedkit.Chunking(size, late=way)) for way in (False, True))
            rows.append(
                {"data": folder.name, "documents": len(data.documents), "chunk": size, "plain": plain, "late": late}
            )
            print(
                f"| {folder.name} | {len(data.documents):,} | {size} | {plain['chunks']:,} | {plain['ndcg@10']} | {late['ndcg@10']} | "
                f"{plain['seconds']} | {late['seconds']} |",
                flush=True,
            )
    about = facts()
    print(in_words(about))
    print(json.dumps({"machine": about, "join": given.join, "variant": given.variant, "rows": rows}))


if __name__ == "__main__":
    main()
