"""Whether a machine can take part."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from embedkit.errors import WorkerError
from embedkit.ingestion.distributed.preflight import NodeCheck, check_node, require_ready


def problem(plan, *, now=None):
    return "; ".join(check_node(plan, "n", time.time() if now is None else now).problems)


def test_what_is_well_has_no_problems(planned):
    assert check_node(planned(), "n", time.time()) == NodeCheck("n")


def test_each_problem_is_named(planned, tmp_path):
    made = planned()
    assert "numpy is" in problem(replace(made, versions={**made.versions, "numpy": "0.1"}))
    assert "found another" in problem(replace(made, bundle=replace(made.bundle, manifest_sha256="0" * 64)))
    assert "int4" in problem(replace(made, variant="int4"))
    assert "the store: " in problem(replace(made, collection="gone"))
    assert "clock" in problem(made, now=time.time() - 1000)


def test_all_nodes_are_told():
    require_ready([NodeCheck("a")])
    with pytest.raises(WorkerError, match="no node"):
        require_ready([])
    with pytest.raises(WorkerError, match="(?s)1 of 2 nodes.*b: the disk"):
        require_ready([NodeCheck("a"), NodeCheck("b", ("the disk: full",))])
