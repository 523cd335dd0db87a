"""What a role reads of a text."""

from __future__ import annotations

import pytest

from embedkit import ExportError
from embedkit_export import prepare
from helpers import models


def test_a_tokenizer_that_cuts_the_beginning_is_refused() -> None:
    model, tokenizer = models.make("bert")
    tokenizer.truncation_side = "left"
    with pytest.raises(ExportError, match="role default: the tokenizer cuts long texts at their beginning"):
        prepare((model, tokenizer))
