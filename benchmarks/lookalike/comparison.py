"""One look-alike: made, exported by the public function, and compared with its reference."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import folders
from .descriptions import Look
from .references import reference
from .texts import PAIRS, TEXTS, sample

LIMIT = 1e-4
"""The greatest difference of a number by which a model still is the same."""


@dataclass(frozen=True)
class Comparison:
    """What came of a look-alike: the difference to its reference, or why it was refused."""

    name: str
    kind: str
    command: str
    recipe: str
    difference: float | None
    refused: str
    expected: bool
    """Whether a refusal is the one that its description foresees."""
    captured: bool = True
    """Whether the exported graph was compared, and not the torch module that it would be captured from."""

    @property
    def right(self) -> bool:
        """Whether it is equal, or refused as it has to be."""
        return self.expected if self.difference is None else self.difference < LIMIT

    @property
    def verdict(self) -> str:
        """In words."""
        return f"differs by {self.difference:.1e}" if self.difference is not None else f"refused: {self.refused}"


def compare(look: Look, work: Path, *, quick: bool = False) -> Comparison:
    """Make the look-alike's folder in ``work``, export it, and compare all its roles. ``quick`` captures no graph: what is
    compared is the torch module that an export captures, with the bundle's tokenizer."""
    import embedkit_export
    from embedkit.errors import EmbedkitError

    captured = not quick or look.kind == "multivector"
    folder = folders.make(look, work)
    rows = work / "sample.jsonl"
    rows.write_text("\n".join(map(json.dumps, sample())), encoding="utf-8")
    options = {**look.options, "trust_remote_code": look.options.get("trust_remote_code", False)}
    flags = [_flag(name, value) for name, value in look.options.items()]
    command = " ".join([f"embedkit-export {look.name}", *flags])
    recipe = options.pop("recipe", None)
    if recipe is not None:
        (work / "recipe.toml").write_text(recipe, encoding="utf-8")
        options["recipe"] = work / "recipe.toml"
    try:
        prepared = embedkit_export.prepare(folder, **options)
        if captured:
            embedkit_export.export(
                folder, output=work / "bundle", sample=rows, variants=["fp32"], timing=False, **options
            )
    except EmbedkitError as error:
        said = str(error).replace(str(folder), look.name).replace(str(work), "")
        return Comparison(look.name, look.kind, command, "", None, said, bool(look.refused) and look.refused in said)
    roles = list(prepared.plan.roles)
    expected = reference(look, folder, roles)
    if not captured:
        found = {role: _planned(prepared.plan, work, role, pairs=look.kind == "reranker") for role in expected}
    else:
        found = _found(look.kind, work / "bundle", list(expected))
    difference = max(_apart(found[role], expected[role]) for role in expected)
    return Comparison(look.name, look.kind, command, _recipe(prepared), difference, "", not look.refused, captured)


def _found(kind: str, bundle: Path, roles: list[str]) -> dict[str, Any]:
    from embedkit import Encoder, Reranker

    if kind == "reranker":
        return {"default": Reranker.load(bundle, variant="fp32").score(list(PAIRS))}
    encoder = Encoder.load(bundle, variant="fp32", threads=1, on_truncate="ignore")
    out: dict[str, Any] = {}
    for role in roles:
        values = encoder.encode(list(TEXTS), role=role)
        out[role] = values.dense() if kind == "sparse" else values
    return out


def _planned(plan: Any, work: Path, role: str, *, pairs: bool) -> Any:
    """What the planned module makes of each item by itself."""
    import torch

    from embedkit.runtime.outputs import activated
    from embedkit_export.plan.tokenizers import Tokenizers

    tokenizers = Tokenizers(plan, work)
    graph = plan.graphs[plan.roles[role].graph]
    rows = []
    for item in [dict(zip(("query", "document"), pair, strict=True)) for pair in PAIRS] if pairs else TEXTS:
        feed = tokenizers.feed(role, item)
        with torch.no_grad():
            out = graph.module(*(torch.from_numpy(np.asarray(feed[name])) for name in graph.module.inputs))
        rows.append((out if isinstance(out, torch.Tensor) else out[0]).numpy()[0])
    function = next(iter(graph.outputs.values())).activation if pairs else None
    found = np.stack(rows)
    return (
        activated(found, function).reshape(len(rows), -1).squeeze(-1)
        if pairs and found.shape[-1] == 1
        else (activated(found, function) if pairs else found)
    )


def _apart(found: Any, expected: Any) -> float:
    """The greatest difference; infinite where the shapes differ."""
    worst = 0.0
    for one, other in zip(found, expected, strict=True):
        a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
        if a.shape != b.shape:
            return float("inf")
        worst = max(worst, float(np.abs(a - b).max(initial=0.0)))
    return worst


def _flag(name: str, value: Any) -> str:
    if name == "recipe":
        return "--recipe recipe.toml"
    flag = "--" + name.replace("_", "-")
    if value is True:
        return flag
    return f"{flag} {value}"


def _recipe(prepared: Any) -> str:
    """The inferred recipe in a few words: pooling and layers, normalisation, prompts, lengths, similarity."""
    from embedkit_export.modules.layers import Normalize

    recipe, plan = prepared.recipe, prepared.plan
    parts: list[str] = []
    for owner, graph in plan.graphs.items():
        named = [str(getattr(pool, "mode", "")) for pool in graph.module.pools] if recipe.dense else []
        stages = ["unit length" if isinstance(stage, Normalize) else "layer" for stage in graph.module.stages]
        heads = [f"{output.kind}" for output in graph.outputs.values() if output.kind != "dense"]
        parts.append(("" if owner == "default" else f"{owner}: ") + ", ".join([*named, *stages, *heads]))
    lengths = {name: role.frontend.longest for name, role in plan.roles.items()}
    if len(set(lengths.values())) == 1:
        parts.append(f"{next(iter(lengths.values()))} tokens")
    else:
        parts.append(", ".join(f"{name} {length}" for name, length in lengths.items()) + " tokens")
    prompts = {
        name: "".join(part.lit or ("|" if part.pair else f"{{{part.field}}}") for part in role.frontend.template)
        for name, role in plan.roles.items()
    }
    parts += [
        f"{name} `{_short(text)}`" for name, text in prompts.items() if text not in ("{text}", "{query}|{document}")
    ]
    if recipe.dense:
        parts.append(recipe.similarity)
    return "; ".join(part for part in parts if part)


def _short(text: str) -> str:
    text = text.replace("\n", "\\n").replace("|", "\\|").replace("`", "'")
    return text if len(text) < 60 else f"{text[:30]}...{text[-20:]}"
