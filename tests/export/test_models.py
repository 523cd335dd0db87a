"""The models of the tests are the same ones in every process: a failure can be repeated."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from helpers import models

CODE = f"import runpy; print(runpy.run_path({__file__!r})['found']())"


def found() -> str:
    vocabularies = {style: sorted(models.make_tokenizer(style).get_vocab().items()) for style in STYLES}
    weights = [parameter.sum().item() for parameter in models.make("bert")[0].parameters()]
    return repr((vocabularies, weights))


STYLES = ("word", "mpnet", "byte", "decoder", "pieces", "t5")


def test_models_are_the_same_in_every_process() -> None:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "PYTHONHASHSEED": "7"}
    other = subprocess.run([sys.executable, "-c", CODE], env=env, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == found()


def test_every_text_of_the_sentences_has_pieces() -> None:
    for style in STYLES:
        tokenizer = models.make_tokenizer(style)
        ids = tokenizer(list(models.SENTENCES))["input_ids"]
        assert tokenizer.unk_token_id not in {each for row in ids for each in row}, style
        words = sum(len(sentence.split()) for sentence in models.SENTENCES)
        assert words < sum(map(len, ids)) < 6 * words, style
