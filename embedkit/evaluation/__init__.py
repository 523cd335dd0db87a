"""How good an encoder is on labelled data: similarity, search, pairs, classes; with intervals, several side by side; and
how its vectors lie in space.

The measures are those of scipy, scikit-learn and trec_eval, of the extra ``eval``, which is loaded when a measure is
computed.
"""

from __future__ import annotations

from embedkit.vectors.geometry import alignment, uniformity

from .classification import Classification
from .evaluating import evaluate, evaluate_all
from .pairs import Pairs
from .picture import draw
from .report import Difference, Estimate, EvaluationReport, Result
from .retrieval import Retrieval
from .space import isotropy
from .sts import Similarities
from .task import Measured, Task
from .texts import Texts

__all__ = [
    "Classification",
    "Difference",
    "Estimate",
    "EvaluationReport",
    "Measured",
    "Pairs",
    "Result",
    "Retrieval",
    "Similarities",
    "Task",
    "Texts",
    "alignment",
    "draw",
    "evaluate",
    "evaluate_all",
    "isotropy",
    "uniformity",
]
