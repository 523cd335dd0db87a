"""One long text: seconds and memory of a graph with attention by blocks, the same graph without, and torch's own attention.

    python benchmarks/long_texts.py [--model modernbert-base] [--tokens 8192] [--threads N] [--forms blocks,torch] [--layers N]

The models have the size of the published ones and random weights, so nothing is fetched. Each form runs in a process of its
own, and they take turns; time is the least of all rounds, by the clock and of the processors; memory is the peak above what
the process held with its weights loaded, after a text of 16 tokens. ``--forms whole`` needs
memory for all scores of a layer several times over: 10 GB and more at 8,192 tokens. Prints a table and JSON.

The first three layers of modernbert-base, one text of 8,192 tokens, one thread (AVX2, onnxruntime 1.32, torch 2.13): blocks take
.5 of the processor's time of torch sdpa, and .6 of its memory (.8 GB against 1.2).
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


def make(name: str, layers: int) -> Any:
    """The model with random weights, its first ``layers`` where they are not 0."""
    import torch
    import transformers

    family, options = MODELS[name]
    if layers:
        options = {**options, "num_hidden_layers": layers}
    torch.manual_seed(0)
    return getattr(transformers, f"{family}Model")(getattr(transformers, f"{family}Config")(**options)).eval()


def write(name: str, layers: int, tokens: int, folder: Path) -> None:
    """The graph of the model, whole and by blocks."""
    import onnx_ir as ir

    from embedkit_export.graphs.attention.blocks import cut_attention
    from embedkit_export.graphs.capture import capture
    from embedkit_export.graphs.fuse import fuse
    from embedkit_export.plan.prepare import prepare

    recipe = {"max_tokens": tokens, "pooling": "mean"}
    plan = prepare((make(name, layers), _tokenizer()), **recipe).plan  # type: ignore[arg-type]
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


def child(form: str, name: str, layers: int, tokens: int, threads: int, folder: Path) -> None:
    """Serve one form: for each line that is read the text is computed once, and one JSON line is printed."""
    import numpy as np

    run: Callable[[int], object]
    if form == "torch":
        import torch

        torch.set_num_threads(threads)
        model = make(name, layers)
        model.set_attn_implementation("sdpa")

        def run(count: int) -> object:
            ids = torch.full((1, count), 4)
            with torch.no_grad():
                return model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
    else:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.enable_mem_pattern = options.enable_mem_reuse = False  # as the runtime does
        session = ort.InferenceSession(str(folder / f"{form}.onnx"), options, providers=["CPUExecutionProvider"])

        def run(count: int) -> object:
            ids = np.full((1, count), 4, dtype=np.int64)
            return session.run(
                None,
                {one.name: ids if one.name == "input_ids" else np.ones_like(ids) for one in session.get_inputs()},
            )

    run(16)
    held = resident_megabytes()
    print(json.dumps({"held": held}), flush=True)
    for _ in sys.stdin:
        began, used = time.perf_counter(), time.process_time()
        run(tokens)
        seconds, cpu = time.perf_counter() - began, time.process_time() - used
        print(json.dumps({"seconds": seconds, "cpu": cpu, "megabytes": peak_megabytes() - held}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="modernbert-base", choices=MODELS)
    parser.add_argument("--layers", type=int, default=0, help="only so many of them")
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--forms", default="blocks,torch")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="keep the graphs there, and take those that are there")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.child[0], given.model, given.layers, given.tokens, given.threads, Path(given.child[1]))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = given.folder or Path(name)
        if not (folder / "blocks.onnx").exists():
            folder.mkdir(exist_ok=True)
            write(given.model, given.layers, given.tokens, folder)
        forms = given.forms.split(",")
        sizes = [f"--{key}={getattr(given, key)}" for key in ("model", "layers", "tokens", "threads")]
        found = measure(forms, [sys.executable, __file__, *sizes, "--child"], str(folder), given.rounds)
    for form in forms:
        print(f"{form:8} {found[form]}")
    print(in_words(facts()))
    print(json.dumps({**{key: getattr(given, key) for key in ("model", "tokens", "threads")}, "forms": found}))


def measure(forms: list[str], command: list[str], folder: str, rounds: int) -> dict[str, Any]:
    """The least seconds and the most memory of each form; the forms take turns."""
    children = {
        form: subprocess.Popen([*command, form, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for form in forms
    }
    found: dict[str, Any] = {form: _answer(one) for form, one in children.items()}
    for _ in range(rounds):
        for form, one in children.items():
            assert one.stdin is not None
            one.stdin.write("once more\n")
            one.stdin.flush()
            for key, value in _answer(one).items():
                best = max if key == "megabytes" else min
                found[form][key] = best(found[form].get(key, value), value)
    for one in children.values():
        one.communicate()
    return found


def _answer(one: subprocess.Popen[str]) -> dict[str, float]:
    assert one.stdout is not None
    line = one.stdout.readline()
    if not line:
        raise SystemExit(f"{one.args!r} failed")
    answer: dict[str, float] = json.loads(line)
    return answer


if __name__ == "__main__":
    main()
