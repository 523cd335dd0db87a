"""``embedkit classify``: texts to classes."""

from __future__ import annotations

import click

from embedkit.cli.app import app
from embedkit.cli.click_ext import argument
from embedkit.cli.options import Loading, bundle_argument, loading_options
from embedkit.cli.text_io import given_texts, print_json_line


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

    given = given_texts(texts, input)
    classifier = Classifier(loading.load(bundle))
    probabilities = classifier.predict_proba(given)
    for chosen, row in zip(classifier.chosen(probabilities, threshold=threshold), probabilities, strict=True):
        numbers = {label: round(float(value), 6) for label, value in zip(classifier.labels, row, strict=True)}
        print_json_line({"class": chosen, "probabilities": numbers})
