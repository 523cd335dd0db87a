"""A bundle by a stranger is refused by a BundleError, or works: nothing else leaves a load, `inspect` or `verify`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from embedkit import BundleError, Encoder, InputError
from embedkit.cli.entry import app
from embedkit.runtime.verification import verify
from embedkit.testing.tiny import tiny_bundle
from helpers import hostile_bundles, small_bundles

SEEDS = int(os.environ.get("EMBEDKIT_HOSTILE_BUNDLES", "6"))
"""Changed bundles of each kind."""


def inspect(folder: Path) -> object:
    return CliRunner().invoke(app, ["inspect", str(folder)], catch_exceptions=False, standalone_mode=False)


USES: dict[str, Callable[[Path], object]] = {"load": Encoder.load, "inspect": inspect, "verify": verify}
every_use = pytest.mark.parametrize("use", USES.values(), ids=USES)


@pytest.mark.parametrize("kind", hostile_bundles.KINDS)
def test_bundles_that_were_changed_anywhere(kind: str, tmp_path: Path) -> None:
    (tmp_path / "bases").mkdir()
    first = int(os.environ.get("EMBEDKIT_SEED", "0"))
    assert hostile_bundles.search(tmp_path, kind, first, SEEDS) == []


def base(manifest: dict[str, Any]) -> dict[str, Any]:
    tower: dict[str, Any] = manifest["towers"]["default"]
    return tower


WRONG: list[tuple[str, Callable[[dict[str, Any]], object]]] = [
    (r"towers\.default\.frontend: Expected `object`, got `null`, found null", lambda m: base(m).update(frontend=None)),
    (r"towers\.query\.frontend: Expected `object`, got `str`", lambda m: m["towers"]["query"].update(frontend="text")),
    (r"towers\.default\.inputs\.0\.name", lambda m: base(m)["inputs"][0].update(name="")),
    (r"towers\.default\.inputs\.0\.name: expected an input of", lambda m: base(m)["inputs"][0].update(name="tokens")),
    (r"towers\.default\.inputs\.1\.name: expected each", lambda m: base(m)["inputs"][1].update(name="input_ids")),
    (r"towers\.default\.inputs: expected all", lambda m: base(m)["inputs"].pop()),
    (r"towers\.default\.inputs\.0\.dtype", lambda m: base(m)["inputs"][0].update(dtype="int32")),
    (r"towers\.default\.inputs\.1\.source", lambda m: base(m)["inputs"][1].update(source="length")),
    (r"towers\.default\.inputs\.(1|attention_mask)\.source", lambda m: base(m)["inputs"][1].update(source="pixels")),
    (r"towers\.default\.inputs\.attention_mask\.source", lambda m: base(m)["inputs"][1].update(source="smells")),
    *(
        (
            rf"towers\.default\.frontend\.truncate\.max: .*{number}",
            lambda m, n=number: base(m)["frontend"]["truncate"].update(max=n),
        )
        for number in (0, 1, 2)
    ),
    *(
        (r"towers\.default\.frontend\.truncate\.max", lambda m, n=number: base(m)["frontend"]["truncate"].update(max=n))
        for number in (2**31, 2**63, 2**64, 10**400)
    ),
    *(
        (r"towers\.default\.frontend\.pad_id", lambda m, n=number: base(m)["frontend"].update(pad_id=n))
        for number in (259, 2**31, 2**32, 2**63 - 1, 2**63, 10**400)
    ),
    (r"towers\.default\.frontend\.pad: ", lambda m: base(m)["frontend"].update(pad="fixed:99999999999")),
    (r"towers\.default\.frontend\.tokenizer", lambda m: base(m)["frontend"].update(tokenizer="golden.npz")),
    (r"towers\.default\.frontend\.template", lambda m: base(m)["frontend"].update(template=[{"field": ""}])),
    (
        r"towers\.default\.outputs\.dense\.kind: expected one of a tensor with 2 axes",
        lambda m: (base(m)["outputs"]["dense"].update(kind="tokens"), m.update(scorers={})),
    ),
    (r"scorers\.main\.left: cosine", lambda m: base(m)["outputs"]["dense"].update(kind="sparse")),
    (r"scorers\.main\.left: cosine", lambda m: base(m)["outputs"]["dense"].update(kind="logits")),
    (
        r"golden\.npz: golden: vectors\.default",
        lambda m: (base(m)["outputs"]["dense"].update(kind="sparse"), m.update(scorers={})),
    ),
    (r"towers\.default\.outputs\.dense\.dim: expected 8", lambda m: base(m)["outputs"]["dense"].update(dim=7)),
    (r"towers\.default\.outputs\.dense\.top", lambda m: base(m)["outputs"]["dense"].update(top=3)),
    (r"towers\.default\.outputs\.dense\.labels", lambda m: base(m)["outputs"]["dense"].update(labels=list("abcdefgh"))),
    (r"towers\.default\.outputs\.dense\.matryoshka", lambda m: base(m)["outputs"]["dense"].update(matryoshka=[9])),
    (r"towers\.default\.outputs\.late", lambda m: base(m)["outputs"].update(late={"kind": "dense", "dim": 8})),
    (r"scorers\.main\.left: sparse_dot", lambda m: m["scorers"]["main"].update(fn="sparse_dot")),
    (r"towers\.query\.like: expected a tower", lambda m: m["towers"].update({"other": m["towers"].pop("default")})),
    (r"towers: a key", lambda m: m["towers"].update({"": m["towers"]["query"]})),
    (r"source\.name: expected valid Unicode", lambda m: m["source"].update(name="a\ud800")),
    (
        r"golden_cosine_min: expected a finite number",
        lambda m: base(m)["graph"]["variants"]["fp32"].update(golden_cosine_min=float("nan")),
    ),
    (r"tokenizer\.json: golden: ", lambda m: m.update(golden="tokenizer.json")),
]


@every_use
@pytest.mark.parametrize(("message", "change"), WRONG, ids=[f"{i} {message}" for i, (message, _) in enumerate(WRONG)])
def test_the_field_is_named(
    message: str, change: Callable[[dict[str, Any]], object], use: Callable[[Path], object], tmp_path: Path
) -> None:
    folder = tiny_bundle(tmp_path / "tiny", variants=("fp32",))

    hostile_bundles.renew(folder, change)
    with pytest.raises(BundleError, match=message):
        use(folder)


@every_use
@pytest.mark.parametrize(
    "raw", [b"", b"{", b"\xff\xfe\xfa", b'{"a": "\xff"}', b"null", b'{"version": "1.0"}', b"[" * 100_000]
)
def test_a_tokenizer_that_is_none(raw: bytes, use: Callable[[Path], object], tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path / "tiny", variants=("fp32",))
    (folder / "tokenizer.json").write_bytes(raw)
    hostile_bundles.renew(folder)
    with pytest.raises(BundleError, match=r"towers\.default\.frontend\.tokenizer: tokenizer\.json"):
        use(folder)


@every_use
def test_a_tokenizer_whose_library_ends_by_a_panic(use: Callable[[Path], object], tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path / "tiny", variants=("fp32",))
    settings = json.loads((folder / "tokenizer.json").read_text())
    settings["post_processor"]["special_tokens"] = {}
    (folder / "tokenizer.json").write_text(json.dumps(settings))
    hostile_bundles.renew(folder)
    with pytest.raises(BundleError, match=r"towers\.default\.frontend\.t"):
        use(folder)


@pytest.mark.parametrize("use", [Encoder.load, verify])
def test_token_ids_beyond_the_graph_s(use: Callable[[Path], object], tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path / "tiny", variants=("fp32",))
    text = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(text.replace("256", "70000"))
    hostile_bundles.renew(folder)
    with pytest.raises(BundleError, match=r"towers\.default\.graph: the graph cannot compute input_ids"):
        use(folder)


def test_what_is_longer_than_the_graph_reads_is_told_when_it_comes(tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path / "tiny", variants=("fp32",))
    hostile_bundles.renew(folder, lambda m: base(m)["frontend"]["truncate"].update(max=5000))
    encoder = Encoder.load(folder, engine="onnxruntime")
    with pytest.raises(InputError, match=r"text 1: .*towers\.default\.graph: .*truncate\.max"):
        encoder.encode(["y", "x" * 4000])


@pytest.mark.parametrize(
    "arrays",
    [
        {"texts": np.array([], dtype=str)},
        {"texts": np.array([1, 2])},
        {"vectors.default": np.zeros((6, 7), np.float32)},
        {"vectors.default": np.zeros((5, 8), np.float32)},
        {"vectors.default": np.full((6, 8), np.nan, np.float32)},
        {"vectors.default": None},
        {"vectors.query": np.array("x")},
        {"texts": None},
    ],
)
@every_use
def test_golden_values_of_another_form(arrays: dict[str, Any], use: Callable[[Path], object], tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path / "tiny", variants=("fp32",))
    with np.load(folder / "golden.npz") as data:
        given = {name: value for name, value in (dict(data) | arrays).items() if value is not None}
    np.savez(folder / "golden.npz", **given)
    hostile_bundles.renew(folder)
    with pytest.raises(BundleError, match=r"golden\.npz"):
        use(folder)


def test_a_head_for_pairs_of_another_form(tmp_path: Path) -> None:
    folder = small_bundles.with_pair_head(tmp_path / "head", small_bundles.eighths(16, 1))
    (folder / "pair.onnx").write_bytes((folder / "model.fp32.onnx").read_bytes())
    hostile_bundles.renew(folder)
    for name, use in USES.items():
        if name != "load":  # which does not read it
            with pytest.raises(BundleError, match=r"scorers\.pair\.graph: expected left and right"):
                use(folder)


def test_a_key_that_stands_twice(tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path / "tiny", variants=("fp32",))
    file = folder / "embedkit.json"
    file.write_text(file.read_text().replace('"source"', '"schema": 1, "source"', 1))
    with pytest.raises(BundleError, match="the key 'schema' stands twice"):
        Encoder.load(folder)
