"""``embedkit classify``: texts and pictures to classes."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from embedkit.cli.app import app
from embedkit.cli.click_ext import argument
from embedkit.cli.options import Loading, bundle_argument, loading_options
from embedkit.cli.text_io import given_texts, one_line, print_json_line

if TYPE_CHECKING:
    from embedkit.encoders.base import BaseEncoder
    from embedkit.encoders.classifier import Classifier
    from embedkit.encoders.zero_shot.classes import ZeroShot


@app.command(
    short_help="Give texts or pictures their classes.",
    epilog="\b\nExamples:\n"
    "  embedkit classify bundle 'rain is expected in the north'\n"
    "  embedkit classify bundle --input texts.txt --threshold 0.3 > classes.jsonl\n"
    "  embedkit classify bundle photos/ --top 3 --table\n"
    "  embedkit classify clip photos/ --labels labels.txt --prompts imagenet\n\n"
    "With --labels a bundle of texts and pictures needs no head for classes: a class is what its name says. A picture that cannot be read "
    "is a line with its error, and the exit code is then 1.",
)
@bundle_argument
@argument("items", nargs=-1, metavar="[TEXT|FILE]...", help="Texts; or pictures, and folders of them.")
@click.option("--input", metavar="FILE", help="UTF-8 text, one text or file a line; - is standard input.")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    default=0.5,
    help="Where an item may have several classes: the least probability of one.",
)
@click.option(
    "--labels", metavar="FILE", help="The names of the classes, one a line, for a bundle of texts and pictures."
)
@click.option(
    "--prompts",
    metavar="SET|FILE",
    help="The sentences around a label: one of the bundle's sets, photo ('a photo of a {}.'), imagenet (the 80 of CLIP), plain, or a file "
    "with one a line, each with {}.  [default: the bundle's only set, else photo]",
)
@click.option(
    "--scale",
    type=float,
    help="What cosines are multiplied by, for a bundle with --labels that does not say it; often 100.",
)
@click.option(
    "--top", type=click.IntRange(min=1), metavar="K", help="Only the K most probable classes, the first first."
)
@click.option("--table", is_flag=True, help="Print a table (of the 3 most probable classes, or --top) instead of JSON.")
@loading_options
def classify(
    bundle: str,
    items: tuple[str, ...],
    input: str | None,
    threshold: float,
    labels: str | None,
    prompts: str | None,
    scale: float | None,
    top: int | None,
    table: bool,
    loading: Loading,
) -> None:
    """Give texts or pictures their classes: a JSON object a line, with the class (or the list of classes) and every class's
    probability."""
    if not labels and (prompts or scale is not None):
        raise click.BadParameter("give --prompts and --scale with --labels only")
    given = given_texts(items, input)
    encoder = loading.load(bundle)
    judge = _zero_shot(encoder, labels, prompts, scale) if labels else _head(encoder)
    role = getattr(judge, "role", "default")
    modality = encoder.modality(role)
    kind = modality.frontend.kind
    names, media = _files(given, kind)
    unique = [
        name if judge.labels.count(name) == 1 else f"{name} ({i})" for i, name in enumerate(judge.labels)
    ]  # of several of one name each has its number
    failed = False
    for number, row in _judged(judge, names if kind == "text" else [modality.fill(name) for name in names]):
        named = {"file": names[number]} if media else {}
        if isinstance(row, str):
            failed = True
            line: dict[str, Any] = {**named, "error": row}
        else:
            (chosen,) = judge.chosen(row[None], threshold=threshold)
            order = (-row).argsort(kind="stable")[: top or 3] if top or table else range(len(row))
            line = {
                **named,
                "class": chosen,
                "probabilities": {unique[i]: round(float(row[i]), 6) for i in order},
            }
        print(_shown(names[number], line)) if table else print_json_line(line)
    if failed:
        sys.exit(1)


def _zero_shot(encoder: BaseEncoder, labels: str, prompts: str | None, scale: float | None) -> ZeroShot:
    from embedkit.encoders.zero_shot.classes import ZeroShot
    from embedkit.encoders.zero_shot.prompts import lines_of

    named = list(dict.fromkeys(lines_of(labels, "labels: expected a file with a name of a class a line")))
    return ZeroShot(encoder, named, prompts=prompts, scale=scale)


def _head(encoder: BaseEncoder) -> Classifier:
    from embedkit.encoders.classifier import Classifier

    return Classifier(encoder)


def _files(given: Sequence[str], kind: str) -> tuple[list[str], bool]:
    """The files that are named, and of folders those of the kind; of a kind whose items are no files what was given, and False."""
    from embedkit.ingestion.readers.files import Folder
    from embedkit.ingestion.readers.registry import FORMATS, is_of

    if kind not in ("image", "audio"):
        return list(given), False
    found: list[str] = []
    for name in given:
        if Path(name).is_dir():
            found += [str(Path(name) / inside) for inside in Folder(name) if kind not in FORMATS or is_of(inside, kind)]
        else:
            found.append(name)
    if not found:
        raise click.BadParameter(f"found no {kind} in {', '.join(given)}")
    return found, True


def _judged(judge: Classifier | ZeroShot, items: list[Any]) -> Iterator[tuple[int, Any]]:
    """For each item in order its number and its (classes,) probabilities, or why it has none."""
    bad: dict[int, str] = {}
    number = 0
    for part in judge.stream_proba(items, bad.__setitem__):
        for row in part:
            while number in bad:
                yield number, bad[number]
                number += 1
            yield number, row
            number += 1
    yield from ((left, bad[left]) for left in range(number, len(items)))


def _shown(name: str, line: dict[str, Any]) -> str:
    """A line of a table."""
    said = line.get("error") or "  ".join(f"{value:.3f} {label}" for label, value in line["probabilities"].items())
    return f"{one_line(name, 40):40}  {one_line(str(said), 160)}"
