"""The roles' tokenizers, as the runtime will have them: written into the bundle, and used from there."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from embedkit.bundle.manifest import Input
from embedkit.runtime.frontends.base import Batch, Unencodable
from embedkit.runtime.frontends.text.template import Template, Text
from embedkit.runtime.frontends.text.tokenizer import TextTokenizer
from embedkit.runtime.tower import graph_inputs
from embedkit.stores.plugin_kit.naming import safe_name
from embedkit_export.tensors import Feed

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
        inputs = self._inputs(role)
        template = Template(chosen.frontend, [entry.choice for entry in inputs if entry.choice])
        return TextTokenizer(template, folder / self.files[role], inputs)

    def _inputs(self, role: str) -> list[Input]:
        return self.plan.graphs[self.plan.roles[role].graph].inputs

    def __getitem__(self, role: str) -> TextTokenizer:
        return self._roles[role]

    def items(self, role: str, given: Sequence[Any]) -> list[Text]:
        """What the role can encode of texts or fields; a text that it refuses (nothing to pool) is left out."""
        template = self[role].template
        out: list[Text] = []
        for i, item in enumerate(given):
            if isinstance(item, str):
                whole = template.fill(item, i)
            else:  # a record may have fields that another role reads
                whole = {**_as_dict(template.fill("", i)), **{k: v for k, v in item.items() if k in template.fields}}
            with suppress(Unencodable):
                self._batch(role, template.check(whole, "sample"))
                out.append(whole)
        return out

    def feed(self, role: str, item: Text) -> Feed:
        """The inputs of the role's graph for one item."""
        batch = self._batch(role, item)
        return graph_inputs(batch, batch.tensors(1), self._inputs(role), 1)

    def _batch(self, role: str, item: Text) -> Batch:
        (batch,) = self[role].batches([item], 1, lambda lengths, longest: lengths)
        return batch


def _as_dict(item: Text) -> dict[str, str]:
    return {} if isinstance(item, str) else dict(item)
