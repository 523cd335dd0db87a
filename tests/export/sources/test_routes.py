"""Prompts and routes of a SentenceTransformer; the reference is its own templates and tables."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from embedkit_export.sources import routes


def test_prompts_fall_back_as_the_library_does() -> None:
    model = SimpleNamespace(prompts={"passage": "p: ", "topic": "t | ", "none": None}, default_prompt_name="topic")
    found = routes.prompts(model)
    assert (found["query"], found["document"], found["default"], found["none"]) == ("t | ", "p: ", "t | ", "")
    bare = SimpleNamespace(prompts={}, default_prompt_name=None)
    assert routes.prompts(bare) == {"default": "", "query": "", "document": ""}


@pytest.mark.parametrize("prompt", ["", "find {this}: ", "}{"])
def test_a_prompt_with_braces_is_read_literally(prompt: str) -> None:
    assert routes.template(prompt).format(text="x") == prompt + "x"


def test_a_table_gives_its_rows() -> None:
    weight = torch.randn(5, 3).half()
    ids = torch.tensor([[4, 0], [1, 1]])
    assert torch.equal(routes.Table(weight)(ids, torch.zeros_like(ids)), weight.float()[ids])


def test_a_table_reads_what_its_tokenizer_cuts_to() -> None:
    for truncation, limit in (({"max_length": 9}, 9), (None, routes.ANY_LENGTH), ({"max_length": 1 << 40}, 1 << 16)):
        static = SimpleNamespace(tokenizer=SimpleNamespace(truncation=truncation))
        assert routes.token_limit(static) == limit
