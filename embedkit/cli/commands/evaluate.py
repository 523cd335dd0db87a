"""``embedkit eval``: how good bundles are on labelled data, side by side."""

from __future__ import annotations

import click

from embedkit.cli.app import app
from embedkit.cli.click_ext import argument
from embedkit.cli.eval_options import (
    Compared,
    Data,
    Drawing,
    Written,
    compared_options,
    data_options,
    drawing_options,
    written_options,
)
from embedkit.cli.text_io import print_json


@app.command(
    "eval",
    short_help="How good bundles are on labelled data, with intervals.",
    epilog="\b\nExamples:\n"
    "  embedkit eval bundle --retrieval scifact --sts stsb.tsv\n"
    "  embedkit eval bundle --retrieval s3://bucket/scifact\n"
    "  embedkit eval bundle --variant fp32 --variant int8 --sts stsb.tsv --picture stsb.png\n"
    "  embedkit eval small large --classify train.tsv --test test.tsv --output report.jsonl\n"
    "  embedkit eval bundle --retrieval xquad-en --queries xquad-de/queries.jsonl --queries xquad-zh/queries.jsonl\n"
    "  embedkit eval clip --image-text captions.jsonl --zero-shot birds.csv --labels birds.txt --prompts imagenet\n"
    "  embedkit eval dino --knn birds.csv --neighbours 20 --temperature 0.07\n\n"
    "Files are JSON lines (.jsonl), tables with a header (.tsv without quoting, .csv) or plain text, and may be compressed. "
    "Folders of --retrieval, and files that name no pictures, may lie at an address: s3://, gs://, hf://, https:// (extras s3, gcs, hf, http), "
    "with credentials from the environment. Needs the extra eval:\n\n\b\n  pip install 'embedkit-onnx[eval]'",
)
@argument(
    "bundles",
    nargs=-1,
    required=True,
    metavar="BUNDLE...",
    help="Folders that embedkit-export made, or addresses of servers.",
)
@data_options
@compared_options
@drawing_options
@written_options
@click.option("--quiet", is_flag=True, help="No progress bars.")
@click.option("--json", is_flag=True, help="Print JSON instead of a table, a line a data set.")
def evaluate(
    bundles: tuple[str, ...],
    data: Data,
    compared: Compared,
    drawing: Drawing,
    written: Written,
    quiet: bool,
    json: bool,
) -> None:
    """Measure bundles (and several variants of each) on data, side by side.

    Give one data set or several, with any of the first eight options, which can be repeated; there is a table for each.
    A measure has its 95 % interval by the bootstrap, and where there are several encoders the difference to the first,
    with an interval of its own: one that leaves out 0 is more than chance.
    """
    data.check()
    written.check()
    encoders = compared.encoders(bundles)
    from embedkit.evaluation import evaluate_all

    tasks = data.tasks(drawing.seed)
    reports = evaluate_all(tasks, encoders, resamples=drawing.resamples, seed=drawing.seed, progress=not quiet)
    written.write(reports)
    if json:
        print_json("\n".join(report.to_json() for report in reports))
    else:
        print("\n\n".join(map(str, reports)))
