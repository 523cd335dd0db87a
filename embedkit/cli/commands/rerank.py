"""``embedkit rerank``: documents by their relevance to a question."""

from __future__ import annotations

import click

from embedkit.cli.app import app
from embedkit.cli.click_ext import argument
from embedkit.cli.options import Loading, bundle_argument, loading_options
from embedkit.cli.text_io import given_texts, print_json_line


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
    given = given_texts(documents, input)
    for found in loading.reranker(bundle).rank(query, given, k):
        print_json_line({"index": found.index, "score": round(float(found.score), 6), "text": given[found.index]})
