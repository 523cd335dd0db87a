"""What the variants of an export are judged on: torch's vectors, made once, and the labels of the sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import numpy as np

from embedkit import bundle
from embedkit.bundle.manifest import (
    AudioFrontend,
    ComposedFrontend,
    FeaturesFrontend,
    ImageFrontend,
    Output,
    TextFrontend,
)
from embedkit.encoders.encoder import Encoder
from embedkit.errors import ExportError
from embedkit.runtime import selfcheck
from embedkit.vectors.values import Values, concatenate
from embedkit_export import files
from embedkit_export.plan.prepare import Prepared
from embedkit_export.plan.tokenizers import Tokenizers
from embedkit_export.sources import routes as pipelines
from embedkit_export.tensors import IDS

from . import extent, reference, texts
from . import parity as verify
from . import sample as samples
from .gates import Gates
from .labels import LabelledSample
from .media import composed, pictures, sounds
from .media import files as media_files
from .media.samples import sample_key

MEDIA = (ImageFrontend, AudioFrontend, ComposedFrontend, FeaturesFrontend)
"""What reads no texts, and no ids that these stand for."""


Keep: TypeAlias = Callable[[str, Mapping[str, Output], int, Callable[[], dict[str, Values]]], dict[str, Values]]
"""Of a role, its outputs, the number of its items, and what makes their values."""


def _made(
    role: str, outputs: Mapping[str, Output], count: int, make: Callable[[], dict[str, Values]]
) -> dict[str, Values]:
    return make()


class Judge:
    """Judges variants that lie in a folder as a bundle; fp32 comes first, for the labels are compared with its.
    ``gates`` are those of each variant, and
    samples by the kind of what is read."""

    def __init__(
        self,
        prepared: Prepared,
        sample: Mapping[str, samples.Sample],
        tokenizers: Tokenizers,
        gates: Mapping[str, Gates],
        keep: Keep = _made,
    ) -> None:
        """``keep`` gives what torch makes of a role's items, as it is known already or by the call that it is handed."""
        self._keep = keep
        self.prepared, self.samples, self.tokenizers, self.gates = prepared, sample, tokenizers, gates
        self.sample = sample[sample_key(prepared.plan.roles["default"].frontend)]
        self.golden: dict[str, dict[str, Values]] = {}
        """What torch makes of the golden texts, by role and output."""
        self.media: dict[str, Any] = {}
        """The arrays of golden items that are no texts."""
        self.notes: list[str] = []
        """What is proved on fewer texts than there are."""
        self._seen: dict[Any, dict[Any, dict[str, Values]]] = {}
        self.cases = [self._case(name) for name in prepared.plan.roles]
        self.labels: dict[str, float] = {}
        """What the labels of the sample say of fp32."""

    def _case(self, name: str) -> verify.Case:
        """A role with a graph of its own is judged on all texts, others on the fixed ones; one that reads as the owner of its
        graph does on the golden ones, for all else would be the same again."""
        plan = self.prepared.plan
        frontend = plan.roles[name].frontend
        fixed: Any
        if isinstance(frontend, ComposedFrontend | FeaturesFrontend):
            fixed = composed.fixed(frontend, plan.graphs[plan.roles[name].graph].inputs)
        elif isinstance(frontend, AudioFrontend):
            fixed = sounds.fixed(frontend)
        elif isinstance(frontend, ImageFrontend):
            fixed = pictures.fixed(frontend)
        else:
            fixed = texts.fixed(plan.roles["default"].frontend)
        again = name not in plan.graphs and self._is_shared(name)
        hostile, golden = (self.tokenizers.items(name, given) for given in (fixed.hostile, fixed.golden))
        if len(golden) < len(fixed.golden):
            raise ExportError(
                f"role {name!r}: of a usual text no token is left to pool; look at the template, `without` and the maximal length"
            )
        typical, large = self._typical(name) if name in plan.graphs else ([], False)
        items = [*hostile, *golden, *typical]
        verify.check_tokens(self.tokenizers, name, plan.roles[name], items)
        if again:
            hostile, items = [], golden
        outputs = plan.graphs[plan.roles[name].graph].outputs
        expected = self._keep(name, outputs, len(items), lambda: self._expected(name, items))
        places = slice(len(hostile), len(hostile) + len(golden))
        self.golden[name] = {output: values[places] for output, values in expected.items()}
        if isinstance(frontend, MEDIA) and (name in plan.graphs or not self._is_shared(name)):
            kept = media_files if isinstance(frontend, ImageFrontend | AudioFrontend) else composed
            self.media |= kept.golden_arrays(name, self.tokenizers.modalities[name], golden)
        # Of a large model all items are encoded alone and together, of another the first in odd batches too.
        budgets = verify.BUDGETS[:1] if large else verify.BUDGETS
        return verify.Case(name, items, expected, len(hostile), name in plan.graphs, again, budgets)

    def _expected(self, name: str, items: list[Any]) -> dict[str, Values]:
        """What torch makes of the items of a role; of pictures and sounds once for all roles that prepare them alike."""
        plan, modality = self.prepared.plan, self.tokenizers.modalities[name]
        role = plan.roles[name]
        if not isinstance(role.frontend, MEDIA):
            return reference.values(plan, name, items, self._model(name), modality)
        known = self._seen.setdefault((role.graph, repr(role.frontend)), {})
        new = [item for item in items if modality.key(item) not in known]
        found = reference.values(plan, name, new, None, modality)
        for i, item in enumerate(new):
            known[modality.key(item)] = {output: values[i : i + 1] for output, values in found.items()}
        rows = [known[modality.key(item)] for item in items]
        return {output: concatenate([row[output] for row in rows]) for output in found}

    def _is_shared(self, name: str) -> bool:
        """Whether a role prepares its items as the one whose graph it has."""
        roles = self.prepared.plan.roles
        return roles[name].frontend == roles[roles[name].graph].frontend

    def _typical(self, name: str) -> tuple[list[Any], bool]:
        """What a role is judged on beside the fixed texts: of texts as many as are enough for its model, and long ones; and
        whether that are fewer than there are."""
        plan = self.prepared.plan
        frontend, graph = plan.roles[name].frontend, plan.graphs[plan.roles[name].graph]
        gate: list[Any] = self.samples[sample_key(frontend)].judged(texts.GATE_TEXTS)
        found = self.tokenizers.items(name, gate)
        if isinstance(frontend, MEDIA):
            return found, False
        plain = [item if isinstance(item, str) else " ".join(item.values()) for item in gate]
        long = self.tokenizers.items(name, texts.longest(plain))
        rows = (self.tokenizers.feed(name, item)[IDS].size for item in found)
        few = extent.enough(found, rows, extent.weights_of(graph.module))
        if len(few) == len(found):
            return [*found, *long], False
        self.notes.append(
            f"role {name!r}: is judged on {len(few)} of {len(found)} texts, because its model is large: among their rows is a wrong one "
            f"with {extent.CERTAINTY:.0%} where one row in {1 / extent.SHARE:,.0f} is wrong"
        )
        verify.check_tokens(self.tokenizers, name, plan.roles[name], [*found, *long])
        return [*few, *self.tokenizers.items(name, texts.longest(plain, 1, texts.RATHER_LONG))], True

    def _model(self, role: str) -> Any:
        """The model of sentence-transformers with the length that is exported, where it is exported as it is."""
        model = self.prepared.origin.model if self.prepared.inferred.stated else None
        frontend = self.prepared.plan.roles[role].frontend
        if (
            not isinstance(frontend, TextFrontend) or frontend.least > frontend.truncate.max
        ):  # it has one length for both
            return None
        if model is not None:
            model.truncate_dim = None  # whole vectors are compared
            pipelines.limit_length(model, frontend.truncate.max)
        return model

    def write_golden(self, path: Path) -> None:
        """Write the golden items with torch's vectors."""
        arrays: dict[str, Any] = dict(self.media)
        frontends = [role.frontend for role in self.prepared.plan.roles.values()]
        readers = [frontend for frontend in frontends if not isinstance(frontend, MEDIA)]
        if readers:
            arrays["texts"] = np.array(texts.fixed(readers[0]).golden)
        for role, found in self.golden.items():
            for output, values in found.items():
                arrays |= bundle.golden_arrays(values, bundle.golden_key(role, output))
        files.write_npz(path, arrays)

    def judge(self, folder: Path, variant: str) -> tuple[verify.Verdict, float]:
        """The verdict on a variant, and its worst cosine on the golden texts."""
        encoder = Encoder.load(folder, device="cpu", variant=variant, on_truncate="ignore")
        verdict = verify.judge(encoder, self.cases, self.gates[variant], sizes=self._sizes)
        worst = min(selfcheck.worst_nearness(encoder.loaded, role) for role in self.golden)
        if (self.sample.pairs or self.sample.queries) and encoder.kind in ("dense", "sparse", "multivector"):
            labelled = LabelledSample(self.sample, encoder)
            labels = labelled.figures()
            if variant == "fp32":
                self.labels = labels
            else:
                verdict.problems += verify.judge_labels(labels, self.labels, self.gates[variant])
            sized = [
                msgspec.structs.replace(cut, labels=_rounded(labelled.figures(cut.dim)))
                for cut in verdict.quality.matryoshka
            ]
            verdict.quality = msgspec.structs.replace(verdict.quality, labels=_rounded(labels), matryoshka=sized)
        return verdict, worst

    @property
    def _sizes(self) -> list[int]:
        """The sizes below the whole that the model was trained for, up to the one that it gives by itself."""
        plan = self.prepared.plan
        dense = plan.graphs[plan.roles["default"].graph].dense
        return sorted(size for size in set(plan.recipe.matryoshka) if dense and size < dense.dim and size <= dense.size)


def _rounded(labels: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in labels.items()}
