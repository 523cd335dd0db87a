"""What the workers of a run share."""

from __future__ import annotations

import os
import signal

import pytest

pytestmark = pytest.mark.ray


def test_attempts_outlive_a_worker_and_nodes_have_names(cluster):
    from embedkit.ray.worker import RemoteAttempts, fetching, lease, node_name

    with lease("some key", "it") as actor:
        assert [RemoteAttempts(actor).begin([b"a"]) for _ in range(2)] == [[0], [1]]
        assert RemoteAttempts(actor).alone(b"a") == 1
        RemoteAttempts(actor).end([b"a"])
        assert RemoteAttempts(actor).begin([b"a"]) == [0]
    assert fetching([]) is None
    assert node_name().count("-") >= 1


def test_the_actor_of_a_run_is_on_the_drivers_node_and_outlives_its_process(cluster):
    from ray._private.state import actors

    import ray
    from embedkit.ray.worker import RemoteAttempts, lease

    with lease("another key", "it") as actor:
        attempts = RemoteAttempts(actor)
        assert attempts.begin([b"a"]) == [0]
        found = actors(actor._actor_id.hex())
        assert found["Address"]["NodeID"] == ray.get_runtime_context().get_node_id()
        os.kill(found["Pid"], signal.SIGKILL)
        assert attempts.begin([b"a"]) == [0]
        assert attempts.begin([b"a"]) == [1]


def test_a_packed_bundle_is_fetched_from_the_object_store(cluster):
    import ray
    from embedkit.ray.worker import fetching

    fetch = fetching([ray.put(b"packed")])
    assert fetch is not None
    assert fetch() == b"packed"
