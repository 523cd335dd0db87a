"""What an export says at its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from embedkit.bundle.manifest import Manifest


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
    missing: dict[str, str] = field(default_factory=dict)
    """Variants that were asked for and are not in the bundle, with the reason."""

    def text(self) -> str:
        """The report as a table for a terminal."""
        tower = self.manifest.towers["default"]
        variants = (tower if tower.graph else self.manifest.towers[str(tower.like)]).graph.variants  # type: ignore[union-attr]
        labels = list(dict.fromkeys(name for variant in variants.values() for name in variant.quality.labels))
        lines = [
            f"{'variant':8} {'MB':>7} {'mean cosine':>12} {'worst cosine':>13} {'top-10 overlap':>15} {'max difference':>15}"
            + "".join(f" {name:>10}" for name in labels)
        ]
        for name, variant in variants.items():
            size = sum(self.manifest.files[file].bytes for file in (variant.file, *variant.data)) / 1e6
            q = variant.quality
            lines.append(
                f"{name:8} {size:7.1f} {q.cosine_mean:12.5f} {q.cosine_min:13.5f} {q.top10_overlap:15.3f} {q.max_abs:15.2e}"
                + "".join(f" {q.labels[label]:10.4f}" for label in labels)
            )
        lines.append(
            f"against torch on {q.texts} texts ({self.sample}); what is made of a text is independent of its batch, bit for bit"
        )
        for name, variant in variants.items():
            for cut in variant.quality.matryoshka:
                measured = {
                    "mean cosine": cut.cosine_mean,
                    "worst": cut.cosine_min,
                    "top-10 overlap": cut.top10_overlap,
                }
                figures = [f"{what} {value:.4f}" for what, value in (measured | cut.labels).items()]
                lines.append(f"{name}, first {cut.dim} numbers: {', '.join(figures)}")
        for name, variant in variants.items():
            if variant.quality.measures:
                said = [f"{what} {value:.4f}" for what, value in variant.quality.measures.items()]
                lines.append(f"{name}: {', '.join(said)}")
        lines.extend(f"{name}: {v.form}" for name, v in variants.items() if v.form and "with" in v.form)
        lines.extend(f"{name}: NOT WRITTEN: {reason}" for name, reason in self.missing.items())
        lines.extend(f"note: {note}" for note in self.notes)
        return "\n".join(lines)

    def to_json(self) -> str:
        """The report as one JSON object."""
        whole = {
            "path": str(self.path),
            "sample": self.sample,
            "notes": self.notes,
            "missing": self.missing,
            "seconds": round(self.seconds, 2),
            "operators": self.operators,
        }
        return msgspec.json.encode({**whole, "manifest": self.manifest}).decode()
