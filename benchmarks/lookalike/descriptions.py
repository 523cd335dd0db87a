"""What a look-alike is made of: the model, the files beside its weights, and what it is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .families import SIZE

Linear = tuple[int, int, bool]
"""Numbers in and out of a layer, and whether it has a bias."""


@dataclass(frozen=True)
class Look:
    """A published model: its name on the hub, and what its folder holds."""

    name: str
    family: str
    kind: str = "dense"
    """dense, sparse, multivector or reranker: the class of sentence-transformers that is the reference."""
    head: str = "Model"
    """The end of the class in transformers whose weights are in the folder."""
    vocabulary: str = ""
    """The style of the tokenizer; empty for the family's usual one."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """What config.json says otherwise than the family's."""
    tokens: Mapping[str, Any] = field(default_factory=dict)
    """What tokenizer_config.json says otherwise."""
    files: Mapping[str, Any] = field(default_factory=dict)
    """JSON files and (strings) texts beside these."""
    layers: Mapping[str, Any] = field(default_factory=dict)
    """Files of weights of modules: names of their tensors with sizes."""
    reference: str = ""
    """What it is compared with, where that is the code of a card and no class of sentence-transformers; see
    `references.CARDS`."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the export beside the folder."""
    refused: str = ""
    """Words of the sentence by which it is refused."""
    twin: Mapping[str, Any] = field(default_factory=dict)
    """The config.json of a class of transformers with the same weights, whose own code the reference would have to run."""
    code: Sequence[str] = ()
    """Files of the folder `own_code` that come with the model."""
    inner: str = ""
    """The folder of the transformers model, where it is not the folder itself."""
    words_in: Sequence[str] = ()
    """Folders that have the tokenizer too."""
    prefix: str = ""
    """What the names of the weights begin with."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Tensors beside the model's own, with sizes."""
    pickles: Mapping[str, Any] = field(default_factory=dict)
    """Files of weights of layers that torch.save wrote, as ``layers``."""
    pickled: bool = False
    """Whether the weights are pytorch_model.bin."""


_OLD = "sentence_transformers.models."
_MODES = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")


def modules(*parts: tuple[str, str]) -> list[dict[str, Any]]:
    """modules.json of (class, folder) pairs; a class without dots is of ``sentence_transformers.models``."""
    return [
        {"idx": i, "name": str(i), "path": path, "type": kind if "." in kind else _OLD + kind}
        for i, (kind, path) in enumerate(parts)
    ]


def pooling(mode: str, size: int = SIZE, **more: Any) -> dict[str, Any]:
    """1_Pooling/config.json, as versions 2 and 3 wrote it."""
    named = {"cls": "cls_token", "last": "lasttoken", "weightedmean": "weightedmean_tokens"}.get(mode, f"{mode}_tokens")
    return {"word_embedding_dimension": size, **{f"pooling_mode_{one}": one == named for one in _MODES}, **more}


def dense(
    name: str,
    family: str,
    mode: str = "mean",
    *,
    length: int | None = 512,
    lower: bool = False,
    normalize: bool = False,
    layers: Sequence[tuple[int, str, bool]] = (),
    prompts: Mapping[str, str] | None = None,
    about: Mapping[str, Any] | None = None,
    files: Mapping[str, Any] | None = None,
    include_prompt: bool | None = None,
    **options: Any,
) -> Look:
    """A sentence-transformers folder: Transformer, Pooling, Dense for each of ``layers`` (size, activation, bias), Normalize."""
    parts = [("Transformer", ""), ("Pooling", "1_Pooling")]
    more = {} if include_prompt is None else {"include_prompt": include_prompt}
    found: dict[str, Any] = {"1_Pooling/config.json": pooling(mode, **more)}
    weights: dict[str, Any] = {}
    size = SIZE
    for out, function, bias in layers:
        place = f"{len(parts)}_Dense"
        parts.append(("Dense", place))
        found[f"{place}/config.json"] = {
            "in_features": size, "out_features": out, "bias": bias, "activation_function": f"torch.nn.modules.{function}",
        }  # fmt: skip
        weights[f"{place}/model.safetensors"] = {"linear.weight": (out, size)} | (
            {"linear.bias": (out,)} if bias else {}
        )
        size = out
    if normalize:
        parts.append(("Normalize", f"{len(parts)}_Normalize"))
    found["modules.json"] = modules(*parts)
    if length is not None:
        found["sentence_bert_config.json"] = {"max_seq_length": length, "do_lower_case": lower}
    version = {"sentence_transformers": "2.2.2", "transformers": "4.30.2", "pytorch": "2.0.1"}
    stated: dict[str, Any] = {"__version__": version, **(about or {})}
    if prompts is not None:
        stated |= {"prompts": dict(prompts), "default_prompt_name": None, "similarity_fn_name": "cosine"} | dict(
            about or {}
        )
    found["config_sentence_transformers.json"] = stated
    return Look(name, family, files={**found, **(files or {})}, layers=weights, **options)


def plain(name: str, family: str, reference: str, card: str = "", **options: Any) -> Look:
    """A transformers folder without modules, with the code of its card."""
    files = {"README.md": f"# {name}\n\n```python\n{card}\n```\n"} if card else {}
    return Look(name, family, reference=reference, files=files, **options)


def reranker(name: str, family: str, *, labels: int = 1, modern: bool = False, **options: Any) -> Look:
    """A cross-encoder: a head for classes, and (``modern``) what sentence-transformers 4 says beside it."""
    names = {
        "id2label": {str(i): f"LABEL_{i}" for i in range(labels)},
        "label2id": {f"LABEL_{i}": i for i in range(labels)},
    }
    config = {"architectures_": "ForSequenceClassification", **names, **options.pop("config", {})}
    files: dict[str, Any] = {}
    if modern:
        config["sentence_transformers"] = {"activation_fn": "torch.nn.modules.linear.Identity", "version": "4.1.0"}
    return Look(
        name, family, "reranker", head="ForSequenceClassification", config=config, files={**files, **options.pop("files", {})},
        options={"kind": "reranker", **options.pop("options", {})}, **options,
    )  # fmt: skip


def sparse(
    name: str, family: str, *, activation: str = "relu", stated: bool = True, length: int | None = 512, **options: Any
) -> Look:
    """A sparse encoder by a head for masked words."""
    files: dict[str, Any] = (
        {"sentence_bert_config.json": {"max_seq_length": length, "do_lower_case": False}} if length else {}
    )
    if stated:
        files |= {
            "modules.json": modules(
                ("sentence_transformers.sparse_encoder.models.MLMTransformer", ""),
                ("sentence_transformers.sparse_encoder.models.SpladePooling", "1_SpladePooling"),
            ),
            "1_SpladePooling/config.json": {"pooling_strategy": "max", "activation_function": activation, "word_embedding_dimension": None},
            "config_sentence_transformers.json": {
                "model_type": "SparseEncoder", "__version__": {"sentence_transformers": "5.0.0"}, "prompts": {"query": "", "document": ""},
                "default_prompt_name": None, "similarity_fn_name": "dot",
            },
        }  # fmt: skip
    kind = {} if stated else {"kind": "sparse"}
    return Look(
        name, family, "sparse", head="ForMaskedLM", files={**files, **options.pop("files", {})}, options={**kind, **options.pop("options", {})},
        **options,
    )  # fmt: skip
