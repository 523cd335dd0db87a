"""``embedkit serve``: bundles behind HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from embedkit.cli.app import app
from embedkit.cli.click_ext import argument
from embedkit.cli.options import Loading, loading_options
from embedkit.cli.serve_options import ListenOptions, TakingOptions, listen_options, taking_options

if TYPE_CHECKING:
    from embedkit.encoders.base import BaseEncoder


@app.command(
    short_help="Answer over HTTP as OpenAI, Cohere, Jina, vLLM and TEI do.",
    epilog="\b\nExamples:\n"
    "  embedkit serve bundle --port 8080\n"
    "  embedkit serve e5=models/e5 rank=models/reranker --alias text-embedding-3-small=e5\n"
    "  EMBEDKIT_API_KEY=secret embedkit serve bundle --host 0.0.0.0 --workers 4 --metrics-port 9090\n"
    "  embedkit serve bundle --store chroma:index\n"
    "\n\b\nThen:\n"
    "  curl localhost:8080/v1/embeddings -H 'content-type: application/json' -d '{\"input\": \"tea\"}'\n"
    "  OpenAI(base_url='http://localhost:8080/v1', api_key='none').embeddings.create(model='bundle', input='tea')\n"
    "\n\b\nA model's name may say the role: bundle:query, bundle:document. A page to try it is at /, all routes are in\n"
    "/openapi.json. SIGTERM drains, SIGHUP looks for changed bundles.",
)
@argument("bundles", nargs=-1, required=True, metavar="[NAME=]BUNDLE...", help="Folders that embedkit-export made.")
@click.option("--alias", multiple=True, metavar="ALIAS=NAME", help="Another name of a bundle; can be repeated.")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Compute in so many processes, for machines of many cores; by default in one.",
)
@click.option(
    "--watch",
    is_flag=True,
    help="Look every two seconds whether a bundle has changed, and swap it in without a pause.",
)
@click.option("--verify", is_flag=True, help="Compare with the bundle's golden vectors before it answers.")
@listen_options
@taking_options
@loading_options
def serve(
    bundles: tuple[str, ...],
    alias: tuple[str, ...],
    workers: int | None,
    watch: bool,
    verify: bool,
    listening: ListenOptions,
    taking: TakingOptions,
    loading: Loading,
) -> None:
    """Answer over HTTP as OpenAI, Cohere, Jina, vLLM and TEI do."""
    from embedkit.system.extras import needed

    for module in ("starlette", "uvicorn", "prometheus_client"):
        needed(module, "serving", extra="serve")
    from embedkit.server.process import named_bundles, serve_bundles

    aliases = {}
    for pair in alias:
        name, equals, meant = pair.partition("=")
        if not (name and equals and meant):
            raise click.BadParameter(f"expected ALIAS=NAME, found {pair!r}", param_hint="--alias")
        aliases[name] = meant
    address = listening.address()
    settings = taking.settings(metrics_apart=address.metrics_port is not None)
    folders = named_bundles(bundles)
    if verify:
        from embedkit.errors import BundleError
        from embedkit.runtime.verification import verify as compare

        for folder in folders.values():
            if not (report := compare(folder)).passed:
                raise BundleError(f"{folder}: the bundle does not give its golden vectors here: {report}")

    def load(folder: str) -> BaseEncoder:
        return loading.load(folder) if workers is None else loading.pool(folder, workers)

    serve_bundles(folders, load, settings, address, aliases=aliases, watch=2.0 if watch else None)
