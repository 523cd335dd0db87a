"""Items that an export of several parts is judged on."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from embedkit import InputError
from embedkit.bundle.manifest import (
    Choice,
    ComposedFrontend,
    Crop,
    FeaturesFrontend,
    IdsFrontend,
    ImageFrontend,
    Input,
    Resize,
)
from embedkit.runtime.frontends.composed import ComposedModality
from embedkit_export.verification.media.composed import fixed, golden_arrays, sample
from helpers.pictures import folder

IMAGE = ImageFrontend(size=[8, 8], steps=[Resize(size=[8, 8])])
FRONTEND = ComposedFrontend(
    parts={
        "image": IMAGE,
        "ids": IdsFrontend(size=30, max=5),
        "boxes": FeaturesFrontend(shape=["any", 4], boxes="image"),
        "vector": FeaturesFrontend(shape=[3]),
        "counts": FeaturesFrontend(shape=[2, 3], dtype="uint8"),
    }
)
CHOICE = Choice(field="color", values={"red": 0, "blue": 1})
INPUTS = [Input(name="color", dtype="int64", source="choice", choice=CHOICE)]


def test_all_of_them_are_items_and_always_the_same() -> None:
    modality = ComposedModality(FRONTEND, INPUTS)
    found = fixed(FRONTEND, INPUTS)
    drawn = sample(FRONTEND, INPUTS, None)
    for item in (*found.golden, *found.hostile, *drawn.texts):
        modality.check(item, "x")
    assert {item["color"] for item in found.golden} == {"red", "blue"}
    again = fixed(FRONTEND, INPUTS)
    for one, other in zip(found.golden, again.golden, strict=True):
        assert modality.key(modality.check(one, "x")) == modality.key(modality.check(other, "x"))
    arrays = golden_arrays("query", modality, found.golden)
    given = {name: array for name, array in arrays.items() if name.startswith("input.")}
    assert {len(array) for array in given.values()} == {len(found.golden)}
    assert "input.image-pixels.query" in given


def test_files_show_how_pictures_and_what_follows_them_are_prepared() -> None:
    modality = ComposedModality(FRONTEND, INPUTS)
    items = fixed(FRONTEND, INPUTS).golden
    arrays = golden_arrays("query", modality, items)
    other = msgspec.structs.replace(IMAGE, steps=[Crop(size=[8, 8])])
    changed = ComposedModality(ComposedFrontend(parts={**FRONTEND.parts, "image": other}), INPUTS)
    for number in range(2):
        data = arrays[f"file.{number}.query"].tobytes()
        again = modality.check(modality.of_file(data), "x")
        assert modality.key(again) == modality.key(modality.check(items[number], "x"))
        numbers = {"image-pixels", "boxes-features", "vector-features", "counts-features"}
        assert numbers <= {
            name.split(".")[2] for name in arrays if name.startswith(f"file.{number}.") and name.count(".") == 3
        }
        for source in numbers:
            expected = arrays[f"file.{number}.{source}.query"]
            assert np.array_equal(modality.prepared([again])[source][0], expected)
            # Neg: where pictures are prepared otherwise, they and the boxes in them are others.
            same = np.array_equal(changed.prepared([again])[source][0], expected)
            assert same == (source in ("vector-features", "counts-features"))
    for bad in (b"", b"[]", b'{"files": {"other": ""}, "values": {}}', b'{"files": {"image": 3}, "values": {}}'):
        with pytest.raises(InputError, match="expected an item of the parts image, ids"):
            modality.of_file(bad)


def test_numbers_alone_are_drawn() -> None:
    frontend = FeaturesFrontend(shape=["any", 4], max=6)
    assert all(1 <= len(item) <= 6 for item in sample(frontend, [], None).texts)
    assert all(item.shape == (4,) for item in fixed(FeaturesFrontend(shape=[4]), []).golden)


def test_a_file_names_pictures_beside_it(tmp_path: Path) -> None:
    folder(tmp_path / "photos", 3)
    frontend = ComposedFrontend(parts={"image": IMAGE, "vector": FeaturesFrontend(shape=[2])})
    file = tmp_path / "items.jsonl"
    rows = [
        {"image": f"photos/{path.name}", "vector": [i, 1]}
        for i, path in enumerate(sorted((tmp_path / "photos").iterdir()))
    ]
    file.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    found = sample(frontend, [], file)
    assert (found.name, len(found.texts)) == ("items.jsonl", 3)
    assert all(item["image"].is_file() for item in found.texts)
    assert sorted(float(item["vector"][0]) for item in found.texts) == [0.0, 1.0, 2.0]
    assert np.asarray(found.texts[0]["vector"]).dtype == np.float32
    for text, problem in (
        ("{", "line 1: not valid JSON"),
        ("[1]", "line 1: expected an object with image, vector"),
        (json.dumps(rows[0]), "at least two items, found 1"),
        ('{"image": "a.png"}', "line 1: the part 'vector' is missing"),
    ):
        file.write_text(text)
        with pytest.raises(InputError, match=problem):
            sample(frontend, [], file)
    with pytest.raises(InputError, match="expected none for a role that reads numbers"):
        sample(FeaturesFrontend(shape=[2]), [], file)
