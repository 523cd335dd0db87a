"""What runs in the processes of a cluster: the worker of a run, and the one actor that the workers of a run share."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import ray
from embedkit.errors import StoreError
from embedkit.ingestion.distributed.attempts import Tries
from embedkit.ingestion.distributed.block import BlockIngest
from embedkit.ingestion.distributed.plan import Plan
from embedkit.ingestion.distributed.preflight import NodeCheck, check_node

_NAMESPACE = "embedkit"
Packed = list[Any]
"""A reference to the packed bundle in the object store, in a list, so that Ray hands on the reference and not the bytes; empty where the
bundle is on a path that all nodes have."""


class RemoteAttempts:
    """`Attempts` of all workers of a run, in an actor."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def begin(self, rows: Sequence[bytes]) -> list[int]:
        """As `Attempts` says."""
        return list(ray.get(self._actor.begin.remote(rows)))

    def alone(self, row: bytes) -> int:
        """As `Attempts` says."""
        return int(ray.get(self._actor.alone.remote(row)))

    def end(self, rows: Sequence[bytes]) -> None:
        """As `Attempts` says."""
        ray.get(self._actor.end.remote(rows))


class RayWorker:
    """`BlockIngest` as a class for ``map_batches``."""

    def __init__(self, plan: Plan, packed: Packed, attempts: Any) -> None:
        self._block = BlockIngest(plan, fetch=fetching(packed), attempts=RemoteAttempts(attempts), node=node_name())

    def __call__(self, table: Any) -> Any:
        """A block of rows, taken to the collection."""
        return self._block(table)


@contextmanager
def lease(key: str, what: str) -> Iterator[Any]:
    """An actor with the attempts of a run, which is the only one of its ``key`` in the cluster, for the block, or until the driver ends.
    Raises `StoreError` where another run has it."""
    # On the driver's node and on no other, whose end would be that of the run; a process that ends there is begun again, and has forgotten
    # which rows were in hand.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    kind: Any = ray.remote(num_cpus=0, max_concurrency=1, max_restarts=-1, max_task_retries=-1)(Tries)
    try:
        actor = kind.options(name=f"lease-{key}", namespace=_NAMESPACE, scheduling_strategy=here).remote()
    except ValueError:
        raise StoreError(
            f"another ingest of this cluster writes to {what}; wait until it has ended, or stop it"
        ) from None
    try:
        yield actor
    finally:
        ray.kill(actor)


def check_nodes(plan: Plan, packed: Packed, *, num_cpus: float, num_gpus: float) -> list[NodeCheck]:
    """`check_node` on each node that has room for a worker, but those that leave the cluster meanwhile."""
    run: Any = ray.remote(num_cpus=0, max_retries=1)(_check_here)
    waiting = {
        node["NodeID"]: run.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(plan, packed, time.time())
        for node in ray.nodes()
        if node["Alive"]
        and node["Resources"].get("CPU", 0) >= max(num_cpus, 1e-9)
        and node["Resources"].get("GPU", 0) >= num_gpus
    }
    found = []
    for node_id, answer in waiting.items():
        try:
            found.append(ray.get(answer))
        except ray.exceptions.RayError as error:
            if any(node["NodeID"] == node_id and node["Alive"] for node in ray.nodes()):
                found.append(NodeCheck(node_id[:8], (f"it could not be looked at: {type(error).__name__}: {error}",)))
    return found  # without those that have left the cluster meanwhile


def fetching(packed: Packed) -> Callable[[], bytes] | None:
    """What gives the packed bundle, where there is one."""
    return (lambda: bytes(ray.get(packed[0]))) if packed else None


def node_name() -> str:
    """The machine's name with the beginning of Ray's, of which one machine may have several."""
    return f"{socket.gethostname()}-{ray.get_runtime_context().get_node_id()[:8]}"


def _check_here(plan: Plan, packed: Packed, now: float) -> NodeCheck:
    return check_node(plan, node_name(), now, fetching(packed))
