"""One long text: seconds and memory of a graph with attention by blocks, the same graph without, and torch's own attention.

    python benchmarks/long_texts.py [--model modernbert-base] [--tokens 8192] [--threads N] [--forms blocks,torch]

The models have the size of the published ones and random weights, so nothing is fetched. Each form runs in a process of its
own; memory is the peak above what the process held with its weights loaded, after a text of 16 tokens. ``--forms whole`` needs
memory for all scores of a layer several times over: 10 GB and more at 8,192 tokens. Prints a table and JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import facts, in_words, peak_megabytes, resident_megabytes

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "modernbert-base": ("ModernBert", {}),
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
    "qwen3-0.6b": (
        "Qwen3",
        {
            "vocab_size": 151_669,
            "hidden_size": 1024,
            "num_hidden_layers": 28,
            "num_attention_heads": 16,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "intermediate_size": 3072,
            "max_position_embeddings": 32_768,
        },
    ),
}
"""By the published model that has this size: the class in transformers, and what its configuration says."""


def make(name: str) -> Any:
    """The model with random weights."""
    import torch
    import transformers

    family, options = MODELS[name]
    torch.manual_seed(0)
    return getattr(transformers, f"{family}Model")(getattr(transformers, f"{family}Config")(**options)).eval()


def write(name: str, tokens: int, folder: Path) -> None:
    """The graph of the model, whole and by blocks."""
    import onnx_ir as ir

    from embedkit_export.graphs.attention.blocks import cut_attention
    from embedkit_export.graphs.capture import capture
    from embedkit_export.graphs.fuse import fuse
    from embedkit_export.plan.prepare import prepare

    recipe = {"max_tokens": tokens, "pooling": "mean"}
    plan = prepare((make(name), _tokenizer()), **recipe).plan  # type: ignore[arg-type]
    graph = capture(plan.graphs["default"])
    fuse(graph)
    ir.save(graph, folder / "whole.onnx", external_data="whole.data")
    cut_attention(graph)
    ir.save(graph, folder / "blocks.onnx", external_data="blocks.data")


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {word: i for i, word in enumerate(["<pad>", "<unk>", "a", "b", "c"])}
    made = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", unk_token="<unk>", model_max_length=1 << 20
    )


def child(form: str, name: str, tokens: int, threads: int, folder: Path) -> None:
    """Run one form; prints one JSON line."""
    import numpy as np

    if form == "torch":
        import torch

        torch.set_num_threads(threads)
        model = make(name)
        model.set_attn_implementation("sdpa")

        def run(count: int) -> None:
            ids = torch.full((1, count), 4)
            with torch.no_grad():
                model(input_ids=ids, attention_mask=torch.ones_like(ids))
    else:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        session = ort.InferenceSession(str(folder / f"{form}.onnx"), options, providers=["CPUExecutionProvider"])

        def run(count: int) -> None:
            ids = np.full((1, count), 4, dtype=np.int64)
            session.run(
                None,
                {one.name: ids if one.name == "input_ids" else np.ones_like(ids) for one in session.get_inputs()},
            )

    run(16)
    held = resident_megabytes()
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        run(tokens)
        seconds.append(time.perf_counter() - began)
    print(json.dumps({"seconds": min(seconds), "megabytes": peak_megabytes() - held, "held": held}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="modernbert-base", choices=MODELS)
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--forms", default="blocks,torch")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.child[0], given.model, given.tokens, given.threads, Path(given.child[1]))
        return
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        write(given.model, given.tokens, Path(name))
        for form in given.forms.split(","):
            sizes = ["--model", given.model, "--tokens", str(given.tokens), "--threads", str(given.threads)]
            done = subprocess.run(
                [sys.executable, __file__, *sizes, "--child", form, name], capture_output=True, text=True, check=False
            )
            found[form] = (
                json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {"failed": done.stderr[-300:]}
            )
            print(f"{form:8} {found[form]}", flush=True)
    print(in_words(facts()))
    print(json.dumps({"model": given.model, "tokens": given.tokens, "threads": given.threads, "forms": found}))


if __name__ == "__main__":
    main()
