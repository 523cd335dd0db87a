"""The bundle's README: what it is, how it is used, and what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from embedkit.bundle.manifest import Manifest, Output
from embedkit.bundle.quality import measure_table, quality_table, size_table
from embedkit.bundle.summary import about, output_similarity, reads

PICTURE = "quality.png"


def model_card(manifest: Manifest, folder: Path, sample: str, missing: Mapping[str, str] | None = None) -> str:
    """Markdown; every figure in it is one of the manifest's."""
    tower = manifest.towers["default"]
    if tower.like is not None:
        tower = manifest.towers[tower.like]
    assert tower.graph is not None
    variants = tower.graph.variants
    bytes_of = {
        name: sum((folder / file).stat().st_size for file in (variant.file, *variant.data))
        for name, variant in variants.items()
    }
    outputs = "\n".join(
        f"- `{name}`: {about(given, output_similarity(manifest, name))}" for name, given in tower.outputs.items()
    )
    first, kind = next((name, given.kind) for name, given in tower.outputs.items())
    compared = "" if kind == "dense" else f" {_COMPARED[kind].format(name=first)}"
    smaller = f"{_SMALLER}{table}\n" if (table := size_table(variants).markdown()) else ""
    further = f"\n{table}\n" if (table := measure_table(variants).markdown()) else ""
    roles = "\n".join(
        f"- `{role}`: {_code(reads(t.frontend))}, at most {t.frontend.longest} tokens"
        for role, t in manifest.towers.items()
    )
    forms = [f"`{name}` is {v.form}." for name, v in variants.items() if v.form not in ("", "fp32", "fp16")]
    forms += [f"`{name}` was asked for and is not here: {reason}." for name, reason in (missing or {}).items()]
    timed = any(variant.tokens_per_second for variant in variants.values())
    drawn = f"\n![quality against speed and size]({PICTURE})\n" if timed else ""
    surgery = "".join(f"\n- {record}" for record in manifest.source.surgery)
    count = next(iter(variants.values())).quality.texts
    tools = ", ".join(f"{name} {value}" for name, value in manifest.source.tools.items())
    return f"""# {manifest.source.name}

An [ONNX](https://onnx.ai) encoder bundle for texts of up to {tower.frontend.longest} tokens. It makes of a text:

{outputs}

```python
import embedkit

encoder = embedkit.Encoder.load("path/to/this/folder")
{_use(tower.outputs)}
```

`embedkit verify path/to/this/folder` checks its files, and what it makes of texts, on your machine.

## Measured

Against the PyTorch model on {count} texts: {sample}.{compared}

{quality_table(variants, bytes_of).markdown()}
{smaller}{further}{drawn}
{chr(10).join(f"- {form}" for form in forms)}

What is made of a text is the same, bit for bit, whatever it is encoded together with, in every variant.

## Roles

{roles}

## Made with

{tools}. Weights: sha256 `{manifest.source.checkpoint_sha256}`.{surgery}
"""


_SMALLER = "\nThe first numbers of a vector (`dim=`), against as many of PyTorch's:\n\n"

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


def _code(text: str) -> str:
    """As Markdown code on one line, whatever is in it."""
    shown = text.replace("\n", "\\n").replace("|", "\\|")
    fence = "``" if "`" in shown else "`"
    return f"{fence}{' ' if '`' in shown else ''}{shown}{' ' if '`' in shown else ''}{fence}"
