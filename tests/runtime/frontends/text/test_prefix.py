"""A long text's beginning has the tokens of the whole, or the whole is tokenised."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from embedkit.bundle.manifest import Part, TextFrontend, Truncate
from embedkit.runtime.frontends.text.prefix import has_heads, head
from embedkit.runtime.frontends.text.template import Template
from embedkit.runtime.frontends.text.tokenizer import TextTokenizer
from helpers.texts import mixed

MAX = 12


def _trained(kind: str) -> Tokenizer:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer: Any
    if kind == "wordpiece":
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    elif kind == "bytes":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = trainers.BpeTrainer(
            vocab_size=500,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
    else:
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " "), normalizers.Strip()]
        )
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        tokenizer.decoder = decoders.Metaspace()
        trainer = trainers.UnigramTrainer(
            vocab_size=200, special_tokens=special, unk_token="[UNK]", show_progress=False
        )
    tokenizer.train_from_iterator(mixed(300, longest=30), trainer)
    tokenizer.add_special_tokens([AddedToken("[MASK]", lstrip=True, rstrip=True)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


@pytest.fixture(scope="module", params=["wordpiece", "bytes", "unigram"])
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    _trained(request.param).save(str(path))
    return path


@pytest.fixture(scope="module", params=["smart", pytest.param("slice", marks=pytest.mark.slow)])
def tokenizers(file: Path, request: pytest.FixtureRequest) -> tuple[TextTokenizer, Tokenizer]:
    template = [Part(lit="query: "), Part(field="text")]
    frontend = TextFrontend(
        tokenizer="tokenizer.json",
        template=template,
        truncate=Truncate(max=MAX, mode=request.param),
    )
    whole = Tokenizer.from_file(str(file))
    if request.param == "smart":
        whole.enable_truncation(MAX)
    return TextTokenizer(Template(frontend), file), whole


words = st.sampled_from(
    ["word", "[MASK]", "[CLS]", "é", "e\u0301", "\u0301", "日本", "🎉", "  ", "\n", "a" * 300, "…", "ﬁ", " ", "x y"]
)
pieces = st.one_of(words, st.text(st.characters(codec="utf-8"), max_size=12))


@settings(max_examples=150, deadline=None)
@given(
    parts=st.lists(pieces, max_size=25),
    repeat=st.integers(1, 12),
    tail=st.text(max_size=20),
    glue=st.sampled_from(["", " "]),
)
def test_the_tokens_are_those_of_the_whole(
    tokenizers: tuple[TextTokenizer, Tokenizer], parts: list[str], repeat: int, tail: str, glue: str
) -> None:
    own, whole = tokenizers
    text = glue.join(parts * repeat) + tail.encode("utf-8", "ignore").decode()
    found = own.encode([text, "short"])
    expected = whole.encode("query: " + text)
    assert found.ids[0].tolist() == expected.ids[:MAX]
    assert found.truncated[0] == (bool(expected.overflowing) or len(expected.ids) > MAX)


def test_a_megabyte_is_not_tokenised(
    tokenizers: tuple[TextTokenizer, Tokenizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    own, whole = tokenizers
    seen: list[int] = []

    class Watching:
        def encode_batch_fast(self, texts: list[str]) -> Any:
            seen.extend(map(len, texts))
            return inner.encode_batch_fast(texts)

    inner = own._tokenizer
    monkeypatch.setattr(own, "_tokenizer", Watching())
    book = "some words of a book " * 50_000
    found = own.encode([book, "a" * 5000 + " " * 5000, " " * 1000 + book])
    assert sum(seen[:1]) < 1000
    assert found.ids[0].tolist() == whole.encode("query: " + book).ids[:MAX]
    # Spaces alone may make no token: then the whole is tokenised after all.
    assert found.ids[2].tolist() == whole.encode("query: " + " " * 1000 + book).ids[:MAX]
    assert found.truncated.tolist()[::2] == [True, True]


def test_a_head_ends_between_two_words() -> None:
    assert head("a b " * 10, 10) == "a b " * 10
    long = "word " * 1000
    assert len(long) > 500 > len(head(long, 10)) >= 160
    assert long.startswith(head(long, 10) + " ")
    assert head("x" * 10_000, 10) == "x" * 10_000


def test_which_tokenizers_have_heads() -> None:
    for kind in ("wordpiece", "bytes", "unigram"):
        assert has_heads(_trained(kind))
    for change in (
        {"pre_tokenizer": pre_tokenizers.ByteLevel(use_regex=False)},
        {"pre_tokenizer": pre_tokenizers.Metaspace(split=False)},
        {
            "pre_tokenizer": pre_tokenizers.Sequence(
                [pre_tokenizers.Split(Regex("x"), "isolated"), pre_tokenizers.Whitespace()]
            )
        },
        {"normalizer": normalizers.Replace("d w", "x")},
        {"normalizer": normalizers.Replace(Regex("d w"), "x")},
    ):
        tokenizer = _trained("wordpiece")
        for name, value in change.items():
            setattr(tokenizer, name, value)
        assert not has_heads(tokenizer), change
    tokenizer = _trained("wordpiece")
    tokenizer.add_tokens(["two words"])
    assert not has_heads(tokenizer)
    assert not has_heads(Tokenizer(models.BPE()))


def test_the_whole_again_where_the_head_has_too_few_tokens(file: Path) -> None:
    frontend = TextFrontend(tokenizer="tokenizer.json", template=[Part(field="text")], truncate=Truncate(max=MAX))
    text = "a b" + " " * 500 + "c d " * 50
    whole = Tokenizer.from_file(str(file))
    whole.enable_truncation(MAX)
    assert np.array_equal(TextTokenizer(Template(frontend), file).encode([text]).ids[0], whole.encode(text).ids)
