"""The export: prepare, capture, fuse, quantise, verify, and only then a bundle."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from embedkit import bundle
from embedkit.encoder import Encoder
from embedkit.errors import ExportError, InputError
from embedkit.naming import safe_name
from embedkit.schedule import pad
from embedkit.tokenizer import Text, TextTokenizer
from embedkit.types import FileEntry, Graph, Manifest, Output, Quality, Scorer, Tower, Variant
from embedkit.types import Source as SourceEntry

from . import capture, files, fuse, picture, profiling, reference, samples, source, texts, verify
from .calibrate import Feed
from .card import PICTURE, model_card
from .graph import IDS, MASK, POOL_MASK, TYPES
from .plan import GraphPlan, Plan
from .preparing import Prepared, prepare
from .recipe import Recipe
from .report import ExportReport
from .stages import AttentionPool, LatentAttention
from .variants import VARIANTS, Ground, forms

DEFAULT = ("fp32", "int8")
GOLDEN_FILE = "golden.npz"
_UNKNOWN = Quality(texts=0, max_abs=0.0, cosine_mean=0.0, cosine_min=0.0, top10_overlap=0.0)
_EMPTY_SHA256 = "0" * 64


def export(
    model: Any,
    *,
    output: str | os.PathLike[str],
    variants: Sequence[str] = DEFAULT,
    overwrite: bool = False,
    sample: str | os.PathLike[str] | None = None,
    recipe: Recipe | str | os.PathLike[str] | None = None,
    pooling: str | None = None,
    normalize: bool | None = None,
    max_tokens: int | None = None,
    gates: verify.Gates | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    timing: bool = True,
    progress: bool = False,
) -> ExportReport:
    """Export a trained encoder as a bundle, checked against torch before it is written.

    Args:
        model: a sentence-transformers or transformers folder, a ``.gguf`` file, a hub name, a live SentenceTransformer,
            or a pair (live transformers model, tokenizer); live objects are left as they are.
        output: the bundle's folder; nothing is left there when the export fails.
        variants: some of ``fp32``, ``fp16``, ``int8``, ``w8``, ``w4``. One that fails its gate is tried in safer forms;
            if none passes, the bundle is written without it and the report says so.
        overwrite: replace a bundle that is there.
        sample: typical texts, labelled pairs, or queries with relevant documents (see `samples.read`), for calibration
            and for the gate; by default docstrings of Python's standard library.
        recipe: what the model does not say by itself: a `Recipe`, or the path of a TOML file.
        pooling: ``first`` (``cls``), ``mean``, ``max``, ``last`` or ``pooler``, for a plain transformers folder.
        normalize: unit length, for a plain transformers folder.
        max_tokens: fewer tokens than the model reads by itself.
        gates: the least that a variant must reach.
        revision: branch, tag or commit of a hub name.
        trust_remote_code: run code that comes with the model.
        timing: measure the variants' speed; without it two exports of a model are the same bytes.
        progress: a progress bar on standard error.

    Raises:
        ExportError: the model cannot be exported, or no variant passed its checks; the message lists what was measured.
        BundleError: ``output`` cannot be written.
        InputError: an option, the recipe or the sample cannot be used.
    """
    began = time.monotonic()
    chosen = _checked_variants(variants)
    target = Path(output)
    bundle.check_target(target, overwrite=overwrite)
    with _Steps(progress, 5 + 2 * len({"fp32", *chosen})) as step:
        step("load the model")
        prepared = prepare(
            model,
            recipe=recipe,
            pooling=pooling,
            normalize=normalize,
            max_tokens=max_tokens,
            revision=revision,
            trust_remote_code=trust_remote_code,
        )
        step("read the sample")
        fields = [name for name in _fields(prepared.plan) if name]
        sampled = samples.read(Path(sample) if sample is not None else None, fields=fields)
        with bundle.writing(target, overwrite=overwrite) as folder:
            work = _Work(prepared, sampled, folder, gates or verify.Gates(), step)
            manifest = work.run(chosen, timing=timing)
    notes = [*prepared.plan.notes, *prepared.inferred.notes, *sampled.notes, *work.notes]
    return ExportReport(target, manifest, work.operators, sampled.name, notes, time.monotonic() - began, work.missing)


def _fields(planned: Plan) -> list[str]:
    """The fields that a sample has to have: those of the default role's template without a text of their own."""
    template = planned.roles["default"].frontend.template
    required = [part.field for part in template if part.field and part.default is None]
    return [str(name) for name in required] if len(required) > 1 else ["text"]


def _checked_variants(variants: Sequence[str]) -> list[str]:
    names = [variants] if isinstance(variants, str) else list(dict.fromkeys(variants))
    unknown = [name for name in names if name not in VARIANTS]
    if unknown or not names:
        raise InputError(f"variants: expected some of {', '.join(VARIANTS)}; found {', '.join(unknown) or 'none'}")
    return sorted(names, key=VARIANTS.index)


class _Work:
    """One export, from a plan to a manifest, in the folder that will be the bundle."""

    def __init__(
        self, prepared: Prepared, sampled: samples.Sample, folder: Path, gates: verify.Gates, step: _Steps
    ) -> None:
        self.prepared, self.plan, self.sample = prepared, prepared.plan, sampled
        self.folder, self.gates, self.step = folder, gates, step
        self.notes: list[str] = []
        self.missing: dict[str, str] = {}
        self.operators: dict[str, dict[str, int]] = {}
        self.tokenizer_files = self._write_tokenizers()
        self.tokenizers = {name: self._tokenizer(name) for name in self.plan.roles}
        self.fp32_labels: dict[str, float] = {}

    def run(self, chosen: list[str], *, timing: bool) -> Manifest:
        self.step("capture the graph")
        grounds = {owner: self._ground(owner, graph) for owner, graph in self.plan.graphs.items()}
        self.step("encode with torch")
        cases = self._cases()
        golden = self._write_golden()
        passed: dict[str, dict[str, Variant]] = {owner: {} for owner in grounds}
        for variant in ("fp32", *(name for name in chosen if name != "fp32")):
            self.step(f"write {variant}")
            self._make(variant, grounds, cases, golden, passed)
        if "fp32" not in chosen:
            for variants in passed.values():
                gone = variants.pop("fp32")
                for file in (gone.file, *gone.data):
                    (self.folder / file).unlink()
        if not any(passed.values()):
            raise ExportError(self._failure(self.missing))
        self.step("draw the report")
        return self._finish(passed, timing=timing)

    def _make(
        self,
        variant: str,
        grounds: dict[str, Ground],
        cases: list[verify.Case],
        golden: dict[str, reference.Floats],
        passed: dict[str, dict[str, Variant]],
    ) -> None:
        """Write one variant in the first of its forms that passes; else say why there is none."""
        failures: list[tuple[str, list[str]]] = []
        for number, form in enumerate(forms(variant)):
            if number:
                self.step(f"write {variant}: {form.name}", again=True)
            written: dict[str, Variant] = {}
            try:
                for owner, ground in grounds.items():
                    graph = form.build(ground)
                    self.operators.setdefault(variant, fuse.counts(graph))
                    file, data = files.save(graph, self.folder, files.file_name(owner, variant))
                    written[owner] = Variant(
                        file=file, data=data, quality=_UNKNOWN, golden_cosine_min=1.0, form=form.name
                    )
                if not number:
                    self.step(f"verify {variant}")
                verdict, worst = self._judge(variant, written, passed, cases, golden)
            except ExportError as error:
                verdict, worst = verify.Verdict(_UNKNOWN, [str(error)]), 0.0
            if not verdict.problems:
                self.notes += verdict.notes
                self.notes += [f"{variant}: {name} did not pass: {'; '.join(why)}" for name, why in failures]
                for owner, made in written.items():
                    passed[owner][variant] = msgspec.structs.replace(
                        made, quality=verdict.quality, golden_cosine_min=worst
                    )
                return
            failures.append((form.name, verdict.problems))
            for made in written.values():
                for file in (made.file, *made.data):
                    (self.folder / file).unlink(missing_ok=True)
            if variant == "fp32" or verdict.quality is _UNKNOWN:
                break
        reason = " | ".join(("" if name == variant else f"{name}: ") + "; ".join(why) for name, why in failures)
        if variant == "fp32":
            raise ExportError(self._failure({"fp32": reason}))
        self.missing[variant] = reason

    def _judge(
        self,
        variant: str,
        written: dict[str, Variant],
        passed: dict[str, dict[str, Variant]],
        cases: list[verify.Case],
        golden: dict[str, reference.Floats],
    ) -> tuple[verify.Verdict, float]:
        """The verdict on a variant that lies in the folder, and its worst cosine on the golden texts."""
        draft = {owner: {**variants, variant: written[owner]} for owner, variants in passed.items()}
        bundle.write_manifest(self.folder, self._manifest(draft))
        verdict = verify.judge(self.folder, variant, cases, self.gates)
        encoder = Encoder.load(self.folder, device="cpu", variant=variant, on_truncate="ignore")
        worst = min(
            verify.measure(encoder.encode(encoder.fill(texts.GOLDEN, role), role=role), vectors).cosine_min
            for role, vectors in golden.items()
        )
        if self.sample.pairs or self.sample.queries:
            labels = samples.evaluate(
                self.sample,
                lambda given, role: encoder.encode(list(given), role=role),
                self.plan.recipe.similarity,
            )
            if variant == "fp32":
                self.fp32_labels = labels
            else:
                verdict.problems += verify.judge_labels(labels, self.fp32_labels, self.gates)
            verdict.quality = msgspec.structs.replace(
                verdict.quality, labels={name: round(value, 6) for name, value in labels.items()}
            )
        return verdict, worst

    def _ground(self, owner: str, graph: GraphPlan) -> Ground:
        captured = capture.capture(graph)
        fuse.fuse(captured)
        known = fuse.depth(graph.config)
        around = [graph.module.token_stages, graph.module.pools, graph.module.stages]
        parts = [part for group in around for part in group.modules()]
        own = all(type(part).__module__.startswith(("torch.nn", "embedkit_export")) for part in parts)
        extra = sum(isinstance(part, AttentionPool | LatentAttention) for part in parts) if own else None
        layers = max(graph.module.layers) if min(graph.module.layers) >= 0 else None
        self.notes += fuse.check_fused(
            captured, graph.config, layers=known if layers is None else layers, attentions=extra
        )
        roles = [name for name, role in self.plan.roles.items() if role.graph == owner]
        feeds = []
        for i, item in enumerate(self.sample.calibration()):
            role = roles[i % len(roles)]
            given = self._items(role, [item])
            if given:
                feeds.append(self._feed(role, graph, given[0]))
        return Ground(captured, feeds)

    def _feed(self, role: str, graph: GraphPlan, item: Text) -> Feed:
        tokenizer = self.tokenizers[role]
        ragged = tokenizer.encode([item])
        fixed = tokenizer.frontend.fixed
        ids, mask = pad(ragged.ids, tokenizer.frontend.pad_id, fixed)
        tensors = {IDS: ids, MASK: mask}
        tensors[POOL_MASK] = pad(ragged.pool, 0, fixed)[0] if ragged.pool else mask
        tensors[TYPES] = pad(ragged.types, 0, fixed)[0] if ragged.types else np.zeros_like(ids)
        return {
            entry.name: tokenizer.choice(entry.choice, [item]) if entry.choice is not None else tensors[entry.name]
            for entry in graph.inputs
        }

    def _items(self, role: str, given: Sequence[Any], *, first: int = 0) -> list[Text]:
        """What the role can encode of texts or fields; a text that it refuses (nothing to pool) is left out."""
        tokenizer = self.tokenizers[role]
        out: list[Text] = []
        for i, item in enumerate(given):
            if isinstance(item, str):
                whole = tokenizer.fill(item, first + i)
            else:  # a record may have fields that another role reads
                whole = {**_as_dict(tokenizer.fill("", i)), **{k: v for k, v in item.items() if k in tokenizer.fields}}
            ragged = tokenizer.encode([tokenizer.check(whole, "sample")])
            if len(ragged.ids[0]) and (not ragged.pool or ragged.pool[0].any()):
                out.append(whole)
        return out

    def _cases(self) -> list[verify.Case]:
        """What each role is judged on: a role with a graph of its own on all texts, others on the fixed ones."""
        gate: list[Any] = self.sample.judged(texts.GATE_TEXTS)
        plain = [item if isinstance(item, str) else " ".join(item.values()) for item in gate]
        typical = [*texts.GOLDEN, *gate, *texts.longest(plain)]
        cases = []
        for name, role in self.plan.roles.items():
            hostile = self._items(name, texts.HOSTILE)
            items = [*hostile, *self._items(name, typical if name in self.plan.graphs else texts.GOLDEN)]
            verify.check_tokens(self.tokenizers[name], role.tokenizer, items, name)
            model = self.prepared.origin.model if self.prepared.inferred.stated else None
            expected = reference.vectors(self.plan, name, items, self._limited(model, name))
            cases.append(verify.Case(name, items, expected, len(hostile)))
        return cases

    def _limited(self, model: Any, role: str) -> Any:
        """The SentenceTransformer with the length that is exported."""
        if model is not None:
            model.max_seq_length = self.plan.roles[role].frontend.truncate.max
        return model

    def _write_golden(self) -> dict[str, reference.Floats]:
        model = self.prepared.origin.model if self.prepared.inferred.stated else None
        golden = {}
        for name in self.plan.roles:
            items = [self.tokenizers[name].fill(text, i) for i, text in enumerate(texts.GOLDEN)]
            golden[name] = reference.vectors(self.plan, name, items, self._limited(model, name))
        arrays = {"texts": np.array(texts.GOLDEN), **{f"vectors.{role}": v for role, v in golden.items()}}
        files.write_npz(self.folder / GOLDEN_FILE, arrays)
        return golden

    def _write_tokenizers(self) -> dict[str, str]:
        files: dict[str, str] = {}
        names: dict[str, str] = {}
        for name, role in self.plan.roles.items():
            file = names.setdefault(
                role.tokenizer_json, "tokenizer.json" if not names else f"tokenizer.{safe_name(name)}.json"
            )
            (self.folder / file).write_text(role.tokenizer_json, encoding="utf-8")
            files[name] = file
        return files

    def _tokenizer(self, role: str) -> TextTokenizer:
        chosen = self.plan.roles[role]
        inputs = self.plan.graphs[chosen.graph].inputs
        return TextTokenizer(
            chosen.frontend,
            self.folder / self.tokenizer_files[role],
            types=any(entry.source == "types" for entry in inputs),
            choices=[entry.choice for entry in inputs if entry.choice],
        )

    def _manifest(self, variants: dict[str, dict[str, Variant]]) -> Manifest:
        towers: dict[str, Tower] = {}
        for name, role in self.plan.roles.items():
            frontend = msgspec.structs.replace(role.frontend, tokenizer=self.tokenizer_files[name])
            if name != role.graph:
                towers[name] = Tower(frontend=frontend, like=role.graph)
                continue
            graph = self.plan.graphs[name]
            out = Output(
                kind="dense", dim=graph.dim, normalized=graph.normalized, matryoshka=self.plan.recipe.matryoshka
            )
            towers[name] = Tower(
                frontend=frontend,
                inputs=graph.inputs,
                graph=Graph(variants=variants[name]),
                outputs={capture.OUTPUT: out},
            )
        scorer = Scorer(
            fn=self.plan.recipe.similarity, left=f"query.{capture.OUTPUT}", right=f"document.{capture.OUTPUT}"
        )
        return Manifest(
            schema=1,
            source=SourceEntry(
                name=self.prepared.origin.name,
                checkpoint_sha256=source.weights_sha256([graph.module for graph in self.plan.graphs.values()]),
                surgery=self.plan.records,
                tools=files.tools(),
            ),
            towers=towers,
            scorers={"main": scorer},
            files={"pending": FileEntry(sha256=_EMPTY_SHA256, bytes=0)},
            golden=GOLDEN_FILE,
            fingerprint=_EMPTY_SHA256,
        )

    def _finish(self, passed: dict[str, dict[str, Variant]], *, timing: bool) -> Manifest:
        if timing:
            for owner, variants in passed.items():
                tower = self._manifest(passed).towers[owner]
                found = profiling.speeds(self.folder, tower, {name: v.file for name, v in variants.items()})
                for name, value in found.items():
                    variants[name] = msgspec.structs.replace(variants[name], tokens_per_second=float(f"{value:.4g}"))
        final = self._manifest(passed)
        owner = self.plan.roles["default"].graph
        points = [
            picture.Point(
                name,
                v.tokens_per_second,
                sum((self.folder / file).stat().st_size for file in (v.file, *v.data)) / 1e6,
                v.quality.cosine_mean,
                v.quality.cosine_min,
                v.quality.labels,
            )
            for name, v in passed[owner].items()
            if v.tokens_per_second
        ]
        if points:
            picture.draw(points, self.folder / PICTURE, title=self.prepared.origin.name)
        (self.folder / "README.md").write_text(
            model_card(final, self.folder, self.sample.name, self.missing), encoding="utf-8"
        )
        return bundle.write_manifest(self.folder, final)

    def _failure(self, failed: dict[str, str]) -> str:
        lines = [f"{self.prepared.origin.name}: not exported, because a check failed; nothing was written"]
        lines += [f"  {variant}: {reason}" for variant, reason in failed.items()]
        advice = "" if "fp32" in failed else "export fp32 too (--variants fp32,int8), or "
        if "fp32" in failed:
            advice = "look at the recipe with --dry-run; "
        lines.append(
            f"  next: {advice}give typical texts with --sample, or lower a gate knowingly (--min-cosine, --min-overlap)"
        )
        return "\n".join(lines)


def _as_dict(item: Text) -> dict[str, str]:
    return {} if isinstance(item, str) else dict(item)


class _Steps:
    """The export's steps as a progress bar on standard error; a context manager."""

    def __init__(self, shown: bool, total: int) -> None:
        from tqdm import tqdm

        self._bar = tqdm(total=total, disable=not shown, bar_format="{percentage:3.0f}%|{bar:20}| {elapsed} {desc}")
        self._started = False

    def __call__(self, name: str, *, again: bool = False) -> None:
        self._bar.set_description_str(name, refresh=False)
        self._bar.update(int(self._started and not again))
        self._bar.refresh()
        self._started = True

    def __enter__(self) -> _Steps:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self("done")
        self._bar.close()
