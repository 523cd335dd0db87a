"""A collection as a dictionary: filters evaluated in Python, and scores by comparing all rows in double precision."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

import numpy as np

from embedkit.records.documents import Hit, Record, WriteResult
from embedkit.records.filters import Combine, Compare, Filter, Not
from embedkit.testing.samples import exact

from .operations import Ask, Count, Delete, DeleteWhere, Get, Hashes, Pages, Scan, Step, Upsert
from .rows import Row, Setting, dense, several, words

_ROUNDING = 2e-5
_OF_SINGLE = 5e-7
"""Of the largest product of a sum in single precision: what the sum may be off, however small it is."""


class Model:
    """What a collection must hold after what was done, and must answer."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.rows: dict[str, Row] = {}

    def check(self, step: Step, answer: Any) -> None:
        """Do it too; `AssertionError` where the answer is another one."""
        if isinstance(step, Upsert):
            self._written(step, answer)
        elif isinstance(step, Delete | DeleteWhere):
            gone = self.matching(step.filter) if isinstance(step, DeleteWhere) else {*step.ids} & {*self.rows}
            for row_id in gone:
                del self.rows[row_id]
            assert answer in (len(gone), None), f"deleted {len(gone)}, found {answer}"
        elif isinstance(step, Get):
            expected = [row_id for row_id in dict.fromkeys(step.ids) if row_id in self.rows]
            _same("ids", [record.id for record in answer], expected)
            for record in answer:
                self._check_record(record, [self.rows[record.id]], with_vectors=step.with_vectors)
        elif isinstance(step, Hashes):
            _same("hashes", answer, {i: self.rows[i].hash for i in step.ids if i in self.rows})
        elif isinstance(step, Count):
            _same("count", answer, len(self.matching(step.filter)))
        elif isinstance(step, Scan):
            self._scanned(step, answer)
        elif isinstance(step, Ask):
            _same("answers", len(answer), len(step.seeds))
            for seed, hits in zip(step.seeds, answer, strict=True):
                self._check_hits(step, seed, hits)

    def matching(self, expression: Filter | None) -> set[str]:
        """The ids of the rows that satisfy a filter."""
        return {row.id for row in self.rows.values() if expression is None or holds(expression, row.metadata)}

    def known(self) -> list[tuple[str, Any]]:
        """The fields of the rows that a filter can name, each with a value."""
        return [pair for row in self.rows.values() for pair in row.metadata.items() if pair[0]]

    def _written(self, step: Upsert, answer: WriteResult) -> None:
        refused = [row.id for row in step.rows if self._is_refused(row)]
        taken = {row.id: row for row in step.rows if not self._is_refused(row)}
        _same("refused", sorted(row.id for row in answer.failed), sorted(refused))
        _same("written", answer.written, len(taken))
        self.rows.update(taken)

    def _is_refused(self, row: Row) -> bool:
        kinds, longest = self.setting.kinds, self.setting.max_id_bytes
        return (
            not _is_keepable([row.text, row.metadata])
            or (longest is not None and len(row.id.encode()) > longest)
            or ("d" in kinds and self.setting.metric == "cosine" and not dense(row.seed).any())
            or ("m" in kinds and not len(several(row.seed)))
        )

    def _check_record(self, record: Record, allowed: Sequence[Row], *, with_vectors: bool = False) -> None:
        found = (record.text, exact(record.metadata), record.hash)
        versions = [(row.text, exact(_as_kept(row.metadata)), row.hash) for row in allowed]
        assert found in versions, f"row {record.id!r}: expected {versions}, found {found}"
        kinds, row = self.setting.kinds, allowed[0]
        if not with_vectors:
            _same("vectors", (record.vector, record.sparse, record.multivector), (None, None, None))
            return
        if "d" in kinds:
            assert record.vector is not None, f"row {record.id!r} has lost its vector"
            if self.setting.metric == "cosine":
                assert np.allclose(record.vector, _unit(dense(row.seed)), atol=1e-6), record.id
            else:
                assert np.array_equal(record.vector, dense(row.seed)), record.id
        if "s" in kinds:
            assert record.sparse is not None, f"row {record.id!r} has lost its words"
            indices, values = record.sparse[0]
            kept = dict(zip(indices.tolist(), values.tolist(), strict=True))
            _same("words", kept, words(row.seed, negative=self.setting.negative))
        if "m" in kinds:
            assert record.multivector is not None, f"row {record.id!r} has lost its tokens"
            assert np.array_equal(record.multivector, several(row.seed)), record.id

    def _scanned(self, step: Scan, answer: Pages) -> None:
        states = [dict(self.rows)]
        for change, what in answer.changes:
            self.check(change, what)
            states.append(dict(self.rows))
        times = Counter(record.id for page in answer.pages for record in page)
        for row_id in {row_id for state in states for row_id in state} | {*times}:
            versions = [state.get(row_id) for state in states]
            there = [row for row in versions if row is not None]
            fit = [row for row in there if step.filter is None or holds(step.filter, row.metadata)]
            least = int(len(fit) == len(states))
            # One that was deleted and written anew may come for the second time.
            most = 2 if len(there) < len(states) and fit else int(bool(fit))
            assert least <= times[row_id] <= most, (
                f"row {row_id!r}: came {times[row_id]} times, expected {least} to {most}"
            )
        for record in (record for page in answer.pages for record in page):
            self._check_record(record, [state[record.id] for state in states if record.id in state])

    def _check_hits(self, step: Ask, seed: int, hits: list[Hit]) -> None:
        scores = {i: self._score(step.kind, seed, self.rows[i]) for i in self.matching(step.filter)}
        if step.kind == "s":
            scores = {row_id: score for row_id, score in scores.items() if score}
        best = sorted(scores.values(), reverse=True)[: step.k]
        found = [hit.score for hit in hits]
        assert len({hit.id for hit in hits}) == len(hits), "a row came twice"
        assert {hit.id for hit in hits} <= scores.keys(), (
            f"not to be found: { ({hit.id for hit in hits} - scores.keys()) }"
        )
        _same("number of hits", len(hits), len(best))
        assert found == sorted(found, reverse=True), f"not best first: {found}"
        cancelled = self._cancelled(step.kind, seed, scores)
        for hit, nearest in zip(hits, best, strict=True):
            near = _ROUNDING * max(1.0, abs(nearest)) + cancelled
            assert abs(hit.score - nearest) <= near, f"{hit.id!r}: score {hit.score}, the best have {best}"
            assert abs(hit.score - scores[hit.id]) <= near, f"{hit.id!r}: score {hit.score}, is {scores[hit.id]}"
            row = self.rows[hit.id]
            _same(f"text of {hit.id!r}", hit.text, row.text)
            _same(f"metadata of {hit.id!r}", exact(hit.metadata), exact(_as_kept(row.metadata)))

    def _cancelled(self, kind: str, seed: int, rows: Iterable[str]) -> float:
        """What products of numbers far from 1 may be off where they cancel out."""
        if kind != "d" or self.setting.metric != "dot":
            return 0.0
        longest = max((float(np.linalg.norm(dense(self.rows[row_id].seed))) for row_id in rows), default=0.0)
        return _OF_SINGLE * float(np.linalg.norm(dense(seed, asked=True))) * longest

    def _score(self, kind: str, seed: int, row: Row) -> float:
        if kind == "s":
            asked, kept = (
                words(s, negative=self.setting.negative, asked=a) for s, a in ((seed, True), (row.seed, False))
            )
            return math.fsum(weight * kept.get(word, 0.0) for word, weight in asked.items())
        if kind == "m":
            pairs = several(seed, asked=True).astype(np.float64) @ several(row.seed).astype(np.float64).T
            return float(pairs.max(axis=1).sum())
        one, other = dense(seed, asked=True).astype(np.float64), dense(row.seed).astype(np.float64)
        if self.setting.metric == "euclidean":
            return -float(np.linalg.norm(one - other))
        return float(_unit(one) @ _unit(other)) if self.setting.metric == "cosine" else float(one @ other)


def holds(expression: Filter, metadata: dict[str, Any]) -> bool:
    """Whether a row's metadata satisfies a filter."""
    if isinstance(expression, Not):
        return not holds(expression.part, metadata)
    if isinstance(expression, Combine):
        found = [holds(part, metadata) for part in expression.parts]
        return all(found) if expression.op == "and" else any(found)
    assert isinstance(expression, Compare)
    there = expression.field in metadata
    kind, value = _seen(metadata[expression.field]) if there else ("absent", None)
    op, asked = expression.op, expression.value
    if op in ("exists", "none"):
        return there if op == "exists" else kind == "none"
    if op in ("==", "!=", "in", "not in"):
        listed = asked if isinstance(asked, tuple) else (asked,)
        equal = any(_seen(one) == (kind, value) for one in listed) and kind != "other"
        return equal == (op in ("==", "in"))
    if kind != _seen(asked)[0] or kind not in ("number", "text"):
        return False
    one, other = value, _seen(asked)[1]
    return bool({"<": one < other, "<=": one <= other, ">": one > other, ">=": one >= other}[op])


def _seen(value: Any) -> tuple[str, Any]:
    """A value as filters see it: its kind, and what is compared."""
    value = _as_kept(value)
    if value is None:
        return "none", None
    if isinstance(value, bool):
        return "bool", value
    if isinstance(value, str):
        return "text", value
    if isinstance(value, float) and math.isfinite(value):
        return "number", value
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return "number", value
    if isinstance(value, date):
        moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
        since = moment.replace(tzinfo=None) - datetime(1970, 1, 1)
        offset = moment.utcoffset()
        return "number", (since if offset is None else since - offset) // (datetime.resolution)
    return "other", None


def _as_kept(value: Any) -> Any:
    """A value as it comes back."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list | tuple):
        return [_as_kept(item) for item in value]
    if isinstance(value, dict):
        return {key: _as_kept(item) for key, item in value.items()}
    return value


def _is_keepable(value: Any) -> bool:
    if isinstance(value, str):
        return not any(0xD800 <= ord(character) <= 0xDFFF for character in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_keepable(key) and _is_keepable(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_keepable, value))
    return not isinstance(value, bytes | set | complex)


def _unit(vector: Any) -> Any:
    return np.asarray(vector, np.float64) / np.linalg.norm(np.asarray(vector, np.float64))


def _same(what: str, found: Any, expected: Any) -> None:
    assert found == expected, f"{what}: expected {expected!r:.2000}, found {found!r:.2000}"
