"""Bundles that change on the disk: loaded and warmed beside the old ones, then swapped in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from embedkit.bundle.manifest import MANIFEST
from embedkit.errors import EmbedkitError

from .models import ServedModel
from .observing.logs import write_line
from .service import Service, warm_up


class Watcher:
    """Looks every ``seconds`` (None: when `look` is called) whether the manifest of a model's folder has changed. ``opened`` loads the
    model of a name anew."""

    def __init__(self, service: Service, opened: Callable[[str], ServedModel], seconds: float | None) -> None:
        self._service, self._opened, self._seconds = service, opened, seconds
        self._now = asyncio.Event()
        self._seen = {name: stamp(model.path) for name, model in service.catalogue.models.items()}
        self._closing: set[asyncio.Task[None]] = set()

    def look(self) -> None:
        """Look now."""
        self._now.set()

    async def run(self) -> None:
        """Look until it is cancelled."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._now.wait(), self._seconds)
            self._now.clear()
            await self.once()

    async def once(self) -> None:
        """Swap in what has changed. A bundle that cannot be loaded, or is another model where that is not allowed, is told of in
        the log, and the old one stays."""
        for name, model in list(self._service.catalogue.models.items()):
            found = stamp(model.path)
            if found is None or found == self._seen[name]:
                continue
            self._seen[name] = found
            try:
                new = await asyncio.to_thread(self._opened, name)
                await self._swap(model, new)
            except (EmbedkitError, OSError) as error:
                write_line({"event": "not swapped", "model": name, "why": str(error)})

    async def _swap(self, old: ServedModel, new: ServedModel) -> None:
        before, after = old.encoder.fingerprint, new.encoder.fingerprint
        if before != after and not self._service.settings.allow_change:
            write_line(
                {
                    "event": "not swapped",
                    "model": old.name,
                    "why": "the changed bundle has another fingerprint: its vectors are not comparable with those that clients have; start "
                    "with --allow-change if that is meant",
                    "fingerprint": after,
                }
            )
            await new.close()
            return
        await asyncio.to_thread(warm_up, new)
        self._service.watch(new)
        task = asyncio.ensure_future(self._service.catalogue.replace(new).close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        write_line({"event": "swapped", "model": old.name, "fingerprint": after})


def stamp(folder: str) -> str | None:
    """What changes with a bundle: the hash of its manifest, which has those of all its files; None while there is none."""
    try:
        return sha256((Path(folder) / MANIFEST).read_bytes()).hexdigest()
    except OSError:
        return None
