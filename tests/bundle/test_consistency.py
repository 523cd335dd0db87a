"""Parts of a manifest that do not fit together; what else is wrong in one: tests/faults/test_hostile_bundles.py."""

from __future__ import annotations

import json
from typing import Any

import pytest

from embedkit import BundleError
from embedkit.bundle.consistency import check_values
from embedkit.bundle.validation import read_manifest


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [{"b": 2**63}]}, r"m: a\.0\.b: expected an integer of 64 bits, found one of 64"),
        ({"a": -(2**63)}, "m: a: expected an integer of 64 bits"),
        ({"a": float("-inf")}, "m: a: expected a finite number, found -inf"),
        (["\udfff"], "m: 0: expected valid Unicode"),
        ({"a": {"\ud800": 1}}, "m: a: a key: expected valid Unicode"),
    ],
)
def test_values_that_no_manifest_means(value: Any, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        check_values(value, "m")


def test_values_that_may_be() -> None:
    check_values({"é": [2**63 - 1, -1, 1e308, None, True, "😀", {}]}, "m")
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    check_values(deep, "m")
    while isinstance(deep, list):  # an end of a list in a list in a list takes the stack of C
        deep = deep.pop()


def manifest(**changes: Any) -> bytes:
    """Of a bundle whose questions are texts, whose items are pictures with boxes, and that reads both together."""
    quality = {"texts": 1, "max_abs": 0.0, "cosine_mean": 1.0, "cosine_min": 1.0, "top10_overlap": 1.0}

    def graph(name: str) -> Any:
        return {"variants": {"fp32": {"file": name, "quality": quality, "golden_cosine_min": 1.0}}}

    numbers = {"kind": "features", "shape": ["any", 4]}
    parts = {"image": {"kind": "image", "size": [8, 8]}, "boxes": {**numbers, "boxes": "image"}}
    items = {
        "frontend": {"kind": "composed", "parts": parts},
        "inputs": [
            {"name": "image", "dtype": "uint8", "source": "pixels", "part": "image"},
            {"name": "boxes", "dtype": "float32", "source": "features", "part": "boxes"},
        ],
        "graph": graph("items.onnx"),
        "outputs": {"regions": {"kind": "multivector", "dim": 4, "part": "boxes"}},
    }
    match = {
        "frontend": {"kind": "composed", "parts": {"ids": {"kind": "ids", "size": 9, "max": 3}, "regions": numbers}},
        "inputs": [
            {"name": "ids", "dtype": "int64", "source": "ids", "part": "ids"},
            {"name": "regions", "dtype": "float32", "source": "features", "part": "regions"},
        ],
        "graph": graph("match.onnx"),
        "outputs": {"match": {"kind": "logits", "dim": 1}},
    }
    whole: dict[str, Any] = {
        "schema": 2,
        "source": {"name": "x", "checkpoint_sha256": "0" * 64},
        "towers": {"default": items, "match": match},
        "scorers": {"main": {"fn": "maxsim", "left": "default.regions", "right": "default.regions"}},
        "files": {name: {"sha256": "0" * 64, "bytes": 1} for name in ("items.onnx", "match.onnx", "golden.npz")},
        "golden": "golden.npz",
        "fingerprint": "0" * 64,
        "cross": {"rerank": {"tower": "match", "takes": {"regions": "default.regions"}, "stored": "regions"}},
    }
    for place, value in changes.items():
        *steps, last = place.split("__")
        inner = whole
        for step in steps:
            inner = inner[int(step)] if isinstance(inner, list) else inner[step]
        inner[last] = value
    return json.dumps(whole).encode()


def test_parts_and_cross_graphs_fit() -> None:
    found = read_manifest(manifest(), "m")
    assert found.towers["default"].frontend.longest == 256 + 1024
    assert [entry.key for entry in found.towers["default"].inputs] == ["image-pixels", "boxes-features"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"towers__default__inputs__0__part": "picture"},
            "inputs.0.part: expected one of image, boxes, found 'picture'",
        ),
        (
            {"towers__default__outputs__regions__part": "x"},
            "outputs.regions.part: expected one of image, boxes, found 'x'",
        ),
        (
            {"towers__match__frontend": {"kind": "ids", "size": 9, "max": 3}},
            "expected none beside a frontend of the kind ids",
        ),
        ({"towers__default__frontend__parts__boxes__boxes": "x"}, "to name a part of the kind image, found 'x'"),
        ({"towers__default__frontend__parts__boxes__kind": "box"}, "frontend.parts.boxes.kind: expected one of"),
        ({"towers__default__frontend__parts__boxes__shape": [4, 5]}, r"expected the shape \[rows, 4\] of float32"),
        ({"towers__default__frontend__parts": {}}, "frontend.parts"),
        ({"towers__default__frontend__parts": 7}, "frontend.parts"),
        ({"towers__default__outputs__regions__grid": [2, 2]}, "`grid` beside the kind map"),
        ({"towers__match__outputs__match__count": 2}, "`count` and `part` of multivectors and tokens only"),
        (
            {"cross__rerank__tower": "other"},
            "cross.rerank.tower: expected a tower whose items have two parts, found 'other'",
        ),
        ({"cross__rerank__stored": "ids"}, "cross.rerank.stored: expected one of regions, found 'ids'"),
        ({"cross__rerank__takes": {"regions": "default.x"}}, "cross.rerank.takes.regions: expected TOWER.OUTPUT"),
        (
            {"towers__match__frontend__parts__regions__shape": ["any", 5]},
            "takes numbers of 4 a row, as 'default.regions' gives",
        ),
        ({"scorers__main__fn": "power"}, "`weights` beside the functions fused and power"),
    ],
)
def test_parts_that_do_not_fit_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        read_manifest(manifest(**changes), "m")


def test_a_part_is_not_composed_itself() -> None:
    inner = {"kind": "composed", "parts": {"a": {"kind": "composed", "parts": {}}}}
    with pytest.raises(BundleError, match="not composed themselves"):
        read_manifest(manifest(towers__default__frontend__parts={"image": inner}), "m")
