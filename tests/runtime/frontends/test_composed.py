"""Items of several parts: what is one, what is refused, and that each part is prepared as it is by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedkit import BundleError, InputError
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
from embedkit.runtime.frontends.base import Unencodable
from embedkit.runtime.frontends.composed import ComposedModality
from embedkit.runtime.frontends.ids import IdsModality
from embedkit.runtime.frontends.image.modality import ImageModality
from helpers.pictures import drawn

IMAGE = ImageFrontend(size=[16, 16], steps=[Resize(size=[16], fit="shortest"), Crop(size=[16, 16])], slots=4)
IDS = IdsFrontend(size=50, max=6)
COLORS = Choice(field="color", values={"red": 3, "blue": 5}, default="blue")


def made(*, choice: bool = False, **parts: Any) -> ComposedModality:
    frontend = ComposedFrontend(parts=parts or {"image": IMAGE, "ids": IDS})
    inputs = [Input(name="n", dtype="int64", source="choice", choice=COLORS)] if choice else []
    return ComposedModality(frontend, inputs)


def opened(modality: ComposedModality) -> Any:
    return modality.open(lambda name: pytest.fail(name))


def items(count: int, seed: int = 0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    return [
        {"image": drawn(20 + i, 30, i), "ids": rng.integers(1, 50, rng.integers(1, 9)).tolist()} for i in range(count)
    ]


def test_each_part_is_what_it_is_by_itself_in_any_batch() -> None:
    modality = made()
    given = [modality.check(item, "x") for item in items(9)]
    alone = opened(ImageModality(IMAGE, []))
    rows: list[int] = []
    for batch in opened(modality).batches(given, 22, None):
        rows += batch.rows.tolist()
        tensors = batch.tensors(len(batch.rows) + 2)
        assert set(tensors) == {"image-pixels", *(f"ids-{s}" for s in ("ids", "mask", "pool_mask", "types", "length"))}
        assert all(len(tensor) == len(batch.rows) + 2 for tensor in tensors.values())
        for place, row in enumerate(batch.rows):
            (own,) = alone.batches([given[row]["image"]], 100, None)
            assert np.array_equal(tensors["image-pixels"][place], own.tensors(1)["pixels"][0])
            read = given[row]["ids"][-6:].tolist()
            assert tensors["ids-ids"][place, : len(read)].tolist() == read
            assert tensors["ids-mask"][place].sum() == tensors["ids-length"][place] == len(read)
            assert batch.truncated[place] == (len(given[row]["ids"]) > 6)
        assert batch.tokens == sum(4 + min(6, len(given[row]["ids"])) for row in batch.rows)
    assert sorted(rows) == list(range(9))


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        ({"image": Path("a.png")}, r"x: the part 'ids' is missing; expected the parts 'image', 'ids'"),
        ({"image": Path("a.png"), "ids": None}, "the part 'ids' is missing"),
        ({"image": Path("a.png"), "ids": [1], "text": "a"}, "expected the parts 'image', 'ids', found the part 'text'"),
        ({"image": "a.png", "ids": [1]}, "x, part 'image': a string is a text"),
        ({"image": Path("a.png"), "ids": [77]}, "x, part 'ids': expected ids from 0 to 49, found 77"),
        ("a cat", "expected a mapping with the parts 'image', 'ids', found list"),
        ([1], "found list"),
        (None, "found NoneType"),
    ],
)
def test_what_is_no_item_is_named(item: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        made().check(item, "x")


def test_fields_that_choose() -> None:
    modality = made(choice=True)
    picture = drawn(20, 20)
    given = [
        modality.check({"image": picture, "ids": [i + 1], **chosen}, "x")
        for i, chosen in enumerate([{"color": "red"}, {}, {"color": "blue"}])
    ]
    assert [item["color"] for item in given] == ["red", "blue", "blue"]
    assert modality.check(given[0], "x").keys() == given[0].keys(), "what was checked may be checked again"
    keys = {
        modality.key(modality.check({"image": picture, "ids": [1], "color": c}, "x")) for c in ("red", "blue", "red")
    }
    assert len(keys) == 2
    (batch,) = opened(modality).batches(given, 1000, None)
    assert batch.choice(modality.inputs[0], 3).tolist() == [(3, 5, 5)[row] for row in batch.rows]
    with pytest.raises(InputError, match="part 'color': expected one of red, blue, found 'green'"):
        modality.check({"image": picture, "ids": [1], "color": "green"}, "x")
    with pytest.raises(BundleError, match="that chooses to be no part"):
        ComposedModality(
            ComposedFrontend(parts={"color": IDS}), [Input(name="n", dtype="int64", source="choice", choice=COLORS)]
        )


def test_several_parts_of_a_kind() -> None:
    modality = made(left=IDS, right=IDS)
    given = [modality.check({"left": [1] * n, "right": [2] * (7 - n)}, "x") for n in range(1, 7)]
    (batch,) = opened(modality).batches(given, 1 << 20, None)
    tensors = batch.tensors(6)
    assert [tensors["left-length"][p] for p in np.argsort(batch.rows)] == [1, 2, 3, 4, 5, 6]
    assert [tensors["right-length"][p] for p in np.argsort(batch.rows)] == [6, 5, 4, 3, 2, 1]


def test_boxes_move_with_their_picture() -> None:
    modality = made(image=IMAGE, boxes=FeaturesFrontend(shape=["any", 4], boxes="image"))
    pixels = np.zeros((32, 64, 3), np.uint8)
    given = [modality.check({"image": pixels, "boxes": [[16, 0, 48, 32], [20, 4, 40, 20]]}, "x")]
    (batch,) = opened(modality).batches(given, 100, None)
    moved = [[0, 0, 16, 16], [2, 2, 12, 10]]
    assert batch.tensors(1)["boxes-features"][0].tolist() == moved
    arrays = modality.prepared(given)
    (restored,) = modality.restored(arrays)
    assert restored["boxes"].tolist() == moved
    (again,) = opened(modality).batches([restored], 100, None)
    assert again.tensors(1)["boxes-features"][0].tolist() == moved, "what was prepared is not moved again"
    lost = modality.check({"image": pixels, "boxes": [[0, 0, 8, 8]]}, "x")
    batches = opened(modality).batches([given[0], lost], 1 << 20, None)
    with pytest.raises(Unencodable, match="part 'boxes': box 0") as raised:
        for batch in batches:
            batch.tensors(len(batch.rows))
    assert batch.rows[raised.value.number] == 1


def test_a_part_that_cannot_be_prepared_names_its_item(tmp_path: Path) -> None:
    modality = made()
    (tmp_path / "a.png").write_bytes(b"no picture")
    given = items(3)
    given[1]["image"] = tmp_path / "a.png"
    checked = [modality.check(item, "x") for item in given]
    with pytest.raises(Unencodable, match="part 'image'.*no picture") as raised:
        for batch in opened(modality).batches(checked, 1000, None):
            batch.tensors(len(batch.rows))
    assert batch.rows[raised.value.number] == 1
    given[2]["ids"] = []
    with pytest.raises(Unencodable, match="part 'ids': it has no id") as raised:
        opened(modality).batches([modality.check(item, "x") for item in given], 1000, None)
    assert raised.value.number == 2


def test_json_and_rows_of_a_table_are_items() -> None:
    modality = made(choice=True)
    item = modality.fill('{"image": "a.png", "ids": "1 2", "color": "red"}')
    assert item == {"image": Path("a.png"), "ids": [1, 2], "color": "red"}
    row = modality.of_row("4 5", {"uri": "b.png", "color": "red", "other": 7})
    assert row == {"image": Path("b.png"), "ids": [4, 5], "color": "red"}
    assert modality.of_row("", {"image": "c.png", "ids": [3]}) == {"image": Path("c.png"), "ids": [3]}
    assert modality.is_item('{"a": 1}')
    assert not modality.is_item([{}])
    assert modality.claims({"image": 1})
    assert not modality.claims({"text": "a"})
    assert not modality.claims("a")


def test_golden_arrays_are_restored() -> None:
    modality = made(choice=True)
    given = [modality.check({**item, "color": "red"}, "x") for item in items(3)]
    arrays = modality.prepared(given)
    restored = modality.restored(arrays)
    assert [one["ids"].tolist() for one in restored] == [one["ids"].tolist() for one in given]
    assert [one["color"] for one in restored] == ["red"] * 3
    (batch,), (again,) = (opened(modality).batches(each, 1000, None) for each in (given, restored))
    first, second = batch.tensors(3), again.tensors(3)
    assert all(
        np.array_equal(first[name][np.argsort(batch.rows)], second[name][np.argsort(again.rows)]) for name in first
    )
    for name in ("color", "ids-item"):
        with pytest.raises(InputError, match="expected the part"):
            modality.restored({key: array for key, array in arrays.items() if key != name})
    with pytest.raises(InputError, match="as many of each part"):
        modality.restored({**arrays, "color": arrays["color"][:2]})


def test_ids_by_themselves_are_restored_too() -> None:
    modality = IdsModality(IDS, [])
    given = [modality.check([1, 2], "x"), modality.check([3], "x")]
    assert [one.tolist() for one in modality.restored(modality.prepared(given))] == [[1, 2], [3]]
    for broken in ({}, {"item": np.array(["{"])}):
        with pytest.raises(InputError, match="expected items in JSON"):
            modality.restored(broken)


def test_an_input_names_a_part_that_is_there() -> None:
    frontend = ComposedFrontend(parts={"ids": IDS})
    with pytest.raises(BundleError, match="expected one of ids, found 'image'"):
        ComposedModality(frontend, [Input(name="x", dtype="int64", source="ids", part="image")])
    with pytest.raises(BundleError, match="beside a frontend of the kind ids, found 'pixels'"):
        ComposedModality(frontend, [Input(name="x", dtype="uint8", source="pixels", part="ids")])
    with pytest.raises(BundleError, match="source: expected"):
        ComposedModality(frontend, [Input(name="x", dtype="int64", source="ids")])
