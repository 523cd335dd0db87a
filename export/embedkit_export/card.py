"""The bundle's README: what it is, how it is used, and what was measured."""

from __future__ import annotations

from pathlib import Path

from embedkit.types import Manifest


def model_card(manifest: Manifest, folder: Path, sample: str) -> str:
    """Markdown; every figure in it is one of the manifest's."""
    tower = manifest.towers["default"]
    assert tower.graph is not None
    output = next(iter(tower.outputs.values()))
    rows = []
    for name, variant in tower.graph.variants.items():
        size = sum((folder / file).stat().st_size for file in (variant.file, *variant.data)) / 1e6
        q = variant.quality
        rows.append(
            f"| {name} | {size:.1f} | {q.cosine_mean:.5f} | {q.cosine_min:.5f} | {q.top10_overlap:.3f} | {q.max_abs:.1e} |"
        )
    prompts = {
        role: "".join(part.lit or "{text}" for part in t.frontend.template) for role, t in manifest.towers.items()
    }
    roles = "\n".join(f"- `{role}`: `{template}`" for role, template in prompts.items())
    count = next(iter(tower.graph.variants.values())).quality.texts
    tools = ", ".join(f"{name} {value}" for name, value in manifest.source.tools.items())
    return f"""# {manifest.source.name}

An [ONNX](https://onnx.ai) encoder bundle: {output.dim} numbers a vector, {"unit length" if output.normalized else "not normalised"}, compared by
{manifest.scorers["main"].fn}, texts of up to {tower.frontend.truncate.max} tokens.

```python
import embedkit

encoder = embedkit.Encoder.load("path/to/this/folder")
vectors = encoder.encode_document(["a text", "another"])
```

`embedkit verify path/to/this/folder` checks its files and its vectors on your machine.

## Measured

Against the PyTorch model on {count} texts: {sample}.

| variant | MB | mean cosine | worst cosine | top-10 overlap | largest difference |
|-|-|-|-|-|-|
{chr(10).join(rows)}

A text's vector is the same, bit for bit, whatever it is encoded together with, in every variant.

## Roles

{roles}

## Made with

{tools}. Weights: sha256 `{manifest.source.checkpoint_sha256}`.
"""
