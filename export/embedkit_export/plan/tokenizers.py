"""The roles' tokenizers, as the runtime will have them: written into the bundle, and used from there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from embedkit.runtime.frontends.batching import pad
from embedkit.runtime.frontends.template import Text
from embedkit.runtime.frontends.tokenizer import TextTokenizer
from embedkit.stores.plugin_kit.naming import safe_name
from embedkit_export.tensors import IDS, MASK, POOL_MASK, TYPES, Feed

from .plan import Plan


class Tokenizers:
    """Each role's tokenizer, from the file of it that this writes into ``folder``; equal ones share a file."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.files: dict[str, str] = {}
        """The name of each role's file."""
        names: dict[str, str] = {}
        for name, role in plan.roles.items():
            file = names.setdefault(
                role.tokenizer_json, "tokenizer.json" if not names else f"tokenizer.{safe_name(name)}.json"
            )
            (folder / file).write_text(role.tokenizer_json, encoding="utf-8")
            self.files[name] = file
        self._roles = {name: self._load(name, folder) for name in plan.roles}

    def _load(self, role: str, folder: Path) -> TextTokenizer:
        chosen = self.plan.roles[role]
        inputs = self.plan.graphs[chosen.graph].inputs
        return TextTokenizer(
            chosen.frontend,
            folder / self.files[role],
            types=any(entry.source == "types" for entry in inputs),
            choices=[entry.choice for entry in inputs if entry.choice],
        )

    def __getitem__(self, role: str) -> TextTokenizer:
        return self._roles[role]

    def items(self, role: str, given: Sequence[Any]) -> list[Text]:
        """What the role can encode of texts or fields; a text that it refuses (nothing to pool) is left out."""
        tokenizer = self[role]
        inputs = self.plan.graphs[self.plan.roles[role].graph].inputs
        pools = any(entry.source == "pool_mask" for entry in inputs)
        template = tokenizer.template
        out: list[Text] = []
        for i, item in enumerate(given):
            if isinstance(item, str):
                whole = template.fill(item, i)
            else:  # a record may have fields that another role reads
                whole = {**_as_dict(template.fill("", i)), **{k: v for k, v in item.items() if k in template.fields}}
            ragged = tokenizer.encode([template.check(whole, "sample")])
            if len(ragged.ids[0]) and (not pools or not ragged.pool or ragged.pool[0].any()):
                out.append(whole)
        return out

    def feed(self, role: str, item: Text) -> Feed:
        """The inputs of the role's graph for one item."""
        tokenizer = self[role]
        ragged = tokenizer.encode([item])
        padding = tokenizer.frontend.padding
        width = max(2, tokenizer.frontend.least, len(ragged.ids[0]))
        ids, mask = pad(ragged.ids, tokenizer.frontend.pad_id, width)
        pool = pad(ragged.pool, 0, width)[0] if ragged.pool else mask
        tensors = {IDS: ids, MASK: np.ones_like(mask) if padding == "read" else mask}
        tensors[POOL_MASK] = np.where(mask == 0, 1, pool) if padding != "ignored" else pool
        tensors[TYPES] = pad(ragged.types, 0, width)[0] if ragged.types else np.zeros_like(ids)
        return {
            entry.name: tensors[entry.name] if entry.choice is None else tokenizer.template.choice(entry.choice, [item])
            for entry in self.plan.graphs[self.plan.roles[role].graph].inputs
        }


def _as_dict(item: Text) -> dict[str, str]:
    return {} if isinstance(item, str) else dict(item)
