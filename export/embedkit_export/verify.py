"""Whether an exported bundle may be trusted: parity with torch, independence of a row from its batch, and a quality
gate.

The bundle is loaded as its users load it, so that tokenizer, truncation, templates, batching and graph are judged
together; the reference is ``SentenceTransformer.encode`` itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.encoder import Encoder
from embedkit.errors import ExportError, InputError
from embedkit.types import Quality

from .source import quiet

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Gates:
    """The least that a variant must reach to be written."""

    parity: float = 1e-4
    """Largest absolute difference of an fp32 vector from torch's (times the largest number in the vectors, where that
    is over 1)."""
    cosine_mean: float = 0.99
    cosine_min: float = 0.98
    top10_overlap: float = 0.8

    def __post_init__(self) -> None:
        for name in ("cosine_mean", "cosine_min", "top10_overlap"):
            if not -1 <= getattr(self, name) <= 1:
                raise InputError(f"gate {name}: expected a number up to 1, found {getattr(self, name)!r}")
        if not self.parity > 0:
            raise InputError(f"gate parity: expected a positive number, found {self.parity!r}")


@dataclass
class Verdict:
    """What was measured on one variant and, where it failed, why."""

    quality: Quality
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def reference(model: Any, texts: Sequence[str], role: str) -> Floats:
    """(n, dim) float32 from torch, through sentence-transformers' own methods, which resolve the role's prompt
    themselves."""
    options = {"batch_size": 16, "show_progress_bar": False, "convert_to_numpy": True}
    with quiet():
        if role == "query":
            out = model.encode_query(list(texts), **options)
        elif role == "document":
            out = model.encode_document(list(texts), **options)
        else:
            out = model.encode(list(texts), prompt_name=None if role == "default" else role, **options)
    return np.asarray(out, dtype=np.float32)


def judge(
    folder: Path, variant: str, texts: Sequence[str], expected: Mapping[str, Floats], gates: Gates, *, hostile: int = 0
) -> Verdict:
    """Measure one variant of the bundle in ``folder`` on ``texts``; ``expected`` holds torch's vectors of each role.

    All texts are judged on parity (fp32), on finite numbers and on independence. The gate is for the texts after the first
    ``hostile`` ones: what a user will never embed shall not decide, but is noted. The first role is measured on all
    texts; the others differ by their template only.
    """
    problems: list[str] = []
    encoder = Encoder.load(folder, device="cpu", variant=variant, on_truncate="ignore")
    found = {role: encoder.encode(list(texts[: len(vectors)]), role=role) for role, vectors in expected.items()}
    first = next(iter(expected))
    for role, vectors in found.items():
        finite = np.isfinite(vectors).all(axis=1)
        if not finite.all():
            text = texts[int(np.argmin(finite))]
            raise ExportError(f"{variant}: role {role!r}: the graph gives NaN or infinity for the text {text!r:.80}")
    quality = measure(found[first][hostile:], expected[first][hostile:])
    notes = []
    if hostile:
        cosines = cosine(found[first][:hostile], expected[first][:hostile])
        if cosines.min() < gates.cosine_min:
            odd = texts[int(cosines.argmin())]
            notes.append(
                f"{variant}: cosine {cosines.min():.3f} for the unusual text {odd[:20]!r} of {len(odd)} characters"
            )
    largest = max(float(np.abs(found[role] - expected[role]).max()) for role in expected)
    if variant == "fp32":
        limit = gates.parity * max(1.0, float(np.abs(expected[first]).max()))
        if not largest < limit:
            worst = int(np.abs(found[first] - expected[first]).max(axis=1).argmax())
            problems.append(
                f"parity: largest difference from torch {largest:.2e}, allowed {limit:.0e}; worst text: {texts[worst]!r:.80}"
            )
    for name, value, least in (
        ("mean cosine", quality.cosine_mean, gates.cosine_mean),
        ("worst cosine", quality.cosine_min, gates.cosine_min),
        ("top-10 overlap", quality.top10_overlap, gates.top10_overlap),
    ):
        if not value >= least:
            problems.append(f"{name}: {value:.6f}, allowed from {least:g}")
    problems.extend(independence(folder, variant, texts[:96], found[first]))
    return Verdict(quality, problems, notes)


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


def independence(folder: Path, variant: str, texts: Sequence[str], together: Floats) -> list[str]:
    """Problems where a text's vector depends on its batch: alone, in another order and in other batch sizes it must
    be the same bytes."""
    order = np.random.default_rng(0).permutation(len(texts))
    for budget in (1, 333, 4096):  # one text a batch; odd batches; many texts padded together
        encoder = Encoder.load(folder, device="cpu", variant=variant, token_budget=budget, on_truncate="ignore")
        found = np.empty_like(together[: len(texts)])
        found[order] = encoder.encode([texts[i] for i in order])
        differ = np.flatnonzero((found.view(np.uint32) != together[: len(texts)].view(np.uint32)).any(axis=1))
        if len(differ):
            return [
                f"row independence: {len(differ)} of {len(texts)} vectors change with their batch; first: {texts[differ[0]]!r:.80}"
            ]
    return []


def _rounded(value: Any) -> float:
    return float(f"{float(value):.7g}")
