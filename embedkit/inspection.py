"""What a bundle is, for people and for programs."""

from __future__ import annotations

from typing import Any

import msgspec

from .bundle import Bundle
from .types import Part


def summary(bundle: Bundle) -> dict[str, Any]:
    """Name, fingerprint, and for each role its template, limits, outputs and variants, as JSON values."""
    manifest = bundle.manifest
    scorer = next(iter(manifest.scorers.values()))
    roles = {}
    for role in manifest.towers:
        tower = bundle.tower(role)
        assert tower.graph is not None
        output = next(iter(tower.outputs.values()))
        roles[role] = {
            "template": template(tower.frontend.template),
            "max_tokens": tower.frontend.truncate.max,
            "dim": output.dim,
            "normalized": output.normalized,
            "matryoshka": output.matryoshka,
            "variants": {
                name: {
                    "bytes": sum(manifest.files[file].bytes for file in (variant.file, *variant.data)),
                    "quality": msgspec.to_builtins(variant.quality),
                }
                for name, variant in tower.graph.variants.items()
            },
        }
    return {
        "folder": str(bundle.folder),
        "name": manifest.source.name,
        "fingerprint": manifest.fingerprint,
        "similarity": scorer.fn,
        "tools": manifest.source.tools,
        "roles": roles,
    }


def describe(bundle: Bundle) -> str:
    """The same for reading."""
    whole = summary(bundle)
    lines = [
        f"{whole['name']}  ({whole['folder']})",
        f"fingerprint  {whole['fingerprint']}",
        f"similarity   {whole['similarity']}",
    ]
    if whole["tools"]:
        lines.append("made with    " + ", ".join(f"{tool} {version}" for tool, version in whole["tools"].items()))
    for role, about in whole["roles"].items():
        length = "of unit length" if about["normalized"] else "not normalised"
        shorter = f", also {', '.join(map(str, about['matryoshka']))}" if about["matryoshka"] else ""
        lines.append(
            f"role         {role}: {about['template']!r}, at most {about['max_tokens']} tokens, "
            f"{about['dim']} dimensions{shorter}, {length}"
        )
    seen = {name: about for role in whole["roles"].values() for name, about in role["variants"].items()}
    return "\n".join([*lines, quality_table(seen)])


def quality_table(variants: dict[str, dict[str, Any]]) -> str:
    """Variants (as in `summary`) with their size and what was measured against torch before they were written."""
    labels = list(dict.fromkeys(label for about in variants.values() for label in about["quality"].get("labels", {})))
    rows = [
        "variant        MB  max difference  cosine mean  cosine min  top-10 overlap  texts"
        + "".join(f"  {label:>9}" for label in labels)
    ]
    for name, about in variants.items():
        quality = about["quality"]
        rows.append(
            f"{name:10} {about['bytes'] / 1e6:6.1f}  {quality['max_abs']:14.1e}  {quality['cosine_mean']:11.5f}  "
            f"{quality['cosine_min']:10.5f}  {quality['top10_overlap']:14.4f}  {quality['texts']:5,}"
            + "".join(f"  {quality['labels'][label]:9.4f}" for label in labels)
        )
    return "\n".join(rows)


def template(parts: list[Part]) -> str:
    """The template as a text with ``{text}`` for a field and ``|`` between the segments of a pair."""
    return "".join(
        part.lit if part.lit is not None else " | " if part.pair else "{" + str(part.field) + "}" for part in parts
    )
