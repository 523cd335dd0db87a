"""Templates, fields, pairs, truncation and masks, against the tokenizers library by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from embedkit import InputError
from embedkit.bundle.manifest import Choice, Input, Part, PoolMask, TextFrontend, Truncate
from embedkit.runtime.frontends.base import Unencodable
from embedkit.runtime.frontends.batching import pad
from embedkit.runtime.frontends.text.template import Template
from embedkit.runtime.frontends.text.tokenizer import TextTokenizer

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ":", '"', *(f"w{i}" for i in range(60)), "query", "title"]
CLS, SEP, MASK = 2, 3, 4


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(["[PAD]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)],
    )
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.save(str(path))
    return path


def ids(*words: str) -> list[int]:
    return [WORDS.index(word) for word in words]


def make(
    file: Path, template: list[Part], limit: int = 12, *, mode: Any = "smart", cut: Any = "all", **options: Any
) -> TextTokenizer:
    inputs = [Input(name="types", dtype="int64", source="types")] if options.pop("types", False) else []
    choices = options.pop("choices", ())
    truncate = Truncate(max=limit, mode=mode, applies_to=cut)
    frontend = TextFrontend(tokenizer="tokenizer.json", template=template, truncate=truncate, **options)
    return TextTokenizer(Template(frontend, choices), file, inputs)


TEXT = Part(field="text")


@pytest.mark.parametrize("model", [models.WordLevel, models.WordPiece])
@pytest.mark.parametrize("template", [[TEXT], [TEXT, Part(pair=True), Part(field="title", default="")]])
def test_a_word_that_no_token_stands_for(model: Any, template: list[Part], tmp_path: Path) -> None:
    tokenizer = Tokenizer(model({"a": 0, "b": 1}))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    made = make(tmp_path / "tokenizer.json", template)
    assert [row.tolist() for row in made.encode(["a b", ""]).ids] == [[0, 1], []]
    with pytest.raises(InputError, match=r"cannot encode .*'b zebra'.*Missing \[UNK\].*unk_token"):
        made.encode(["a", "b zebra", "a a"])


def test_a_cut_of_the_content_keeps_the_literals(file: Path) -> None:
    template = [Part(lit="query : "), TEXT, Part(lit=" [MASK]")]
    kept = make(file, template, 8, cut="content").encode([" ".join(f"w{i}" for i in range(50)), "w1"])
    assert kept.ids[0].tolist() == [CLS, *ids("query", ":", "w0", "w1", "w2"), MASK, SEP]
    assert kept.ids[1].tolist() == [CLS, *ids("query", ":", "w1"), MASK, SEP]
    assert kept.truncated.tolist() == [True, False]
    lost = make(file, template, 8).encode([" ".join(f"w{i}" for i in range(50))])
    assert MASK not in lost.ids[0].tolist()
    with pytest.raises(InputError, match="the template without its fields has 5 tokens, and the model reads 4"):
        make(file, template, 4, cut="content").encode(["w1 w2"])


def test_slicing_takes_the_closing_tokens_too(file: Path) -> None:
    found = make(file, [TEXT], 4, mode="slice").encode(["w1 w2 w3 w4", "w1 w2", "w1 w2 w3"])
    assert [row.tolist() for row in found.ids] == [
        [CLS, *ids("w1", "w2", "w3")],
        [CLS, *ids("w1", "w2"), SEP],
        [CLS, *ids("w1", "w2", "w3")],
    ]
    assert found.truncated.tolist() == [True, False, True]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 30), st.integers(0, 30), st.integers(6, 20))
def test_a_pair_is_what_the_library_makes_of_it(a: int, b: int, limit: int) -> None:
    path = _FILE[0]
    first, second = " ".join(f"w{i}" for i in range(a)), " ".join(f"w{30 + i}" for i in range(b))
    library = Tokenizer.from_file(str(path))
    library.enable_truncation(limit, strategy="longest_first")
    expected = library.encode(first, second)
    template = [Part(field="title"), Part(pair=True), TEXT]
    found = make(path, template, limit, types=True).encode([{"title": first, "text": second}])
    assert found.ids[0].tolist() == expected.ids
    assert found.types[0].tolist() == expected.type_ids
    assert bool(found.truncated[0]) == (a + b + 3 > limit)


_FILE: list[Path] = []


@pytest.fixture(autouse=True)
def _remember(file: Path) -> None:
    _FILE[:] = [file]


def test_the_last_field_is_cut_first(file: Path) -> None:
    template = [Part(field="title"), Part(lit=" : "), TEXT]
    item = {"title": "w1 w2 w3 w4", "text": "w10 w11 w12"}
    tokenizer = make(file, template, 6, cut="content")
    assert tokenizer.encode([item]).ids[0].tolist() == [CLS, *ids("w1", "w2", "w3", ":"), SEP]
    tokenizer = make(file, template, 8, cut="content")
    assert tokenizer.encode([item]).ids[0].tolist() == [CLS, *ids("w1", "w2", "w3", "w4", ":", "w10"), SEP]


@pytest.mark.parametrize(
    ("drop", "expected"),
    [
        (["special"], [0, 1, 1, 1, 1, 0]),
        (["first"], [0, 1, 1, 1, 1, 1]),
        (["first:3"], [0, 0, 0, 1, 1, 1]),
        (["prefix"], [0, 0, 0, 1, 1, 1]),
        (["prefix", "special"], [0, 0, 0, 1, 1, 0]),
    ],
)
def test_what_is_left_out_of_the_pooling(drop: list[str], expected: list[int], file: Path) -> None:
    tokenizer = make(file, [Part(lit="query : "), TEXT], pool_mask=PoolMask(drop=drop))
    found = tokenizer.encode(["w1 w2"])
    assert found.ids[0].tolist() == [CLS, *ids("query", ":", "w1", "w2"), SEP]
    assert found.pool[0].tolist() == expected


def test_a_prefix_with_fields_has_the_length_it_has(file: Path) -> None:
    template = [Part(lit="query : "), Part(field="task", default="w5"), Part(lit=" "), TEXT]
    tokenizer = make(file, template, pool_mask=PoolMask(drop=["prefix"]))
    found = tokenizer.encode([{"task": "w7 w8 w9", "text": "w1"}, "w1"])
    assert [row.tolist() for row in found.pool] == [[0, 0, 0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 1, 1]]


def test_the_first_token_and_other_numbers_are_chosen_by_fields(file: Path) -> None:
    domain = Choice(field="domain", values={"bio": 40, "law": 41}, default="law")
    expert = Choice(field="domain", values={"bio": 0, "law": 1}, default="law")
    tokenizer = make(file, [TEXT], first_token=domain, choices=[expert])
    items = [tokenizer.template.check(item, "text") for item in ({"text": "w1", "domain": "bio"}, "w1", {"text": "w1"})]
    assert [row[0] for row in tokenizer.encode(items).ids] == [40, 41, 41]
    assert tokenizer.template.choice(expert, items).tolist() == [0, 1, 1]
    with pytest.raises(InputError, match="field 'domain': expected one of bio, law, found 'art'"):
        tokenizer.template.check({"text": "w1", "domain": "art"}, "text 0")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"template": [Part(lit="a")]}, "at least one field"),
        ({"template": [TEXT, TEXT]}, "each once"),
        ({"template": [TEXT, Part(pair=True), Part(lit="a"), Part(pair=True)]}, "at most two segments"),
        ({"pad": "fixed:5"}, "a fixed length of at least"),
    ],
)
def test_a_frontend_that_cannot_be(change: dict[str, Any], message: str) -> None:
    whole = {"tokenizer": "t", "template": [TEXT], "truncate": Truncate(max=8), **change}
    with pytest.raises(ValueError, match=message):
        TextFrontend(**whole)


def test_padding_is_never_one_wide_and_may_be_fixed() -> None:
    rows = [np.array([5]), np.array([6])]
    assert pad(rows, 9)[0].tolist() == [[5, 9], [6, 9]]
    wide, mask = pad(rows, 9, 4)
    assert wide.shape == (2, 4)
    assert mask.sum() == 2


def test_a_cut_of_the_body_takes_all_before_the_closing_literal(file: Path) -> None:
    template = [Part(lit="query : "), Part(field="a"), Part(lit=" title : "), Part(field="b"), Part(lit=' " query')]
    tokenizer = make(file, template, 10, cut="body")
    short = {"a": "w1", "b": "w2"}
    whole = [CLS, *ids("query", ":", "w1", "title", ":", "w2", '"', "query"), SEP]
    made = tokenizer.encode(
        [short, {"a": "w1 w2", "b": "w3 w4 w5"}, {"a": " ".join(f"w{i}" for i in range(9)), "b": "w3"}]
    )
    assert made.ids[0].tolist() == whole
    assert made.ids[1].tolist() == [CLS, *ids("query", ":", "w1", "w2", "title", ":", '"', "query"), SEP]
    assert made.ids[2].tolist() == [CLS, *ids("query", ":", "w0", "w1", "w2", "w3", '"', "query"), SEP]
    assert made.truncated.tolist() == [False, True, True]
    with pytest.raises(InputError, match="ends with 3 tokens"):
        make(file, template, 3, cut="body")


def test_white_space_is_taken_off_a_field_that_says_so(file: Path) -> None:
    whole = Template(
        TextFrontend(
            tokenizer="tokenizer.json",
            template=[Part(lit="<"), Part(field="text", strip=True), Part(lit=">")],
            truncate=Truncate(max=9),
        )
    )
    assert whole.spread(" w1 \n")[0] == "<w1>"
    assert not whole.plain


def test_a_token_beyond_the_table_is_named(file: Path) -> None:
    tokenizer = make(file, [TEXT], vocabulary=WORDS.index("w7"))
    items = [tokenizer.template.check(text, "text") for text in ("w1 w6", "w2", "w7 w8")]
    with pytest.raises(
        Unencodable, match=r"its token 'w7' has the id 14, and the model has vectors for ids below 14 only"
    ) as caught:
        tokenizer.batches(items, 100, None)
    assert caught.value.number == 2
    assert sum(len(batch.rows) for batch in tokenizer.batches(items[:2], 100, None)) == 2
