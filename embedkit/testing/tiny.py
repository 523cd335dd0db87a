"""A bundle of a few kilobytes that is real in every respect, for tests of plugins and of programs that use embedkit."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.bundle.golden import golden_arrays, golden_key
from embedkit.bundle.manifest import (
    Graph,
    Input,
    Manifest,
    Output,
    Part,
    Quality,
    Scorer,
    Source,
    TextFrontend,
    Tower,
    Truncate,
    Variant,
)
from embedkit.bundle.writer import write_manifest, writing
from embedkit.vectors.arrays import unit_length
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.sparse import SparseVectors
from embedkit.vectors.values import Values

from ..system.extras import needed

GOLDEN = [
    "",
    "a",
    "hello",
    "Hello, world!",
    "héllo 日本語 🎉",
    "a text that is longer than the model reads: " + "so " * 30,
]
ROLES = ("default", "query", "document")
_FUNCTIONS = {"dense": "cosine", "sparse": "sparse_dot", "multivector": "maxsim"}

_START, _END, _BYTES, _PAD = 256, 257, 258, 258


def tiny_bundle(
    folder: str | os.PathLike[str],
    *,
    dim: int = 8,
    max_tokens: int = 64,
    seed: int = 0,
    prefixes: Mapping[str, str] | None = None,
    variants: tuple[str, ...] = ("fp32", "int8"),
    kinds: Sequence[str] = ("dense",),
) -> Path:
    """Write a bundle to ``folder``, which `embedkit.Encoder.load` reads; its path.

    The tokens are the UTF-8 bytes of a text between a start and an end token. A vector is the sum over the tokens of
    token vector times position vector, of unit length: equal texts have equal vectors, and texts that share a beginning
    are near each other. Another ``seed`` is another model, with another fingerprint. ``prefixes`` puts a text before
    those of a role (``default``, ``query``, ``document``). ``kinds`` are the outputs: ``dense`` the sum at unit length,
    ``sparse`` its positive numbers, ``multivector`` the tokens' products, ``tokens`` these too, of which ``dense`` is the mean at unit
    length, so that chunks can be pooled late. The variant ``int8`` is a rounder copy, not a quantised
    graph.

    Needs the package ``onnx``; raises `MissingExtraError` where it is not installed.
    """
    rng = np.random.default_rng(seed)
    # Multiples of 1/8: products and sums of them are exact in float32, in whatever order they are summed.
    tokens = rng.integers(-8, 9, (_BYTES + 1, dim)) / 8.0
    positions = rng.integers(1, 9, (max_tokens, dim)) / 8.0
    tables = {"fp32": tokens, "int8": np.round(tokens * 4) / 4}
    golden: dict[str, Any] = {"texts": np.array(GOLDEN)}
    with writing(folder) as work:
        for variant in variants:
            (work / f"model.{variant}.onnx").write_bytes(_graph(tables[variant], positions, kinds))
        _tokenizer(work / "tokenizer.json")
        for role in ROLES:
            texts = [(prefixes or {}).get(role, "") + text for text in GOLDEN]
            found = _reference(texts, tokens, positions)
            for kind in kinds:
                golden |= golden_arrays(found[kind], golden_key(role, kind))
        np.savez(work / "golden.npz", **golden)
        write_manifest(work, _manifest(dim, max_tokens, prefixes or {}, variants, kinds))
    return Path(folder)


def _reference(
    texts: list[str], tokens: npt.NDArray[np.float64], positions: npt.NDArray[np.float64]
) -> dict[str, Values]:
    """What the graph computes, in numpy."""
    several = []
    for text in texts:
        ids = [_START, *text.encode()[: len(positions) - 2], _END]
        several.append((tokens[ids] * positions[: len(ids)]).astype(np.float32))
    sums = np.array([vectors.sum(axis=0) for vectors in several], dtype=np.float32)
    return {
        "dense": unit_length(sums),
        "sparse": SparseVectors.of(np.maximum(sums, 0.0)),
        "multivector": MultiVectors.of(several),
        "tokens": MultiVectors.of(several),
    }


def _tokenizer(path: Path) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from tokenizers.processors import TemplateProcessing

    shown = _byte_characters()
    tokenizer = Tokenizer(BPE(vocab={shown[byte]: byte for byte in range(256)}, merges=[]))
    tokenizer.add_special_tokens(["<s>", "</s>", "<pad>"])
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", _START), ("</s>", _END)]
    )
    tokenizer.save(str(path))


def _byte_characters() -> list[str]:
    """The character that stands for each byte in a byte-level vocabulary (Radford et al. 2019)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    shown = {byte: chr(byte) for byte in plain} | {byte: chr(256 + i) for i, byte in enumerate(others)}
    return [shown[byte] for byte in range(256)]


def _graph(tokens: npt.NDArray[np.float64], positions: npt.NDArray[np.float64], kinds: Sequence[str]) -> bytes:
    onnx = needed("onnx", "making a tiny bundle", extra="export")
    TensorProto, helper, numpy_helper = onnx.TensorProto, onnx.helper, onnx.numpy_helper
    constants: dict[str, npt.NDArray[Any]] = {
        "table": tokens.astype(np.float32),
        "positions": positions.astype(np.float32),
        "zero": np.array([0], dtype=np.int64),
        "one": np.array([1], dtype=np.int64),
        "last": np.array([-1], dtype=np.int64),
        "small": np.array(1e-12, dtype=np.float32),
    }
    steps: list[tuple[str, list[str], str, dict[str, Any]]] = [
        ("Gather", ["table", "input_ids"], "token_vectors", {}),
        ("Shape", ["input_ids"], "length", {"start": 1, "end": 2}),
        ("Slice", ["positions", "zero", "length"], "position_vectors", {}),
        ("Mul", ["token_vectors", "position_vectors"], "placed", {}),
        ("Cast", ["attention_mask"], "mask", {"to": TensorProto.FLOAT}),
        ("Unsqueeze", ["mask", "last"], "mask_column", {}),
        ("Mul", ["placed", "mask_column"], "masked", {}),
        ("ReduceSum", ["masked", "one"], "summed", {"keepdims": 0}),
        ("ReduceL2", ["summed", "last"], "norm", {"keepdims": 1}),
        ("Max", ["norm", "small"], "safe_norm", {}),
        ("Div", ["summed", "safe_norm"], "dense", {}),
        ("Relu", ["summed"], "sparse", {}),
        ("Identity", ["placed"], "multivector", {}),
        ("Identity", ["placed"], "tokens", {}),
    ]
    width = tokens.shape[1]
    each: list[str | int] = ["rows", "tokens", width]
    shapes = {"dense": ["rows", width], "sparse": ["rows", width], "multivector": each, "tokens": each}
    graph = helper.make_graph(
        [helper.make_node(op, inputs, [output], **attributes) for op, inputs, output, attributes in steps],
        "tiny",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["rows", "tokens"])
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info(kind, TensorProto.FLOAT, shapes[kind]) for kind in kinds],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def _manifest(
    dim: int, max_tokens: int, prefixes: Mapping[str, str], variants: tuple[str, ...], kinds: Sequence[str]
) -> Manifest:
    def frontend(role: str) -> TextFrontend:
        before = [Part(lit=prefixes[role])] if prefixes.get(role) else []
        return TextFrontend(
            tokenizer="tokenizer.json",
            template=[*before, Part(field="text")],
            truncate=Truncate(max=max_tokens),
            pad_id=_PAD,
        )

    exact = Quality(texts=len(GOLDEN), max_abs=0.0, cosine_mean=1.0, cosine_min=1.0, top10_overlap=1.0)
    rounded = Quality(texts=len(GOLDEN), max_abs=0.1, cosine_mean=0.98, cosine_min=0.95, top10_overlap=0.9)
    quality = {"fp32": exact, "int8": rounded}
    graph = Graph(
        variants={
            name: Variant(file=f"model.{name}.onnx", quality=quality[name], golden_cosine_min=quality[name].cosine_min)
            for name in variants
        }
    )
    base = Tower(
        frontend=frontend("default"),
        inputs=[
            Input(name="input_ids", dtype="int64", source="ids"),
            Input(name="attention_mask", dtype="int64", source="mask"),
        ],
        graph=graph,
        outputs={kind: _output(kind, dim, kinds) for kind in kinds},
    )
    return Manifest(
        schema=1,
        source=Source(name="tiny", checkpoint_sha256="0" * 64),
        towers={
            "default": base,
            **{role: Tower(like="default", frontend=frontend(role)) for role in ROLES if role != "default"},
        },
        scorers={
            kind if number else "main": Scorer(fn=_FUNCTIONS[kind], left=f"query.{kind}", right=f"document.{kind}")  # type: ignore[arg-type]
            for number, kind in enumerate(kinds)
            if kind in _FUNCTIONS
        },
        files={},
        golden="golden.npz",
        fingerprint="0" * 64,
    )


def _output(kind: str, dim: int, kinds: Sequence[str]) -> Output:
    if kind == "dense":
        return Output(kind="dense", dim=dim, normalized=True, tokens="tokens" if "tokens" in kinds else None)
    return Output(kind=kind, dim=dim)  # type: ignore[arg-type]
