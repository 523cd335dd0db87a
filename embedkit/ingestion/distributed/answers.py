"""What a worker gives back of a block: a few bytes of counts, each bad row, and where it is wanted each row's id and hash."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from embedkit.ingestion.pipeline.flow.flow import RowCounts
from embedkit.ingestion.rows.row import BadRow
from embedkit.system.extras import needed


@dataclass(slots=True)
class BlockCounts(RowCounts):
    """What became of the rows of a block, on which node (its name), and in how many seconds."""

    read: int = 0
    duplicates: int = 0
    truncated: int = 0
    seconds: float = 0.0
    node: str = ""

    def add(self, other: BlockCounts) -> None:
        """Add those of another block."""
        for name in ("read", "written", "unchanged", "removed", "encoded", "duplicates", "truncated"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.encode_seconds += other.encode_seconds
        self.seconds += other.seconds


@dataclass(slots=True)
class BlockAnswer:
    """Of one block."""

    counts: BlockCounts = field(default_factory=BlockCounts)
    dead: list[BadRow] = field(default_factory=list)
    rows: list[tuple[str, str]] = field(default_factory=list)
    """Ids and content hashes."""

    def table(self) -> Any:
        """As a table of Arrow, which engines hand on."""
        arrow = needed("pyarrow", "a distributed ingest", extra="parquet")
        lines: list[tuple[str, str, bytes]] = [("counts", "", pickle.dumps(self.counts))]
        lines += [("dead", "", pickle.dumps(row)) for row in self.dead]
        lines += [("row", row_id, digest.encode()) for row_id, digest in self.rows]
        kinds, ids, data = zip(*lines, strict=True)
        return arrow.table(
            {"kind": list(kinds), "id": list(ids), "data": list(data)},
            schema=arrow.schema({"kind": arrow.string(), "id": arrow.string(), "data": arrow.binary()}),
        )


Line: TypeAlias = "BlockCounts | BadRow | tuple[str, str]"


def answer_lines(table: Any) -> Iterator[Line]:
    """What tables of `BlockAnswer.table` say, in their order."""
    for kind, row_id, data in zip(*(table[name].to_pylist() for name in ("kind", "id", "data")), strict=True):
        yield (row_id, data.decode()) if kind == "row" else pickle.loads(data)
