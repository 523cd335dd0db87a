"""What every worker does alike."""

from __future__ import annotations

import pickle

import pytest

from embedkit.encoders.encoder import Encoder
from embedkit.errors import CollectionMismatchError, StoreError
from embedkit.ingestion.distributed.plan import Work, plan_run
from embedkit.stores.opening import open_store
from embedkit.testing.tiny import tiny_bundle


def test_a_plan_is_small_and_names_what_each_machine_would_choose(planned):
    made = planned()
    assert len(pickle.dumps(made)) < 8_000
    assert (made.variant, made.engine) == ("fp32", "onnxruntime")
    assert pickle.loads(pickle.dumps(made)) == made
    assert made.encoder().fingerprint == made.columns.space


def test_a_store_of_one_process_is_refused(bundle, tmp_path):
    with open_store("memory:x") as store, pytest.raises(StoreError, match="one process alone"):
        plan_run(Encoder.load(bundle), store, "docs", Work(), threads=1)


def test_a_collection_of_another_model_is_refused(planned, tmp_path):
    made = planned()
    with open_store(made.store) as store, pytest.raises(CollectionMismatchError):
        plan_run(Encoder.load(tiny_bundle(tmp_path / "b", seed=9)), store, "docs", Work(), threads=1)
