"""Reading checkpoints, and operations on names and numbers; the references are transformers and numpy."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import save_file

from embedkit import ExportError
from embedkit_export.recipes.surgery import Surgery
from embedkit_export.sources import surgery
from embedkit_export.sources.weights import state_dicts as names
from helpers.checkpoints import (
    COMMON,
    Bomb,
    State,
    bert,
    checkpoint,
    numbered,
    plain,
    reference_slerp,
    same,
    saved,
)


@pytest.mark.parametrize("container", [None, "state_dict", "model", "model_state_dict", "model_dict"])
@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin"])
def test_files_of_torch(tmp_path: Path, container: str | None, suffix: str) -> None:
    state = bert().state_dict()
    content = {container: state, "epoch": 3, "optimizer": {"lr": 0.1}, "step": torch.tensor(4)} if container else state
    torch.save(content, tmp_path / f"best{suffix}")
    torch.save({"lr": 1.0}, tmp_path / "optimizer.pt")
    same(names.load_state(tmp_path / f"best{suffix}"), state)
    same(names.load_state(tmp_path), state)


def test_safetensors_before_pickles(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "model.safetensors")
    torch.save({"a": torch.zeros(2)}, tmp_path / "pytorch_model.bin")
    same(names.load_state(tmp_path), {"a": torch.ones(2)})


def test_nested_containers(tmp_path: Path) -> None:
    torch.save({"model": {"state_dict": {"a": torch.ones(2)}}}, tmp_path / "x.pt")
    same(names.load_state(tmp_path), {"a": torch.ones(2)})
    endless: dict[str, Any] = {"epoch": 1}
    endless["model"] = endless
    with pytest.raises(ExportError, match=r"expected tensors alone, found epoch \(int\), model \(dict\)"):
        names.load_state(saved(endless, tmp_path / "x.pt"))


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_shards(tmp_path: Path, file: str) -> None:
    state = bert().state_dict()
    stem, _, suffix = file.partition(".")
    keys = list(state)
    places = {key: f"{stem}-0000{1 + n % 3}-of-00003.{suffix}" for n, key in enumerate(keys)}
    for name in set(places.values()):
        part = {key: state[key].contiguous() for key in keys if places[key] == name}
        if suffix == "bin":
            torch.save(part, tmp_path / name)
        else:
            save_file(part, tmp_path / name)
    (tmp_path / f"{file}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    same(names.load_state(tmp_path), state)
    same(names.load_state(tmp_path / f"{file}.index.json"), state)


def test_shards_of_transformers(tmp_path: Path) -> None:
    model = bert(layers=3)
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    same(names.load_state(tmp_path), model.state_dict())


def test_bad_indices(tmp_path: Path) -> None:
    index = tmp_path / "folder" / "model.safetensors.index.json"
    index.parent.mkdir()
    save_file({"a": torch.ones(1)}, tmp_path / "outside.safetensors")
    save_file({"a": torch.ones(1)}, index.parent / "shard.safetensors")
    for places, message in [
        ({"a": "../outside.safetensors"}, "expected names of weight files"),
        ({"a": str(tmp_path / "outside.safetensors")}, "expected names of weight files"),
        ({"a": "gone.safetensors"}, "no such file"),
        ({"a": "model.safetensors.index.json"}, "expected names of weight files"),
        ({"a": "shard.safetensors", "b": "shard.safetensors"}, "the shards lack b"),
        ([], "not an index"),
        ({"a": 3}, "not an index"),
    ]:
        index.write_text(json.dumps({"weight_map": places}))
        with pytest.raises(ExportError, match=message):
            names.load_state(index.parent)
    index.write_text("{")
    with pytest.raises(ExportError, match="not an index"):
        names.load_state(index.parent)


def test_code_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    bomb = {"state_dict": {"a": torch.ones(1)}, "hook": Bomb(trace)}
    folder = checkpoint(tmp_path / "model", transformers.BertConfig(**COMMON))
    torch.save(bomb, folder / "pytorch_model.bin")
    for read in (lambda: names.load_state(folder), lambda: surgery.apply(folder, Surgery(select="a"))):
        with pytest.raises(ExportError, match="code in a pickle is never run.*safetensors"):
            read()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(bomb))
    with pytest.raises(ExportError, match="code in a pickle is never run"):
        names.load_state(folder)
    assert not trace.exists()
    torch.load(saved(bomb, tmp_path / "armed.pt"), weights_only=False)
    assert trace.exists(), "the bomb is a dud: this test shows nothing"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "expected a state dict, found list"),
        ({}, "expected a state dict"),
        ({"a": torch.ones(1), "b": "text"}, r"expected tensors alone, found b \(str\)"),
    ],
)
def test_files_without_weights(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(ExportError, match=message):
        names.load_state(saved(content, tmp_path / "x.pt"))


def test_broken_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="found none"):
        names.load_state(tmp_path)
    (tmp_path / "a.safetensors").write_bytes(b"\x00" * 40)
    with pytest.raises(ExportError, match="cannot be read"):
        names.load_state(tmp_path)
    (tmp_path / "b.pt").write_bytes(b"")
    with pytest.raises(ExportError, match="found a.safetensors, b.pt; name the file"):
        names.load_state(tmp_path)
    with pytest.raises(ExportError, match="cannot be read"):
        names.load_state(tmp_path / "b.pt")
    with pytest.raises(ExportError, match="no such file"):
        names.load_state(tmp_path / "c.pt")


def test_operations_on_names() -> None:
    state = numbered("q.a.w", "q.b", "k.a.w", "qq.a")
    kept = dict(state)
    assert plain(names.select(state, "q.")[0]) == plain(names.select(state, "q")[0]) == {"a.w": 0, "b": 1}
    assert plain(names.strip(state, "q")[0]) == {"a.w": 0, "b": 1, "k.a.w": 2, "qq.a": 3}
    assert plain(names.drop(state, "q")[0]) == {"k.a.w": 2, "qq.a": 3}
    assert plain(names.drop(state, "q.b")[0]) == {"q.a.w": 0, "k.a.w": 2, "qq.a": 3}
    assert plain(names.rename(state, {"q": "z.y"})[0]) == {"z.y.a.w": 0, "z.y.b": 1, "k.a.w": 2, "qq.a": 3}
    assert plain(names.rename(state, {"q": "k", "k": "q"})[0]) == {"k.a.w": 0, "k.b": 1, "q.a.w": 2, "qq.a": 3}
    assert plain(names.rename(state, {"a": "1", "a.w": "2"})[0]) == {"q.2": 0, "q.b": 1, "k.2": 2, "qq.1": 3}
    assert plain(names.rename(state, {"a": ""})[0]) == {"q.w": 0, "q.b": 1, "k.w": 2, "qq": 3}
    same(state, kept)
    assert names.select(state, "q")[1] == "select 'q': kept 2 of 4 weights"
    assert names.rename(state, {"a": "x"})[1] == "rename 'a' to 'x' in 3 weights"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: names.select(s, "q.a.w"), "select 'q.a.w': no weight has this whole part"),
        (lambda s: names.select(s, "encoder_q"), "no weight has this whole part.*the checkpoint has q, k, qq"),
        (lambda s: names.strip(s, "module"), "strip 'module'.*the checkpoint has q, k, qq"),
        (lambda s: names.drop(s, "head"), "drop 'head'.*the checkpoint has q, k, qq"),
        (lambda s: names.rename(s, {"a": "b", "mlp": "pooler"}), "rename 'mlp'.*the checkpoint has"),
        (lambda s: names.rename(s, {"q": "k"}), "the new name of k.a.w is the same as q.a.w"),
        (lambda s: names.rename(s, {"b": "", "q": ""}), "the new name of q.b is empty"),
        (lambda s: names.strip({**s, "a.w": s["q.b"]}, "q"), "the new name of a.w is the same as q.a.w"),
        (lambda s: names.select(s, "."), "expected a part of a weight's name"),
        (lambda s: names.drop(numbered("q.a", "q.b"), "q"), "leaves no weight"),
    ],
)
def test_operations_that_cannot_be(change: Callable[[State], Any], message: str) -> None:
    with pytest.raises(ExportError, match=message):
        change(numbered("q.a.w", "q.b", "k.a.w", "qq.a"))


@pytest.mark.parametrize("t", [0.5, 0.1, 0.8])
def test_slerp(t: float) -> None:
    random = np.random.default_rng(5)
    first = random.normal(size=(7, 5))
    pairs = {
        "far": (first, random.normal(size=(7, 5))),
        "near": (first, first + 0.2 * random.normal(size=(7, 5))),
        "parallel": (first, 1.5 * first + 0.001 * random.normal(size=(7, 5))),
        "opposite": (first, -2 * first),
        "vector": (random.normal(size=9), random.normal(size=9)),
    }
    cosine = np.cos(0.03)  # 0.99955, just over the bound; 0.0317 is 0.9995
    pairs["over"] = (np.array([1.0, 0]), np.array([cosine, np.sin(0.03)]))
    pairs["under"] = (np.array([1.0, 0]), np.array([np.cos(0.033), np.sin(0.033)]))
    states = [{key: torch.tensor(pair[n], dtype=torch.float64) for key, pair in pairs.items()} for n in (0, 1)]
    mixed, record = names.slerp(states[0], states[1], t)
    for key, (a, b) in pairs.items():
        np.testing.assert_allclose(mixed[key].numpy(), reference_slerp(a, b, t), rtol=1e-9, atol=1e-12, err_msg=key)
    assert record == f"slerp of 2 checkpoints, t = {t:g}: 7 weights, 3 of them linearly"


def test_slerp_of_zeros_and_halves() -> None:
    zero, one = {"a": torch.zeros(3)}, {"a": torch.tensor([1.0, 2.0, 2.0])}
    np.testing.assert_allclose(names.slerp(zero, one, 0.5)[0]["a"], np.array([1, 2, 2]) * np.sqrt(0.5), rtol=1e-6)
    halves = [{"a": torch.randn(8).to(torch.bfloat16)} for _ in range(2)]
    assert names.slerp(halves[0], halves[1], 0.5)[0]["a"].dtype == torch.float32


@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 5.0]])
def test_average(weights: list[float] | None) -> None:
    states = [{"a": torch.randn(4, 3), "n": torch.tensor([1, 2])} for _ in range(3)]
    mean, record = names.average(states, weights)
    expected = np.average([state["a"].double().numpy() for state in states], axis=0, weights=weights)
    np.testing.assert_allclose(mean["a"].numpy(), expected, rtol=1e-6)
    assert mean["n"].tolist() == [1, 2]
    assert "average of 3 checkpoints" in record


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"a": torch.ones(3), "b": torch.ones(1)}, r"differ in a \(2, 3\) and \(3,\)"),
        ({"a": torch.ones(2, 3)}, "differ in b; drop"),
        ({"a": torch.ones(2, 3), "b": torch.ones(1), "c": torch.ones(1)}, "differ in c; drop"),
        ({"a": torch.zeros(2, 3), "b": torch.zeros(1)}, "are equal"),
    ],
)
def test_checkpoints_that_do_not_match(other: State, message: str) -> None:
    first = {"a": torch.zeros(2, 3), "b": torch.zeros(1)}
    with pytest.raises(ExportError, match=message):
        names.slerp(first, other, 0.5)
    with pytest.raises(ExportError, match=message):
        names.average([first, other])
    with pytest.raises(ExportError, match="whole numbers"):
        names.average([{"n": torch.tensor([1])}, {"n": torch.tensor([2])}])
