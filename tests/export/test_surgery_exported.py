"""Surgery through the whole export: the bundle's vectors against transformers, of checkpoints put together by hand."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling

from embedkit import ExportError
from embedkit_export import Recipe, Surgery, prepare
from helpers import models, systems
from helpers.systems import TEXTS, agree

State = dict[str, torch.Tensor]


def under(prefix: str, state: State) -> State:
    return {f"{prefix}.{key}": tensor for key, tensor in state.items()}


def checkpoint(folder: Path, model: Any, tokenizer: Any, state: State, file: str = "model.safetensors") -> Path:
    """A folder whose config.json names no class: as a trainer of its own leaves it."""
    folder.mkdir(parents=True)
    model.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    state = {key: tensor.clone().contiguous() for key, tensor in state.items()}
    if file.endswith(".safetensors"):
        save_file(state, folder / file)
    else:
        torch.save({"state_dict": state, "epoch": 3}, folder / file)
    return folder


def hidden(model: Any, tokenizer: Any, text: str, limit: int, layer: int = -1) -> torch.Tensor:
    batch = tokenizer(text, truncation=True, max_length=limit, return_tensors="pt")
    given = {name: batch[name] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        out = model(**given, output_hidden_states=True)
    states: torch.Tensor = (out.last_hidden_state if layer == -1 else out.hidden_states[layer])[0]
    return states


def test_a_student_out_of_a_checkpoint_of_two_with_other_names(tmp_path: Path) -> None:
    model, tokenizer = models.make("modernbert", hidden=48, layers=5, num_attention_heads=3)
    renamed = {
        key.replace("layers.", "blocks.").replace("attn.", "attention."): tensor
        for key, tensor in model.state_dict().items()
    }
    state = {**under("student.encoder", renamed), **under("teacher", renamed), "head.weight": torch.ones(3, 4)}
    folder = checkpoint(tmp_path / "model", model, tokenizer, state, "best.ckpt")
    recipe = """
        max_tokens = 45
        [surgery]
        checkpoint = "best.ckpt"
        select = "student.encoder"
        rename = { blocks = "layers", attention = "attn" }
        layers = 3
    """
    encoder = systems.export(folder, recipe, tmp_path)
    agree(encoder, TEXTS, torch.stack([hidden(model, tokenizer, text, 45, 3).mean(0) for text in TEXTS]))


@pytest.mark.slow
def test_two_towers_of_an_encoder_decoder_and_their_projection(tmp_path: Path) -> None:
    """Nothing in config.json says that there is no decoder."""
    (query, tokenizer), (document, _) = (models.make("t5", hidden=40, seed=seed) for seed in (1, 2))
    matrix = torch.randn(24, 40, generator=torch.Generator().manual_seed(0))
    towers = {**under("q_tower", query.state_dict()), **under("d_tower", document.state_dict())}
    folder = checkpoint(tmp_path / "model", query, tokenizer, {**towers, "proj.weight": matrix})
    recipe = """
        similarity = "dot"
        pooling = "first"
        stages = [{ kind = "linear", weights = "checkpoint:proj" }]
        [surgery]
        select = "d_tower"
        [roles.query]
        template = "pre {text}"
        max_tokens = 33
        surgery = { select = "q_tower" }
        [roles.document]
        max_tokens = 51
    """
    encoder = systems.export(folder, recipe, tmp_path)
    for role, model, prefix, limit in (("query", query, "pre ", 33), ("document", document, "", 51)):
        expected = [matrix @ hidden(model, tokenizer, prefix + text, limit)[0] for text in TEXTS]
        agree(encoder, TEXTS, torch.stack(expected), role=role)


@pytest.mark.slow
def test_an_average_of_decoders_that_are_stored_differently(tmp_path: Path) -> None:
    tokenizer = models.make_tokenizer("decoder")
    sizes = {"hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 3, "intermediate_size": 80}
    config = transformers.GPTNeoXConfig(
        vocab_size=len(tokenizer), max_position_embeddings=70, pad_token_id=1, tie_word_embeddings=False, **sizes
    )
    made = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        made.append(transformers.GPTNeoXModel(config).eval())
        models.widen(made[-1])
    one, two = (model.state_dict() for model in made)
    folder = checkpoint(tmp_path / "one", made[0], tokenizer, under("module.gpt_neox", one), "pytorch_model.bin")
    checkpoint(tmp_path / "two", made[1], tokenizer, under("module", two))
    recipe = """
        pooling = "last"
        max_tokens = 50
        stages = [{ kind = "normalize" }]
        [surgery]
        strip = ["module", "gpt_neox"]
        average = { with = ["two"], weights = [3, 1] }
        layers = 2
        final_norm = true
    """
    encoder = systems.export(folder, recipe, tmp_path)
    mixed = transformers.GPTNeoXModel(config).eval()
    mixed.load_state_dict({key: 0.75 * one[key] + 0.25 * two[key] for key in one})
    with torch.no_grad():
        states = [mixed.final_layer_norm(hidden(mixed, tokenizer, text, 50, 2)[-1]) for text in TEXTS]
    agree(encoder, TEXTS, torch.nn.functional.normalize(torch.stack(states), dim=1))


def test_surgery_on_a_sentence_transformers_folder_keeps_its_modules(tmp_path: Path) -> None:
    folder = models.save("electra", tmp_path / "plain", hidden=60, layers=3, num_attention_heads=3)
    modules = [Transformer(str(folder)), Pooling(60, pooling_mode="cls"), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(tmp_path / "model"))
    encoder = systems.export(tmp_path / "model", Recipe(surgery=Surgery(layers=2)), tmp_path)
    model, tokenizer = transformers.AutoModel.from_pretrained(folder), models.make_tokenizer("word")
    expected = torch.stack([hidden(model.eval(), tokenizer, text, 64, 2)[0] for text in TEXTS])
    agree(encoder, TEXTS, torch.nn.functional.normalize(expected, dim=1))
    assert encoder.bundle.manifest.source.surgery == ["layers: kept the first 2 of 3 (encoder.layer)"]


def test_surgery_that_has_no_checkpoint_to_work_on(tmp_path: Path) -> None:
    recipe = Recipe(surgery=Surgery(layers=1))
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    for model in (models.make("bert"), tmp_path / "model.gguf"):
        with pytest.raises(ExportError, match="surgery: cannot be done on .*give the folder with its checkpoint"):
            prepare(model, recipe=recipe)


CODE = """
import torch
from transformers import PreTrainedModel, PretrainedConfig
from transformers.modeling_outputs import BaseModelOutput

class OwnConfig(PretrainedConfig):
    model_type = "own-encoder"
    def __init__(self, vocab_size=300, hidden_size=36, num_hidden_layers=2, **others):
        super().__init__(**others)
        self.vocab_size, self.hidden_size, self.num_hidden_layers = vocab_size, hidden_size, num_hidden_layers

class Layer(torch.nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.mix, self.norm = torch.nn.Linear(dim, dim), torch.nn.LayerNorm(dim)
    def forward(self, x, mask):
        return self.norm(x + torch.softmax(x @ self.mix(x).transpose(1, 2) / 6 + mask, -1) @ x)

class OwnModel(PreTrainedModel):
    config_class = OwnConfig
    base_model_prefix = "own"
    def __init__(self, config):
        super().__init__(config)
        self.table = torch.nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = torch.nn.ModuleList(Layer(config.hidden_size) for _ in range(config.num_hidden_layers))
        self.post_init()
    def forward(self, input_ids, attention_mask, output_hidden_states=False, **others):
        states = [self.table(input_ids)]
        mask = (1.0 - attention_mask[:, None].float()) * -1e30
        for layer in self.layers:
            states.append(layer(states[-1], mask))
        return BaseModelOutput(states[-1], hidden_states=tuple(states) if output_hidden_states else None)
"""


def test_surgery_on_a_model_with_code_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "modeling_own_encoder.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    import modeling_own_encoder as own  # type: ignore[import-not-found]

    torch.manual_seed(3)
    auto = {"AutoConfig": "modeling_own_encoder.OwnConfig", "AutoModel": "modeling_own_encoder.OwnModel"}
    model = own.OwnModel(own.OwnConfig(num_hidden_layers=3, auto_map=auto)).eval()
    models.widen(model)
    tokenizer = models.make_tokenizer("word")
    folder = checkpoint(tmp_path / "model", model, tokenizer, under("net", model.state_dict()))
    (folder / "modeling_own_encoder.py").write_text(CODE)
    recipe = Recipe(surgery=Surgery(select="net", layers=2))
    with pytest.raises(ExportError, match="pass --trust-remote-code"):
        prepare(folder, recipe=recipe)
    origin = prepare(folder, recipe=recipe, trust_remote_code=True).origin
    for text in TEXTS:
        found = hidden(origin.backbone, origin.tokenizer, text, 64)
        torch.testing.assert_close(found, hidden(model, tokenizer, text, 64, 2))
    assert origin.records == ["select 'net': kept 13 of 13 weights", "layers: kept the first 2 of 3 (layers)"]
    sys.modules.pop("modeling_own_encoder", None)
