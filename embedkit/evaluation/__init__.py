"""How good an encoder is on labelled data: similarity, search, pairs, classes; with intervals, several side by side; and
how its vectors lie in space. The measures are those of scipy, scikit-learn and trec_eval, of the extra ``eval``, which is
loaded when a measure is computed."""

from __future__ import annotations

from embedkit.vectors.geometry import alignment, isotropy, uniformity

from .picture import draw
from .report import Difference, Estimate, EvaluationReport, Result
from .runner import evaluate, evaluate_all
from .tasks.captions import ImageText
from .tasks.classification import Classification
from .tasks.named import NamedClasses
from .tasks.neighbours import Neighbours
from .tasks.pairs import Pairs
from .tasks.retrieval import Retrieval
from .tasks.sts import Similarities
from .tasks.task import Measured, Task
from .tasks.texts import Texts

__all__ = [
    "Classification",
    "Difference",
    "Estimate",
    "EvaluationReport",
    "ImageText",
    "Measured",
    "NamedClasses",
    "Neighbours",
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
