"""Quality and speed of row-wise int8 beside fp32 and beside onnxruntime's dynamic int8: one run, one thread.

    python benchmarks/int8.py MODEL_FOLDER DATA_FOLDER [--texts 2000] [--rounds 15] [--skip-scifact] [--output FILE.json]

DATA_FOLDER has ``throughput/mixed-a.jsonl.gz`` (judged) and ``throughput/mixed-b.jsonl.gz`` (calibration), JSON lines
with a ``text``; ``sts/stsb-en.test.tsv.gz`` with the columns sentence1, sentence2, score; and ``ir/scifact/`` with
docs.jsonl.gz, queries.jsonl.gz and qrels.tsv. What is not there is left out.

The peer is what sentence-transformers and optimum make of a model: weights per channel, activations per tensor, with
``onnxruntime.quantization.quantize_dynamic``, run with onnxruntime's default options. It is made of our fp32 graph,
so that only the quantisation differs; "peer tuned" is the same graph run with our session's options. Its vectors are
computed in our batches. Quality is against the fp32 graph; speed is tokens per CPU-second of equally long texts in
batches of about 512 tokens, the systems taking turns, the median of the rounds.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Encode = Callable[[Sequence[str]], Floats]

BUDGET = 512
LENGTHS = (16, 64, 256)
CALIBRATION_TEXTS = 500


def json_lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def peer_session(path: Path, folder: Path, disabled: Sequence[str]) -> Any:
    """onnxruntime's own dynamic quantisation of the graph in ``path``."""
    import onnxruntime as ort
    from onnxruntime.quantization import QuantType, quantize_dynamic

    target = folder / "peer.onnx"
    if not target.exists():
        # A type for values whose type is not inferred: without it, quantize_dynamic raises on operators it does not know.
        quantize_dynamic(
            str(path),
            str(target),
            weight_type=QuantType.QInt8,
            per_channel=True,
            extra_options={"DefaultTensorType": 1},
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(
        str(target), options, providers=["CPUExecutionProvider"], disabled_optimizers=list(disabled)
    )


def cosines(a: Floats, b: Floats) -> npt.NDArray[np.float64]:
    wide, other = a.astype(np.float64), b.astype(np.float64)
    return np.asarray((wide * other).sum(1) / np.linalg.norm(wide, axis=1) / np.linalg.norm(other, axis=1))


def spearman(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """Rank correlation; equal numbers share their mean rank."""

    def ranks(x: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
        return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[inverse])

    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def sts(data: Path, encode: Encode) -> float:
    with gzip.open(data / "sts" / "stsb-en.test.tsv.gz", "rt", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    vectors = encode([row["sentence1"] for row in rows] + [row["sentence2"] for row in rows])
    found = cosines(vectors[: len(rows)], vectors[len(rows) :])
    return 100 * spearman(found, np.array([float(row["score"]) for row in rows]))


def ndcg(data: Path, encode: Encode, *, at: int = 10) -> float:
    """nDCG@10 of SciFact, every relevant document worth one."""
    folder = data / "ir" / "scifact"
    docs, queries = json_lines(folder / "docs.jsonl.gz"), json_lines(folder / "queries.jsonl.gz")
    relevant: dict[str, set[str]] = {}
    for line in (folder / "qrels.tsv").read_text().splitlines()[1:]:
        query, doc, *_ = line.split("\t")
        relevant.setdefault(query, set()).add(doc)
    a = encode([f"{doc.get('title', '')} {doc['text']}".strip() for doc in docs])
    b = encode([query["text"] for query in queries])
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    gains = 1 / np.log2(np.arange(2, at + 2))
    values = []
    for query, scores in zip(queries, b @ a.T, strict=True):
        wanted = relevant.get(str(query["id"]), set())
        if wanted:
            best = np.argsort(-scores, kind="stable")[:at]
            hits = np.array([str(docs[i]["id"]) in wanted for i in best])
            values.append(float(gains[hits].sum() / gains[: min(at, len(wanted))].sum()))
    return 100 * float(np.mean(values))


def speed(runs: dict[str, Callable[[dict[str, Any]], Any]], vocabulary: int, rounds: int) -> dict[str, Any]:
    """Tokens per CPU-second of this thread: {length: {system: number}}, with the ratios to fp32 and to the peer."""
    out: dict[str, Any] = {}
    for length in LENGTHS:
        ids = np.random.default_rng(0).integers(vocabulary // 10, vocabulary * 9 // 10, (BUDGET // length, length))
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        taken: dict[str, list[int]] = {name: [] for name in runs}
        for number in range(rounds + 2):
            for name, run in runs.items():
                began = time.thread_time_ns()
                run(feed)
                if number >= 2:
                    taken[name].append(time.thread_time_ns() - began)
        rates = {name: ids.size / statistics.median(times) * 1e9 for name, times in taken.items()}
        ratios = {
            f"int8 / {name}": statistics.median(b / a for a, b in zip(taken["int8"], taken[name], strict=True))
            for name in runs
            if name != "int8"
        }
        out[str(length)] = {"tokens_per_cpu_second": rates, "ratios": ratios}
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--skip-scifact", action="store_true", help="it takes most of the time")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "int8.json")
    options = parser.parse_args()

    from tokenizers import Tokenizer

    import embedkit_export
    from embedkit import Encoder
    from embedkit.runtime.engines.onnxruntime import _SLOWER_FUSIONS, OnnxRuntime
    from embedkit.runtime.frontends.batching import plan

    results: dict[str, Any] = {"model": options.model.name, "quality": {}, "speed": {}}
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        sample = work / "calibration.jsonl"
        lines = json_lines(options.data / "throughput" / "mixed-b.jsonl.gz")[:CALIBRATION_TEXTS]
        sample.write_text("".join(json.dumps({"text": line["text"]}) + "\n" for line in lines), encoding="utf-8")
        began = time.monotonic()
        report = embedkit_export.export(
            options.model, output=work / "bundle", variants=["fp32", "int8"], sample=sample, progress=True
        )
        results["export_seconds"] = round(time.monotonic() - began, 1)
        print(report.text())
        encoders = {
            v: Encoder.load(work / "bundle", device="cpu", variant=v, threads=1, on_truncate="ignore")
            for v in ("fp32", "int8")
        }
        tokenizer = Tokenizer.from_file(str(work / "bundle" / "tokenizer.json"))
        tokenizer.enable_truncation(encoders["fp32"].max_tokens)
        tokenizer.no_padding()
        paths = {v: encoders["fp32"].bundle.graph_path("default", v) for v in encoders}
        peer, tuned = (peer_session(paths["fp32"], work, disabled) for disabled in ((), _SLOWER_FUSIONS))

        def peer_encode(texts: Sequence[str]) -> Floats:
            rows = [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]
            out: list[Floats] = [np.empty(0, np.float32)] * len(rows)
            for batch in plan(np.array([len(row) for row in rows]), BUDGET):
                mask = np.zeros((len(batch), max(len(rows[i]) for i in batch)), np.int64)
                ids = mask.copy()
                for i, number in enumerate(batch):
                    ids[i, : len(rows[number])], mask[i, : len(rows[number])] = rows[number], 1
                vectors = peer.run(None, {"input_ids": ids, "attention_mask": mask})[0]
                for number, vector in zip(batch, vectors, strict=True):
                    out[number] = vector
            return np.stack(out)

        from sentence_transformers import SentenceTransformer

        torch_model = SentenceTransformer(str(options.model), device="cpu")
        systems: dict[str, Encode] = {
            "fp32": lambda texts: encoders["fp32"].encode(list(texts)),
            "int8": lambda texts: encoders["int8"].encode(list(texts)),
            "peer int8": peer_encode,
            "torch": lambda texts: torch_model.encode(list(texts), batch_size=16, show_progress_bar=False),
        }
        texts = [line["text"] for line in json_lines(options.data / "throughput" / "mixed-a.jsonl.gz")[: options.texts]]
        reference = systems["fp32"](texts)
        for system, encode in systems.items():
            found = cosines(reference if system == "fp32" else encode(texts), reference)
            row = {"cosine_mean": float(found.mean()), "cosine_worst": float(found.min())}
            if (options.data / "sts" / "stsb-en.test.tsv.gz").exists():
                row["stsb_spearman"] = sts(options.data, encode)
            if (options.data / "ir" / "scifact").exists() and not options.skip_scifact:
                row["scifact_ndcg10"] = ndcg(options.data, encode)
            results["quality"][system] = row
            print(f"{system:10}", "  ".join(f"{key} {value:.5f}" for key, value in row.items()), flush=True)
        sessions = {v: OnnxRuntime(path) for v, path in paths.items()}
        results["speed"] = speed(
            {
                "fp32": sessions["fp32"].run,
                "int8": sessions["int8"].run,
                "peer int8": lambda feed: peer.run(None, feed),
                "peer int8 tuned": lambda feed: tuned.run(None, feed),
            },
            tokenizer.get_vocab_size(),
            options.rounds,
        )
    for length, row in results["speed"].items():
        print(
            f"{length:>4} tokens:",
            "  ".join(f"{key} {value:,.0f}" for key, value in row["tokens_per_cpu_second"].items()),
        )
        print("            ", "  ".join(f"{key} {value:.2f}" for key, value in row["ratios"].items()))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
