"""Whether a machine can take part in a run, found out before any row is read."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from embedkit.errors import EmbedkitError, WorkerError
from embedkit.runtime.selfcheck import agrees
from embedkit.system import cache

from .plan import Plan, versions

_LEAST_FREE = 1 << 28
_CLOCKS_APART = 300.0
"""Seconds: beyond these, services that are asked with signed requests refuse them."""


@dataclass(frozen=True, slots=True)
class NodeCheck:
    """What was found on a node; ``problems`` is empty where it can take part."""

    node: str
    problems: tuple[str, ...] = ()


def check_node(plan: Plan, node: str, now: float, fetch: Callable[[], bytes] | None = None) -> NodeCheck:
    """Look at this machine: versions, the bundle with its variant, its golden vectors, the store with the collection, the disk, and
    the clock, which the driver says is at ``now`` (seconds since 1970)."""
    here = versions()
    problems = [
        f"{name} is {found or 'not installed'}, and the driver has {plan.versions.get(name) or 'none'}"
        for name in sorted({*plan.versions, *here})
        if (found := here.get(name)) != plan.versions.get(name) and _matters(name, plan)
    ]
    if (apart := abs(time.time() - now)) > _CLOCKS_APART:
        problems.append(f"its clock is {apart:,.0f} seconds from the driver's")
    problems += _said("the bundle", lambda: _check_bundle(plan, fetch))
    problems += _said("the store", lambda: plan.opened()[0].close())
    problems += _said("the disk", _check_disk)
    return NodeCheck(node, tuple(problems))


def require_ready(found: Sequence[NodeCheck]) -> None:
    """Raise `WorkerError` with all problems of all nodes, unless each can take part."""
    lame = [check for check in found if check.problems]
    if not found:
        raise WorkerError(
            "the cluster has no node on which a worker of this size fits: ask for fewer CPUs or GPUs a worker"
        )
    if lame:
        told = "\n".join(f"  {check.node}: {problem}" for check in lame for problem in check.problems)
        raise WorkerError(f"{len(lame)} of {len(found)} nodes cannot take part, and nothing was written:\n{told}")


def _matters(name: str, plan: Plan) -> bool:
    return name not in ("onnxruntime", "openvino") or plan.engine.startswith(name)


def _said(what: str, check: Callable[[], None]) -> list[str]:
    try:
        check()
    except (EmbedkitError, OSError) as error:
        return [f"{what}: {error}"]
    except Exception as error:  # of a package that is broken there: the other nodes are to be told too
        return [f"{what}: {type(error).__name__}: {error}"]
    return []


def _check_bundle(plan: Plan, fetch: Callable[[], bytes] | None) -> None:
    encoder = plan.encoder(fetch)
    if not agrees(encoder.loaded, plan.variant):
        raise WorkerError(f"the variant {plan.variant} does not give its golden vectors there; name another one")


def _check_disk() -> None:
    place = cache.folder()
    place.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(place).free
    if free < _LEAST_FREE:
        raise OSError(f"{free:,} bytes are free in {place}, at least {_LEAST_FREE:,} are needed")
