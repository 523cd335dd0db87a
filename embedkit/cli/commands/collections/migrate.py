"""``embedkit migrate``: a collection to another model, back, and done with the old one."""

from __future__ import annotations

import json as json_format
import sys
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import click

from embedkit.cli.app import app
from embedkit.cli.click_ext import argument
from embedkit.cli.filling.kept_options import KeptOptions, kept_options
from embedkit.cli.options import (
    Loading,
    collection_option,
    dead_letters_option,
    json_option,
    loading_options,
    metric_option,
    outputs_option,
    quiet_option,
)
from embedkit.cli.text_io import as_json, input_lines, one_line, print_json

if TYPE_CHECKING:
    from embedkit.records.documents import Hit
    from embedkit.retrieval.questions.comparison import Beside

_SHOWN = 38


@app.command(
    short_help="A collection to another model, under the same name.",
    epilog="\b\nExamples:\n"
    "  embedkit migrate chroma:index --collection docs --to new\n"
    "  embedkit migrate chroma:index --collection docs --to new --from old --queries questions.txt --no-switch\n"
    "  embedkit migrate chroma:index --collection docs --to new --from old --queries questions.txt --least-overlap 0.5\n"
    "  embedkit migrate chroma:index --collection docs --back\n"
    "  embedkit migrate chroma:index --collection docs --finish\n"
    "\n\b\nThe stored texts are encoded beside the old vectors, compared with them row by row, and then the name leads to\n"
    "the new collection, in one step. Run it again where it was cut. Exit code 1 where nothing was switched.",
)
@argument("store", metavar="STORE", help="The store's address, such as chroma:index.")
@collection_option
@click.option(
    "--to", metavar="BUNDLE", help="The new model: a folder that embedkit-export made, or a server's address."
)
@click.option("--from", "old", metavar="BUNDLE", help="The old model, to ask it the --queries too.")
@click.option("--queries", metavar="FILE", help="Queries, one a line: the first ten hits of both models, side by side.")
@click.option(
    "--least-overlap",
    type=click.FloatRange(0.0, 1.0),
    help="Switch only where the mean part of the first ten hits that both have is so large.",
)
@click.option("--no-switch", is_flag=True, help="Encode, check and compare alone; run it again without this to switch.")
@click.option("--back", is_flag=True, help="Let the name lead where it led before.")
@click.option("--finish", is_flag=True, help="Delete the collections that the name led to before.")
@metric_option
@outputs_option
@kept_options
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False),
    metavar="DIR",
    help="The folder below which pictures and sounds lie whose uri is relative.",
)
@click.option("--vectors", type=click.IntRange(0), default=100, help="Encode so many rows once more, and compare.")
@click.option("--searches", type=click.IntRange(0), default=10_000, help="Search for so many rows by their vectors.")
@loading_options
@dead_letters_option
@json_option
@quiet_option
def migrate(
    store: str,
    collection: str,
    to: str | None,
    old: str | None,
    queries: str | None,
    least_overlap: float | None,
    no_switch: bool,
    back: bool,
    finish: bool,
    metric: str | None,
    outputs: str | None,
    kept: KeptOptions,
    root: str | None,
    vectors: int,
    searches: int,
    loading: Loading,
    dead_letters: str | None,
    json: bool,
    quiet: bool,
) -> None:
    """Encode what a collection holds with another model, and let its name lead to the new vectors."""
    if sum((bool(to), back, finish)) != 1:
        raise click.BadParameter("give either --to BUNDLE, --back or --finish")
    if bool(old) != bool(queries) or (least_overlap is not None and not queries):
        raise click.BadParameter("give --queries FILE and --from BUNDLE together, to compare the two models")
    if to is None:
        _led(store, collection, back=back, json=json, quiet=quiet)
        return
    from embedkit.ingestion import migrate as run
    from embedkit.retrieval.questions.comparison import OverlapJudge

    new = loading.load(to)
    judge = None
    if old and queries:
        asked = [line for line in input_lines(queries) if line.strip()]
        judge = OverlapJudge(asked, loading.load(old), new, least=least_overlap or 0.0)
    report = run(
        new,
        store,
        collection=collection,
        metric=metric or None,  # type: ignore[arg-type]
        outputs=[name.strip() for name in outputs.split(",")] if outputs else None,
        **kept.given(),
        root=root,
        vectors=vectors,
        searches=searches,
        judge=judge,
        switch=not no_switch,
        dead_letters=dead_letters or None,
        progress=False if quiet else None,
    )
    if json:
        found = json_format.loads(report.to_json())
        print_json(as_json(found | ({"overlap": judge.overlap, "queries": _told(judge.found)} if judge else {})))
    elif not quiet:
        if judge:
            _show(judge.found)
            print(f"mean overlap of the first ten hits of {len(judge.found):,} queries: {judge.overlap:.3f}")
        print(report)
    if not (report.switched or (no_switch and report.complete)):
        sys.exit(1)


def _show(found: list[Beside]) -> None:
    """The hits of both models side by side; * where the other has it too."""
    for each in found:
        print(f"{one_line(each.query, 2 * _SHOWN)}  (overlap {each.overlap:.1f})")
        both = {hit.id for hit in each.old} & {hit.id for hit in each.new}
        for left, right in zip_longest(each.old, each.new):
            print("  " + "  ".join(_cell(hit, both).ljust(_SHOWN) for hit in (left, right)).rstrip())


def _cell(hit: Hit | None, both: set[str]) -> str:
    return f"{'*' if hit.id in both else ' '} {hit.score:7.4f}  {one_line(hit.id, _SHOWN - 12)}" if hit else ""


def _told(found: list[Beside]) -> list[dict[str, Any]]:
    return [
        {"query": each.query, "overlap": each.overlap}
        | {side: [{"id": hit.id, "score": hit.score} for hit in getattr(each, side)] for side in ("old", "new")}
        for each in found
    ]


def _led(store: str, collection: str, *, back: bool, json: bool, quiet: bool) -> None:
    """Go back to the collection before, or be done with it."""
    from embedkit.ingestion.jobs.migrate import finish, go_back

    told: dict[str, Any]
    if back:
        gone = go_back(store, collection=collection)
        told = {"collection": collection, "leads_to": gone.collection, "rows": gone.rows}
        told |= {"left": gone.left, "left_rows": gone.left_rows}
        words = (
            f"{collection} leads to {gone.collection} ({gone.rows:,} rows) again; {gone.left} has {gone.left_rows:,}"
        )
    else:
        dropped = finish(store, collection=collection)
        told = {"collection": collection, "deleted": list(dropped)}
        words = f"deleted: {', '.join(dropped) or 'nothing'}"
    if json:
        print_json(as_json(told))
    elif not quiet:
        print(words)
