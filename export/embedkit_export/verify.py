"""Whether an exported bundle may be trusted: equal token ids, parity with torch, independence of a row from its batch,
and a quality gate.

The bundle is loaded as its users load it, so that tokenizer, truncation, templates, batching and graph are judged
together, against `reference`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from embedkit.encoder import Encoder
from embedkit.errors import EmbedkitError, ExportError
from embedkit.template import Text
from embedkit.tokenizer import TextTokenizer
from embedkit.types import Quality, SizeQuality

from .gates import Gates
from .reference import Floats, tokens
from .source import reason


@dataclass(frozen=True)
class Case:
    """What one role is judged on: items, the first ``hostile`` of them unusual, and torch's (n, dim) vectors."""

    role: str
    items: list[Text]
    expected: Floats
    hostile: int = 0


@dataclass
class Verdict:
    """What was measured on one variant and, where it failed, why."""

    quality: Quality
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check_tokens(own: TextTokenizer, tokenizer: Any, items: Sequence[Text], role: str) -> None:
    """Raise `ExportError` where the runtime's token ids, types or pooled places differ from those of transformers."""
    for item in items:
        found = own.encode([item])
        ids, types, pool = tokens(tokenizer, own.frontend, item)
        for what, mine, theirs in (
            ("token ids", found.ids, ids),
            ("token types", found.types, types),
            ("pooled tokens", found.pool, pool),
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
    qualities = []
    for number, case in enumerate(cases):
        try:
            found = encoder.encode(case.items, role=case.role)
        except EmbedkitError:
            raise
        except Exception as error:
            raise ExportError(
                f"{variant}: role {case.role!r}: onnxruntime cannot run the graph on the texts of the check: {reason(error)}"
            ) from error
        finite = np.isfinite(found).all(axis=1)
        if not finite.all():
            item = case.items[int(np.argmin(finite))]
            raise ExportError(
                f"{variant}: role {case.role!r}: the graph gives NaN or infinity for the text {item!r:.80}"
            )
        if variant == "fp32":
            problems.extend(_parity(found, case, gates))
        if case.hostile and not number:
            cosines = cosine(found[: case.hostile], case.expected[: case.hostile])
            if cosines.min() < gates.cosine_min:
                odd = str(case.items[int(cosines.argmin())])
                notes.append(
                    f"{variant}: cosine {cosines.min():.3f} for the unusual text {odd[:20]!r} of {len(odd)} characters"
                )
        if not number or len(case.items) > 64:
            usual, wanted = found[case.hostile :], case.expected[case.hostile :]
            quality = measure(usual, wanted)
            if not number:
                quality = msgspec.structs.replace(quality, matryoshka=_sized(usual, wanted, sizes))
            qualities.append(quality)
            where = "" if not number else f"role {case.role!r}: "
            for name, value, least in (
                ("mean cosine", quality.cosine_mean, gates.cosine_mean),
                ("worst cosine", quality.cosine_min, gates.cosine_min),
                ("top-10 overlap", quality.top10_overlap, gates.top10_overlap),
            ):
                if not value >= least:
                    problems.append(f"{where}{name}: {value:.6f}, allowed from {least:g}")
        few = slice(0, 96 if not number else 24)
        problems.extend(independence(encoder, case.role, case.items[few], found[few]))
    return Verdict(qualities[0], problems, notes)


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


def _parity(found: Floats, case: Case, gates: Gates) -> list[str]:
    differences = np.abs(found - case.expected).max(axis=1)
    limit = gates.parity * max(1.0, float(np.abs(case.expected).max()))
    worst = int(differences.argmax())
    if differences[worst] < limit:
        return []
    return [
        f"parity: role {case.role!r}: largest difference from torch {differences[worst]:.2e}, allowed {limit:.0e}; "
        f"worst text: {case.items[worst]!r:.80}"
    ]


def judge_labels(found: Mapping[str, float], fp32: Mapping[str, float], gates: Gates) -> list[str]:
    """Problems where a variant loses more on the sample's labels than its gate allows."""
    return [
        f"{name}: {found[name]:.4f} against {fp32[name]:.4f} in fp32, allowed to lose {gates.labels:g}"
        for name in found
        if not found[name] >= fp32[name] - gates.labels
    ]


def measure(found: Floats, expected: Floats, *, neighbours: int = 10) -> Quality:
    """Cosine of each row with its reference, and the mean share of each row's 10 nearest other rows (by cosine) that
    stay the same."""
    a, b = _unit(found), _unit(expected)
    cosines = cosine(found, expected)
    k = min(neighbours, len(a) - 1)
    overlap = 1.0
    if k > 0:
        nearest = []
        for vectors in (a, b):
            scores = vectors @ vectors.T
            np.fill_diagonal(scores, -np.inf)
            nearest.append(np.argpartition(-scores, k - 1, axis=1)[:, :k])
        overlap = float(np.mean([len(np.intersect1d(x, y)) / k for x, y in zip(*nearest, strict=True)]))
    return Quality(
        texts=len(found),
        max_abs=_rounded(np.abs(found - expected).max()),
        cosine_mean=_rounded(cosines.mean()),
        cosine_min=_rounded(cosines.min()),
        top10_overlap=_rounded(overlap),
    )


def cosine(a: Floats, b: Floats) -> npt.NDArray[np.float64]:
    """(n,) cosine of each row of ``a`` with the same row of ``b``."""
    return np.asarray(np.einsum("ij,ij->i", _unit(a), _unit(b)))


def _unit(x: Floats) -> npt.NDArray[np.float64]:
    wide = x.astype(np.float64)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12))


def independence(encoder: Encoder, role: str, items: Sequence[Text], together: Floats) -> list[str]:
    """Problems where a text's vector depends on its batch: alone, in another order and in other batch sizes it must
    be the same bytes."""
    order = np.random.default_rng(0).permutation(len(items))
    for budget in (1, 333, 4096):  # one text a batch; odd batches; many texts padded together
        other = copy.copy(encoder)  # the graph of a large model takes long to load
        other.token_budget = budget
        found = np.empty_like(together)
        found[order] = other.encode([items[i] for i in order], role=role)
        differ = np.flatnonzero((found.view(np.uint32) != together.view(np.uint32)).any(axis=1))
        if len(differ):
            change = float(np.abs(found - together).max())
            read = change > 1e-4
            return [
                f"row independence: {len(differ)} of {len(items)} vectors change with their batch, by up to {change:.1e}; first: "
                f"{items[differ[0]]!r:.80}"
                + ("; the model reads padding: a fixed length (pad = N in the recipe) takes that away" if read else "")
            ]
    return []


def _rounded(value: Any) -> float:
    return float(f"{float(value):.7g}")
