"""``embedkit push``: a bundle to another place."""

from __future__ import annotations

import click

from embedkit.cli.app import app
from embedkit.cli.click_ext import argument
from embedkit.cli.options import json_option, quiet_option
from embedkit.cli.text_io import print_report


@app.command(
    short_help="Write a bundle to a hub or a bucket.",
    epilog="\b\nExamples:\n"
    "  embedkit push bundle hf://owner/minilm-bundle\n"
    "  embedkit push bundle s3://bucket/bundles/minilm --overwrite\n"
    "\n\b\nA push that was cut is simply run again. Credentials are those of the environment (HF_TOKEN, AWS_ACCESS_KEY_ID, ...).",
)
@argument("bundle", metavar="BUNDLE", help="A folder that embedkit-export made.")
@argument(
    "address", metavar="ADDRESS", help="Where it goes: hf://OWNER/NAME[@BRANCH], s3://, gs://, file:// or a folder."
)
@click.option("--overwrite", is_flag=True, help="Replace another bundle that is there.")
@json_option
@quiet_option
def push(bundle: str, address: str, overwrite: bool, json: bool, quiet: bool) -> None:
    """Write a bundle to an address, its manifest last; what is there already is not sent."""
    from embedkit.bundle.moving.push import push as run

    print_report(run(bundle, address, overwrite=overwrite, progress=False if quiet else None), json, quiet)
