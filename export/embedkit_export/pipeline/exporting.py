"""The export: prepare, capture, fuse, quantise, verify, and only then a bundle."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import numpy as np
from torch import nn

from embedkit import bundle
from embedkit.bundle.manifest import Manifest, Variant
from embedkit.errors import ExportError, InputError
from embedkit_export.plan.heads import pair_head
from embedkit_export.plan.prepare import Prepared, prepare
from embedkit_export.plan.tokenizers import Tokenizers
from embedkit_export.recipes.recipe import Recipe
from embedkit_export.reporting.manifest import GOLDEN_FILE, Description
from embedkit_export.reporting.model_card import PICTURE, model_card
from embedkit_export.reporting.pair_graph import write_pair_graph
from embedkit_export.reporting.picture import Point, draw
from embedkit_export.reporting.profile import speeds
from embedkit_export.reporting.report import ExportReport
from embedkit_export.reporting.tables import write_tables
from embedkit_export.sources.weight_files import let_go
from embedkit_export.tensors import DENSE, VARIANTS
from embedkit_export.verification.gates import Gates, GatesByVariant, by_variant
from embedkit_export.verification.judge import Judge
from embedkit_export.verification.media.samples import named, samples
from embedkit_export.verification.sample import Sample

from .progress import Steps
from .unfinished import Unfinished, export_key, until_ended
from .variant_maker import Maker, grounds

DEFAULT = ("fp32", "int8")

SamplePath: TypeAlias = str | os.PathLike[str]


def export(
    model: Any,
    *,
    output: str | os.PathLike[str],
    variants: Sequence[str] | None = None,
    overwrite: bool = False,
    sample: SamplePath | Sequence[SamplePath] | None = None,
    recipe: Recipe | str | os.PathLike[str] | None = None,
    pooling: str | None = None,
    normalize: bool | None = None,
    max_tokens: int | None = None,
    gates: Gates | GatesByVariant | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    kind: str = "auto",
    late: bool = False,
    timing: bool = True,
    progress: bool = False,
) -> ExportReport:
    """Export a trained encoder as a bundle, checked against torch before it is written.

    What is proved is kept beside ``output`` until the export ends: one that was cut goes on from there when it is called again in
    the same way, in another process too.

    Args:
        model: a sentence-transformers or transformers folder, a peft adapter's, a ``.gguf`` file, a hub name, a live SentenceTransformer,
            or a pair (live transformers model, tokenizer); live objects are left as they are.
        output: the bundle's folder; nothing is left there when the export fails.
        variants: some of ``fp32``, ``fp16``, ``int8``, ``w8``, ``w4``; by default ``fp32`` and, where there is anything to
            quantise, ``int8``. One that fails its gate is tried in safer forms;
            if none passes, the bundle is written without it and the report says so.
        overwrite: replace a bundle that is there.
        sample: typical texts, labelled pairs, or queries with relevant documents (see
            `embedkit_export.verification.sample.read`), for calibration and for the gate; by default docstrings of Python's standard library.
            Of a model of pictures a folder of them, by default drawn ones; of a model of both, one of each.
        recipe: what the model does not say by itself: a `Recipe`, or the path of a TOML file.
        pooling: ``first`` (``cls``), ``mean``, ``max``, ``last`` or ``pooler``, for a plain transformers folder.
        normalize: unit length, for a plain transformers folder.
        max_tokens: fewer tokens than the model reads by itself.
        gates: the least that a variant must reach: one `Gates` for all, or a mapping from variants to theirs, where
            ``default`` holds for those it does not name.
        revision: branch, tag or commit of a hub name.
        trust_remote_code: run code that comes with the model.
        kind: what is made of a text: ``dense``, ``sparse`` or ``multivector`` vectors, the score of a pair (``reranker``), classes
            (``classifier``); ``auto`` is what the model's files say, and dense for a
            plain transformers folder.
        late: give each token's vector too, an output ``tokens``, so that chunks of a document that is read whole can be pooled by
            themselves (``embedkit ingest --chunk 256 --late``); for models that pool by the mean of tokens.
        timing: measure the variants' speed; without it two exports of a model are the same bytes.
        progress: tell the steps on standard error, and what is about left: a progress bar in a terminal, else a line for each with
            its seconds.

    Raises:
        ExportError: the model cannot be exported, or no variant passed its checks; the message lists what was measured.
        BundleError: ``output`` cannot be written.
        InputError: an option, the recipe or the sample cannot be used.
    """
    began = time.monotonic()
    chosen = _checked_variants(DEFAULT if variants is None else variants)
    required = by_variant(gates)
    target = Path(output)
    own = isinstance(model, str | os.PathLike) and not isinstance(recipe, Recipe)  # which may hold modules
    bundle.check_target(target, overwrite=overwrite)
    with Steps(progress, _plan(chosen)) as step:
        step("load the model")
        prepared = prepare(
            model,
            recipe=recipe,
            pooling=pooling,
            normalize=normalize,
            max_tokens=max_tokens,
            revision=revision,
            trust_remote_code=trust_remote_code,
            kind=kind,
            late=late,
        )
        step("read the sample")
        sampled = samples(prepared.plan, sample)
        with until_ended(target), bundle.writing(target, overwrite=overwrite) as folder:
            manifest, made = _make(
                prepared,
                sampled,
                target,
                folder,
                chosen,
                required,
                step,
                timing=timing,
                asked=variants is not None,
                own=own,
            )
    notes = [*prepared.plan.notes, *prepared.inferred.notes, *made.notes]
    notes += [note for one in sampled.values() for note in one.notes]
    return ExportReport(target, manifest, made.operators, named(sampled), notes, time.monotonic() - began, made.missing)


def _checked_variants(variants: Sequence[str]) -> list[str]:
    names = [variants] if isinstance(variants, str) else list(dict.fromkeys(variants))
    unknown = [name for name in names if name not in VARIANTS]
    if unknown or not names:
        raise InputError(f"variants: expected some of {', '.join(VARIANTS)}; found {', '.join(unknown) or 'none'}")
    return sorted(names, key=VARIANTS.index)


def _plan(chosen: Sequence[str]) -> list[str]:
    """The steps of an export without surprises."""
    made = [f"{verb} {name}" for name in dict.fromkeys(("fp32", *chosen)) for verb in ("write", "verify")]
    return ["load the model", "read the sample", "capture the graph", "encode with torch", *made, "draw the report"]


def _make(
    prepared: Prepared,
    sampled: dict[str, Sample],
    target: Path,
    folder: Path,
    chosen: list[str],
    gates: dict[str, Gates],
    step: Steps,
    *,
    timing: bool,
    asked: bool,
    own: bool,
) -> tuple[Manifest, Maker]:
    """Write all of the bundle into ``folder``, which becomes ``target``; ``own`` tells that nobody else holds the model's weights."""
    plan = prepared.plan
    tokenizers = Tokenizers(plan, folder)
    write_tables(plan, folder)
    head = pair_head(plan) if plan.recipe.pair is not None else None
    step("capture the graph")
    captured, notes = grounds(plan, tokenizers, sampled)
    description = Description(prepared, tokenizers.files)
    key = export_key(captured, description, sampled, tokenizers, gates)
    unfinished = Unfinished(target, key)
    step("encode with torch")
    judge = Judge(prepared, sampled, tokenizers, gates, unfinished.values)
    if unfinished.taken:
        step.untimed()
    judge.write_golden(folder / GOLDEN_FILE)
    if head is not None:
        vectors = judge.golden["default"][DENSE]
        assert isinstance(vectors, np.ndarray), "what a dense output gives"
        write_pair_graph(head, vectors, folder, parity=gates["fp32"].parity)
    if own:
        whole = (prepared.origin.backbone, prepared.origin.whole, prepared.origin.model)
        let_go(
            part for part in (*(graph.module for graph in plan.graphs.values()), *whole) if isinstance(part, nn.Module)
        )
    maker = Maker(captured, folder, judge, description, step, unfinished, asked=asked)
    maker.notes += [*notes, *judge.notes]
    name = prepared.origin.name
    if not maker.make("fp32"):
        raise ExportError(_failure(name, maker.missing))
    for variant in chosen:
        if variant != "fp32":
            maker.make(variant)
    if "fp32" not in chosen:
        maker.drop("fp32")
    if not any(maker.passed.values()):
        raise ExportError(_failure(name, maker.missing))
    step("draw the report")
    variants = _timed(maker.passed, description, folder) if timing else maker.passed
    manifest = description.manifest(variants)
    points = [
        Point(
            name,
            v.tokens_per_second,
            sum((folder / file).stat().st_size for file in (v.file, *v.data)) / 1e6,
            v.quality.cosine_mean,
            v.quality.cosine_min,
            v.quality.labels,
        )
        for name, v in variants[plan.roles["default"].graph].items()
        if v.tokens_per_second
    ]
    if points:
        draw(points, folder / PICTURE, title=name)
    card = model_card(manifest, folder, named(sampled), maker.missing)
    (folder / "README.md").write_text(card, encoding="utf-8")
    return bundle.write_manifest(folder, manifest), maker


def _timed(
    passed: dict[str, dict[str, Variant]], description: Description, folder: Path
) -> dict[str, dict[str, Variant]]:
    """The variants with their speeds."""
    timed: dict[str, dict[str, Variant]] = {}
    for owner, tower in description.manifest(passed).towers.items():
        if owner not in passed:
            continue
        variants = passed[owner]
        found = speeds(folder, tower, {name: v.file for name, v in variants.items()})
        timed[owner] = {
            name: msgspec.structs.replace(v, tokens_per_second=float(f"{found[name]:.4g}")) if name in found else v
            for name, v in variants.items()
        }
    return timed


def _failure(name: str, failed: dict[str, str]) -> str:
    lines = [f"{name}: not exported, because a check failed; nothing was written"]
    lines += [f"  {variant}: {reason}" for variant, reason in failed.items()]
    own = "fp32" in failed
    advice = "look at the recipe with --dry-run; " if own else "export fp32 too (--variants fp32,int8), or "
    lines.append(
        f"  next: {advice}give typical texts with --sample, or lower a gate knowingly (--min-cosine, --min-overlap)"
    )
    return "\n".join(lines)
