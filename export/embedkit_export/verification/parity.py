"""Whether an exported bundle may be trusted: equal token ids, parity with torch, independence of a row from its batch,
and a quality gate.

The bundle is loaded as its users load it, so that tokenizer, truncation, templates, batching and graph are judged
together, against `reference`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from embedkit.bundle.manifest import (
    AudioFrontend,
    ComposedFrontend,
    FeaturesFrontend,
    IdsFrontend,
    ImageFrontend,
    Output,
    Quality,
    SizeQuality,
)
from embedkit.encoders.encoder import Encoder
from embedkit.errors import EmbedkitError, ExportError
from embedkit.runtime.frontends.base import Batch, Item, Modality
from embedkit.runtime.frontends.composed import ComposedModality
from embedkit.runtime.selfcheck import dependence
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.sparse import SparseVectors
from embedkit.vectors.values import Kind, Values, largest_difference, nearness, scale
from embedkit_export.plan.plan import RolePlan
from embedkit_export.plan.tokenizers import Tokenizers
from embedkit_export.quiet import reason
from embedkit_export.tensors import DENSE

from .gates import Gates
from .labels import rank_correlation
from .media.audio_reference import check_sound
from .media.image_reference import check_pixels
from .reference import Floats
from .tokens import sequence, tokens

_MAXSIM_TEXTS = 128
_TIE = 4e-6
"""How far apart, as a share of the largest, two scores are equal: what float32 sums of some hundred products differ by."""
_TOGETHER = 4096
"""Token slots of the batches that are judged: many texts padded together."""
BUDGETS = (1, 333)
"""One text a batch; odd batches."""
_INDEPENDENT, _FEW = 96, 24
"""Items that are encoded again in other batches, of the first role and of the others."""


@dataclass(frozen=True)
class Case:
    """What one role is judged on: items, the first ``hostile`` of them unusual, and what torch makes of them, by output."""

    role: str
    items: list[Item]
    expected: Mapping[str, Values]
    hostile: int = 0
    owns: bool = False
    """Whether the role's graph is its own, and gated by itself."""
    again: bool = False
    """Whether another role reads the same by the same graph, and is judged on more."""
    budgets: Sequence[int] = BUDGETS
    """Token slots of the batches in which items are encoded again."""


@dataclass
class Verdict:
    """What was measured on one variant and, where it failed, why."""

    quality: Quality
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    of_roles: dict[str, Quality] = field(default_factory=dict)
    """What was measured on the other graphs, by the role that owns them."""


def check_tokens(tokenizers: Tokenizers, role: str, planned: RolePlan, items: Sequence[Item]) -> None:
    """Raise `ExportError` where the runtime's token ids, types or pooled places differ from those of transformers, or its
    ids from those that were given."""
    _check_read(tokenizers[role], tokenizers.modalities[role], role, planned, items)


def _check_read(own: Any, modality: Modality, role: str, planned: RolePlan, items: Sequence[Item]) -> None:
    frontend = planned.frontend
    if isinstance(modality, ComposedModality):
        for name, part in planned.parts.items():
            values = [item[name] for item in items]
            _check_read(own.parts[name], modality.parts[name], f"{role}, part {name}", part, values)
        return
    if isinstance(frontend, FeaturesFrontend | ComposedFrontend):
        return
    for item in items:
        if isinstance(frontend, ImageFrontend):
            check_pixels(role, planned, item)
            continue
        if isinstance(frontend, AudioFrontend):
            check_sound(role, planned, modality, item)
            continue
        if isinstance(frontend, IdsFrontend):
            found: Batch = own.batches([modality.check(item, role)], 1, None)[0]
            mine = found.tensors(1)["ids"][0].tolist()
            expected = sequence(frontend, item)
            if [number for number in mine if number != frontend.pad_id] != expected:
                raise ExportError(f"role {role!r}: expected the ids {expected[:12]}, found {mine[:12]}")
            continue
        ragged = own.encode([item])
        ids, types, pool = tokens(planned.tokenizer, frontend, item)
        for what, mine, theirs in (
            ("token ids", ragged.ids, ids),
            ("token types", ragged.types, types),
            ("pooled tokens", ragged.pool, pool),
        ):
            if mine and mine[0].tolist() != theirs:
                raise ExportError(
                    f"tokenizer: role {role!r}: the {what} of {item!r:.80} differ: transformers has {theirs[:12]}, its tokenizer.json "
                    f"gives {mine[0].tolist()[:12]}; save the tokenizer again with transformers' save_pretrained"
                )


def judge(encoder: Encoder, cases: Sequence[Case], gates: Gates, *, sizes: Sequence[int] = ()) -> Verdict:
    """Measure the variant of a bundle that ``encoder`` has loaded.

    All items are judged on parity (fp32), on finite numbers and on independence. The gate is for those after the
    hostile ones: what a user will never embed shall not decide, but is noted. It is for the worst of the roles that
    have more than the fixed texts; the quality is that of the first, and is measured at the smaller
    ``sizes`` of Matryoshka vectors too, which no gate is for.
    """
    problems: list[str] = []
    notes: list[str] = []
    variant = encoder.variant
    qualities: list[Quality] = []
    of_roles: dict[str, Quality] = {}
    for number, case in enumerate(cases):
        try:
            modality = encoder.modality(case.role)  # whole vectors are compared, not those of the default size
            checked = [modality.check(item, modality.noun) for item in case.items]
            found = encoder.loaded.computed(case.role, checked, budget=_TOGETHER)
        except EmbedkitError:
            raise
        except Exception as error:
            raise ExportError(
                f"{variant}: role {case.role!r}: onnxruntime cannot run the graph on the texts of the check: {reason(error)}"
            ) from error
        for place, (name, output) in enumerate(encoder.outputs(case.role).items()):
            where = "" if not number else f"role {case.role!r}: "
            where += "" if not place else f"output {name!r}: "
            own = _Judged(where, output, found[name], case.expected[name])
            own.check_finite(case, variant)
            if variant == "fp32":
                problems.extend(own.parity(case, gates))
            if case.hostile and not number:
                notes.extend(own.unusual(case, gates, variant))
            if not number or case.owns or len(case.items) > 64:
                quality, missed = own.quality(case, gates, () if number or place else sizes)
                problems.extend(missed)
                if place:
                    named = {f"{name}: {measure}": value for measure, value in _as_measures(quality).items()}
                    qualities[-1] = msgspec.structs.replace(qualities[-1], measures=qualities[-1].measures | named)
                else:
                    qualities.append(quality)
                of_roles[case.role] = qualities[-1]
        if case.again:
            continue
        few = slice(0, _FEW if number else _INDEPENDENT)
        together = {name: values[few] for name, values in found.items()}
        problems.extend(independence(encoder, case.role, case.items[few], together, case.budgets))
    return Verdict(qualities[0], problems, notes, {case.role: of_roles[case.role] for case in cases[1:] if case.owns})


def _as_measures(quality: Quality) -> dict[str, float]:
    found = {
        "mean cosine": quality.cosine_mean,
        "worst cosine": quality.cosine_min,
        "top-10 overlap": quality.top10_overlap,
    }
    return found | quality.measures


@dataclass(frozen=True)
class _Judged:
    """One output of one role against torch's; ``where`` begins what is said of it."""

    where: str
    output: Output
    found: Values
    expected: Values

    def check_finite(self, case: Case, variant: str) -> None:
        """Raise `ExportError` for NaN or infinity."""
        if (
            isinstance(self.found, np.ndarray)
            and not (finite := np.isfinite(self.found).reshape(len(self.found), -1).all(axis=1)).all()
        ):
            item = case.items[int(np.argmin(finite))]
            raise ExportError(
                f"{variant}: role {case.role!r}: the graph gives NaN or infinity for the text {item!r:.80}"
            )

    def parity(self, case: Case, gates: Gates) -> list[str]:
        """A problem where a number is further from torch's than the gate allows."""
        limit = gates.parity * max(1.0, scale(self.expected))
        if largest_difference(self.found, self.expected) < limit:
            return []
        differences = [
            largest_difference(self.found[i : i + 1], self.expected[i : i + 1]) for i in range(len(case.items))
        ]
        worst = int(np.argmax(differences))
        return [
            f"{self.where}parity: role {case.role!r}: largest difference from torch {differences[worst]:.2e}, allowed {limit:.0e}; "
            f"worst text: {case.items[worst]!r:.80}"
        ]

    def unusual(self, case: Case, gates: Gates, variant: str) -> list[str]:
        """A note where an unusual text is below the gate."""
        near = nearness(self.found[: case.hostile], self.expected[: case.hostile], self.output.kind)
        if near.min() >= gates.cosine_min:
            return []
        odd = str(case.items[int(near.argmin())])
        return [
            f"{variant}: {self.where}cosine {near.min():.3f} for the unusual text {odd[:20]!r} of {len(odd)} characters"
        ]

    def quality(self, case: Case, gates: Gates, sizes: Sequence[int]) -> tuple[Quality, list[str]]:
        """What was measured on the usual texts, and problems where a gate is missed."""
        usual, wanted = self.found[case.hostile :], self.expected[case.hostile :]
        quality = measure(usual, wanted, self.output.kind)
        if sizes and isinstance(usual, np.ndarray) and isinstance(wanted, np.ndarray):
            quality = msgspec.structs.replace(quality, matryoshka=_sized(usual, wanted, sizes))
        measured = [
            ("mean cosine", quality.cosine_mean, gates.cosine_mean),
            ("worst cosine", quality.cosine_min, gates.cosine_min),
            ("top-10 overlap", quality.top10_overlap, gates.top10_overlap),
        ]
        if self.output.kind == "logits":
            measured = [(name, value, gates.agreement) for name, value in quality.measures.items()]
            measured.append(("mean nearness", quality.cosine_mean, gates.logits_mean))
        problems = [
            f"{self.where}{name}: {value:.6f}, allowed from {least:g}"
            for name, value, least in measured
            if not value >= least
        ]
        return quality, problems


def _sized(found: Floats, expected: Floats, sizes: Sequence[int]) -> list[SizeQuality]:
    """A cosine is the same with and without unit length."""
    out = []
    for size in sizes:
        cut = measure(found[:, :size], expected[:, :size])
        made = SizeQuality(
            dim=size, cosine_mean=cut.cosine_mean, cosine_min=cut.cosine_min, top10_overlap=cut.top10_overlap
        )
        out.append(made)
    return out


def judge_labels(found: Mapping[str, float], fp32: Mapping[str, float], gates: Gates) -> list[str]:
    """Problems where a variant loses more on the sample's labels than its gate allows."""
    return [
        f"{name}: {found[name]:.4f} against {fp32[name]:.4f} in fp32, allowed to lose {gates.labels:g}"
        for name in found
        if not found[name] >= fp32[name] - gates.labels
    ]


def measure(found: Values, expected: Values, kind: Kind = "dense", *, neighbours: int = 10) -> Quality:
    """How near each row is to its reference (`embedkit.vectors.values.nearness`: of vectors the cosine), and the mean share of each
    row's 10 nearest other rows (by cosine, dot product or MaxSim) that stay the same.

    Of sparse vectors also the mean share of each row's 32 largest words that stay (``top-32 words``); of logits the share of
    rows with the same largest one (``agreement``), or of a single logit the Spearman correlation over the rows
    (``rank correlation``).
    """
    near = nearness(found, expected, kind)
    k = min(neighbours, len(near) - 1)
    overlap = 1.0
    if k > 0 and kind not in ("logits", "map"):
        overlap = _overlap(_likeness(found), _likeness(expected), k)
    return Quality(
        texts=len(near),
        max_abs=_rounded(largest_difference(found, expected)),
        cosine_mean=_rounded(near.mean()),
        cosine_min=_rounded(near.min()),
        top10_overlap=_rounded(overlap),
        measures={name: _rounded(value) for name, value in _measures(found, expected, kind).items()},
    )


def _overlap(found: npt.NDArray[Any], expected: npt.NDArray[Any], k: int) -> float:
    """The mean share of each row's ``k`` nearest others that are as near as the k nearest of ``expected``; scores that float32
    cannot tell apart are equal."""
    tie = _TIE * np.abs(expected).max()
    for scores in (found, expected):
        np.fill_diagonal(scores, -np.inf)
    nearest = np.argpartition(-found, k - 1, axis=1)[:, :k]
    least = -np.partition(-expected, k - 1, axis=1)[:, k - 1 : k]
    reached = np.take_along_axis(expected, nearest, axis=1) >= least - tie
    return float(reached.mean())


def _likeness(values: Values) -> npt.NDArray[Any]:
    """(n, n) scores of the rows against each other; of multi-vectors for the first `_MAXSIM_TEXTS` only."""
    if isinstance(values, SparseVectors):
        return values.dot(values)
    if isinstance(values, MultiVectors):
        few = values[:_MAXSIM_TEXTS]
        return few.maxsim(few)
    unit = _unit(values)
    return np.asarray(unit @ unit.T)


def _measures(found: Values, expected: Values, kind: Kind) -> dict[str, float]:
    if isinstance(found, SparseVectors) and isinstance(expected, SparseVectors):
        shared = [
            len(np.intersect1d(a, b)) / len(b)
            for (a, _), (b, _) in zip(found.top(32), expected.top(32), strict=True)
            if len(b)
        ]
        return {"top-32 words": float(np.mean(shared))} if shared else {}
    if kind != "logits":
        return {}
    a, b = np.asarray(found), np.asarray(expected)
    if a.shape[1] > 1:
        return {"agreement": float((a.argmax(axis=1) == b.argmax(axis=1)).mean())}
    return {"rank correlation": rank_correlation(a[:, 0], b[:, 0])}


def _unit(x: Floats) -> npt.NDArray[np.float64]:
    wide = x.astype(np.float64)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12))


def independence(
    encoder: Encoder,
    role: str,
    items: Sequence[Item],
    together: Mapping[str, Values],
    budgets: Sequence[int] = BUDGETS,
) -> list[str]:
    """Problems where what is made of a text depends on its batch: alone, in another order and in other batch sizes it must
    be the same bytes as ``together``."""
    modality = encoder.modality(role)
    checked = [modality.check(item, modality.noun) for item in items]
    found = dependence(
        checked, lambda items, budget: encoder.loaded.computed(role, items, budget=budget), budgets, expected=together
    )
    if found is None:
        return []
    where = "" if found.output == DENSE else f" (output {found.output!r})"
    advice = (
        "; the model reads padding: a fixed length (pad = N in the recipe) takes that away"
        if found.change > 1e-4
        else ""
    )
    return [
        f"row independence: {len(found.rows)} of {len(items)} vectors change with their batch, by up to {found.change:.1e}"
        f"{where}; first: {items[found.rows[0]]!r:.80}{advice}"
    ]


def _rounded(value: Any) -> float:
    return float(f"{float(value):.7g}")
