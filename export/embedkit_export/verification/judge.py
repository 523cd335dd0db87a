"""What the variants of an export are judged on: torch's vectors, made once, and the labels of the sample."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from embedkit import bundle
from embedkit.bundle.manifest import IdsFrontend
from embedkit.encoders.encoder import Encoder
from embedkit.errors import ExportError
from embedkit.runtime import selfcheck
from embedkit.vectors.values import Values
from embedkit_export import files
from embedkit_export.plan.prepare import Prepared
from embedkit_export.plan.tokenizers import Tokenizers
from embedkit_export.sources import routes as pipelines

from . import parity as verify
from . import reference, texts
from . import sample as samples
from .gates import Gates
from .labels import LabelledSample


class Judge:
    """Judges variants that lie in a folder as a bundle; fp32 comes first, for the labels are compared with its.
    ``gates`` are those of each variant."""

    def __init__(
        self, prepared: Prepared, sample: samples.Sample, tokenizers: Tokenizers, gates: Mapping[str, Gates]
    ) -> None:
        self.prepared, self.sample, self.tokenizers, self.gates = prepared, sample, tokenizers, gates
        self.golden: dict[str, dict[str, Values]] = {}
        """What torch makes of the golden texts, by role and output."""
        self.cases = [self._case(name) for name in prepared.plan.roles]
        self._fp32_labels: dict[str, float] = {}

    def _case(self, name: str) -> verify.Case:
        """A role with a graph of its own is judged on all texts, others on the fixed ones."""
        plan = self.prepared.plan
        fixed = texts.fixed(plan.roles["default"].frontend)
        hostile, golden = (self.tokenizers.items(name, given) for given in (fixed.hostile, fixed.golden))
        if len(golden) < len(fixed.golden):
            raise ExportError(
                f"role {name!r}: of a usual text no token is left to pool; look at the template, `without` and the maximal length"
            )
        typical = self.tokenizers.items(name, self._typical()) if name in plan.graphs else []
        items = [*hostile, *golden, *typical]
        verify.check_tokens(self.tokenizers, name, plan.roles[name], items)
        expected = reference.values(plan, name, items, self._model(name))
        places = slice(len(hostile), len(hostile) + len(golden))
        self.golden[name] = {output: values[places] for output, values in expected.items()}
        return verify.Case(name, items, expected, len(hostile))

    @property
    def _golden_texts(self) -> tuple[str, ...]:
        return texts.fixed(self.prepared.plan.roles["default"].frontend).golden

    def _typical(self) -> list[Any]:
        gate: list[Any] = self.sample.judged(texts.GATE_TEXTS)
        plain = [item if isinstance(item, str) else " ".join(item.values()) for item in gate]
        return [*gate, *texts.longest(plain)]

    def _model(self, role: str) -> Any:
        """The model of sentence-transformers with the length that is exported, where it is exported as it is."""
        model = self.prepared.origin.model if self.prepared.inferred.stated else None
        frontend = self.prepared.plan.roles[role].frontend
        if isinstance(frontend, IdsFrontend) or frontend.least > frontend.truncate.max:  # it has one length for both
            return None
        if model is not None:
            model.truncate_dim = None  # whole vectors are compared
            pipelines.limit_length(model, frontend.truncate.max)
        return model

    def write_golden(self, path: Path) -> None:
        """Write the golden texts with torch's vectors."""
        arrays: dict[str, Any] = {"texts": np.array(self._golden_texts)}
        for role, found in self.golden.items():
            for output, values in found.items():
                arrays |= bundle.golden_arrays(values, bundle.golden_key(role, output))
        files.write_npz(path, arrays)

    def judge(self, folder: Path, variant: str) -> tuple[verify.Verdict, float]:
        """The verdict on a variant, and its worst cosine on the golden texts."""
        encoder = Encoder.load(folder, device="cpu", variant=variant, on_truncate="ignore")
        verdict = verify.judge(encoder, self.cases, self.gates[variant], sizes=self._sizes)
        worst = min(
            selfcheck.worst_nearness(encoder.loaded, role, self._golden_texts, golden)
            for role, golden in self.golden.items()
        )
        if (self.sample.pairs or self.sample.queries) and encoder.kind in ("dense", "sparse", "multivector"):
            labelled = LabelledSample(self.sample, encoder)
            labels = labelled.figures()
            if variant == "fp32":
                self._fp32_labels = labels
            else:
                verdict.problems += verify.judge_labels(labels, self._fp32_labels, self.gates[variant])
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
