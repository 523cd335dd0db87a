"""Surgery on checkpoints of the real transformers classes; the references are those classes, peft, and numpy."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from embedkit import ExportError
from embedkit.errors import MissingExtraError
from embedkit_export.recipes.surgery import Average, Slerp, Surgery
from embedkit_export.sources import adapters, surgery
from embedkit_export.sources import state_dicts as names
from embedkit_export.sources.cut_layers import cut_layers
from helpers import models

State = dict[str, torch.Tensor]

COMMON = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_attention_heads": 2,
    "intermediate_size": 40,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
IDS = torch.tensor([[3, 9, 27, 41, 5, 2], [7, 11, 13, 2, 0, 0]])
MASK = (IDS != 0).long()


def widen(model: Any) -> Any:
    """Random weights are tiny, which makes all vectors alike; norms of ones hide a norm that was left out."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """So small models only wait for a second one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def bert(seed: int = 0, layers: int = 2, kind: Any = transformers.BertModel, **options: Any) -> Any:
    torch.manual_seed(seed)
    config = transformers.BertConfig(num_hidden_layers=layers, max_position_embeddings=32, **COMMON)
    return widen(kind(config, **options))


def family(name: str, layers: int = 4) -> Any:
    size = {**COMMON, "num_hidden_layers": layers}
    grouped = {**size, "num_key_value_heads": 1}
    torch.manual_seed(3)
    ends = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    made = {
        "bert": lambda: transformers.BertModel(transformers.BertConfig(**size)),
        "distilbert": lambda: transformers.DistilBertModel(
            transformers.DistilBertConfig(vocab_size=60, dim=32, n_layers=layers, n_heads=2, hidden_dim=40)
        ),
        "deberta": lambda: transformers.DebertaV2Model(
            transformers.DebertaV2Config(
                relative_attention=True, norm_rel_ebd="layer_norm", position_buckets=8, conv_kernel_size=3, **size
            )
        ),
        "gpt2": lambda: transformers.GPT2Model(
            transformers.GPT2Config(vocab_size=60, n_embd=32, n_layer=layers, n_head=2, n_positions=32, **ends)
        ),
        "llama": lambda: transformers.LlamaModel(transformers.LlamaConfig(**grouped)),
        "mistral": lambda: transformers.MistralModel(transformers.MistralConfig(sliding_window=4, **grouped)),
        "gemma3": lambda: transformers.Gemma3TextModel(
            transformers.Gemma3TextConfig(head_dim=16, sliding_window=4, sliding_window_pattern=2, **grouped)
        ),
        "opt": lambda: transformers.OPTModel(
            transformers.OPTConfig(
                vocab_size=60,
                hidden_size=32,
                word_embed_proj_dim=32,
                num_hidden_layers=layers,
                num_attention_heads=2,
                ffn_dim=40,
                **{**ends, "pad_token_id": 1},
            )
        ),
        "modernbert": lambda: transformers.ModernBertModel(
            transformers.ModernBertConfig(
                local_attention=4, global_attn_every_n_layers=2, cls_token_id=1, sep_token_id=2, **size
            )
        ),
        "t5": lambda: transformers.T5EncoderModel(
            transformers.T5Config(vocab_size=60, d_model=32, d_kv=16, d_ff=40, num_layers=layers, num_heads=2)
        ),
    }
    return widen(made[name]())


def hidden(model: Any) -> torch.Tensor:
    with torch.no_grad():
        output: torch.Tensor = model(input_ids=IDS, attention_mask=MASK).last_hidden_state
    return output


def checkpoint(folder: Path, config: Any, state: State | None = None, file: str = "model.safetensors") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(folder)
    if state is not None:
        state = {key: tensor.contiguous().clone() for key, tensor in state.items()}
        if file.endswith(".safetensors"):
            save_file(state, folder / file)
        else:
            torch.save(state, folder / file)
    return folder


def same(found: State, expected: State) -> None:
    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        torch.testing.assert_close(found[key], tensor, rtol=0, atol=0)


def under(prefix: str, state: State) -> State:
    return {prefix + key: tensor for key, tensor in state.items()}


# Reading


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
        names.load_state(_saved(endless, tmp_path / "x.pt"))


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


class Bomb:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.trace, "ran")


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
    torch.load(_saved(bomb, tmp_path / "armed.pt"), weights_only=False)
    assert trace.exists(), "the bomb is a dud: this test shows nothing"


def _saved(content: Any, path: Path) -> Path:
    torch.save(content, path)
    return path


def test_code_in_an_adapter_is_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    folder, _ = adapter(tmp_path / "adapter", bert())
    (folder / "adapter_model.safetensors").unlink()
    torch.save({"a": Bomb(trace)}, folder / "adapter_model.bin")
    with pytest.raises(ExportError, match="peft cannot merge"):
        adapters.merge(bert(), folder)
    assert not trace.exists()


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
        names.load_state(_saved(content, tmp_path / "x.pt"))


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


# Names


def numbered(*keys: str) -> State:
    return {key: torch.tensor(float(n)) for n, key in enumerate(keys)}


def plain(state: State) -> dict[str, float]:
    return {key: float(tensor) for key, tensor in state.items()}


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


# Mixing


def reference_slerp(a: NDArray[np.float64], b: NDArray[np.float64], t: float) -> NDArray[np.float64]:
    x, y = a / np.sqrt(np.vdot(a, a)), b / np.sqrt(np.vdot(b, b))
    cosine = np.vdot(x, y)
    if np.abs(cosine) > 0.9995:
        return np.asarray(a + t * (b - a))
    # The arc as a rotation in the plane of x and the axis across it, then told in terms of x and y.
    sine = np.linalg.norm(y - cosine * x)
    angle = np.arctan2(sine, cosine)
    share = np.sin(t * angle) / sine
    return np.asarray((np.cos(t * angle) - share * cosine) * a + share * b)


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


# Models


def test_two_towers(tmp_path: Path) -> None:
    question, context = bert(1), bert(2)
    both = under("question_encoder.", question.state_dict()) | under("ctx_encoder.", context.state_dict())
    folder = checkpoint(tmp_path / "dpr", question.config)
    torch.save({"model_dict": both, "epoch": 2}, folder / "biencoder.pt")
    for prefix, tower in (("question_encoder.", question), ("ctx_encoder", context)):
        model, records = surgery.apply(folder, Surgery(checkpoint="biencoder.pt", select=prefix))
        torch.testing.assert_close(hidden(model), hidden(tower), rtol=0, atol=0)
        assert records == [f"select {prefix!r}: kept {len(both) // 2} of {len(both)} weights"]
        assert not model.training
    with pytest.raises(
        ExportError, match='not in the checkpoint.*try select = "ctx_encoder" or select = "question_encoder"'
    ):
        surgery.apply(folder, Surgery(drop=["ctx_encoder.pooler"]))


def test_wrong_prefix(tmp_path: Path) -> None:
    model = bert()
    folder = checkpoint(tmp_path, model.config, under("encoder_q.", model.state_dict()))
    with pytest.raises(ExportError, match=r"select 'encoder\.q'.*has encoder_q.embeddings, encoder_q.encoder"):
        surgery.apply(folder, Surgery(select="encoder.q"))


def test_contriever(tmp_path: Path) -> None:
    model = bert()
    state = under("encoder_q.", model.state_dict()) | under("encoder_k.", bert(9).state_dict())
    folder = checkpoint(tmp_path, model.config, {**state, "queue": torch.ones(4, 4)}, "pytorch_model.bin")
    found, records = surgery.apply(folder, Surgery(strip=["encoder_q"], drop=["encoder_k"]))
    torch.testing.assert_close(hidden(found), hidden(model), rtol=0, atol=0)
    assert records[0].startswith("strip 'encoder_q': ")
    assert records[-1] == "load: left over, not in the model: queue"


@pytest.mark.parametrize("prefix", ["", "bert."])
def test_simcse(tmp_path: Path, prefix: str) -> None:
    """``mlp.dense`` beside the model, which SimCSE trains, is the pooler."""
    model = bert()
    state = {
        ("mlp" + key.removeprefix("pooler") if key.startswith("pooler") else prefix + key): tensor
        for key, tensor in model.state_dict().items()
    }
    folder = checkpoint(tmp_path, model.config, {**state, "mlp2.dense.weight": torch.zeros(2)})
    found, records = surgery.apply(folder, Surgery(rename={"mlp": "pooler"}))
    same(found.state_dict(), model.state_dict())
    assert records[0] == "rename 'mlp' to 'pooler' in 2 weights"
    assert records[-1].endswith("mlp2.dense.weight")
    missing, records = surgery.apply(folder, Surgery(drop=["mlp"]))
    assert "made at random, not to be used: pooler.dense.weight, pooler.dense.bias" in records[-1]
    torch.testing.assert_close(hidden(missing), hidden(model), rtol=0, atol=0)
    torch.manual_seed(71)
    again, _ = surgery.apply(folder, Surgery(drop=["mlp"]))
    drawn = torch.rand(3)
    torch.manual_seed(71)
    assert torch.equal(drawn, torch.rand(3)), "the random numbers of the caller were used up"
    same(again.state_dict(), missing.state_dict())


def test_base_prefix_and_heads(tmp_path: Path) -> None:
    """A model with a head, loaded without it, and a bare model, loaded below a head's prefix."""
    headed = bert(kind=transformers.BertForMaskedLM)
    headed.save_pretrained(tmp_path / "headed")
    found, records = surgery.apply(tmp_path / "headed", Surgery(drop=["cls"]))
    torch.testing.assert_close(hidden(found), hidden(headed.bert), rtol=0, atol=0)
    assert any("base prefix 'bert.'" in record for record in records)
    found, records = surgery.apply(tmp_path / "headed", Surgery(strip=["bert"]))
    assert any("left over, not in the model: cls.predictions.bias, " in record for record in records)

    bare = bert(kind=transformers.BertModel)
    bare.save_pretrained(tmp_path / "bare")
    kind = transformers.BertForSequenceClassification
    with pytest.raises(ExportError, match="2 weights of the model are not in the checkpoint: classifier"):
        surgery.apply(tmp_path / "bare", Surgery(), build=kind)
    state = {**bare.state_dict(), "head.weight": torch.ones(2, 32), "head.bias": torch.ones(2)}
    checkpoint(tmp_path / "bare", bare.config, state)
    found, _ = surgery.apply(tmp_path / "bare", Surgery(rename={"head": "classifier"}), build=kind)
    torch.testing.assert_close(hidden(found.bert), hidden(bare), rtol=0, atol=0)
    assert torch.equal(found.classifier.weight, torch.ones(2, 32))


def test_old_names_and_tied_weights(tmp_path: Path) -> None:
    model = bert()
    old = {
        "bert." + key.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for key, tensor in model.state_dict().items()
    }
    old["bert.embeddings.position_ids"] = torch.arange(32)[None]
    found, records = surgery.apply(checkpoint(tmp_path / "old", model.config, old), Surgery())
    same(found.state_dict(), model.state_dict())
    assert records[-1].endswith("bert.embeddings.position_ids")

    t5 = family("t5")
    t5.save_pretrained(tmp_path / "t5")
    assert len(load_file(tmp_path / "t5" / "model.safetensors")) < len(t5.state_dict())
    found, _ = surgery.apply(tmp_path / "t5", Surgery(), build=transformers.T5EncoderModel)
    torch.testing.assert_close(hidden(found), hidden(t5), rtol=0, atol=0)
    two = {**t5.state_dict(), "shared.weight": torch.zeros_like(t5.shared.weight)}
    checkpoint(tmp_path / "t5", t5.config, two)
    with pytest.raises(ExportError, match="ties encoder.embed_tokens.weight and shared.weight"):
        surgery.apply(tmp_path / "t5", Surgery(), build=transformers.T5EncoderModel)


def test_own_names_come_first() -> None:
    """A model that has a ``gamma`` of its own keeps it."""

    class Scaled(torch.nn.Module):
        base_model_prefix = "inner"

        def __init__(self) -> None:
            super().__init__()
            self.gamma = torch.nn.Parameter(torch.zeros(()))
            self.weight = torch.nn.Parameter(torch.zeros(()))

    state = numbered("inner.gamma", "inner.weight", "outer.gamma")
    fitted, records = surgery.fit(Scaled(), state)
    assert plain(fitted) == {"gamma": 0, "weight": 1}
    assert records[-1] == "load: left over, not in the model: outer.gamma"


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    model = bert()
    state = model.state_dict()
    folder = checkpoint(tmp_path, model.config, {**state, "bert.pooler.dense.bias": torch.ones(32)})
    with pytest.raises(ExportError, match=r"are both pooler.dense.bias of the model"):
        surgery.apply(folder, Surgery())
    checkpoint(tmp_path, model.config, {**state, "pooler.dense.bias": torch.ones(31)})
    with pytest.raises(ExportError, match=r"pooler.dense.bias: expected \(32,\), found \(31,\)"):
        surgery.apply(folder, Surgery())
    checkpoint(tmp_path, model.config, under("student.", state))
    with pytest.raises(ExportError, match="surgery: 39 weights of the model.* and 34 more.*; use|try"):
        surgery.apply(folder, Surgery())
    with pytest.raises(ExportError, match="expected a folder with config.json"):
        surgery.apply(tmp_path / "none", Surgery())


def test_slerp_and_average_of_folders(tmp_path: Path) -> None:
    """The second is stored with its head and another prefix, as a training run leaves it."""
    first, second = bert(1), bert(2, kind=transformers.BertForSequenceClassification)
    first.save_pretrained(tmp_path / "first")
    checkpoint(tmp_path / "second", second.config, under("module.", second.state_dict()))
    asked = msgspec.convert({"strip": ["module"], "slerp": {"with": "second", "t": 0.25}}, Surgery)
    with pytest.raises(ExportError, match="strip 'module'"):
        surgery.apply(tmp_path / "first", asked, root=tmp_path)
    checkpoint(tmp_path / "first", first.config, under("module.", first.state_dict()))
    model, records = surgery.apply(tmp_path / "first", asked, root=tmp_path)
    bases = second.bert.state_dict()
    for key, tensor in first.state_dict().items():
        expected = reference_slerp(tensor.double().numpy(), bases[key].double().numpy(), 0.25)
        np.testing.assert_allclose(model.state_dict()[key].numpy(), expected, rtol=1e-5, atol=1e-7)
    assert records[-2].startswith("second: load: left over, not in the model: ")
    assert records[-1] == "slerp of 2 checkpoints, t = 0.25: 39 weights, 0 of them linearly, with second"

    third = bert(3)
    third.save_pretrained(tmp_path / "third")
    asked = Surgery(strip=["module"], average=Average(others=["second", "third"], weights=[2, 1, 1]))
    model, records = surgery.apply(tmp_path / "first", asked, root=tmp_path)
    for key, tensor in first.state_dict().items():
        expected = (2 * tensor + bases[key] + third.state_dict()[key]) / 4
        torch.testing.assert_close(model.state_dict()[key], expected)
    assert records[-1] == "average of 3 checkpoints, 0.5 : 0.25 : 0.25, with second, third"


def test_checkpoints_in_half_precision(tmp_path: Path) -> None:
    model = bert().half()
    model.save_pretrained(tmp_path)
    found, _ = surgery.apply(tmp_path, Surgery())
    same(found.state_dict(), model.float().state_dict())
    found, _ = surgery.apply(tmp_path, Surgery(), build=lambda config: transformers.BertModel(config).half())
    same(found.state_dict(), model.state_dict())


# Adapters


def adapter(folder: Path, base: Any, seed: int = 0, task: str | None = None, **options: Any) -> tuple[Path, Any]:
    import peft

    torch.manual_seed(seed)
    targets = options.pop("target_modules", ["query", "value", "output.dense"])
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=targets, init_lora_weights=False, **options)
    config.task_type = task
    model = peft.get_peft_model(base, config).eval()
    model.save_pretrained(folder)
    return folder, model


def test_lora(tmp_path: Path) -> None:
    bert(1).save_pretrained(tmp_path / "base")
    _, tuned = adapter(tmp_path / "first", bert(1), seed=2)
    expected = hidden(tuned)
    model, records = surgery.apply(tmp_path / "base", Surgery(lora=["first"]), root=tmp_path)
    assert not torch.allclose(expected, hidden(bert(1)), atol=1e-2)
    torch.testing.assert_close(hidden(model), expected, rtol=1e-5, atol=1e-5)
    assert type(model) is transformers.BertModel
    assert not any("lora" in key for key in model.state_dict())
    assert records == ["lora first: merged 16 weights, LORA, r = 4"]

    _, tuned = adapter(tmp_path / "second", tuned.merge_and_unload(), seed=3, target_modules=["key"], use_rslora=True)
    expected = hidden(tuned)
    model, records = surgery.apply(tmp_path / "base", Surgery(lora=["first", "second"]), root=tmp_path)
    torch.testing.assert_close(hidden(model), expected, rtol=1e-5, atol=1e-5)
    assert len(records) == 2


def test_lora_of_a_headed_decoder(tmp_path: Path) -> None:
    """Trained on the language model, merged into the model without its head."""
    base = family("llama")
    language = transformers.LlamaForCausalLM(base.config)
    language.model.load_state_dict(base.state_dict())
    folder, tuned = adapter(tmp_path, language.eval(), task="CAUSAL_LM", target_modules=["q_proj", "down_proj"])
    expected = hidden(tuned.base_model.model.model)
    model, _ = adapters.merge(base, folder)
    torch.testing.assert_close(hidden(model), expected, rtol=1e-5, atol=1e-5)


def test_adapters_that_do_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _ = adapter(tmp_path / "deep", bert(layers=3))
    with pytest.raises(ExportError, match="lora deep: made for another model.*layer.2"):
        adapters.merge(bert(), folder)
    folder, _ = adapter(tmp_path / "shallow", bert(layers=1))
    with pytest.raises(ExportError, match="lora shallow: made for another model.*layer.1"):
        adapters.merge(bert(), folder)
    with pytest.raises(ExportError, match="lora shallow: peft cannot merge"):
        adapters.merge(family("llama"), folder)
    with pytest.raises(ExportError, match="expected a folder with adapter_config.json"):
        adapters.merge(bert(), "someone/adapter")
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtraError, match=r"'peft'.*pip install 'embedkit-onnx\[export\]'"):
        adapters.merge(bert(), folder)


# Layers

NORMED = ["gpt2", "llama", "mistral", "gemma3", "opt", "modernbert", "t5"]


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("name", ["bert", "distilbert", "deberta", *NORMED])
def test_layers(name: str, layers: int) -> None:
    whole = family(name)
    with torch.no_grad():
        expected = whole(input_ids=IDS, attention_mask=MASK, output_hidden_states=True).hidden_states[layers]
    cut = family(name)
    record = cut_layers(cut, layers)
    torch.testing.assert_close(hidden(cut), expected, rtol=0, atol=0)
    assert cut.config.num_hidden_layers == layers
    assert len(getattr(cut.config, "layer_types", None) or [0] * layers) == layers
    assert record.startswith(f"layers: kept the first {layers} of 4 (")
    assert record.endswith(" taken out") == (name in NORMED)
    # The config says what the model is: another model made of it takes the weights.
    fresh = type(cut)(type(cut.config).from_dict(cut.config.to_dict()))
    assert all("norm" in key or "ln_f" in key for key in fresh.state_dict().keys() ^ cut.state_dict().keys())


@pytest.mark.parametrize(
    ("name", "norm"),
    [
        ("gpt2", "ln_f"),
        ("llama", "norm"),
        ("mistral", "norm"),
        ("gemma3", "norm"),
        ("opt", "decoder.final_layer_norm"),
        ("modernbert", "final_norm"),
        ("t5", "encoder.final_layer_norm"),
    ],
)
def test_layers_with_the_final_norm(name: str, norm: str) -> None:
    whole = family(name)
    with torch.no_grad():
        states = whole(input_ids=IDS, attention_mask=MASK, output_hidden_states=True).hidden_states
        expected = whole.get_submodule(norm)(states[2])
    cut = family(name)
    record = cut_layers(cut, 2, final_norm=True)
    torch.testing.assert_close(hidden(cut), expected, rtol=0, atol=0)
    assert not torch.allclose(expected, states[2], atol=1e-2)
    assert record.endswith(f", final norm {norm} kept")


def test_layers_of_a_folder(tmp_path: Path) -> None:
    folder = models.save("bert", tmp_path / "bert", layers=3)
    whole = transformers.AutoModel.from_pretrained(folder)
    model, records = surgery.apply(folder, Surgery(layers=2))
    with torch.no_grad():
        expected = whole(input_ids=IDS, attention_mask=MASK, output_hidden_states=True).hidden_states[2]
    torch.testing.assert_close(hidden(model), expected, rtol=0, atol=0)
    assert records[-1] == "layers: kept the first 2 of 3 (encoder.layer)"


def test_layers_that_cannot_be_cut() -> None:
    for layers in (0, 4, 5):
        with pytest.raises(ExportError, match=f"expected 1 to 3 of the model's 4 layers, found {layers}"):
            cut_layers(family("bert"), layers)
    t5 = transformers.T5Model(family("t5").config)
    with pytest.raises(ExportError, match=r"found encoder.block, decoder.block; build an encoder"):
        cut_layers(t5, 2)
    albert = transformers.AlbertModel(transformers.AlbertConfig(embedding_size=8, num_hidden_layers=3, **COMMON))
    with pytest.raises(ExportError, match="found none"):
        cut_layers(albert, 2)
    with pytest.raises(ExportError, match="no norm follows the last layer"):
        cut_layers(family("bert"), 2, final_norm=True)
    with pytest.raises(ExportError, match="the model's config counts no layers"):
        cut_layers(torch.nn.Linear(2, 2), 1)


def test_a_model_that_uses_all_its_layers_is_refused() -> None:
    """One that mixes the layers' outputs: its first layers alone do not give its hidden states."""

    class Mixed(transformers.BertModel):  # type: ignore[misc]
        def forward(self, **inputs: Any) -> Any:
            output = super().forward(**inputs)
            output.last_hidden_state = torch.stack(output.hidden_states).mean(0)
            return output

    with pytest.raises(ExportError, match=r"Mixed cut to 2 layers does not give hidden_states\[2\]"):
        cut_layers(bert(layers=4, kind=Mixed), 2)


# The table of a recipe


def test_table() -> None:
    asked = msgspec.toml.decode(
        b"""
        select = "encoder_q"
        strip = ["module."]
        drop = ["cls"]
        layers = 2
        final_norm = true
        lora = ["adapters/a"]
        rename = { mlp = "pooler" }
        slerp = { with = "other", t = 0.5 }
        average = { with = ["b", "c"], weights = [2, 1, 1] }
        """,
        type=Surgery,
    )
    assert asked == Surgery(
        select="encoder_q",
        strip=["module."],
        drop=["cls"],
        layers=2,
        final_norm=True,
        lora=["adapters/a"],
        rename={"mlp": "pooler"},
        slerp=Slerp(other="other"),
        average=Average(others=["b", "c"], weights=[2.0, 1.0, 1.0]),
    )
    assert msgspec.to_builtins(Surgery(select="a", slerp=Slerp(other="b"))) == {"select": "a", "slerp": {"with": "b"}}
    for wrong in (
        {"selekt": "x"},
        {"final_norm": True},
        {"layers": 0},
        {"slerp": {"with": "a", "t": 1.5}},
        {"slerp": {"t": 0.5}},
        {"average": {"with": []}},
        {"average": {"with": ["a"], "weights": [1.0]}},
        {"average": {"with": ["a"], "weights": [1.0, -1.0]}},
    ):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, Surgery)
