"""What a graph is made of and where its time goes: operators, bytes, tokens per CPU-second, time per operator."""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.bundle.folder import Bundle
from embedkit.bundle.manifest import (
    AudioFrontend,
    ComposedFrontend,
    FeaturesFrontend,
    IdsFrontend,
    ImageFrontend,
    Tower,
)
from embedkit.runtime.engines.onnxruntime import OnnxRuntime
from embedkit.runtime.frontends.audio.mel import shape
from embedkit.runtime.frontends.batching import Padding, TokenBatch
from embedkit.runtime.frontends.registry import modality_of
from embedkit.runtime.tower import graph_inputs
from embedkit_export.tensors import FEATURES, IDS, LENGTH, PIXELS, SAMPLES
from embedkit_export.verification.media.composed import sample

_ROUNDS = 5
_ENOUGH = 2.0
"""Seconds of a variant's rounds after which there are no more: what disturbs a long run is a small share of it."""
_AT_ONCE = 1 << 30
"""Bytes of files up to which all variants are open at once."""
_SLOTS = 512


@dataclass(frozen=True)
class Profile:
    """One variant. ``operators`` are those of the file, ``seconds`` the share (0 to 1) of each in a run's time after
    onnxruntime's own rewrites."""

    variant: str
    bytes: int
    tokens_per_second: float
    operators: dict[str, int]
    seconds: dict[str, float]

    def text(self) -> str:
        """For a terminal."""
        lines = [f"{self.variant}: {self.bytes / 1e6:.1f} MB, {self.tokens_per_second:,.0f} tokens per CPU-second"]
        lines.append("  operators   " + ", ".join(f"{count} {name}" for name, count in self.operators.items()))
        lines.append(
            "  time        " + ", ".join(f"{name} {share:.1%}" for name, share in list(self.seconds.items())[:10])
        )
        return "\n".join(lines)


def _sounds(frontend: AudioFrontend) -> dict[str, npt.NDArray[Any]]:
    """Inputs of a batch of clips, of two seconds where they are of any length."""
    rng = np.random.default_rng(0)
    if frontend.mel is not None:
        rows = max(1, _SLOTS // frontend.slots)
        return {FEATURES: rng.normal(size=(rows, *shape(frontend.mel))).astype(np.float32)}
    samples = max(2 * frontend.rate, frontend.least)
    frames = frontend.frames(samples)
    rows = max(1, _SLOTS // frames)
    given: dict[str, npt.NDArray[Any]] = {SAMPLES: rng.normal(size=(rows, samples)).astype(np.float32)}
    return given | ({LENGTH: np.full(rows, frames, np.int64)} if frontend.batch == "longest" else {})


def feed(tower: Tower, tokens: int, folder: Path) -> dict[str, npt.NDArray[Any]]:
    """Inputs of a batch of about 512 token slots, without padding; tokenizers of items with parts are in the bundle's ``folder``."""
    if isinstance(tower.frontend, ImageFrontend):
        shape = (max(1, _SLOTS // tower.frontend.slots), *tower.frontend.size, 3)
        return {PIXELS: np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)}
    if isinstance(tower.frontend, AudioFrontend):
        return _sounds(tower.frontend)
    if isinstance(tower.frontend, ComposedFrontend | FeaturesFrontend):
        return _drawn(tower, folder)
    width = getattr(tower.frontend, "fixed", None) or min(tokens, tower.frontend.longest)
    rows = max(1, _SLOTS // width)
    most = min(50, tower.frontend.size) if isinstance(tower.frontend, IdsFrontend) else 50
    ids = np.random.default_rng(0).integers(min(5, most - 1), most, (rows, width))
    numbers = {entry.name: np.zeros(rows, np.int64) for entry in tower.inputs if entry.choice is not None}
    batch = TokenBatch(np.arange(rows), width, {"ids": list(ids)}, np.zeros(rows, np.bool_), Padding(0), numbers)
    return graph_inputs(batch, batch.tensors(rows), tower.inputs, rows)


def _drawn(tower: Tower, folder: Path) -> dict[str, npt.NDArray[Any]]:
    """Inputs of a batch of drawn items."""
    modality = modality_of(tower.frontend, tower.inputs)
    rows = max(1, _SLOTS // tower.frontend.longest)
    items = sample(tower.frontend, tower.inputs, None).texts[:rows]
    checked = [modality.check(item, modality.noun) for item in items]
    batch = modality.open(lambda name: folder / name).batches(checked, _SLOTS, None)[0]
    return graph_inputs(batch, batch.tensors(len(batch.rows)), tower.inputs, len(batch.rows))


def speeds(folder: Path, tower: Tower, files: Mapping[str, str], *, tokens: int = 64) -> dict[str, float]:
    """Tokens per CPU-second of each variant's graph on one thread, the best of some rounds; measured in turns, but for large graphs,
    which are measured one after the other."""
    given = feed(tower, tokens, folder)
    rows = len(next(iter(given.values())))
    slots = given[IDS].size if IDS in given else rows * tower.frontend.longest
    large = sum(part.stat().st_size for file in files.values() for part in folder.glob(f"{file}*")) > _AT_ONCE
    best: dict[str, float] = {}
    for group in [[name] for name in files] if large else [list(files)]:
        best |= _fastest({name: OnnxRuntime(folder / files[name]) for name in group}, given, list(tower.outputs))
    return {name: slots / max(seconds, 1e-9) for name, seconds in best.items()}


def _fastest(
    sessions: Mapping[str, OnnxRuntime], given: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str]
) -> dict[str, float]:
    """The least CPU-seconds of a run of each session, measured in turns."""
    best, spent = dict.fromkeys(sessions, float("inf")), 0.0
    for _ in range(_ROUNDS):
        for name, session in sessions.items():
            began = time.process_time()
            session.run(given, outputs)
            took = time.process_time() - began
            best[name], spent = min(best[name], took), spent + took
        if spent > _ENOUGH * len(sessions):
            break
    return best


def explain(folder: Path, variants: Sequence[str] | None = None) -> list[Profile]:
    """A profile of each variant of a bundle's default graph."""
    bundle = Bundle.open(folder)
    tower = bundle.tower("default")
    assert tower.graph is not None
    chosen = {name: v for name, v in tower.graph.variants.items() if variants is None or name in variants}
    for name in chosen:
        bundle.graph_path("default", name)
    fast = speeds(folder, tower, {name: variant.file for name, variant in chosen.items()})
    profiles = []
    for name, variant in chosen.items():
        size = sum(bundle.manifest.files[file].bytes for file in (variant.file, *variant.data))
        path = folder / variant.file
        profiles.append(
            Profile(
                name, size, fast[name], _operators(path), _shares(path, feed(tower, 64, folder), list(tower.outputs))
            )
        )
    return profiles


def _operators(path: Path) -> dict[str, int]:
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    return dict(Counter(node.op_type for node in graph.node).most_common())


def _shares(path: Path, given: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str]) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        session = OnnxRuntime(path, profile=Path(folder) / "profile")
        for _ in range(_ROUNDS):
            session.run(given, outputs)
        events = json.loads(Path(session.end_profiling()).read_text())
    spent: Counter[str] = Counter()
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            spent[event["args"]["op_name"]] += event["dur"]
    whole = max(1, sum(spent.values()))
    return {name: round(value / whole, 4) for name, value in spent.most_common()}
