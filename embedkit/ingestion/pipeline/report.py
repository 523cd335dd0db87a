"""What became of the rows of an ingest."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from embedkit.errors import StoreError


@dataclass(frozen=True, slots=True)
class IngestReport:
    """``read`` is the sum of ``written``, ``unchanged``, ``duplicates`` and ``dead`` where the run came to its end.

    ``written`` rows were acknowledged by the store; ``unchanged`` ones were there with the same content; ``duplicates``
    repeat an id of the same run with the same content; ``dead`` ones are in the file ``dead_letters``; ``deleted`` ones were
    stored, and a sync found them no longer in the source. ``removed`` rows of the collection were chunks that their sources
    have no more, or whole documents that are cut now. ``encoded`` counts distinct texts, of which ``truncated`` were longer
    than the model reads. Of the dead rows ``near_duplicates`` were left out because another row is nearly the same.
    ``items`` says what was encoded: texts, pictures, ...
    """

    collection: str
    read: int = 0
    written: int = 0
    unchanged: int = 0
    duplicates: int = 0
    deleted: int = 0
    dead: int = 0
    removed: int = 0
    encoded: int = 0
    truncated: int = 0
    seconds: float = 0.0
    encode_seconds: float = 0.0
    dead_letters: str | None = None
    items: str = "texts"
    near_duplicates: int = 0

    @property
    def documents_per_second(self) -> float:
        """Rows read, whatever became of them, by the second of the whole run."""
        return self.read / self.seconds if self.seconds else 0.0

    def to_json(self) -> str:
        """One JSON object on one line; without ``items`` where these are texts, and ``near_duplicates`` where there are none."""
        found = asdict(self) | {"documents_per_second": round(self.documents_per_second, 3)}
        for name, usual in (("items", "texts"), ("near_duplicates", 0)):
            if found[name] == usual:
                del found[name]
        return json.dumps(found)

    def __str__(self) -> str:
        lines = [
            f"collection {self.collection}: {self.read:,} read, {self.written:,} written, "
            f"{self.unchanged:,} unchanged, {self.duplicates:,} duplicates, {self.dead:,} not usable"
            + (f", {self.deleted:,} deleted" if self.deleted else ""),
            f"{self.encoded:,} {self.items} encoded in {self.encode_seconds:.1f} s; {self.seconds:.1f} s in all, "
            f"{self.documents_per_second:,.0f} documents/s",
        ]
        if self.near_duplicates:
            lines.append(f"{self.near_duplicates:,} of the unusable rows are nearly the same as another")
        if self.removed:
            lines.append(f"{self.removed:,} rows removed that their sources have no more")
        if self.truncated:
            lines.append(
                f"{self.truncated:,} {self.items} were longer than the model reads, and cut: split them into chunks"
            )
        if self.dead_letters:
            lines.append(f"rows that were not usable, with the reason of each: {self.dead_letters}")
        return "\n".join(lines)


def several(noun: str) -> str:
    """What items of a kind are called in a report, by what one is called in messages."""
    return {"image": "pictures"}.get(noun, f"{noun}s")


class IngestInterrupted(KeyboardInterrupt):
    """Ctrl-C stopped an ingest; ``report`` says what was done until then. What was written stays."""

    def __init__(self, report: IngestReport) -> None:
        self.report = report
        super().__init__(f"interrupted; {report.written:,} rows were written and stay: run again to go on")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.report,), self.__dict__


class IngestError(StoreError):
    """The store failed for good during an ingest; ``report`` says what was written before, ``__cause__`` why."""

    def __init__(self, message: str, report: IngestReport) -> None:
        self.report = report
        super().__init__(f"{message}; {report.written:,} rows were written and stay: run again to go on")
