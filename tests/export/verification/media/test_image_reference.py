"""The reference for the steps of a role."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from embedkit import ExportError
from embedkit_export.plan.plan import RolePlan
from embedkit_export.sources.media.processors import of_processor
from embedkit_export.verification.media.image_reference import check_pixels, pixel_values
from embedkit_export.verification.media.pictures import fixed
from helpers.image_models import SINGLE, single


def planned(kind: str, **changes: Any) -> RolePlan:
    found = of_processor(single(kind)[1])
    image = msgspec.structs.replace(found.image, **changes)
    return RolePlan(image.frontend(), "default", None, "", found.processor, image)


@pytest.mark.parametrize("kind", SINGLE)
def test_the_steps_are_the_processors(kind: str) -> None:
    role = planned(kind)
    for item in (*fixed().golden, *fixed().hostile):
        check_pixels("default", role, item)
    values = pixel_values(role.frontend, role.image, role.processor, fixed().golden[0])  # type: ignore[arg-type]
    assert values.shape == (1, 3, *role.frontend.size)  # type: ignore[union-attr]


@pytest.mark.parametrize("changes", [{"mean": [0.4, 0.5, 0.5]}, {"color": "BGR"}, {"scale": 1 / 256}])
def test_other_steps_are_told(changes: dict[str, Any]) -> None:
    with pytest.raises(ExportError, match="other pixels than ViTImageProcessorPil"):
        check_pixels("default", planned("vit", **changes), fixed().golden[0])
