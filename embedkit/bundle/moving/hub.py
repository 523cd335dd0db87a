"""A bundle into a repository of a hub, in one commit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from embedkit.bundle.folder import Bundle
from embedkit.bundle.manifest import MANIFEST
from embedkit.system.files.addresses import as_os_error

from .place import BundlePlace


def commit(bundle: Bundle, place: BundlePlace, stale: Sequence[str], *, quiet: bool) -> None:
    """Write the bundle's files to a place of ``hf://``, and delete the ``stale`` ones, in one commit; files of any size that are in the
    repository already are not sent again. A repository that is missing is made, private. Raises `OSError`."""
    assert place.hub is not None
    repository, revision, folder = place.hub
    inside = f"{folder.rstrip('/')}/" if folder else ""
    with as_os_error(place.address), _bars(hidden=quiet):
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

        api = HfApi()
        api.create_repo(repository, private=True, exist_ok=True)
        api.create_commit(
            repository,
            [
                *(
                    CommitOperationAdd(inside + name, bundle.folder / name)
                    for name in (*bundle.manifest.files, MANIFEST)
                ),
                *(CommitOperationDelete(inside + name) for name in stale),
            ],
            commit_message=f"The bundle of {bundle.manifest.source.name}",
            revision=revision,
        )


@contextmanager
def _bars(*, hidden: bool) -> Iterator[None]:
    """Let the hub's own bars be seen, or not."""
    from huggingface_hub.utils import (  # type: ignore[attr-defined]
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    change = hidden and not are_progress_bars_disabled()
    if change:
        disable_progress_bars()
    try:
        yield
    finally:
        if change:
            enable_progress_bars()
