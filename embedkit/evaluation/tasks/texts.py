"""Texts without labels: how their vectors lie in space."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from embedkit.encoders.base import BaseEncoder
from embedkit.encoders.info import check_encoder
from embedkit.errors import InputError
from embedkit.evaluation.labelled import check_file, records, text_of
from embedkit.evaluation.scores import check_finite
from embedkit.system.files.addresses import without_query
from embedkit.vectors.geometry import isotropy, uniformity
from embedkit.vectors.multivector import MultiVectors

from .task import Measured, Rows, Task


@dataclass(frozen=True)
class Texts(Task):
    """Texts of any kind, each counted once.

    Uniformity and isotropy of their vectors. Where the bundle gives a vector for each token too, the isotropy of a
    text's token vectors, as a mean over the texts that have two tokens or more.
    """

    source: str
    texts: tuple[str, ...]
    role: str = "default"
    notes: tuple[str, ...] = ()

    name = "texts"
    units = "texts"

    def __post_init__(self) -> None:
        if len(set(self.texts)) < 2:
            raise InputError(
                f"{self.source}: expected at least two different texts, found {len(set(self.texts))}; a few hundred tell more"
            )
        object.__setattr__(self, "texts", tuple(dict.fromkeys(self.texts)))

    @property
    def size(self) -> Mapping[str, int]:
        """How much there is of what."""
        return {"different texts": len(self.texts)}

    @classmethod
    def read(cls, path: str | os.PathLike[str], *, role: str = "default") -> Texts:
        """Plain text, one text a line, or JSON lines or a table (``.tsv`` without quoting, ``.csv``) with ``text``;
        gzipped or not. Blank texts are left out, with a note."""
        file = check_file(path)
        found = [text_of(record, "text", where) for where, record in records(file)]
        kept = tuple(text for text in found if text.strip())
        blank = len(found) - len(kept)
        return cls(without_query(str(file)), kept, role, (f"blank texts left out: {blank:,}",) if blank else ())

    def measure(self, encoder: BaseEncoder, *, progress: bool = False) -> Measured:
        """How the vectors lie; `InputError` for a bundle whose first output is not dense."""
        from tqdm import tqdm

        check_encoder(encoder)
        outputs = encoder.outputs(self.role)
        dense, about = next(iter(outputs.items()))
        if about.kind != "dense":
            raise InputError(
                f"uniformity and isotropy are measures of dense vectors, and this bundle's are {about.kind}; "
                "judge it by a search, pairs or scores"
            )
        tokens = next((name for name, output in outputs.items() if output.kind == "tokens"), None)
        vectors, found = [], []
        with tqdm(total=len(self.texts), unit="text", disable=not progress) as bar:
            for part in encoder.stream_outputs(
                self.texts, role=self.role, outputs=[dense, *([tokens] if tokens else [])]
            ):
                check_finite(part[dense], self.role)
                vectors.append(np.asarray(part[dense]))
                if tokens is not None:
                    assert isinstance(part[tokens], MultiVectors)
                    found += [isotropy(text) for text in part[tokens]]
                bar.update(len(vectors[-1]))
        whole = np.concatenate(vectors)
        each = np.array(found)

        def statistic(rows: Rows) -> dict[str, float]:
            if tokens is None:
                return {}
            usable = each[rows][np.isfinite(each[rows])]
            return {"token_isotropy": float(usable.mean()) if len(usable) else float("nan")}

        return Measured(len(self.texts), statistic, {"uniformity": uniformity(whole), "isotropy": isotropy(whole)})
