"""How good an encoder is on labelled data: similarity, search, pairs, classes; with intervals, several side by side; and
how its vectors lie in space.

The measures are those of scipy, scikit-learn and trec_eval, of the extra ``eval``, which is loaded when a measure is
computed.
"""

from __future__ import annotations

from embedkit.evaluation.tasks.classification import Classification
from embedkit.evaluation.tasks.pairs import Pairs
from embedkit.evaluation.tasks.retrieval import Retrieval
from embedkit.evaluation.tasks.sts import Similarities
from embedkit.evaluation.tasks.task import Measured, Task
from embedkit.evaluation.tasks.texts import Texts
from embedkit.vectors.geometry import alignment, uniformity

from .picture import draw
from .report import Difference, Estimate, EvaluationReport, Result
from .runner import evaluate, evaluate_all
from .space import isotropy

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
