"""What runs in the Python processes of executors: the worker of a run, made once in each."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as arrow

from embedkit.errors import EmbedkitError
from embedkit.ingestion.distributed.block import BlockIngest
from embedkit.ingestion.distributed.plan import Plan
from embedkit.ingestion.distributed.preflight import NodeCheck, check_node

from .driver_link import DriverLink

ANSWERS = "kind string, id string, data binary"
"""The columns of `embedkit.ingestion.distributed.answers`, as Spark writes them."""
CHECKS = "node string, problems array<string>"

_made: dict[str, BlockIngest] = {}


@dataclass(frozen=True, slots=True)
class SparkWorker:
    """For ``mapInArrow`` of one column, whose structs are the rows: blocks of at most ``rows``, taken to the collection. ``packed`` is a
    broadcast of the packed bundle, or None where that is on a path that all machines have."""

    plan: Plan
    packed: Any
    link: DriverLink
    rows: int

    def __call__(self, batches: Iterable[Any]) -> Iterator[Any]:
        """What became of the rows of each block."""
        try:
            block = self._block()
            for batch in batches:
                for start in range(0, batch.num_rows, self.rows):
                    rows = arrow.RecordBatch.from_struct_array(batch.column(0).slice(start, self.rows))
                    yield from block(arrow.Table.from_batches([rows])).to_batches()
        except EmbedkitError as error:
            self.link.tell(error)
            raise

    def _block(self) -> BlockIngest:
        """A Python process of an executor takes one task after the other, and holds the encoder meanwhile."""
        if self.plan.run_id not in _made:
            for old in _made.values():
                old.store.close()
            _made.clear()
            _made[self.plan.run_id] = BlockIngest(
                self.plan, fetch=fetching(self.packed), attempts=self.link, node=executor_name()
            )
        return _made[self.plan.run_id]


@dataclass(frozen=True, slots=True)
class NodeChecker:
    """For ``mapInArrow``: `check_node` where it runs, for each row of a table."""

    plan: Plan
    packed: Any
    now: float

    def __call__(self, batches: Iterable[Any]) -> Iterator[Any]:
        """A row for this machine."""
        if sum(batch.num_rows for batch in batches):
            found: NodeCheck = check_node(self.plan, executor_name(), self.now, fetching(self.packed))
            kinds = arrow.schema({"node": arrow.string(), "problems": arrow.list_(arrow.string())})
            columns = {"node": [found.node], "problems": [list(found.problems)]}
            yield from arrow.table(columns, schema=kinds).to_batches()


def fetching(packed: Any) -> Callable[[], bytes] | None:
    """What gives the packed bundle, where there is one."""
    return None if packed is None else lambda: bytes(packed.value)


def executor_name() -> str:
    """The machine's name with the executor's folder, of which one machine may have several."""
    return f"{socket.gethostname()}-{os.path.basename(os.getcwd())}"
