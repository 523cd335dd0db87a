"""The account of a run: what all blocks say, added up."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from embedkit.ingestion.pipeline.report import IngestReport
from embedkit.ingestion.rows.ledger import Ledger
from embedkit.ingestion.rows.row import BadRow

from .answers import BlockCounts, answer_lines
from .letters import LetterBox


@dataclass(frozen=True, slots=True)
class DistributedReport(IngestReport):
    """An `embedkit.IngestReport` of all workers together. ``encode_seconds`` are theirs added up. ``duplicates`` are those within a
    block; ``conflicting`` rows repeat, in a sync, the id of a row of another block with other content, and which of them is stored is not
    known. ``nodes`` has by a node's name its rows, and its rows a second of its workers' time.

    Where a worker has ended and its block was tried again, rows that it wrote before count as ``unchanged``.
    """

    conflicting: int = 0
    nodes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def __str__(self) -> str:
        told = [IngestReport.__str__(self)]
        if self.conflicting:
            told.append(f"{self.conflicting:,} rows repeat an id with other content: give each its own")
        told += [
            f"node {name}: {about['rows']:,} rows, {about['rows_per_second']:,.0f} a second of its workers"
            for name, about in self.nodes.items()
        ]
        return "\n".join(told)


class Account:
    """Takes what workers give back; bad rows go to ``dead``, ids (in a sync) to ``ledger``."""

    def __init__(self, collection: str, dead: LetterBox, items: str) -> None:
        self.collection, self.dead, self.items = collection, dead, items
        self.counts, self.nodes = BlockCounts(), dict[str, BlockCounts]()
        self.ledger = Ledger()
        self.nameless = self.conflicting = self.deleted = 0
        self.started = time.perf_counter()

    def take(self, table: Any) -> int:
        """A table of answers; how many rows of the source it is about."""
        before = self.counts.read
        for line in answer_lines(table):
            if isinstance(line, BlockCounts):
                self.counts.add(line)
                self.nodes.setdefault(line.node, BlockCounts(node=line.node)).add(line)
            elif isinstance(line, BadRow):
                self._bury(line)
            else:
                first = self.ledger.claim(*line, "")
                self.conflicting += first is not None and first[0] != line[1]
        return self.counts.read - before

    def report(self) -> DistributedReport:
        """What was done until now."""
        counts = self.counts
        return DistributedReport(
            collection=self.collection,
            read=counts.read,
            written=counts.written,
            unchanged=counts.unchanged,
            duplicates=counts.duplicates,
            removed=counts.removed,
            deleted=self.deleted,
            dead=self.dead.count,
            encoded=counts.encoded,
            truncated=counts.truncated,
            seconds=time.perf_counter() - self.started,
            encode_seconds=counts.encode_seconds,
            dead_letters=str(self.dead.path) if self.dead.count else None,
            items=self.items,
            conflicting=self.conflicting,
            nodes={
                name: {"rows": found.read, "rows_per_second": round(found.read / max(found.seconds, 1e-9), 1)}
                for name, found in sorted(self.nodes.items())
            },
        )

    def close(self) -> None:
        """Write what is not written of the bad rows, and drop the ids."""
        self.dead.close()
        self.ledger.close()

    def _bury(self, row: BadRow) -> None:
        self.dead.add(row)
        if row.id:
            self.ledger.spare(row.id)
        else:
            self.nameless += 1
