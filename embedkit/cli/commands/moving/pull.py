"""``embedkit pull``: a bundle from another place."""

from __future__ import annotations

import click

from embedkit.cli.app import app
from embedkit.cli.click_ext import argument
from embedkit.cli.options import json_option, quiet_option
from embedkit.cli.text_io import print_report


@app.command(
    short_help="Fetch a bundle: from a hub, a bucket, the web.",
    epilog="\b\nExamples:\n"
    "  embedkit pull hf://owner/minilm-bundle\n"
    "  embedkit pull hf://owner/minilm-bundle@v2 bundle --overwrite\n"
    "  embedkit pull s3://bucket/bundles/minilm bundle\n"
    "  embedkit pull https://example.org/bundles/minilm/ bundle --json\n"
    "\n\b\nA pull that was cut is simply run again: it goes on in the middle of a file. Each file is checked by the manifest's sha256, and\n"
    "the folder appears when all of it is there. Run on a bundle that is there, it makes that whole.",
)
@argument(
    "address",
    metavar="ADDRESS",
    help="Where it is: hf://OWNER/NAME[@REVISION], s3://, gs://, https://, file:// or a folder.",
)
@argument(
    "folder",
    metavar="[DIR]",
    required=False,
    help="The folder to make; by default one of the bundle's name there, here.",
)
@click.option("--overwrite", is_flag=True, help="Replace another bundle in that folder.")
@json_option
@quiet_option
def pull(address: str, folder: str | None, overwrite: bool, json: bool, quiet: bool) -> None:
    """Fetch a bundle into a folder, whole or not at all."""
    from embedkit.bundle.moving.pull import pull as run

    print_report(run(address, folder, overwrite=overwrite, progress=False if quiet else None), json, quiet)
