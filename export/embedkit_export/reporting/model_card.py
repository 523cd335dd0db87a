"""The bundle's README: what it is, how it is used, and what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from embedkit.bundle.manifest import Manifest, Output, Variant
from embedkit.bundle.summary import about, output_similarity, template

PICTURE = "quality.png"


def model_card(manifest: Manifest, folder: Path, sample: str, missing: Mapping[str, str] | None = None) -> str:
    """Markdown; every figure in it is one of the manifest's."""
    tower = manifest.towers["default"]
    if tower.like is not None:
        tower = manifest.towers[tower.like]
    assert tower.graph is not None
    labels = list(dict.fromkeys(label for v in tower.graph.variants.values() for label in v.quality.labels))
    timed = any(variant.tokens_per_second for variant in tower.graph.variants.values())
    columns = ["variant", "MB", "mean cosine", "worst cosine", "top-10 overlap", "largest difference", *labels]
    columns += ["tokens per CPU-second"] if timed else []
    rows = [f"| {' | '.join(columns)} |", "|-" * len(columns) + "|"]
    for name, variant in tower.graph.variants.items():
        size = sum((folder / file).stat().st_size for file in (variant.file, *variant.data)) / 1e6
        q = variant.quality
        figures = [
            f"{size:.1f}",
            f"{q.cosine_mean:.5f}",
            f"{q.cosine_min:.5f}",
            f"{q.top10_overlap:.3f}",
            f"{q.max_abs:.1e}",
        ]
        figures += [f"{q.labels[label]:.4f}" for label in labels]
        figures += [f"{variant.tokens_per_second:,.0f}" if variant.tokens_per_second else ""] if timed else []
        rows.append(f"| {name} | {' | '.join(figures)} |")
    outputs = "\n".join(
        f"- `{name}`: {about(given, output_similarity(manifest, name))}" for name, given in tower.outputs.items()
    )
    first, kind = next((name, given.kind) for name, given in tower.outputs.items())
    compared = "" if kind == "dense" else f" {_COMPARED[kind].format(name=first)}"
    sizes = _sizes(tower.graph.variants, labels)
    roles = "\n".join(
        f"- `{role}`: {_code(template(t.frontend.template))}, at most {t.frontend.truncate.max} tokens"
        for role, t in manifest.towers.items()
    )
    forms = [f"`{name}` is {v.form}." for name, v in tower.graph.variants.items() if v.form not in ("", "fp32", "fp16")]
    forms += [f"`{name}` was asked for and is not here: {reason}." for name, reason in (missing or {}).items()]
    drawn = f"\n![quality against speed and size]({PICTURE})\n" if timed else ""
    surgery = "".join(f"\n- {record}" for record in manifest.source.surgery)
    count = next(iter(tower.graph.variants.values())).quality.texts
    tools = ", ".join(f"{name} {value}" for name, value in manifest.source.tools.items())
    return f"""# {manifest.source.name}

An [ONNX](https://onnx.ai) encoder bundle for texts of up to {tower.frontend.truncate.max} tokens. It makes of a text:

{outputs}

```python
import embedkit

encoder = embedkit.Encoder.load("path/to/this/folder")
{_use(tower.outputs)}
```

`embedkit verify path/to/this/folder` checks its files, and what it makes of texts, on your machine.

## Measured

Against the PyTorch model on {count} texts: {sample}.{compared}

{chr(10).join(rows)}
{sizes}{_measures(tower.graph.variants)}{drawn}
{chr(10).join(f"- {form}" for form in forms)}

What is made of a text is the same, bit for bit, whatever it is encoded together with, in every variant.

## Roles

{roles}

## Made with

{tools}. Weights: sha256 `{manifest.source.checkpoint_sha256}`.{surgery}
"""


_COMPARED = {
    "sparse": "The cosines and the overlap are those of `{name}`.",
    "multivector": "The cosines are those of a text's vectors in `{name}`, one by one; the overlap is by MaxSim.",
    "tokens": "The cosines are those of a text's vectors in `{name}`, one by one; the overlap is by MaxSim.",
    "logits": "In place of a cosine stands 1 minus the largest difference in `{name}`, relative where a logit is above 1.",
}


def _use(outputs: Mapping[str, Output]) -> str:
    """Python that encodes two texts."""
    kinds = [output.kind for output in outputs.values()]
    if len(kinds) > 1:
        return 'found = encoder.encode_outputs(["a text", "another"])  # by name: ' + ", ".join(outputs)
    if kinds == ["logits"]:
        return 'logits = encoder.encode(["a text", "another"])'
    return 'vectors = encoder.encode_document(["a text", "another"])'


def _measures(variants: Mapping[str, Variant]) -> str:
    """What was measured of kinds other than dense, and of further outputs, where there is any."""
    names = list(dict.fromkeys(name for variant in variants.values() for name in variant.quality.measures))
    if not names:
        return ""
    rows = [f"| {' | '.join(['measured', *variants])} |", "|-" * (1 + len(variants)) + "|"]
    for name in names:
        found = [variant.quality.measures.get(name) for variant in variants.values()]
        rows.append(f"| {name} | {' | '.join('' if value is None else f'{value:.5f}' for value in found)} |")
    return "\n" + "\n".join(rows) + "\n"


def _sizes(variants: Mapping[str, Variant], labels: Sequence[str]) -> str:
    """A table of what was measured at the smaller sizes, where there are any."""
    rows = [
        f"| {name} | {cut.dim} | "
        + " | ".join(
            [f"{cut.cosine_mean:.5f}", f"{cut.cosine_min:.5f}", f"{cut.top10_overlap:.3f}"]
            + [f"{cut.labels[label]:.4f}" for label in labels]
        )
        + " |"
        for name, variant in variants.items()
        for cut in variant.quality.matryoshka
    ]
    if not rows:
        return ""
    columns = ["variant", "numbers", "mean cosine", "worst cosine", "top-10 overlap", *labels]
    head = [f"| {' | '.join(columns)} |", "|-" * len(columns) + "|"]
    text = "The first numbers of a vector (`dim=`), against as many of PyTorch's:"
    return "\n" + "\n".join([text, "", *head, *rows]) + "\n"


def _code(text: str) -> str:
    """As Markdown code on one line, whatever is in it."""
    shown = text.replace("\n", "\\n").replace("|", "\\|")
    fence = "``" if "`" in shown else "`"
    return f"{fence}{' ' if '`' in shown else ''}{shown}{' ' if '`' in shown else ''}{fence}"
