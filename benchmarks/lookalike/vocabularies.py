"""Small tokenizers in the forms that published models have, each with its class, its special tokens and its rules."""

from __future__ import annotations

import functools
import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from .texts import SENTENCES, TEXTS

_QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer and what tokenizer_config.json says beside it."""

    tokenizer: Tokenizer
    config: dict[str, Any] = field(default_factory=dict)

    def save(self, folder: Path, **config: Any) -> None:
        """tokenizer.json and tokenizer_config.json."""
        folder.mkdir(parents=True, exist_ok=True)
        self.tokenizer.save(str(folder / "tokenizer.json"))
        (folder / "tokenizer_config.json").write_text(json.dumps({**self.config, **config}, indent=1))


def vocabulary(style: str) -> Vocabulary:
    """The tokenizer of a style."""
    return _STYLES[style]()


def _pieces(words: list[str], size: int, inside: str = "") -> dict[str, int]:
    """All letters, and the most frequent words and their beginnings, with counts."""
    counts: Counter[str] = Counter()
    letters: set[str] = set()
    for word in words:
        letters |= {word[:1], *(inside + letter for letter in word), *word}
        for end in range(2, len(word) + 1):
            counts[word[:end]] += end
            counts[inside + word[-end + 1 :]] += 1
    longer = sorted(counts.keys() - letters, key=lambda piece: (-counts[piece], piece))
    kept = [*sorted(letters), *longer][: max(size, len(letters))]
    return {piece: counts[piece] + 1 for piece in kept if piece}


def _words(tokenizer: Tokenizer) -> list[str]:
    found: list[str] = []
    for text in (*SENTENCES, *TEXTS):
        normal = tokenizer.normalizer.normalize_str(text) if tokenizer.normalizer else text
        found += [word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal)]
    return found


def _template(tokenizer: Tokenizer, single: str, pair: str) -> None:
    used = {part.split(":")[0] for part in (single + " " + pair).split() if not part.startswith("$")}
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[(token, tokenizer.token_to_id(token)) for token in sorted(used)]
    )


@functools.cache
def _bert(lower: bool = True, kind: str = "BertTokenizer", extra: tuple[str, ...] = ()) -> Vocabulary:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *extra]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lower)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    pieces = _pieces(_words(tokenizer), 500, "##")
    table = {piece: i for i, piece in enumerate([*special, *pieces])}
    tokenizer.model = models.WordPiece(table, unk_token="[UNK]", max_input_chars_per_word=100)
    tokenizer.add_special_tokens(special)
    _template(tokenizer, "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1")
    tokenizer.decoder = decoders.WordPiece()
    return Vocabulary(
        tokenizer,
        {
            "tokenizer_class": kind, "do_lower_case": lower, "do_basic_tokenize": True, "never_split": None, "strip_accents": None,
            "tokenize_chinese_chars": True, "model_max_length": 512, "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]",
            "pad_token": "[PAD]", "mask_token": "[MASK]", "clean_up_tokenization_spaces": True,
        },
    )  # fmt: skip


@functools.cache
def _mpnet() -> Vocabulary:
    special = ["<s>", "<pad>", "</s>", "[UNK]", "<mask>"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    pieces = _pieces(_words(tokenizer), 500, "##")
    table = {piece: i for i, piece in enumerate([*special, *pieces])}
    tokenizer.model = models.WordPiece(table, unk_token="[UNK]")
    tokenizer.add_special_tokens(special)
    _template(tokenizer, "<s> $A </s>", "<s> $A </s> </s> $B </s>")
    tokenizer.decoder = decoders.WordPiece()
    return Vocabulary(
        tokenizer,
        {
            "tokenizer_class": "MPNetTokenizer", "do_lower_case": True, "model_max_length": 512, "bos_token": "<s>", "eos_token": "</s>",
            "sep_token": "</s>", "cls_token": "<s>", "unk_token": "[UNK]", "pad_token": "<pad>", "mask_token": "<mask>",
            "tokenize_chinese_chars": True, "strip_accents": None,
        },
    )  # fmt: skip


@functools.cache
def _bytes(
    special: tuple[str, ...], single: str, pair: str, kind: str, about: str, *, regex: str = "", nfc: bool = False
) -> Vocabulary:
    """Byte-level BPE; ``about`` is JSON for tokenizer_config.json."""
    tokenizer = Tokenizer(models.BPE())
    if nfc:
        tokenizer.normalizer = normalizers.NFC()
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not regex)
    split = pre_tokenizers.Split(Regex(regex), behavior="isolated") if regex else None
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, level]) if split else level
    first = [] if nfc else list(special)  # Qwen's special tokens stand behind its vocabulary
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=first, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    for token in special:
        mask = token in ("<mask>", "[MASK]")
        tokenizer.add_special_tokens([AddedToken(token, special=True, lstrip=mask, normalized=False)])
    if single:
        _template(tokenizer, single, pair)
    else:
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel()
    return Vocabulary(tokenizer, {"tokenizer_class": kind, **json.loads(about)})


_S = {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>", "unk_token": "<unk>"}
_S |= {"pad_token": "<pad>", "mask_token": "<mask>", "model_max_length": 512}
_B = {"cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]", "pad_token": "[PAD]", "mask_token": "[MASK]"}


def _roberta(extra: tuple[str, ...] = ()) -> Vocabulary:
    special = ("<s>", "<pad>", "</s>", "<unk>", "<mask>", *extra)
    about = json.dumps({**_S, "add_prefix_space": False, "trim_offsets": True})
    return _bytes(special, "<s> $A </s>", "<s> $A </s> </s> $B </s>", "RobertaTokenizer", about)


def _modernbert(extra: tuple[str, ...] = ()) -> Vocabulary:
    special = ("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", *extra)
    about = json.dumps({**_B, "model_max_length": 8192, "model_input_names": ["input_ids", "attention_mask"]})
    return _bytes(special, "[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]", "PreTrainedTokenizerFast", about)


def _qwen(ends: bool = False) -> Vocabulary:
    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    about = {"pad_token": "<|endoftext|>", "eos_token": "<|im_end|>" if ends else "<|endoftext|>", "unk_token": None}
    about |= {"bos_token": None, "add_bos_token": False, "add_prefix_space": False, "model_max_length": 131072}
    about |= {"split_special_tokens": False, "errors": "replace", "clean_up_tokenization_spaces": False}
    single, pair = ("$A <|endoftext|>", "$A <|endoftext|> $B <|endoftext|>") if ends else ("", "")
    return _bytes(special, single, pair, "Qwen2Tokenizer", json.dumps(about), regex=_QWEN, nfc=True)


@functools.cache
def _unigram(kind: str = "XLMRobertaTokenizer", extra: tuple[str, ...] = ()) -> Vocabulary:
    t5, deberta = kind == "T5Tokenizer", kind == "DebertaV2Tokenizer"
    special = ["<pad>", "</s>", "<unk>"] if t5 else ["<s>", "<pad>", "</s>", "<unk>"]
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"] if deberta else special
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    counts = _pieces(_words(tokenizer), 700)
    scores = [(token, 0.0) for token in special]
    scores += [(piece, math.log(count / sum(counts.values()))) for piece, count in counts.items() if piece != "▁"]
    last = [] if t5 else ["[MASK]" if deberta else "<mask>"]
    scores += [("▁", -6.0), *((token, 0.0) for token in last)]
    tokenizer.model = models.Unigram(scores, unk_id=3 if not t5 else 2)
    tokenizer.add_special_tokens([*special, *(AddedToken(token, lstrip=True) for token in last), *extra])
    if t5:
        _template(tokenizer, "$A </s>", "$A </s> $B </s>")
    elif deberta:
        _template(tokenizer, "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1")
    else:
        _template(tokenizer, "<s> $A </s>", "<s> $A </s> </s> $B </s>")
    tokenizer.decoder = decoders.Metaspace()
    names: dict[str, Any] = {**_S}
    if t5:
        names = {
            "eos_token": "</s>",
            "unk_token": "<unk>",
            "pad_token": "<pad>",
            "extra_ids": 0,
            "model_max_length": 512,
        }
    if deberta:
        names = {
            **_B,
            "bos_token": "[CLS]",
            "eos_token": "[SEP]",
            "do_lower_case": False,
            "split_by_punct": False,
            "vocab_type": "spm",
        }
        names |= {"model_max_length": 512}
    return Vocabulary(tokenizer, {"tokenizer_class": kind, **names})


@functools.cache
def _sentencepiece(kind: str, special: tuple[str, ...], ends: bool, pad: str) -> Vocabulary:
    """BPE over words with ▁, with bytes for other letters: Llama's, Mistral's and Gemma's."""
    gemma = kind == "GemmaTokenizer"
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    ways = [normalizers.Replace(" ", "▁")] if gemma else [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    tokenizer.normalizer = normalizers.Sequence(ways)
    trainer = trainers.BpeTrainer(vocab_size=450, special_tokens=[], show_progress=False)
    learned = Tokenizer(models.BPE())
    learned.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    learned.train_from_iterator(SENTENCES[:10], trainer)
    whole = json.loads(learned.to_str())["model"]
    pieces = sorted(whole["vocab"], key=whole["vocab"].get)
    table = {
        piece: i for i, piece in enumerate(dict.fromkeys([*special, *(f"<0x{i:02X}>" for i in range(256)), *pieces]))
    }
    merges = [tuple(merge) for merge in whole["merges"]]
    tokenizer.model = models.BPE(table, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    tokenizer.add_tokens([AddedToken("Yes", normalized=False)])  # a word by which rerankers answer is one token
    bos, eos = ("<bos>", "<eos>") if gemma else ("<s>", "</s>")
    end = f" {eos}" if ends else ""
    _template(tokenizer, f"{bos} $A{end}", f"{bos} $A{end} {bos}:1 $B:1" + (f" {eos}:1" if ends else ""))
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    about = {"bos_token": bos, "eos_token": eos, "unk_token": "<unk>", "pad_token": pad, "add_bos_token": True}
    about |= {
        "add_eos_token": ends,
        "legacy": True,
        "model_max_length": 2048 if gemma else 1000000000000000019884624838656,
    }
    return Vocabulary(tokenizer, {"tokenizer_class": kind, **about})


@functools.cache
def _clip() -> Vocabulary:
    special = ["<|startoftext|>", "<|endoftext|>"]
    tokenizer = Tokenizer(
        models.BPE(continuing_subword_prefix="", end_of_word_suffix="</w>", unk_token="<|endoftext|>")
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    words = Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(words, "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    letters = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=800, initial_alphabet=letters, end_of_word_suffix="</w>", show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    whole = json.loads(tokenizer.to_str())["model"]
    pieces = sorted(whole["vocab"], key=whole["vocab"].get)
    table = {
        piece: i
        for i, piece in enumerate(dict.fromkeys([*pieces, *(f"{one}</w>" for one in sorted(letters)), *special]))
    }
    tokenizer.model = models.BPE(
        table, [tuple(one) for one in whole["merges"]], continuing_subword_prefix="", end_of_word_suffix="</w>",
        unk_token="<|endoftext|>",
    )  # fmt: skip
    tokenizer.add_special_tokens(special)
    ends = [(token, table[token]) for token in reversed(special)]
    tokenizer.post_processor = processors.RobertaProcessing(*ends, trim_offsets=False, add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    about = {"bos_token": special[0], "eos_token": special[1], "unk_token": special[1], "pad_token": special[1]}
    return Vocabulary(
        tokenizer, {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True, **about}
    )


_LLAMA, _GEMMA = ("<unk>", "<s>", "</s>"), ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")
_STYLES: dict[str, Callable[[], Vocabulary]] = {
    "bert": _bert,
    "bert-cased": lambda: _bert(lower=False),
    "distilbert": lambda: _bert(kind="DistilBertTokenizer"),
    "electra": lambda: _bert(kind="ElectraTokenizer"),
    "colbert": lambda: _bert(extra=("[unused0]", "[unused1]")),
    "mpnet": _mpnet,
    "roberta": _roberta,
    "unixcoder": lambda: _roberta(("<encoder-only>",)),
    "modernbert": _modernbert,
    "colbert-modernbert": lambda: _modernbert(("[Q] ", "[D] ")),
    "qwen": _qwen,
    "qwen-eos": lambda: _qwen(True),
    "xlm-roberta": _unigram,
    "t5": lambda: _unigram("T5Tokenizer"),
    "deberta-v2": lambda: _unigram("DebertaV2Tokenizer"),
    "mistral": lambda: _sentencepiece("LlamaTokenizer", _LLAMA, False, "<unk>"),
    "mistral-eos": lambda: _sentencepiece("LlamaTokenizer", _LLAMA, True, "</s>"),
    "gemma": lambda: _sentencepiece("GemmaTokenizer", _GEMMA, False, "<pad>"),
    "gemma-eos": lambda: _sentencepiece("GemmaTokenizer", _GEMMA, True, "<pad>"),
    "clip": _clip,
}  # fmt: skip
