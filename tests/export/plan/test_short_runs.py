"""What short runs of a module show."""

from __future__ import annotations

from pathlib import Path

import pytest

import embedkit_export
from embedkit import ExportError
from embedkit_export.plan.short_runs import picture_slots, short_run, width_of
from helpers.image_models import saved, single


def test_the_sizes_of_a_model_of_pictures(tmp_path: Path) -> None:
    plan = embedkit_export.prepare(saved(tmp_path, *single("vit"))).plan
    module = plan.graphs["default"].module
    assert width_of(module, "role default", 5, {}) == 32
    assert width_of(module, "role default", 5, {}, pooled=False) == 32
    assert picture_slots(module, module.backbone.image, "role default") == 17
    with pytest.raises(
        ExportError, match="role default: the model cannot be run as the recipe says, on black pictures"
    ):
        short_run(lambda given: given["nothing"], module, "role default", 5, {})
