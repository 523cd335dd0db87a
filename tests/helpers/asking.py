"""Somebody who asks a collection by its name again and again, while others work on it, and looks at each answer as a whole.

As a program, it asks until its standard input ends, and tells of each answer in a line: the fingerprint of the model that gave it.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

_PAUSE = 0.05


class Asker:
    """Asks the collection ``docs`` of a store, with the bundle ``bundle`` and with ``other``, in a process of its own."""

    def __init__(self, folder: Path, environment: Mapping[str, str], *, bundle: str, other: str, url: str) -> None:
        self._told = folder / "answers"
        with self._told.open("w") as told:  # a pipe would be full one day
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, bundle, other, url],
                cwd=folder,
                env={**os.environ, **environment, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
                stdin=subprocess.PIPE,
                stdout=told,
                stderr=subprocess.PIPE,
                text=True,
            )
        while not self._told.read_text() and self._process.poll() is None:
            time.sleep(_PAUSE)

    def stop(self) -> list[str]:
        """The models that answered, in their order; an answer that was none of one model alone is an error here."""
        _, err = self._process.communicate(timeout=120)
        assert self._process.returncode == 0, err[-3_000:]
        return self._told.read_text().split()

    def close(self) -> None:
        """End the process, if it has not ended."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def ask(bundle: str, other: str, url: str) -> None:
    """Ask until standard input ends."""
    from embedkit.encoders.encoder import Encoder
    from embedkit.errors import CollectionMismatchError
    from embedkit.retrieval.searching import search
    from embedkit.stores.opening import open_store
    from helpers.killed import rows

    source = {row["id"]: row["text"] for row in rows(0)}
    asked = list(source.values())[::40]
    encoders = [Encoder.load(each, variant="fp32", threads=1, on_truncate="ignore") for each in (bundle, other)]
    expected = [
        {key: encoder.encode_query(asked) @ vector for key, vector in zip(source, vectors, strict=True)}
        for encoder in encoders
        for vectors in [encoder.encode_document(list(source.values()))]
    ]
    with open_store(url) as store:
        while not select.select([sys.stdin], [], [], 0)[0]:
            for encoder, right in zip(encoders, expected, strict=True):
                try:
                    answers = search(asked, encoder, store, collection="docs", k=len(source) + 1)
                except CollectionMismatchError:
                    continue  # the name leads to the other model's
                for number, hits in enumerate(answers):
                    assert {hit.id: hit.text for hit in hits} == source, "rows are missing, or are others"
                    assert len(hits) == len(source), "a row is there twice"
                    scores = np.array([[hit.score, right[hit.id][number]] for hit in hits])
                    assert np.abs(scores[:, 0] - scores[:, 1]).max() < 1e-4, "a score is another model's"
                print(encoder.fingerprint, flush=True)
            time.sleep(_PAUSE)


if __name__ == "__main__":
    ask(*sys.argv[1:])
