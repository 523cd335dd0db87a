"""What each measure is called, and how it is shown."""

from __future__ import annotations

MEASURES = {
    "ndcg": ("nDCG", 1),
    "recall": ("recall", 1),
    "mrr": ("MRR", 1),
    "precision": ("precision", 1),
    "map": ("MAP", 1),
    "mrv": ("mean rank variance", -1),
    "spearman": ("Spearman", 1),
    "pearson": ("Pearson", 1),
    "accuracy": ("accuracy", 1),
    "f1": ("F1", 1),
    "macro_f1": ("macro F1", 1),
    "average_precision": ("average precision", 1),
    "auc": ("AUC", 1),
    "threshold": ("threshold", 0),
    "partner_rank": ("partner's mean rank", -1),
    "alignment": ("alignment", -1),
    "uniformity": ("uniformity", -1),
    "isotropy": ("isotropy", 1),
    "image_recall": ("pictures by words, recall", 1),
    "text_recall": ("words by pictures, recall", 1),
    "modality_gap": ("modality gap", 0),
    "top": ("top", 1),
    "class_accuracy": ("mean accuracy of the classes", 1),
    "token_isotropy": ("isotropy of tokens", 1),
}
"""Measure (without the depth that may follow, as in ``ndcg@10``) -> its name for people, and whether higher (1) or lower
(-1) is better, or neither (0)."""


def described(measure: str) -> tuple[str, int]:
    """A measure's name for people, with its depth, and whether higher (1) or lower (-1) is better, or neither (0)."""
    name, at, depth = measure.partition("@")
    label, better = MEASURES[name]
    return f"{label}{at}{depth}", better
