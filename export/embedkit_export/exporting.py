"""The export: source, recipe, capture, fuse, quantise, verify, and only then a bundle."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx_ir as ir

import embedkit
from embedkit import bundle
from embedkit.encoder import Encoder
from embedkit.errors import ExportError, InputError
from embedkit.tokenizer import TextTokenizer
from embedkit.types import FileEntry, Graph, Input, Manifest, Output, Quality, Scorer, Tower, Variant
from embedkit.types import Source as SourceEntry

from . import capture, fuse, quantize, recipe, source, texts, verify
from .card import model_card

VARIANTS = ("fp32", "int8")
_EXTERNAL_FROM = 1 << 30
"""Bytes of weights from which they go into a file of their own: one protobuf message ends at 2 GiB."""
_UNKNOWN = Quality(texts=0, max_abs=0.0, cosine_mean=0.0, cosine_min=0.0, top10_overlap=0.0)
_EMPTY_SHA256 = "0" * 64


@dataclass(frozen=True)
class ExportReport:
    """What was written and measured."""

    path: Path
    manifest: Manifest
    operators: dict[str, dict[str, int]]
    """Counts of the operators that matter, for each variant."""
    sample: str
    notes: list[str]
    seconds: float

    def text(self) -> str:
        """The report as a table for a terminal."""
        tower = self.manifest.towers["default"]
        assert tower.graph is not None
        lines = [
            f"{'variant':8} {'MB':>7} {'mean cosine':>12} {'worst cosine':>13} {'top-10 overlap':>15} {'max difference':>15}"
        ]
        for name, variant in tower.graph.variants.items():
            size = sum(self.manifest.files[file].bytes for file in (variant.file, *variant.data)) / 1e6
            q = variant.quality
            lines.append(
                f"{name:8} {size:7.1f} {q.cosine_mean:12.5f} {q.cosine_min:13.5f} {q.top10_overlap:15.3f} {q.max_abs:15.2e}"
            )
        lines.append(
            f"against torch on {q.texts} texts ({self.sample}); every vector is independent of its batch, bit for bit"
        )
        lines.extend(f"note: {note}" for note in self.notes)
        return "\n".join(lines)

    def to_json(self) -> str:
        """The report as one JSON object."""
        whole = {
            "path": str(self.path),
            "sample": self.sample,
            "notes": self.notes,
            "seconds": round(self.seconds, 2),
            "operators": self.operators,
        }
        return msgspec.json.encode({**whole, "manifest": self.manifest}).decode()


def export(
    model: Any,
    *,
    output: str | os.PathLike[str],
    variants: Sequence[str] = VARIANTS,
    overwrite: bool = False,
    sample: str | os.PathLike[str] | None = None,
    pooling: source.Pooling | None = None,
    normalize: bool | None = None,
    max_tokens: int | None = None,
    gates: verify.Gates | None = None,
    progress: bool = False,
) -> ExportReport:
    """Export a trained encoder as a bundle, checked against torch before it is written.

    Args:
        model: a sentence-transformers or transformers folder, a hub name, or a live SentenceTransformer (left as it is).
        output: the bundle's folder; nothing is left there when the export fails.
        variants: ``fp32`` and ``int8``, or one of them.
        overwrite: replace a bundle that is there.
        sample: typical texts, for calibration and for the gate: JSON lines with a ``text``, or one text a line; by
            default docstrings of Python's standard library.
        pooling: ``cls``, ``mean`` or ``max``, for a plain transformers folder.
        normalize: unit length, for a plain transformers folder.
        max_tokens: fewer tokens than the model reads by itself.
        gates: the least that a variant must reach.
        progress: a progress bar on standard error.

    Raises:
        ExportError: the model cannot be exported, or a variant failed its checks; the message lists what was measured.
        BundleError: ``output`` cannot be written.
        InputError: an option or the sample cannot be used.
    """
    began = time.monotonic()
    chosen = _checked_variants(variants)
    if max_tokens is not None and max_tokens < 3:
        raise InputError(f"max_tokens: expected at least 3, found {max_tokens}")
    target = Path(output)
    bundle.check_target(target, overwrite=overwrite)
    with _Steps(progress, 4 + 2 * len(chosen)) as step:
        step("read the sample")
        sampled, sample_name = texts.sample(Path(sample) if sample is not None else None)
        calibration, gate_texts = _divide(sampled)
        gate_texts = [*gate_texts, *texts.longest(gate_texts)]
        judged = [*texts.HOSTILE, *texts.GOLDEN, *gate_texts]
        step("load the model")
        origin = source.load(model, pooling=pooling, normalize=normalize)
        how = recipe.read(origin.model, max_tokens=max_tokens)
        if max_tokens is not None:
            origin.model.max_seq_length = how.max_tokens
        step("capture the graph")
        captured = capture.capture(how)
        fuse.fuse(captured)
        notes = [*origin.notes, *how.notes]
        operators = {"fp32": fuse.check_fused(captured, how.backbone.config)}
        with bundle.writing(target, overwrite=overwrite) as folder:
            (folder / recipe.TOKENIZER_FILE).write_text(how.tokenizer_json, encoding="utf-8")
            files: dict[str, tuple[str, list[str]]] = {}
            for variant in chosen:
                step(f"write {variant}")
                graph = captured
                if variant == "int8":
                    graph = capture.own_copy(captured)
                    tokenizer = TextTokenizer(how.frontend("document"), folder / recipe.TOKENIZER_FILE)
                    done = quantize.rowwise_int8(
                        graph, quantize.channel_peaks(captured, tokenizer.encode(calibration).ids)
                    )
                    operators["int8"] = {"MatMulIntegerToFloat": done, **fuse.check_fused(graph, how.backbone.config)}
                    if not done:
                        raise ExportError(
                            "int8: the graph has no product of token vectors with a weight to quantise; export fp32 only"
                        )
                files[variant] = _save(graph, folder, variant)
            step("encode with torch")
            expected, golden = _expected(origin.model, how, judged)
            np.savez(
                folder / "golden.npz",
                allow_pickle=False,
                texts=np.array(texts.GOLDEN),
                **{f"vectors.{r}": v for r, v in golden.items()},
            )
            draft = _manifest(origin, how, files)
            bundle.write_manifest(folder, draft)
            judgements: dict[str, verify.Verdict] = {}
            worst: dict[str, float] = {}
            for variant in chosen:
                step(f"verify {variant}")
                judgements[variant] = verify.judge(
                    folder, variant, judged, expected, gates or verify.Gates(), hostile=len(texts.HOSTILE)
                )
                encoder = Encoder.load(folder, device="cpu", variant=variant, on_truncate="ignore")
                worst[variant] = min(
                    verify.measure(encoder.encode(texts.GOLDEN, role=r), v).cosine_min for r, v in golden.items()
                )
            failed = {name: verdict for name, verdict in judgements.items() if verdict.problems}
            if failed:
                raise ExportError(_failure(origin.name, failed))
            notes.extend(note for verdict in judgements.values() for note in verdict.notes)
            final = _with_quality(draft, {name: verdict.quality for name, verdict in judgements.items()}, worst)
            (folder / "README.md").write_text(model_card(final, folder, sample_name), encoding="utf-8")
            final = bundle.write_manifest(folder, final)
    return ExportReport(target, final, operators, sample_name, notes, time.monotonic() - began)


def _checked_variants(variants: Sequence[str]) -> list[str]:
    names = [variants] if isinstance(variants, str) else list(dict.fromkeys(variants))
    unknown = [name for name in names if name not in VARIANTS]
    if unknown or not names:
        raise InputError(f"variants: expected some of {', '.join(VARIANTS)}; found {', '.join(unknown) or 'none'}")
    return sorted(names, key=VARIANTS.index)


def _divide(sampled: list[str]) -> tuple[list[str], list[str]]:
    """Calibration texts and gate texts: different ones, so that the gate judges texts the scales were not fitted
    to."""
    middle = min(texts.CALIBRATION_TEXTS, len(sampled) // 2)
    return sampled[:middle], sampled[middle:]


def _save(graph: ir.Model, folder: Path, variant: str) -> tuple[str, list[str]]:
    name = f"model.{variant}.onnx"
    size = sum(value.const_value.nbytes for value in graph.graph.initializers.values() if value.const_value is not None)
    if size < _EXTERNAL_FROM:
        ir.save(graph, folder / name)
        return name, []
    ir.save(graph, folder / name, external_data=f"{name}.data")
    return name, [f"{name}.data"]


def _expected(
    model: Any, how: recipe.Recipe, judged: list[str]
) -> tuple[dict[str, verify.Floats], dict[str, verify.Floats]]:
    """Torch's vectors for each role: of the judged texts (all for the first role, the fixed ones for others), and of
    the golden texts."""
    fixed = len(texts.HOSTILE) + len(texts.GOLDEN)
    expected = {
        role: verify.reference(model, judged if role == "default" else judged[:fixed], role)
        for role, _ in _default_first(how.prompts)
    }
    return expected, {role: vectors[len(texts.HOSTILE) : fixed] for role, vectors in expected.items()}


def _default_first(prompts: dict[str, str]) -> list[tuple[str, str]]:
    return sorted(prompts.items(), key=lambda item: (item[0] != "default", item[0]))


def _manifest(origin: source.Source, how: recipe.Recipe, files: dict[str, tuple[str, list[str]]]) -> Manifest:
    graph = Graph(
        variants={
            name: Variant(file=file, data=data, quality=_UNKNOWN, golden_cosine_min=1.0)
            for name, (file, data) in files.items()
        }
    )
    inputs = [
        Input(name=capture.INPUTS[0], dtype="int64", source="ids"),
        Input(name=capture.INPUTS[1], dtype="int64", source="mask"),
    ]
    outputs = {capture.OUTPUT: Output(kind="dense", dim=how.dim, normalized=how.normalized)}
    towers = {"default": Tower(frontend=how.frontend("default"), inputs=inputs, graph=graph, outputs=outputs)}
    towers.update(
        (role, Tower(frontend=how.frontend(role), like="default")) for role, _ in _default_first(how.prompts)[1:]
    )
    return Manifest(
        schema=1,
        source=SourceEntry(name=origin.name, checkpoint_sha256=origin.checkpoint_sha256, tools=_tools()),
        towers=towers,
        scorers={"main": Scorer(fn=how.similarity, left=f"query.{capture.OUTPUT}", right=f"document.{capture.OUTPUT}")},
        files={"pending": FileEntry(sha256=_EMPTY_SHA256, bytes=0)},
        golden="golden.npz",
        fingerprint=_EMPTY_SHA256,
    )


def _with_quality(manifest: Manifest, quality: dict[str, Quality], worst: dict[str, float]) -> Manifest:
    tower = manifest.towers["default"]
    assert tower.graph is not None
    variants = {
        name: msgspec.structs.replace(variant, quality=quality[name], golden_cosine_min=worst[name])
        for name, variant in tower.graph.variants.items()
    }
    return msgspec.structs.replace(
        manifest, towers={**manifest.towers, "default": msgspec.structs.replace(tower, graph=Graph(variants=variants))}
    )


def _tools() -> dict[str, str]:
    found = {"python": platform.python_version(), "embedkit": embedkit.__version__}
    for name in (
        "torch",
        "transformers",
        "sentence-transformers",
        "onnx",
        "onnx-ir",
        "onnxscript",
        "onnxruntime",
        "tokenizers",
    ):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _failure(name: str, failed: dict[str, verify.Verdict]) -> str:
    lines = [f"{name}: not exported, because a check failed; nothing was written"]
    for variant, verdict in failed.items():
        lines.extend(f"  {variant}: {problem}" for problem in verdict.problems)
        q = verdict.quality
        lines.append(
            f"  {variant}: measured on {q.texts} texts: mean cosine {q.cosine_mean:.5f}, worst {q.cosine_min:.5f}, "
            f"top-10 overlap {q.top10_overlap:.3f}, largest difference {q.max_abs:.2e}"
        )
    advice = "" if "fp32" in failed else "export only --variants fp32, or "
    lines.append(
        f"  next: {advice}give typical texts with --sample, or lower a gate knowingly (--min-cosine, --min-overlap)"
    )
    return "\n".join(lines)


class _Steps:
    """The export's steps as a progress bar on standard error; a context manager."""

    def __init__(self, shown: bool, total: int) -> None:
        from tqdm import tqdm

        self._bar = tqdm(total=total, disable=not shown, bar_format="{percentage:3.0f}%|{bar:20}| {elapsed} {desc}")
        self._started = False

    def __call__(self, name: str) -> None:
        self._bar.set_description_str(name, refresh=False)
        self._bar.update(int(self._started))
        self._bar.refresh()
        self._started = True

    def __enter__(self) -> _Steps:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self("done")
        self._bar.close()
