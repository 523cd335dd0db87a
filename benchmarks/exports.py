"""What an export costs: processor seconds of each step, and the most memory, each export in a process of its own.

    python benchmarks/exports.py [--models minilm,e5-small,bert-large,...] [--variants fp32,int8] [--work FOLDER]

MiniLM is the trained model; the others are the real transformers classes in the published sizes with random weights and
MiniLM's tokenizer (a table has all of its rows, of which a text reads some). With random weights a variant's quality
means nothing, so gates are wide open: the same work is done, and no safer form is tried. Writes JSON.

gte-modernbert-base (fp32 and int8, one thread of torch, two processors): 306 s, 241 of processors, at most 4.1 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from machine import facts, in_words, peak_megabytes
from systems import model_folder

_BERT: dict[str, Any] = {"max_position_embeddings": 512, "vocab_size": 30522}
_QWEN: dict[str, Any] = {
    "vocab_size": 151_669,
    "head_dim": 128,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "num_hidden_layers": 28,
    "max_position_embeddings": 32_768,
    "tie_word_embeddings": True,
}
_GEMMA: dict[str, Any] = {
    "vocab_size": 262_144,
    "head_dim": 256,
    "num_hidden_layers": 24,
    "num_attention_heads": 3,
    "num_key_value_heads": 1,
    "sliding_window": 512,
    "max_position_embeddings": 2048,
    "use_bidirectional_attention": True,
}
SIZES: dict[str, tuple[str, dict[str, Any]]] = {
    "e5-small": (
        "Bert",
        {**_BERT, "hidden_size": 384, "num_hidden_layers": 12, "intermediate_size": 1536, "vocab_size": 250_037},
    ),
    "bert-large": (
        "Bert",
        {
            **_BERT,
            "hidden_size": 1024,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "intermediate_size": 4096,
        },
    ),
    "qwen3-150m": (
        "Qwen3",
        {
            **_QWEN,
            "hidden_size": 512,
            "intermediate_size": 1536,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "num_hidden_layers": 14,
        },
    ),
    "qwen3-0.6b": ("Qwen3", {**_QWEN, "hidden_size": 1024, "intermediate_size": 3072}),
    "qwen3-1.7b": ("Qwen3", {**_QWEN, "hidden_size": 2048, "intermediate_size": 6144}),
    "gte-modernbert-base": ("ModernBert", {"max_position_embeddings": 8192}),
    "bge-m3": (
        "XLMRoberta",
        {
            "vocab_size": 250_002,
            "hidden_size": 1024,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "intermediate_size": 4096,
            "max_position_embeddings": 8194,
            "type_vocab_size": 1,
        },
    ),
    "gemma3-300m": ("Gemma3Text", {**_GEMMA, "hidden_size": 768, "intermediate_size": 1152}),
}
"""The class and the configuration of each model beside MiniLM, by name."""


def save(name: str, folder: Path) -> Path:
    """A transformers folder of the model: a decoder in bfloat16, as they are published."""
    import torch
    import transformers

    if name == "minilm":
        return model_folder()
    if folder.exists():
        return folder
    kind, sizes = SIZES[name]
    decoder = kind in ("Qwen3", "Gemma3Text")
    tokenizer = transformers.AutoTokenizer.from_pretrained(
        model_folder(), model_max_length=sizes["max_position_embeddings"]
    )
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(
        **sizes, **({"pad_token_id": tokenizer.pad_token_id} if decoder else {})
    )
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16 if decoder else torch.float32)
    try:
        model = getattr(transformers, f"{kind}Model")(config)
    finally:
        torch.set_default_dtype(before)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def child(model: Path, output: Path, variants: str, pooling: str) -> None:
    """Export; the steps go to standard error, one JSON line to standard output."""
    import embedkit_export

    open_wide = embedkit_export.Gates(cosine_mean=-1, cosine_min=-1, top10_overlap=-1)
    report = embedkit_export.export(
        model,
        output=output,
        variants=variants.split(","),
        overwrite=True,
        progress=True,
        pooling=pooling or None,
        gates=open_wide if pooling else None,
    )
    towers = report.manifest.towers
    graph = next(tower.graph for tower in towers.values() if tower.graph is not None)
    made = {
        name: {
            "megabytes": sum((output / file).stat().st_size for file in (variant.file, *variant.data)) / 1e6,
            "texts": variant.quality.texts,
            "cosine_mean": variant.quality.cosine_mean,
            "cosine_min": variant.quality.cosine_min,
        }
        for name, variant in graph.variants.items()
    }
    print(json.dumps({"peak_mb": peak_megabytes(), "variants": made, "missing": report.missing}))


def measured(model: Path, output: Path, variants: str, pooling: str, say: Callable[[str], None]) -> dict[str, Any]:
    """One export in a process of its own: wall and processor seconds of each step, and what the child says."""
    command = [sys.executable, __file__, "--child", str(model), str(output), variants, pooling]
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    steps, last, spent = [], began, 0.0
    for line in process.stderr:
        name, dots, _ = line.partition(" ... ")
        if not dots:
            say(line.rstrip())
            continue
        now, cpu = time.monotonic(), _cpu_seconds(process.pid)
        steps.append(
            {"step": name, "seconds": now - last, "cpu_seconds": cpu - spent, "resident_mb": _memory(process.pid)}
        )
        say("{step:<28} {seconds:7.1f} s {cpu_seconds:7.1f} CPU-s {resident_mb:8,.0f} MB".format(**steps[-1]))
        last, spent = now, cpu
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"error: the export ended with {status}")
    found = json.loads(said.strip().splitlines()[-1])
    return {
        "seconds": time.monotonic() - began,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "steps": steps,
        **found,
    }


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> float:
    """The most resident megabytes so far."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="minilm,e5-small,bert-large", help=f"of minilm, {', '.join(SIZES)}")
    parser.add_argument("--variants", default="fp32,int8")
    parser.add_argument("--work", type=Path, help="a folder that keeps models and bundles")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "exports.json")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        model, output, variants, pooling = options.child
        child(Path(model), Path(output), variants, pooling)
        return
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        found = {}
        for name in options.models.split(","):
            pooling = "" if name == "minilm" else "mean" if SIZES[name][0] != "Qwen3" else "last"
            print(name)
            model = save(name, work / f"{name}.model")
            found[name] = measured(model, work / f"{name}.bundle", options.variants, pooling, print)
            run = found[name]
            weights = run["variants"].get("fp32", {}).get("megabytes", 0)
            ratio = f", {run['peak_mb'] / weights:.2f} of fp32's file" if weights else ""
            print(f"{name}: {run['seconds']:.0f} s, {run['cpu_seconds']:.0f} CPU-s, {run['peak_mb']:,.0f} MB{ratio}")
            print(f"  {json.dumps(run['variants'])} {run['missing'] or ''}")
    machine = facts()
    print(in_words(machine))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps({"machine": machine, "runs": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
