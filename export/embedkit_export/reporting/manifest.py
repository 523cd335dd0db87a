"""The manifest of an export."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from embedkit.bundle.manifest import (
    ComposedFrontend,
    Cross,
    FileEntry,
    Frontend,
    Graph,
    Manifest,
    Matching,
    Scorer,
    Table,
    TextFrontend,
    Tower,
    Variant,
)
from embedkit.bundle.manifest import Source as SourceEntry
from embedkit_export import files
from embedkit_export.plan.prepare import Prepared
from embedkit_export.recipes.outputs import similarity
from embedkit_export.sources.media.images import logit_scale
from embedkit_export.sources.weight_files import weights_sha256
from embedkit_export.tensors import DENSE

from .pair_graph import PAIR_FILE
from .tables import table_file

GOLDEN_FILE = "golden.npz"
_EMPTY_SHA256 = "0" * 64


class Description:
    """What a bundle says of itself; ``tokenizers`` names each role's file."""

    def __init__(self, prepared: Prepared, tokenizers: Mapping[str, str]) -> None:
        self.prepared, self.tokenizers = prepared, tokenizers
        self._source = SourceEntry(
            name=prepared.origin.name,
            checkpoint_sha256=weights_sha256([graph.module for graph in prepared.plan.graphs.values()]),
            surgery=prepared.plan.records,
            tools=files.tools(),
        )

    def manifest(self, variants: Mapping[str, dict[str, Variant]]) -> Manifest:
        """With the variants of each graph, by the role that owns it; `bundle.write_manifest` fills in the files and
        the fingerprint."""
        plan = self.prepared.plan
        towers: dict[str, Tower] = {}
        for name, role in plan.roles.items():
            frontend: Frontend = role.frontend
            frontend = _with_tokenizer(frontend, self.tokenizers.get(name, ""))
            if name != role.graph:
                towers[name] = Tower(frontend=frontend, like=role.graph)
                continue
            graph = plan.graphs[name]
            towers[name] = Tower(
                frontend=frontend,
                inputs=graph.inputs,
                graph=Graph(variants=variants[name]),
                outputs=graph.outputs,
            )
        return Manifest(
            schema=1 if all(isinstance(role.frontend, TextFrontend) for role in plan.roles.values()) else 2,
            source=self._source,
            towers=towers,
            scorers=self._scorers,
            files={"pending": FileEntry(sha256=_EMPTY_SHA256, bytes=0)},
            golden=GOLDEN_FILE,
            fingerprint=_EMPTY_SHA256,
            prompts=plan.recipe.prompts,
            cross={name: Cross(**msgspec.structs.asdict(given)) for name, given in plan.recipe.cross.items()},
            tables={name: Table(file=table_file(name), output=f"default.{DENSE}") for name in plan.recipe.tables},
            matching=self._matching,
        )

    @property
    def _scorers(self) -> dict[str, Scorer]:
        """How two texts' values are compared, by output; ``main`` is that of the first output."""
        plan = self.prepared.plan
        found: dict[str, Scorer] = {}
        sides = {role: plan.graphs[plan.roles[role].graph].outputs for role in ("default", "query", "document")}
        for name in {**sides["default"], **sides["query"]}:
            fn: Any = similarity(plan.recipe, name)
            if fn is not None and name in sides["query"] and name in sides["document"]:
                found[name if found else "main"] = Scorer(fn=fn, left=f"query.{name}", right=f"document.{name}")
        if plan.recipe.pair is not None:
            found["pair"] = Scorer(fn="pair", left=f"query.{DENSE}", right=f"document.{DENSE}", graph=PAIR_FILE)
        if plan.recipe.power:
            first = next(iter(plan.recipe.power))
            shares = dict(plan.recipe.power)
            found["power"] = Scorer(fn="power", left=f"query.{first}", right=f"document.{first}", weights=shares)
        if plan.recipe.fused:
            first = next(iter(plan.recipe.fused))
            weights = dict(plan.recipe.fused)
            found["fused"] = Scorer(fn="fused", left=f"query.{first}", right=f"document.{first}", weights=weights)
        return found

    @property
    def _matching(self) -> Matching | None:
        """What the model makes of cosines, where it reads several kinds of items and says so."""
        origin, roles = self.prepared.origin, self.prepared.plan.roles.values()
        found = logit_scale(origin.whole)
        if found is None or len({role.frontend.kind for role in roles}) < 2:
            return None
        scale, bias = found
        return Matching(fn="softmax", scale=scale) if bias is None else Matching(fn="sigmoid", scale=scale, bias=bias)


def _with_tokenizer(frontend: Frontend, file: str) -> Frontend:
    """A frontend whose texts, or those of its parts, are read by the tokenizer in ``file``."""
    if isinstance(frontend, TextFrontend):
        return msgspec.structs.replace(frontend, tokenizer=file)
    if isinstance(frontend, ComposedFrontend):
        parts = {name: _with_tokenizer(part, file) for name, part in frontend.parts.items()}
        return msgspec.structs.replace(frontend, parts=parts)
    return frontend
