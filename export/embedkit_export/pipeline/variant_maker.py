"""How variants are made: each graph captured and fused once, then written in one form after another until one passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from threadpoolctl import threadpool_limits

from embedkit import bundle
from embedkit.bundle.manifest import IdsFrontend, Quality, TextFrontend, Variant
from embedkit.errors import ExportError
from embedkit_export import files
from embedkit_export.graphs.attention.blocks import LEAST, cut_attention
from embedkit_export.graphs.attention.panels import sum_in_panels
from embedkit_export.graphs.capture import capture
from embedkit_export.graphs.fuse import fuse
from embedkit_export.graphs.fusion_checks import check_fused, counts, depth
from embedkit_export.graphs.ir_tools import own_copy
from embedkit_export.modules.layers import LatentAttention
from embedkit_export.modules.pooling import AttentionPool
from embedkit_export.plan.plan import GraphPlan, Plan
from embedkit_export.plan.tokenizers import Tokenizers
from embedkit_export.quantization.forms import Form, FusedGraph, NothingToQuantise, forms
from embedkit_export.reporting.manifest import Description
from embedkit_export.tensors import IDS
from embedkit_export.verification import extent
from embedkit_export.verification.judge import Judge
from embedkit_export.verification.media.samples import sample_key
from embedkit_export.verification.parity import Verdict
from embedkit_export.verification.sample import Sample

from .unfinished import Proven, Unfinished

_UNKNOWN = Quality(texts=0, max_abs=0.0, cosine_mean=0.0, cosine_min=0.0, top10_overlap=0.0)


def grounds(
    plan: Plan, tokenizers: Tokenizers, sample: Mapping[str, Sample]
) -> tuple[dict[str, FusedGraph], list[str]]:
    """What the variants of each graph are made from, by the role that owns it, and notes on it; ``sample`` by the kind of what is
    read. Raises `ExportError`."""
    notes: list[str] = []
    return {
        owner: _ground(plan, owner, graph, tokenizers, sample, notes) for owner, graph in plan.graphs.items()
    }, notes


def _ground(
    plan: Plan, owner: str, graph: GraphPlan, tokenizers: Tokenizers, sample: Mapping[str, Sample], notes: list[str]
) -> FusedGraph:
    captured = capture(graph, notes)
    fuse(captured)
    known = depth(graph.config)
    around = [graph.module.token_stages, graph.module.pools, graph.module.stages]
    parts = [part for group in around for part in group.modules()]
    extra = sum(isinstance(part, AttentionPool | LatentAttention) for part in parts)
    notes += check_fused(captured, graph.config, layers=graph.module.deepest(known), attentions=extra)
    sum_in_panels(captured)
    roles = [name for name, role in plan.roles.items() if role.graph == owner]
    feeds = []
    frontend = plan.roles[owner].frontend
    own = sample[sample_key(frontend)]
    for i, item in enumerate(own.calibration()):
        role = roles[i % len(roles)]
        given = tokenizers.items(role, [item])
        if given:
            feeds.append(tokenizers.feed(role, given[0]))
    if isinstance(frontend, TextFrontend | IdsFrontend):
        least = extent.CALIBRATED * extent.widest_of(graph.module)
        rows = [feed[IDS].size for feed in feeds]
        feeds = extent.enough(feeds, rows, extent.weights_of(graph.module), least=least)
    return FusedGraph(captured, feeds, graph.max_tokens)


class Maker:
    """Makes variants in ``folder``, and keeps those that pass."""

    def __init__(
        self,
        grounds: dict[str, FusedGraph],
        folder: Path,
        judge: Judge,
        description: Description,
        step: Callable[..., None],
        unfinished: Unfinished,
        *,
        asked: bool = True,
    ) -> None:
        """``unfinished`` knows what a run that was cut has proved; ``asked`` is whether the variants were asked for: of those made
        by default, one that would be fp32 again is no loss."""
        self.grounds, self.folder, self.judge, self.description, self.step = grounds, folder, judge, description, step
        self.unfinished, self.asked = unfinished, asked
        self.passed: dict[str, dict[str, Variant]] = {owner: {} for owner in grounds}
        """By the role that owns the graph, by name."""
        self.missing: dict[str, str] = {}
        """Variants that did not pass in any form, with the reason."""
        self.operators: dict[str, dict[str, int]] = {}
        """Counts of the operators that matter, for each variant that passed."""
        self.notes: list[str] = []

    def make(self, variant: str) -> bool:
        """Write one variant in the first of its forms that passes, or say in ``missing`` why there is none; whether it
        is there."""
        if known := self.unfinished.find(variant, self.folder):
            self.step(f"take {variant} over from the run that was cut")
            self._take(variant, known)
            return variant in self.operators
        before = len(self.notes)
        there = self._made(variant)
        variants = {owner: made[variant] for owner, made in self.passed.items() if variant in made}
        operators, missing = self.operators.get(variant, {}), self.missing.get(variant)
        self.unfinished.keep(
            variant, self.folder, Proven(variants, operators, self.notes[before:], self.judge.labels, missing)
        )
        return there

    def _take(self, variant: str, known: Proven) -> None:
        for owner, made in known.variants.items():
            self.passed[owner][variant] = made
            self.operators[variant] = known.operators
            if variant == "fp32":
                files.read_from(self.grounds[owner].model, self.folder, made.file)
        self.notes += known.notes
        self.judge.labels = known.labels
        if known.missing is not None:
            self.missing[variant] = known.missing

    def _made(self, variant: str) -> bool:
        self.step(f"write {variant}")
        failures: list[tuple[str, list[str]]] = []
        for number, form in enumerate(forms(variant)):
            if not any(map(form.differs, self.grounds.values())):
                continue
            if number:
                self.step(f"write {variant}: {form.name}", again=True)
            written: dict[str, Variant] = {}
            operators: dict[str, int] = {}
            try:
                operators = self._write(variant, form, written)
                if not number:
                    self.step(f"verify {variant}")
                verdict, worst = self._judge(variant, written)
            except NothingToQuantise as error:
                for made in written.values():
                    self._delete(made)
                if self.asked:
                    self.missing[variant] = str(error)
                else:
                    self.notes.append(str(error))
                return False
            except ExportError as error:
                verdict, worst = Verdict(_UNKNOWN, [str(error)]), 0.0
            if not verdict.problems:
                self.notes += verdict.notes
                self.notes += [f"{variant}: {name} did not pass: {'; '.join(why)}" for name, why in failures]
                self.operators[variant] = operators
                for owner, made in written.items():
                    quality = verdict.of_roles.get(owner, verdict.quality)
                    self.passed[owner][variant] = msgspec.structs.replace(
                        made, quality=quality, golden_cosine_min=worst
                    )
                return True
            failures.append((form.name, verdict.problems))
            for made in written.values():
                self._delete(made)
            if variant == "fp32" or verdict.quality is _UNKNOWN:
                break
        self.missing[variant] = " | ".join(
            ("" if name == variant else f"{name}: ") + "; ".join(why) for name, why in failures
        )
        return False

    def drop(self, variant: str) -> None:
        """Take out a variant that passed and was not asked for."""
        del self.operators[variant]
        for variants in self.passed.values():
            self._delete(variants.pop(variant))

    def _write(self, variant: str, form: Form, written: dict[str, Variant]) -> dict[str, int]:
        """Write all graphs, each noted in ``written`` as soon as it is there; the operators of the first."""
        fused, needless = [], []
        for owner, ground in self.grounds.items():
            try:
                # A library of products that shares each small one among threads keeps the others waiting at full speed in between.
                with threadpool_limits(1, user_api="blas"):
                    graph = form.build(ground)
            except NothingToQuantise as error:  # of several graphs one may be a table alone
                needless.append(error)
                graph = ground.model
            fused.append(counts(graph))
            if ground.max_tokens > LEAST:
                graph = own_copy(graph)
                cut_attention(graph)
            file, data = files.save(graph, self.folder, files.file_name(owner, variant))
            written[owner] = Variant(
                file=file, data=data, quality=_UNKNOWN, golden_cosine_min=1.0, form=form.called(ground)
            )
            if variant == "fp32":
                files.read_from(ground.model, self.folder, file)
        if len(needless) == len(self.grounds):
            raise needless[0]
        return fused[0]

    def _judge(self, variant: str, written: dict[str, Variant]) -> tuple[Verdict, float]:
        draft = {owner: {**variants, variant: written[owner]} for owner, variants in self.passed.items()}
        bundle.write_manifest(self.folder, self.description.manifest(draft))
        return self.judge.judge(self.folder, variant)

    def _delete(self, made: Variant) -> None:
        for file in (made.file, *made.data):
            (self.folder / file).unlink(missing_ok=True)
