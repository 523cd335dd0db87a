"""The reference for the steps of a role of sounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from embedkit import ExportError
from embedkit.runtime.frontends.audio.modality import AudioModality
from embedkit_export.plan.plan import RolePlan
from embedkit_export.sources.media.extractors import of_extractor
from embedkit_export.verification.media.audio_reference import check_sound, given
from embedkit_export.verification.media.sounds import fixed
from helpers.audio_models import SINGLE, single


def planned(kind: str, folder: Path, **changes: Any) -> tuple[RolePlan, AudioModality]:
    found = of_extractor(single(kind)[1])
    audio = msgspec.structs.replace(found.audio, **changes)
    wave = audio.mel is None
    frontend = audio.frontend(
        file="frontend.npz", convolutions=[[10, 5]] if wave else [], batch="longest" if wave else "fixed"
    )
    modality = AudioModality(frontend, [])
    if not wave:
        np.savez(folder / "frontend.npz", **audio.mel.arrays(audio.rate))  # type: ignore[union-attr]
    modality.open(lambda name: folder / name)
    return RolePlan(frontend, "default", None, "", found.extractor, None, audio), modality


@pytest.mark.parametrize("kind", SINGLE)
def test_the_steps_are_the_extractors(kind: str, tmp_path: Path) -> None:
    role, modality = planned(kind, tmp_path)
    clips = fixed(role.frontend)  # type: ignore[arg-type]
    for item in (*clips.golden, *clips.hostile):
        check_sound("default", role, modality, item)
        theirs = given(role.frontend, role.processor, modality, item)  # type: ignore[arg-type]
        mine = given(role.frontend, None, modality, item)  # type: ignore[arg-type]
        assert list(theirs) == list(mine) == ["samples" if role.frontend.mel is None else "features"]  # type: ignore[union-attr]
        assert all(theirs[name].shape == mine[name].shape for name in mine)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("hubert", {"wave": "none"}),
        ("clap", {"fill": "zeros"}),
        ("whisper", {"fill": "repeat"}),
        ("ast", {"int16": True}),
    ],
)
def test_other_steps_are_told(kind: str, changes: dict[str, Any], tmp_path: Path) -> None:
    role, modality = planned(kind, tmp_path, **changes)
    clips = fixed(role.frontend)  # type: ignore[arg-type]
    with pytest.raises(ExportError, match=r"other numbers than \w+FeatureExtractor, by up to"):
        for item in (*clips.golden, *clips.hostile):
            check_sound("default", role, modality, item)
