"""Checkpoints of the real transformers classes with a few random weights, and what their tests compare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from safetensors.torch import save_file

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


NORMED = ["gpt2", "llama", "mistral", "gemma3", "opt", "modernbert", "t5"]


def widen(model: Any) -> Any:
    """Random weights are tiny, which makes all vectors alike; norms of ones hide a norm that was left out."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


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


class Bomb:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.trace, "ran")


def saved(content: Any, path: Path) -> Path:
    torch.save(content, path)
    return path


def numbered(*keys: str) -> State:
    return {key: torch.tensor(float(n)) for n, key in enumerate(keys)}


def plain(state: State) -> dict[str, float]:
    return {key: float(tensor) for key, tensor in state.items()}


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


def adapter(folder: Path, base: Any, seed: int = 0, task: str | None = None, **options: Any) -> tuple[Path, Any]:
    import peft

    torch.manual_seed(seed)
    targets = options.pop("target_modules", ["query", "value", "output.dense"])
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=targets, init_lora_weights=False, **options)
    config.task_type = task
    model = peft.get_peft_model(base, config).eval()
    model.save_pretrained(folder)
    return folder, model
