"""Which documents have the words of a query, ranked by BM25: the lexical side of a hybrid search."""

from __future__ import annotations

import bisect
import json
import logging
import os
import sys
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from embedkit.checks import check_id, check_text, items_of, path_of, positive
from embedkit.errors import DiskError, InputError, MissingExtraError, StaleIndexError
from embedkit.records.documents import Document, Hit, Record
from embedkit.stores.guarded import GuardedCollection, GuardedStore
from embedkit.stores.opening import opened
from embedkit.system.atomic import atomic_folder
from embedkit.system.extras import needed
from embedkit.system.renames import renamed
from embedkit.vectors.arrays import FloatArray

from .analyzer import cutter

if TYPE_CHECKING:
    from bm25s import BM25

_SCHEMA = 1
_DESCRIPTION, _IDS, _DIGESTS = "lexical.json", "ids.json", "digests.npy"


class LexicalIndex:
    """The words of n documents, made for BM25 (k1 = 1.5, b = 0.75, the idf of Lucene; Kamphuis et al. 2020) by bm25s.

    `build` makes it of a collection, `of` of documents, and `save` and `load` keep it in a folder, whose numbers are
    mapped into memory, not read. It cannot grow: where the collection changes, build it again. `require_current` and
    `require` tell when it must be; `embedkit.search` asks them.
    """

    def __init__(
        self,
        ids: Sequence[str],
        digests: npt.NDArray[np.uint64],
        bm25: BM25 | None,
        language: str | None,
        stopwords: Collection[str],
    ) -> None:
        """The parts of an index, ``ids`` rising; use `build`, `of` or `load`."""
        self._ids, self._digests, self._bm25 = ids, digests, bm25
        self.language, self.stopwords = language, tuple(sorted(stopwords))
        self._cut = cutter(language, stopwords)

    @classmethod
    def build(
        cls,
        store: GuardedStore | str,
        *,
        collection: str,
        language: str | None = None,
        stopwords: Collection[str] = (),
        progress: bool | None = False,
    ) -> LexicalIndex:
        """Of all rows of a collection, which are read once. ``progress`` None shows a bar on a terminal.

        ``language`` (``english``, ``german``, ...) takes words for equal whose stems are, and ``stopwords`` are left out:
        see `embedkit.retrieval.analyzer.cutter`. Raises `CollectionNotFoundError`, `MissingExtraError` without bm25s or the stemmer,
        and `InputError`.
        """
        with opened(store, make=False) as connection:
            rows = connection.open(collection)
            return cls.of(records_with_progress(rows, progress), language=language, stopwords=stopwords)

    @classmethod
    def of(
        cls, documents: Iterable[Document | Record], *, language: str | None = None, stopwords: Collection[str] = ()
    ) -> LexicalIndex:
        """Of documents or records with distinct ids; else as `build`."""
        cut, bm25s = cutter(language, stopwords), _bm25s()
        vocabulary: dict[str, int] = {}
        rows: list[tuple[str, int, array[int]]] = []
        for document in items_of("documents", documents, "document", ordered=False):
            if not (hasattr(document, "id") and hasattr(document, "text")):
                raise InputError(f"documents: expected documents or records, found {type(document).__name__}")
            check_id(document.id)
            words = cut(check_text(document.text, f"the text of {document.id!r}"))
            numbers = array("i", (vocabulary.setdefault(word, len(vocabulary)) for word in words))
            rows.append((document.id, _digest(document.text), numbers))
        rows.sort(key=lambda row: row[0])
        ids = [row_id for row_id, _, _ in rows]
        for one, next_one in pairwise(ids):
            if one == next_one:
                raise InputError(f"two documents have the id {one!r}: expected distinct ids")
        bm25 = None
        if vocabulary:
            bm25 = bm25s.BM25(k1=1.5, b=0.75, method="lucene", backend="numpy")
            bm25.index(([numbers for _, _, numbers in rows], vocabulary), create_empty_token=False, show_progress=False)
        return cls(ids, np.array([digest for _, digest, _ in rows], np.uint64), bm25, language, stopwords)

    def __len__(self) -> int:
        return len(self._ids)

    @renamed(questions="queries")
    def search(self, queries: Sequence[str], k: int, *, among: Collection[str] | None = None) -> list[dict[str, float]]:
        """For each query the scores of the ``k`` best documents by id, best first, equal scores by id; of all
        documents, or of those whose ids are ``among`` some. Only documents that have one of its words are found."""
        positive("k", k)
        allowed = None if among is None else np.array(sorted(self._places(among)), dtype=np.intp)
        return [self._best(query, k, allowed) for query in items_of("queries", queries)]

    def words(self, query: str, ids: Sequence[str]) -> dict[str, dict[str, float]]:
        """By the id of each document that is there what each word of a query (its stem) adds to its score; words that it has not are
        left out."""
        words = self._cut(check_text(query, "query"))
        out: dict[str, dict[str, float]] = {
            row_id: {} for row_id in ids if next(self._places([row_id]), None) is not None
        }
        places = list(self._places(out))
        for word, count in Counter(words).items():
            numbers = self._bm25.get_tokens_ids([word]) if self._bm25 is not None else []
            if not numbers:
                continue
            assert self._bm25 is not None
            scores: FloatArray = self._bm25.get_scores_from_ids(numbers)
            for row_id, place in zip(out, places, strict=True):
                if scores[place]:
                    out[row_id][word] = count * float(scores[place])
        return out

    def _best(self, query: str, k: int, allowed: npt.NDArray[np.intp] | None) -> dict[str, float]:
        words = self._cut(check_text(query, "query"))
        numbers = self._bm25.get_tokens_ids(words) if self._bm25 is not None else []
        if not numbers:
            return {}
        assert self._bm25 is not None
        scores: FloatArray = self._bm25.get_scores_from_ids(numbers)
        found = np.flatnonzero(scores > 0) if allowed is None else allowed[scores[allowed] > 0]
        if len(found) > k:
            least = np.partition(scores[found], len(found) - k)[len(found) - k]
            found = found[scores[found] >= least]
        best = found[np.argsort(-scores[found], kind="stable")][:k]  # the ids rise, so equal scores are by id
        return {self._ids[row]: float(scores[row]) for row in best}

    def _places(self, ids: Iterable[str]) -> Iterator[int]:
        for row_id in ids:
            place = bisect.bisect_left(self._ids, row_id)
            if place < len(self._ids) and self._ids[place] == row_id:
                yield place

    def require_count(self, rows: GuardedCollection) -> None:
        """Raise `StaleIndexError` unless the collection has as many rows as the index: quick, and notices most changes."""
        count = rows.count()
        if count != len(self):
            raise _stale(f"the collection {rows.info.name!r} has {count:,} rows, the index {len(self):,}")

    def require(self, rows: Iterable[Record | Hit]) -> None:
        """Raise `StaleIndexError` unless the index has each of these rows with this text."""
        for row in rows:
            place = next(self._places([row.id]), None)
            if place is None:
                raise _stale(f"the row {row.id!r} is not in the index")
            if self._digests[place] != _digest(row.text):
                raise _stale(f"the row {row.id!r} has another text than when the index was built")

    def require_current(self, rows: GuardedCollection, *, progress: bool | None = False) -> None:
        """Raise `StaleIndexError` unless the index has exactly the rows of the collection, which are all read, with their
        texts."""
        self.require_count(rows)
        self.require(records_with_progress(rows, progress))

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write to a folder, whole or not at all; an index there is replaced. Raises `InputError` where the folder holds
        something else, and `DiskError` where it cannot be written."""
        target = Path(path_of("folder", folder))
        if target.exists() and not (target / _DESCRIPTION).is_file() and (target.is_file() or any(target.iterdir())):
            raise InputError(
                f"{target}: expected a folder that is empty, or holds a lexical index, found something else; name another one"
            )
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_folder(target) as work:
                self._write(work)
        except OSError as error:
            raise DiskError(f"{target}: the lexical index cannot be written: {error.strerror}", error) from error

    def _write(self, folder: Path) -> None:
        description = {
            "schema": _SCHEMA,
            "count": len(self),
            "language": self.language,
            "stopwords": self.stopwords,
            "words": self._bm25 is not None,
        }
        (folder / _IDS).write_text(json.dumps(list(self._ids), ensure_ascii=False), encoding="utf-8")
        np.save(folder / _DIGESTS, self._digests, allow_pickle=False)
        if self._bm25 is not None:
            self._bm25.save(folder, show_progress=False)
        (folder / _DESCRIPTION).write_text(json.dumps(description), encoding="utf-8")

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> LexicalIndex:
        """What `save` wrote. Raises `InputError` where there is none, or it is damaged or of another schema, and
        `MissingExtraError` without bm25s."""
        source = Path(path_of("folder", folder))
        bm25s = _bm25s()
        if not (source / _DESCRIPTION).is_file():
            raise InputError(f"{source}: there is no lexical index; make one with LexicalIndex.build(...).save(folder)")
        try:
            told = json.loads((source / _DESCRIPTION).read_text(encoding="utf-8"))
            if told["schema"] != _SCHEMA:
                raise InputError(f"schema: expected {_SCHEMA}, found {told['schema']!r}")
            ids: list[str] = json.loads((source / _IDS).read_text(encoding="utf-8"))
            digests = np.load(source / _DIGESTS, allow_pickle=False)
            bm25 = bm25s.BM25.load(source, mmap=True, show_progress=False) if told["words"] else None
            if not len(ids) == len(digests) == told["count"] or digests.dtype != np.uint64:
                raise InputError(f"expected {told['count']} ids and digests, found {len(ids)} and {len(digests)}")
            if bm25 is not None:
                _check(bm25, len(ids))
            return cls(ids, digests, bm25, told["language"], told["stopwords"])
        except MissingExtraError:
            raise
        except Exception as error:
            raise InputError(f"{source}: the lexical index cannot be read ({error}); build it again") from error


def records_with_progress(rows: GuardedCollection, progress: bool | None) -> Iterator[Record]:
    """All records of a collection, with a bar."""
    with tqdm(unit="row", desc="words", disable=None if progress is None else not progress) as bar:
        if not bar.disable:
            bar.total = rows.count()
        for page in rows.pages():
            yield from page
            bar.update(len(page))


def _check(bm25: BM25, count: int) -> None:
    """Raise `InputError` where the numbers of a loaded index do not fit together."""
    data, rows, starts = (bm25.scores[name] for name in ("data", "indices", "indptr"))
    if bm25.scores["num_docs"] != count or starts[-1] != len(data) or len(data) != len(rows):
        raise InputError("the scores are not those of as many documents and words")
    if max(bm25.vocab_dict.values()) >= len(starts) - 1:
        raise InputError("the vocabulary has more words than the scores")


def _digest(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def _stale(what: str) -> StaleIndexError:
    return StaleIndexError(
        f"the lexical index is older than its collection: {what}; build it again, with LexicalIndex.build"
    )


def _bm25s() -> Any:
    new = "bm25s" not in sys.modules
    bm25s = needed("bm25s", "a lexical search", extra="lexical")
    if new:  # it asks for every message of its own, whatever the program's logging says
        logging.getLogger("bm25s").setLevel(logging.NOTSET)
    return bm25s
