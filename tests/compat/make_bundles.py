"""The bundles that `make.py` keeps, and what they make of texts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import embedkit
from compat import observed
from embedkit.testing.tiny import tiny_bundle

LONG = "a quiet harbour in the north; " * 20
TEXTS = [
    "",
    " ",
    "a",
    "rain",
    "The boat in the quiet harbour.",
    "héllo 日本語 🎉",
    "e\u0301 Straße\tnaïve\nnew line",
    "x" * 70,
    LONG,
    "the letter of the north, and bread",
    "1 + 1 = 2; (a, b) -> {c}",
    "bread bread bread",
]
TITLES = ["", "title", "a report of rain", "🎉"]


def tiny(folder: Path) -> Path:
    """Dense vectors, with texts before those of the roles."""
    return tiny_bundle(folder, prefixes={"query": "query: ", "document": "passage: "})


def tiny_kinds(folder: Path) -> Path:
    """An output of each kind of vectors."""
    return tiny_bundle(folder, seed=1, kinds=("dense", "sparse", "multivector"))


def exported(folder: Path) -> Path:
    """A BERT with all that a recipe says of a text encoder, and outputs of every kind."""
    from torch import nn

    from compat import small_models as models
    from embedkit_export import Pooling, Recipe, Role, TokenChoice

    few, narrow = ["general", "biology", "physics"], _filled(nn.Linear(models.HIDDEN, 4))
    first = TokenChoice(
        field="domain", values=dict(zip(few, ["[CLS]", "[BIO]", "[PHY]"], strict=True)), default="general"
    )
    recipe = Recipe(
        pooling=Pooling(mode=["first", "mean"], without=["prefix"]),
        stages=[{"kind": "normalize"}],
        matryoshka=[8, 16],
        model_class="AutoModelForMaskedLM",
        outputs={
            "words": {"kind": "sparse", "top": 12, "stopwords": ["the", "a"]},
            "late": {"kind": "multivector", "stages": [narrow, {"kind": "normalize"}], "similarity": "meanmaxsim"},
            "states": {"kind": "tokens", "stages": [narrow]},
            "classes": {
                "kind": "logits",
                "labels": few,
                "activation": "softmax",
                "stages": [_filled(nn.Linear(2 * models.HIDDEN, 3))],
            },
        },
        pair={"stages": [_filled(nn.Linear(8 * models.HIDDEN, 1))]},
        fields={"title": "title"},
        template="{title}: {text}",
        cut="content",
        without_tokens=[",", "."],
        roles={
            "default": Role(),
            "document": Role(template=["passage {title}", "{text}"], first_token=first, max_tokens=40),
            "query": Role(template="query: {text}", max_tokens=24, pad_least=16, padding="read", pad_token="[MASK]"),
            "cut": Role(
                template="{text} report", truncate="slice", cut="all", max_tokens=9, without=["special", "template"]
            ),
        },
    )
    return _export(models.save(folder.with_name("model")), folder, recipe=recipe, variants=("fp32", "int8"))


def experts(folder: Path) -> Path:
    """A number for each text beside its tokens, and a length that all have; the vectors are not of unit length."""
    from compat import small_models as models
    from embedkit_export import Pooling, Recipe, Side

    recipe = Recipe(
        pooling=Pooling(mode="mean"),
        similarity="dot",
        pad=models.TOKENS,
        inputs={"expert": Side(field="expert", values={"a": 0, "b": 1, "c": 2}, default="b")},
    )
    return _export((models.Experts().eval(), models.tokenizer()), folder, recipe=recipe, variants=("fp32",))


def reranker(folder: Path) -> Path:
    """A cross-encoder."""
    from compat import small_models as models

    return _export(models.reranker(folder.with_name("model")), folder, kind="reranker", variants=("fp32", "int8"))


def _filled(layer: Any) -> Any:
    import torch

    with torch.no_grad():
        for i, parameter in enumerate(layer.parameters()):
            numbers = torch.arange(parameter.numel()).reshape(parameter.shape)
            parameter.copy_(((numbers * 37 + i) % 23 - 11) / 16)
    return layer


def _export(model: Any, folder: Path, **options: Any) -> Path:
    """With gates that random weights pass, on texts of these words."""
    import embedkit_export

    folder.parent.mkdir(parents=True, exist_ok=True)
    sample = folder.with_name("sample.jsonl")
    texts = [f"{text} {i}" for i in range(3) for text in TEXTS[2:] if text != LONG]
    rows = [{"text": text} for text in texts]
    if options.get("kind") == "reranker":
        rows = [{"query": query, "document": text} for query, text in zip(texts, texts[::-1], strict=True)]
    sample.write_text("\n".join(map(json.dumps, rows)))
    loose = embedkit_export.Gates(cosine_mean=0.8, cosine_min=0.5, top10_overlap=0.0, agreement=0.0, logits_mean=0.0)
    report = embedkit_export.export(model, output=folder, sample=sample, gates={"int8": loose}, timing=False, **options)
    assert not report.missing, report.missing
    return Path(report.path)


def _plain(*roles: str) -> dict[str, Sequence[Any]]:
    return dict.fromkeys(roles, TEXTS)


def _titled(text: str, i: int) -> dict[str, str]:
    return {"text": text} | ({"title": TITLES[i % 4]} if i % 3 else {}) | ({"domain": "physics"} if i % 4 == 1 else {})


BUNDLES: dict[str, tuple[Callable[[Path], Path], Mapping[str, Sequence[Any]]]] = {
    "tiny": (tiny, _plain("default", "query", "document")),
    "tiny-kinds": (tiny_kinds, _plain("default", "query", "document")),
    "exported": (
        exported,
        {
            **_plain("query", "cut"),
            "default": [_titled(text, i) if i % 2 else text for i, text in enumerate(TEXTS)],
            "document": [_titled(text, i) for i, text in enumerate(TEXTS)],
        },
    ),
    "experts": (
        experts,
        {"default": [{"text": text, "expert": "abc"[i % 3]} if i % 2 else text for i, text in enumerate(TEXTS)]},
    ),
    "reranker": (reranker, {"pairs": [[TEXTS[-1 - i], text] for i, text in enumerate(TEXTS)]}),
}


def make_bundle(name: str, work: Path) -> None:
    make, given = BUNDLES[name]
    target = observed.here() / "bundles" / f"{name}.tar.xz"
    observed.pack(make(work / name / "bundle"), target)
    folder = observed.unpack(target, work / "again")
    items, refused = _apart(folder, given)
    np.savez_compressed(target.with_name(f"{name}.npz"), **observed.encoded(folder, items))
    np.savez_compressed(target.with_name(f"{name}.computed.npz"), **observed.computed(folder))
    told = {
        **observed.facts(folder),
        "manifest_sha256": hashlib.sha256((folder / "embedkit.json").read_bytes()).hexdigest(),
        "items": items,
        "refused": refused,
    }
    observed.write_json(target.with_name(f"{name}.json"), told)


def _apart(folder: Path, given: Mapping[str, Sequence[Any]]) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """The items of each role that have vectors, and those that have none, such as texts of which no token is pooled."""
    encoder = observed.load(folder)
    items: dict[str, list[Any]] = {}
    refused: dict[str, list[Any]] = {}
    for role, each in given.items():
        for item in each:
            (items if role == "pairs" or _has_vectors(encoder, item, role) else refused).setdefault(role, []).append(
                item
            )
    return items, refused


def _has_vectors(encoder: embedkit.Encoder, item: Any, role: str) -> bool:
    try:
        encoder.encode_outputs([item], role=role)
    except embedkit.InputError:
        return False
    return True
