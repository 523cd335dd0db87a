"""Checks of further outputs, before anything is captured; what they give is tested by tests/export/test_systems_images.py."""

from __future__ import annotations

import pytest
import torch

from embedkit import ExportError, InputError
from embedkit_export.plan.outputs.further import check_alone, check_joins, check_scores
from embedkit_export.recipes.outputs import Dense, Tokens
from embedkit_export.recipes.recipe import Recipe, Role

TWO = {"second": {"kind": "dense", "stages": []}}


def test_joins_are_of_dense_outputs() -> None:
    check_joins({"second": Dense(), "both": Dense(joins={"dense": 1.0, "second": 2.0})}, dense=True)
    for outputs, dense in (
        ({"both": Dense(joins={"dense": 1.0})}, False),
        ({"both": Dense(joins={"third": 1.0})}, True),
        ({"t": Tokens(), "both": Dense(joins={"t": 1.0})}, True),
        ({"a": Dense(joins={"dense": 1.0}), "both": Dense(joins={"a": 1.0})}, True),
    ):
        with pytest.raises(InputError, match="joins: expected dense outputs"):
            check_joins(outputs, dense=dense)


@pytest.mark.parametrize(
    ("recipe", "problem"),
    [
        (Recipe(fused={"second": 1.0}), "fused: expected outputs"),
        (Recipe(fused={"dense": 1.0}, dense=False, outputs=TWO), "fused: expected outputs"),
        (Recipe(fused={"t": 1.0}, outputs={"t": {"kind": "tokens"}}), "fused: expected outputs"),
        (Recipe(fused={"second": 1.0}, roles={"query": Role(outputs=TWO)}), "fused: expected outputs"),
        (Recipe(prompts={"two": ["no place"]}), "prompts: two: expected texts with one"),
        (Recipe(prompts={"two": []}), "prompts: two"),
    ],
)
def test_scores_and_prompts(recipe: Recipe, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        check_scores(recipe)


def test_scores_of_outputs_that_are_compared() -> None:
    check_scores(Recipe(fused={"dense": 1.0, "second": 2.0}, outputs=TWO, prompts={"two": ["a {}."]}))


def test_batch_normalisation() -> None:
    pictures = torch.randn(3, 3, 4, 4)
    layer = torch.nn.Sequential(torch.nn.BatchNorm2d(3)).eval()
    check_alone(layer, pictures, "role default")
    for wrong in (layer.train(), torch.nn.Sequential(torch.nn.BatchNorm2d(3, track_running_stats=False)).eval()):
        with pytest.raises(ExportError, match="BatchNorm2d '0' uses statistics of the batch"):
            check_alone(wrong, pictures, "role default")


def test_a_function_of_the_batch() -> None:
    class Centred(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x - x.mean(dim=0)

    with pytest.raises(ExportError, match="depend on its neighbours"):
        check_alone(Centred(), torch.randn(3, 4), "role default")
