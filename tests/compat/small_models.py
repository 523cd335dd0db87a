"""Models of a few kilobytes with random weights, exported by `make.py`."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import nn
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification, PreTrainedTokenizerFast

HIDDEN, TOKENS = 16, 48
_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[BIO]", "[PHY]"]
_WORDS = ["the", "a", "of", "and", "in", "to", "rain", "harbour", "boat", "bread", "letter", "north", "quiet"]
_WORDS += ["report", "query", "passage", "title"]


def tokenizer() -> PreTrainedTokenizerFast:
    """Words, and the letters of all others."""
    letters = [*string.ascii_lowercase, *string.digits, *"éüß日本語🎉.,:;!?'\"()-"]
    vocabulary = [
        *_SPECIAL,
        *_WORDS,
        *(each for each in letters if each not in _WORDS),
        *(f"##{each}" for each in letters),
    ]
    made = Tokenizer(models.WordPiece({word: i for i, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=False)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, made.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    names = {"unk": "[UNK]", "pad": "[PAD]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        additional_special_tokens=["[BIO]", "[PHY]"],
        model_max_length=TOKENS,
        **{f"{name}_token": token for name, token in names.items()},
    )


def save(folder: Path, head: type[Any] = BertForMaskedLM, **config: Any) -> Path:
    """A BERT of one layer, as a transformers folder."""
    words = tokenizer()
    torch.manual_seed(0)
    sizes = {"hidden_size": HIDDEN, "intermediate_size": 2 * HIDDEN, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = head(
        BertConfig(
            vocab_size=len(words), max_position_embeddings=TOKENS, pad_token_id=words.pad_token_id, **sizes, **config
        )
    )
    model.apply(_rounded)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def reranker(folder: Path) -> Path:
    """A cross-encoder."""
    return save(folder, BertForSequenceClassification, num_labels=1)


@torch.no_grad()
def _rounded(module: nn.Module) -> None:
    """Wide weights, so that texts differ, with few bits, so that they take little space compressed."""
    for name, parameter in module.named_parameters(recurse=False):
        if parameter.ndim == 2:
            parameter.copy_((parameter * 12 * 32).round() / 32)
        elif name == "bias":
            parameter.copy_((torch.randn_like(parameter) * 2).round() / 32)


class Experts(nn.Module):
    """Token vectors through the matrix of a text's expert."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.config = BertConfig(vocab_size=len(tokenizer()), hidden_size=HIDDEN, num_hidden_layers=0)
        self.words = nn.Embedding(self.config.vocab_size, HIDDEN)
        self.experts = nn.Parameter((torch.randn(3, HIDDEN, HIDDEN) * 8).round() / 32)
        with torch.no_grad():
            self.words.weight.copy_((self.words.weight * 8).round() / 8)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, expert: torch.Tensor) -> torch.Tensor:
        return torch.matmul(self.words(input_ids), self.experts[expert])
