"""Small models of the real transformers classes, with random weights and tokenizers trained on a few sentences: they
prove parity, not quality."""

from __future__ import annotations

import copy
import functools
import math
from collections import Counter
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

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
_SIZE = {"num_attention_heads": 4, "max_position_embeddings": 64}
_LLAMA = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64, "pad_token_id": 1}
_T5 = {"d_kv": 16, "num_heads": 4, "relative_attention_num_buckets": 8, "relative_attention_max_distance": 20}
# Family: the name of its classes in transformers, what its configuration needs, and how its tokenizer is made.
_KINDS: dict[str, tuple[str, dict[str, Any], str]] = {
    "bert": ("Bert", {**_SIZE, "intermediate_size": 128}, "word"),
    "distilbert": ("DistilBert", {"n_heads": 4, "hidden_dim": 128, "max_position_embeddings": 64}, "word"),
    "roberta": ("Roberta", {**_SIZE, "intermediate_size": 128, "max_position_embeddings": 66, "type_vocab_size": 1}, "byte"),
    "xlm-roberta": ("XLMRoberta", {**_SIZE, "intermediate_size": 128, "max_position_embeddings": 66, "type_vocab_size": 1}, "pieces"),
    "mpnet": ("MPNet", {**_SIZE, "intermediate_size": 128, "max_position_embeddings": 66}, "mpnet"),
    "albert": ("Albert", {**_SIZE, "intermediate_size": 128, "embedding_size": 32}, "word"),
    "electra": ("Electra", {**_SIZE, "intermediate_size": 128, "embedding_size": 32}, "word"),
    "deberta-v2": (
        "DebertaV2",
        {**_SIZE, "intermediate_size": 128, "relative_attention": True, "pos_att_type": ["c2p", "p2c"], "type_vocab_size": 0,
         "position_biased_input": False, "share_att_key": True, "norm_rel_ebd": "layer_norm", "position_buckets": 8},
        "word",
    ),
    "deberta": (
        "Deberta",
        {**_SIZE, "intermediate_size": 129, "relative_attention": True, "pos_att_type": ["c2p", "p2c"], "type_vocab_size": 0,
         "position_biased_input": False, "max_relative_positions": 20},
        "word",
    ),
    "roformer": ("RoFormer", {**_SIZE, "intermediate_size": 128, "embedding_size": 48}, "word"),
    "modernbert": (
        "ModernBert",
        {**_SIZE, "intermediate_size": 96, "global_attn_every_n_layers": 2, "local_attention": 8, "cls_token_id": 2, "sep_token_id": 3,
         "bos_token_id": 2, "eos_token_id": 3},
        "word",
    ),
    "nomic-bert": ("NomicBert", {**_SIZE, "intermediate_size": 128}, "word"),
    "t5": ("T5", {**_T5, "d_ff": 128, "feed_forward_proj": "gated-gelu"}, "t5"),
    "gpt2": ("GPT2", {"n_head": 4, "n_positions": 64, "bos_token_id": 0, "eos_token_id": 2}, "decoder"),
    "llama": ("Llama", {**_LLAMA, "intermediate_size": 128}, "decoder"),
    "mistral": ("Mistral", {**_LLAMA, "intermediate_size": 128, "sliding_window": None}, "decoder"),
    "qwen3": ("Qwen3", {**_LLAMA, "intermediate_size": 128, "head_dim": 16}, "decoder"),
    "qwen2": ("Qwen2", {**_LLAMA, "intermediate_size": 128}, "decoder"),
    "opt": ("OPT", {**_SIZE, "ffn_dim": 128, "word_embed_proj_dim": 32, "do_layer_norm_before": False}, "decoder"),
    "bloom": ("Bloom", {"n_head": 4, "bos_token_id": 0, "eos_token_id": 2}, "decoder"),
    "embedding-gemma": (
        "Gemma3Text",
        {**_LLAMA, "intermediate_size": 129, "head_dim": 20, "sliding_window": 6, "use_bidirectional_attention": True},
        "decoder",
    ),
    "helium": ("Helium", {**_LLAMA, "intermediate_size": 128, "head_dim": 16, "rms_norm_eps": 1e-8}, "decoder"),
    "qwen2-moe": (
        "Qwen2Moe",
        {**_LLAMA, "intermediate_size": 129, "moe_intermediate_size": 40, "shared_expert_intermediate_size": 56, "num_experts": 5,
         "num_experts_per_tok": 2},
        "decoder",
    ),
    "gemma": ("Gemma", {**_LLAMA, "intermediate_size": 128, "head_dim": 16}, "decoder"),
}  # fmt: skip
FAMILIES = tuple(_KINDS)
LAYERS_DIFFER = {"albert", "modernbert", "embedding-gemma", "t5"}
"""Families of which the second layer is not made as the first is: these have two layers where a test does not say, others one."""


def save(
    family: str,
    folder: Path,
    *,
    hidden: int = 64,
    layers: int | None = None,
    seed: int = 0,
    head: str = "",
    **config: Any,
) -> Path:
    """A plain transformers folder of the family."""
    model, tokenizer = make(family, hidden=hidden, layers=layers, seed=seed, head=head, **config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make(
    family: str, *, hidden: int = 64, layers: int | None = None, seed: int = 0, head: str = "", **config: Any
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """A model of the family, with a ``head`` such as ``ForMaskedLM`` if one is named, and its tokenizer."""
    kind, options, style = _KINDS[family]
    layers = layers or (2 if family in LAYERS_DIFFER else 1)
    tokenizer = make_tokenizer(style)
    torch.manual_seed(seed)
    sizes = {
        "distilbert": {"dim": hidden, "n_layers": layers},
        "t5": {"d_model": hidden, "num_layers": layers},
        "gpt2": {"n_embd": hidden, "n_layer": layers},
    }.get(family, {"hidden_size": hidden, "num_hidden_layers": layers})
    common = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    configuration = getattr(transformers, f"{kind}Config")(**{**common, **sizes, **options, **config})
    name = head or ("EncoderModel" if family == "t5" else "Model")
    model = getattr(transformers, f"{kind}{name}")(configuration)
    widen(model)
    return model.eval(), tokenizer


def widen(model: torch.nn.Module) -> None:
    """Random weights are tiny by default, which makes all vectors alike: widen them, so that a difference shows."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2:
                # A T5 is made with weights of their usual size, and has no scale in its attention.
                parameter.mul_(1.0 if type(model).__name__.startswith("T5") else 3.0)
            elif name.endswith("bias"):
                parameter.normal_(0, 0.05)


def make_tokenizer(style: str) -> PreTrainedTokenizerFast:
    """A fast tokenizer made from the sentences: ``word`` and ``mpnet`` (WordPiece), ``byte`` and ``decoder``
    (byte-level BPE), ``pieces`` and ``t5`` (Unigram). Two of a style are equal."""
    return copy.deepcopy(_trained(style))


@functools.cache
def _trained(style: str) -> PreTrainedTokenizerFast:
    if style in ("byte", "decoder"):
        return _byte_level(decoder=style == "decoder")
    if style in ("pieces", "t5"):
        return _unigram(t5=style == "t5")
    return _word_piece(mpnet=style == "mpnet")


def _words(tokenizer: Tokenizer) -> list[str]:
    """The words of the sentences, as the tokenizer cuts them before it looks for pieces."""
    normal = (tokenizer.normalizer.normalize_str(sentence) for sentence in SENTENCES)
    return [word for sentence in normal for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(sentence)]


def _most_frequent(words: list[str], size: int, *, inside: str = "") -> dict[str, int]:
    """Pieces of the words with their counts: all letters, and of the longer ones those that save most. ``inside`` comes
    before what does not begin a word.

    The trainers of WordPiece and Unigram break ties by the order of a hash map: their vocabularies, and with them the
    sizes and the random weights of the models, were others in every process."""
    counts: Counter[str] = Counter()
    letters: set[str] = set()
    for word in words:
        for i in range(len(word)):
            for j in range(i + 1, len(word) + 1):
                piece = (inside if i else "") + word[i:j]
                counts[piece] += 1
                if j == i + 1:
                    letters.update((word[i], inside + word[i]))
    longer = sorted(
        counts.keys() - letters, key=lambda piece: (-counts[piece] * len(piece.removeprefix(inside)), piece)
    )
    return {piece: counts[piece] or 1 for piece in [*sorted(letters), *longer][:size]}


def _word_piece(*, mpnet: bool) -> PreTrainedTokenizerFast:
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"] if mpnet else ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    start, end, unknown, pad, mask = (
        ("<s>", "</s>", "<unk>", "<pad>", "<mask>") if mpnet else ("[CLS]", "[SEP]", "[UNK]", "[PAD]", "[MASK]")
    )
    tokenizer = Tokenizer(models.WordPiece(unk_token=unknown))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    pieces = _most_frequent(_words(tokenizer), 286 - len(special), inside="##")
    tokenizer.model = models.WordPiece(
        {piece: i for i, piece in enumerate([*special, *pieces])}, unk_token=unknown, max_input_chars_per_word=100
    )
    tokenizer.add_special_tokens(special)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}",
        pair=f"{start} $A {end} {end} $B {end}" if mpnet else f"{start} $A {end} $B:1 {end}:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (start, end)],
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


def _unigram(*, t5: bool) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<pad>", "</s>", "<unk>"] if t5 else ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    counts = _most_frequent(_words(tokenizer), 118 - len(special))
    scores = [(token, 0.0) for token in special]
    scores += [(piece, math.log(count / sum(counts.values()))) for piece, count in counts.items()]
    tokenizer.model = models.Unigram(scores, unk_id=special.index("<unk>"))
    tokenizer.add_special_tokens(special)
    ids = [(token, tokenizer.token_to_id(token)) for token in ("</s>",) + (() if t5 else ("<s>",))]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>" if t5 else "<s> $A </s>",
        pair="$A </s> $B </s>" if t5 else "<s> $A </s> </s> $B </s>",
        special_tokens=ids,
    )
    tokenizer.decoder = decoders.Metaspace()
    others = {} if t5 else {"bos_token": "<s>", "cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        model_max_length=64,
        **others,
    )


def _byte_level(*, decoder: bool) -> PreTrainedTokenizerFast:
    """As of RoBERTa, or as of a decoder: nothing before the text and ``</s>`` after it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        SENTENCES,
        trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>" if decoder else "<s> $A </s>",
        pair="$A </s> $B </s>" if decoder else "<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    tokenizer.decoder = decoders.ByteLevel()
    others = {} if decoder else {"cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        model_max_length=64,
        **others,
    )
