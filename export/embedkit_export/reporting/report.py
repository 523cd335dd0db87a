"""What an export says at its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from embedkit.bundle.manifest import Manifest
from embedkit.bundle.quality import measure_table, quality_table, size_table
from embedkit.bundle.summary import measured_variants, variant_bytes


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
        """The report as tables for a terminal."""
        variants = measured_variants(self.manifest)
        sizes = {name: variant_bytes(self.manifest, variant) for name, variant in variants.items()}
        texts = next(iter(variants.values())).quality.texts
        lines = [
            quality_table(variants, sizes).text(),
            f"against torch on {texts} texts ({self.sample}); what is made of a text is independent of its batch, bit for bit",
        ]
        if smaller := size_table(variants).text():
            lines += ["the first numbers of a vector, against as many of torch's:", smaller]
        lines += filter(None, [measure_table(variants).text()])
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
