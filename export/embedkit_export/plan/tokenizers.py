"""The roles' tokenizers, as the runtime will have them: written into the bundle, and used from there."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from embedkit.bundle.manifest import AudioFrontend, IdsFrontend, Input, TextFrontend
from embedkit.runtime.frontends.base import Batch, Item, Unencodable
from embedkit.runtime.frontends.registry import modality_of
from embedkit.runtime.tower import graph_inputs
from embedkit.stores.plugin_kit.naming import safe_name
from embedkit_export import files
from embedkit_export.recipes.audio import MelInput
from embedkit_export.tensors import Feed

from .plan import Plan, RolePlan


class Tokenizers:
    """What reads each role's items: of texts a tokenizer, from the file of it that this writes into ``folder`` (equal ones
    share a file); of ids nothing but the frontend."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.files: dict[str, str] = {}
        """The name of each role's file, where it has one."""
        names: dict[str, str] = {}
        for name, role in plan.roles.items():
            if not role.tokenizer_json:
                continue
            file = names.setdefault(
                role.tokenizer_json, "tokenizer.json" if not names else f"tokenizer.{safe_name(name)}.json"
            )
            (folder / file).write_text(role.tokenizer_json, encoding="utf-8")
            self.files[name] = file
        for role in plan.roles.values():
            _write_mel(role, folder)
        self.modalities = {name: modality_of(role.frontend, self._inputs(name)) for name, role in plan.roles.items()}
        self._roles: dict[str, Any] = {
            name: modality.open(partial(self._file, folder, name)) for name, modality in self.modalities.items()
        }

    def _file(self, folder: Path, role: str, name: str) -> Path:
        return folder / self.files.get(role, name)

    def _inputs(self, role: str) -> list[Input]:
        return self.plan.graphs[self.plan.roles[role].graph].inputs

    def __getitem__(self, role: str) -> Any:
        """The role's `TextTokenizer`, or what else makes its batches."""
        return self._roles[role]

    def items(self, role: str, given: Sequence[Any]) -> list[Item]:
        """What the role can encode of texts (which stand for sequences of ids too), fields or pictures; what it refuses
        (nothing to pool, no picture) is left out."""
        out: list[Item] = []
        for whole in self._whole(role, given):
            with suppress(Unencodable):
                batch = self.batch(role, self.modalities[role].check(whole, "sample"))
                batch.tensors(batch.graph_rows)
                out.append(whole)
        return out

    def keys(self, role: str, given: Sequence[Any]) -> list[Hashable]:
        """What tells apart the items that the role reads of texts, fields or pictures."""
        modality = self.modalities[role]
        found: list[Hashable] = []
        for whole in self._whole(role, given):
            with suppress(Unencodable):
                found.append(modality.key(modality.check(whole, "sample")))
        return found

    def _whole(self, role: str, given: Sequence[Any]) -> Iterator[Item]:
        modality = self.modalities[role]
        for i, item in enumerate(given):
            if not isinstance(modality.frontend, TextFrontend | IdsFrontend):
                yield item
            elif isinstance(item, str):
                yield modality.fill(item, i)
            else:  # a record may have fields that another role reads
                yield {**_as_dict(modality.fill("", i)), **{k: v for k, v in item.items() if k in modality.fields}}

    def feed(self, role: str, item: Item) -> Feed:
        """The inputs of the role's graph for one item."""
        batch = self.batch(role, self.modalities[role].check(item, "sample"))
        rows = batch.graph_rows
        return graph_inputs(batch, batch.tensors(rows), self._inputs(role), rows)

    def batch(self, role: str, item: Item) -> Batch:
        """A batch of one checked item."""
        batches: list[Batch] = self[role].batches([item], 1, None)
        return batches[0]


def _write_mel(role: RolePlan, folder: Path) -> None:
    """Write the arrays of a role's mel, so that nothing is kept of how they are made."""
    frontend, audio = role.frontend, role.audio
    if isinstance(frontend, AudioFrontend) and frontend.mel is not None and audio is not None:
        assert isinstance(audio.mel, MelInput)
        files.write_npz(folder / frontend.mel.file, audio.mel.arrays(audio.rate))


def _as_dict(item: Item) -> dict[str, str]:
    return {} if isinstance(item, str) else dict(item)
