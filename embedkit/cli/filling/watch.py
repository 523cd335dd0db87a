"""A sync that goes on: a round for each change of the source, and a line for each round."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

from embedkit.cli.click_ext import INTERRUPTED
from embedkit.cli.text_io import print_json_line
from embedkit.errors import EmbedkitError

from .ending import Ending
from .run import Run

if TYPE_CHECKING:
    from embedkit.ingestion import IngestReport
    from embedkit.records.filters import Filter

SECONDS = 2.0
"""Between two looks at the source."""


def watch(
    run: Run,
    metric: str | None,
    dead_letters: str | None,
    *,
    outputs: str | None,
    filter: Filter | None,
    fail_on_dead: bool,
    every: float | None,
) -> None:
    """Sync now and after each change of the files, until SIGINT or SIGTERM, and tell of each round. A failure of the first round is
    raised; after one of a later round, which is told, the round is tried again. The exit code is that of the last round."""
    from embedkit.ingestion import IngestInterrupted
    from embedkit.ingestion.readers.changes import Changes

    encoder = run.loading.load(run.bundle)
    changes = Changes(
        run.rows.paths, every or SECONDS, [*store_path(run.store), *([dead_letters] if dead_letters else [])]
    )
    good = True
    with Ending() as ending:
        for number, _ in enumerate(changes.moments(ending.wait), start=1):
            try:
                report = run.once(
                    encoder, metric, dead_letters, outputs=outputs, sync=True, filter=filter, quiet=number > 1
                )
            except IngestInterrupted as stopped:
                _tell(run, number, stopped.report)
                sys.exit(INTERRUPTED)
            except EmbedkitError as error:
                if number == 1:
                    raise
                good = False
                changes.failed()
                _tell(run, number, error)
            else:
                good = not (report.dead and fail_on_dead)
                _tell(run, number, report)
    if not good:
        sys.exit(1)


def store_path(store: str) -> list[str]:
    """The place of a store on this machine, which its own writing changes; none of a server."""
    from embedkit.stores.contract import StoreURL

    address = StoreURL.parse(store)
    return [os.path.abspath(address.path)] if address.path and not address.host else []


def _tell(run: Run, number: int, found: IngestReport | EmbedkitError) -> None:
    now = datetime.now().astimezone()
    failed = isinstance(found, EmbedkitError)
    if run.json:
        told: dict[str, Any] = (
            {"error": str(found)} if isinstance(found, EmbedkitError) else json.loads(found.to_json())
        )
        print_json_line({"round": number, "at": now.isoformat(timespec="seconds"), **told})
    elif failed or not run.quiet:
        print(f"{now:%H:%M:%S} {_line(found)}", file=sys.stderr if failed else sys.stdout, flush=True)


def _line(found: IngestReport | EmbedkitError) -> str:
    if isinstance(found, EmbedkitError):
        return f"error: {' '.join(str(found).split())}; tried again in a while"
    line = f"{str(found).splitlines()[0]}, in {found.seconds:.1f} s"
    return f"{line}; rows that were not usable: {found.dead_letters}" if found.dead_letters else line
