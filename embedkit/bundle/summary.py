"""What a bundle is, for people and for programs."""

from __future__ import annotations

from typing import Any

import msgspec

from .folder import Bundle
from .manifest import (
    AudioFrontend,
    ComposedFrontend,
    FeaturesFrontend,
    Frontend,
    IdsFrontend,
    ImageFrontend,
    Manifest,
    Output,
    Part,
    TextFrontend,
    Variant,
)
from .quality import measure_table, quality_table

_SHOWN = 20
"""Labels that are all named in words."""


def summary(bundle: Bundle) -> dict[str, Any]:
    """Name, fingerprint, and for each role its template, limits, outputs and variants, as JSON values; ``dim``,
    ``normalized`` and ``matryoshka`` are those of the first output, and so is ``similarity`` (None where it has none)."""
    manifest = bundle.manifest
    roles = {}
    for role in manifest.towers:
        tower = bundle.tower(role)
        assert tower.graph is not None
        output = next(iter(tower.outputs.values()))
        roles[role] = {
            "template": reads(tower.frontend),
            "max_tokens": tower.frontend.longest,
            "dim": output.size,
            "normalized": output.normalized,
            "matryoshka": output.matryoshka,
            "outputs": {
                name: {
                    "kind": given.kind,
                    "similarity": output_similarity(manifest, name),
                    **msgspec.to_builtins(given),
                    "about": about(given, output_similarity(manifest, name)),
                }
                for name, given in tower.outputs.items()
            },
            "variants": {
                name: {
                    "bytes": variant_bytes(manifest, variant),
                    "quality": msgspec.to_builtins(variant.quality),
                }
                for name, variant in tower.graph.variants.items()
            },
        }
    return {
        "folder": str(bundle.folder),
        "name": manifest.source.name,
        "fingerprint": manifest.fingerprint,
        "similarity": output_similarity(manifest, next(iter(bundle.tower("default").outputs))),
        "tools": manifest.source.tools,
        "roles": roles,
        **({"matching": msgspec.to_builtins(manifest.matching)} if manifest.matching else {}),
    }


def output_similarity(manifest: Manifest, output: str) -> str | None:
    """How two values of an output are compared, where they are."""
    return next((scorer.fn for scorer in manifest.scorers.values() if scorer.right.endswith(f".{output}")), None)


def about(output: Output, fn: str | None = None) -> str:
    """What an output is, in words: how many numbers, of what, and how they are compared (``fn``)."""
    size = (
        f"{output.dim:,} dimensions" if output.default is None else f"{output.default:,} of {output.dim:,} dimensions"
    )
    shorter = f", also {', '.join(map(str, output.matryoshka))}" if output.matryoshka else ""
    length = ", of unit length" if output.normalized else ", not normalised"
    if output.kind == "sparse":
        most = f", at most {output.top:,}" if output.top else ""
        said = f"weights of some of {output.dim:,} words{most}"
    elif output.kind == "logits":
        shown = output.labels if len(output.labels) <= _SHOWN else [*output.labels[: _SHOWN // 2], "..."]
        named = f" ({', '.join(shown)})" if output.labels else ""
        made = f", {output.activation} makes scores of them" if output.activation != "identity" else ""
        said = f"{output.dim:,} logit{'s' * (output.dim > 1)}{named}{made}"
    elif output.kind == "dense":
        said = f"{size}{shorter}{length}" + (f", the mean of {output.tokens}" if output.tokens else "")
    elif output.kind == "map":
        said = f"a vector of {size} for each of {' x '.join(map(str, output.grid or []))} places{length}"
    elif output.part is not None:
        said = f"a vector of {size} for each of the {output.part}{length}"
    elif output.count is not None:
        said = f"{output.count:,} vector{'s' * (output.count > 1)} of {size}{length}"
    else:
        said = f"a vector of {size} for each token{' that is kept' * (output.kind == 'multivector')}{length}"
    return f"{output.kind}, {said}" + (f", compared by {fn}" if fn else "")


def summary_text(bundle: Bundle) -> str:
    """The same for reading."""
    whole = summary(bundle)
    lines = [f"{whole['name']}  ({whole['folder']})", f"fingerprint  {whole['fingerprint']}"]
    if whole["tools"]:
        lines.append("made with    " + ", ".join(f"{tool} {version}" for tool, version in whole["tools"].items()))
    said: list[str] = []
    for role, found in whole["roles"].items():
        lines.append(f"role         {role}: {found['template']!r}, at most {found['max_tokens']} tokens")
        outputs = [f"output       {name}: {output['about']}" for name, output in found["outputs"].items()]
        if outputs != said:  # most roles have those of the one before
            lines += outputs
            said = outputs
    if matching := bundle.manifest.matching:
        bias = f" {matching.bias:+.6g}" if matching.bias else ""
        lines.append(f"matching     {matching.fn} of {matching.scale:.6g} * cosine{bias}")
    variants = measured_variants(bundle.manifest)
    sizes = {name: variant_bytes(bundle.manifest, variant) for name, variant in variants.items()}
    texts = next(iter(variants.values())).quality.texts
    tables = [
        quality_table(variants, sizes).text(),
        f"against torch on {texts:,} texts",
        measure_table(variants).text(),
    ]
    return "\n".join([*lines, *filter(None, tables)])


def measured_variants(manifest: Manifest) -> dict[str, Variant]:
    """The variants of the role ``default``, which what is measured of a bundle stands by."""
    tower = manifest.towers["default"]
    graph = tower.graph or manifest.towers[str(tower.like)].graph
    assert graph is not None
    return graph.variants


def variant_bytes(manifest: Manifest, variant: Variant) -> int:
    """The bytes of a variant's files."""
    return sum(manifest.files[file].bytes for file in (variant.file, *variant.data))


def reads(frontend: Frontend) -> str:
    """What a role reads: the template of a text, else its kind."""
    if isinstance(frontend, TextFrontend):
        return template(frontend.template)
    if isinstance(frontend, IdsFrontend):
        return f"ids below {frontend.size}, the {frontend.keep} {frontend.max}"
    if isinstance(frontend, ImageFrontend):
        return f"pictures of {frontend.size[0]} x {frontend.size[1]}"
    if isinstance(frontend, FeaturesFrontend):
        what = "boxes of" if frontend.boxes else "numbers of the shape"
        return f"{what} {frontend.boxes or ' x '.join(map(str, frontend.shape))}"
    if isinstance(frontend, ComposedFrontend):
        return "; ".join(f"{name}: {reads(part)}" for name, part in frontend.parts.items())
    if isinstance(frontend, AudioFrontend):
        most = (
            f", {'the first' if frontend.cut == 'head' else 'the middle'} {frontend.most / frontend.rate:g} seconds"
            if frontend.most
            else ""
        )
        return f"sounds at {frontend.rate:,} samples a second{most}"
    return frontend.kind


def template(parts: list[Part]) -> str:
    """The template as a text with ``{text}`` for a field and ``|`` between the segments of a pair."""
    return "".join(
        part.lit if part.lit is not None else " | " if part.pair else "{" + str(part.field) + "}" for part in parts
    )
