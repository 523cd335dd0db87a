"""Small models of the real transformers classes, with random weights and tokenizers trained on a few sentences: they
prove parity, not quality."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    MPNetConfig,
    MPNetModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
)

SENTENCES = (
    "the harbour was quiet and the last boat had already left when we arrived",
    "how do I read a compressed file line by line without loading all of it",
    "rain is expected in the north tomorrow with strong winds along the coast",
    "a recipe for bread needs flour water salt yeast an oven and much patience",
    "patients who were given the lower dose recovered as quickly as the others",
    "she opened the letter slowly, read it twice, and put it back into the drawer",
    "the committee will publish its report on the budget at the end of the year",
    "two trains leave the station at the same time and travel in opposite directions",
)
FAMILIES = ("bert", "roberta", "mpnet", "distilbert")


def save(family: str, folder: Path, *, hidden: int = 64, layers: int = 2, seed: int = 0) -> Path:
    """A plain transformers folder of the family."""
    tokenizer = _byte_level() if family == "roberta" else _word_piece(mpnet=family == "mpnet")
    torch.manual_seed(seed)
    model = _model(family, len(tokenizer), tokenizer.pad_token_id, hidden, layers)
    # Random weights are tiny by default, which makes all vectors alike: widen them, so that a difference shows.
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2:
                parameter.mul_(3.0)
            elif name.endswith("bias"):
                parameter.normal_(0, 0.05)
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _model(family: str, vocabulary: int, pad: int, hidden: int, layers: int) -> PreTrainedModel:
    common = {"vocab_size": vocabulary, "pad_token_id": pad, "attn_implementation": "sdpa"}
    if family == "distilbert":
        return DistilBertModel(
            DistilBertConfig(
                dim=hidden, n_layers=layers, n_heads=4, hidden_dim=hidden * 2, max_position_embeddings=64, **common
            )
        )
    size = {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "intermediate_size": hidden * 2,
    }
    if family == "bert":
        return BertModel(BertConfig(max_position_embeddings=64, **size, **common), add_pooling_layer=False)
    if family == "roberta":
        return RobertaModel(
            RobertaConfig(max_position_embeddings=66, type_vocab_size=1, **size, **common), add_pooling_layer=False
        )
    return MPNetModel(
        MPNetConfig(max_position_embeddings=66, **size, **{**common, "attn_implementation": "eager"}),
        add_pooling_layer=False,
    )


def _word_piece(*, mpnet: bool) -> PreTrainedTokenizerFast:
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"] if mpnet else ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    start, end, unknown, pad, mask = (
        ("<s>", "</s>", "<unk>", "<pad>", "<mask>") if mpnet else ("[CLS]", "[SEP]", "[UNK]", "[PAD]", "[MASK]")
    )
    tokenizer = Tokenizer(models.WordPiece(unk_token=unknown))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(
        SENTENCES, trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}", special_tokens=[(token, tokenizer.token_to_id(token)) for token in (start, end)]
    )
    tokenizer.decoder = decoders.WordPiece()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token=unknown,
        pad_token=pad,
        cls_token=start,
        sep_token=end,
        mask_token=mask,
        model_max_length=64,
    )


def _byte_level() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        SENTENCES,
        trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        cls_token="<s>",
        sep_token="</s>",
        mask_token="<mask>",
        model_max_length=64,
    )
