"""What is planned of a graph."""

from __future__ import annotations

from torch import nn

from embedkit.bundle.manifest import Output
from embedkit_export.modules.encoder_graph import EncoderGraph
from embedkit_export.plan.plan import GraphPlan


def test_the_pooled_vector_is_the_output_of_its_name() -> None:
    dense, words = Output(kind="dense", dim=4), Output(kind="sparse", dim=9)
    module = EncoderGraph(nn.Identity(), ["input_ids"], pools=[], stages=[])
    plan = GraphPlan(module, [], {"words": words, "dense": dense}, max_tokens=8, pad_id=0, config=None)
    assert plan.dense is dense
    assert GraphPlan(module, [], {"words": words}, max_tokens=8, pad_id=0, config=None).dense is None
