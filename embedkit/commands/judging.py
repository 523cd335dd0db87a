"""``embedkit rerank`` and ``embedkit classify``: documents by relevance, texts to classes."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from . import app
from .encoding import lines
from .interface import argument
from .options import Loading, bundle_argument, loading_options


@app.command(
    short_help="Order documents by their relevance to a question.",
    epilog="\b\nExamples:\n"
    "  embedkit rerank bundle 'how to open a tin' 'use a tin opener' 'a tin of paint'\n"
    "  embedkit rerank bundle 'how to open a tin' --input candidates.txt -k 5",
)
@bundle_argument
@argument("query", metavar="QUESTION", help="What is asked.")
@argument("documents", nargs=-1, metavar="[TEXT]...", help="The documents.")
@click.option("--input", metavar="FILE", help="UTF-8 text, a document a line; - is standard input.")
@click.option("-k", type=click.IntRange(min=1), help="Only so many, the best; all by default.")
@loading_options
def rerank(
    bundle: str, query: str, documents: tuple[str, ...], input: str | None, k: int | None, loading: Loading
) -> None:
    """Order documents by their relevance to a question, read together by a cross-encoder: a JSON object a line, best first,
    with the document's number, its score and its text."""
    given = _given(documents, input)
    for found in loading.reranker(bundle).rank(query, given, k):
        _print({"index": found.index, "score": round(float(found.score), 6), "text": given[found.index]})


@app.command(
    short_help="Give texts their classes.",
    epilog="\b\nExamples:\n"
    "  embedkit classify bundle 'rain is expected in the north'\n"
    "  embedkit classify bundle --input texts.txt --threshold 0.3 > classes.jsonl",
)
@bundle_argument
@argument("texts", nargs=-1, metavar="[TEXT]...", help="The texts.")
@click.option("--input", metavar="FILE", help="UTF-8 text, one a line; - is standard input.")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    default=0.5,
    help="Where a text may have several classes: the least probability of one.",
)
@loading_options
def classify(bundle: str, texts: tuple[str, ...], input: str | None, threshold: float, loading: Loading) -> None:
    """Give texts their classes: a JSON object a line, with the class (or the list of classes) and every class's
    probability."""
    from embedkit.encoders.classifier import Classifier

    given = _given(texts, input)
    classifier = Classifier(loading.load(bundle))
    probabilities = classifier.predict_proba(given)
    for chosen, row in zip(classifier.chosen(probabilities, threshold=threshold), probabilities, strict=True):
        numbers = {label: round(float(value), 6) for label, value in zip(classifier.labels, row, strict=True)}
        _print({"class": chosen, "probabilities": numbers})


def _given(texts: tuple[str, ...], input: str | None) -> list[str]:
    if bool(texts) == bool(input):
        raise click.BadParameter("give either texts or --input FILE")
    return list(lines(input)) if input else list(texts)


def _print(found: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(found, ensure_ascii=False) + "\n")
