"""The outputs that a recipe names beside the pooled vector, and the heads that make them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from embedkit.errors import ExportError
from embedkit_export.recipes.outputs import Logits, MultiVector, Named, Sparse, Tokens
from embedkit_export.recipes.stages import Linear
from embedkit_export.sources.routes import WordTable
from embedkit_export.sources.source import Source
from embedkit_export.sources.weight_files import Weights

from . import heads
from .builders import build_stage
from .layers import Normalize
from .vocabulary import Head, ModelHead, Vocabulary, some_words


def output_head(given: Named, origin: Source, weights: Weights, where: str) -> Head:
    """The head of an output. Raises `ExportError` where the model has none of this kind."""
    if isinstance(given, Sparse):
        if isinstance(origin.backbone, WordTable):
            return heads.StaticWords(origin.backbone.table[:, 0].clone())
        if given.stages is not None:
            return heads.VectorWords(_stages(given.stages, weights, where))
        return _words(given, origin, where) if given.weights is None else _tokens(given, origin, weights, where)
    if isinstance(given, Logits):
        if given.stages is not None:
            return heads.VectorLogits(_stages(given.stages, weights, where))
        if given.words:
            return _answer(given, origin, where)
        return heads.ModelLogits(ModelHead(_whole(origin, where, "a head for classes")))
    assert isinstance(given, MultiVector | Tokens), "a dense output is made where the body is"
    made = _stages(given.stages, weights, where)
    return heads.TokenVectors(made, compact=isinstance(given, MultiVector), layers=given.layers)


def is_normalized(made: Head) -> bool:
    """Whether its vectors, or a token's, have unit length."""
    if isinstance(made, heads.Joined):
        return True
    stages: Any = made.stages if isinstance(made, heads.TokenVectors | heads.PooledVector) else ()
    return any(isinstance(part, Normalize) for part in list(stages)[-1:])


def _stages(given: Sequence[Any], weights: Weights, where: str) -> nn.Sequential:
    return nn.Sequential(*(build_stage(item, weights, f"{where}: stage {i}") for i, item in enumerate(given, 1)))


def _whole(origin: Source, where: str, what: str) -> Any:
    if origin.whole is None:
        raise ExportError(
            f"{where}: {type(origin.backbone).__name__} was loaded without {what}; name the class that has it (model_class), such as "
            "AutoModelForMaskedLM or AutoModelForSequenceClassification"
        )
    return origin.whole


def _answer(given: Logits, origin: Source, where: str) -> Head:
    whole = _whole(origin, where, "a head for words")
    table = whole.get_output_embeddings() if hasattr(whole, "get_output_embeddings") else None
    if table is None or not hasattr(whole, "prepare_inputs_for_generation"):
        raise ExportError(
            f"{where}: words: {type(whole).__name__} says no next word; name a class that does, such as "
            'model_class = "AutoModelForCausalLM"'
        )
    ids = [_word_id(word, origin.tokenizer, table.out_features, where) for word in given.words]
    return heads.AnswerLogits(some_words(whole, ids), ids)


def _word_id(word: str | int, tokenizer: Any, size: int, where: str) -> int:
    """The id of a word that is one token, by its name in the vocabulary or as the tokenizer reads it."""
    if isinstance(word, str):
        read = tokenizer(word, add_special_tokens=False)["input_ids"]
        found = tokenizer.get_vocab().get(word, read[0] if len(read) == 1 else None)
        if found is None or (found == tokenizer.unk_token_id and word != tokenizer.unk_token):
            raise ExportError(
                f"{where}: words: {word!r} is no token of the tokenizer, which reads it as {len(read)}; name one that is, as it "
                "stands in the vocabulary"
            )
    else:
        found = word
    if not 0 <= int(found) < size:
        raise ExportError(f"{where}: words: {word!r} is token {found}, and the model has {size}; name another")
    return int(found)


def _allowed(given: Sparse, origin: Source, size: int) -> Tensor:
    """(size,) 0 for the tokens that are one of the words that have no weight, 1 for all others."""
    words = torch.ones(size)
    stop = {word.lower() for word in given.stopwords}
    for token_id in range(min(len(origin.tokenizer), size)) if stop else ():
        if origin.tokenizer.decode([token_id]).strip().lower() in stop:
            words[token_id] = 0.0
    return words


def _tokens(given: Sparse, origin: Source, weights: Weights, where: str) -> Head:
    layer = build_stage(Linear(weights=str(given.weights)), weights, where)[0]  # type: ignore[index]
    if layer.out_features != 1:
        raise ExportError(f"{where}: expected a layer to one number, {given.weights!r} gives {layer.out_features}")
    words = _allowed(given, origin, origin.backbone.get_input_embeddings().num_embeddings)
    for special in ("cls", "bos", "sep", "eos", "pad", "unk"):
        token_id = getattr(origin.tokenizer, f"{special}_token_id")
        if token_id is not None:
            words[token_id] = 0.0
    return heads.TokenWeights(layer, words, scale=given.scale)


def _words(given: Sparse, origin: Source, where: str) -> Head:
    whole = _whole(origin, where, "a head for words")
    table = whole.get_output_embeddings() if hasattr(whole, "get_output_embeddings") else None
    if table is None:
        raise ExportError(
            f"{where}: {type(whole).__name__} has no head for words; load a ...ForMaskedLM or ...ForCausalLM"
        )
    words = _allowed(given, origin, table.out_features) if given.stopwords else None
    try:
        language = table if given.pooling == "last" else Vocabulary(whole)
    except ValueError as error:
        raise ExportError(
            f"{where}: {type(whole).__name__}: {error}, which cannot be exported as a sparse output"
        ) from None
    return heads.WordWeights(
        whole,
        language,
        pooling=given.pooling,
        twice=given.activation == "log1p_log1p_relu",
        scale=given.scale,
        words=words,
        own=given.own_tokens,
    )
