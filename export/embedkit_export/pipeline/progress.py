"""The steps of an export, told while they go."""

from __future__ import annotations


class Steps:
    """The export's steps as a progress bar on standard error; a context manager."""

    def __init__(self, shown: bool, total: int) -> None:
        from tqdm import tqdm

        self._bar = tqdm(total=total, disable=not shown, bar_format="{percentage:3.0f}%|{bar:20}| {elapsed} {desc}")
        self._started = False

    def __call__(self, name: str, *, again: bool = False) -> None:
        """Begin the step ``name``; ``again`` where it is part of the one before."""
        self._bar.set_description_str(name, refresh=False)
        self._bar.update(int(self._started and not again))
        self._bar.refresh()
        self._started = True

    def __enter__(self) -> Steps:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self("done")
        self._bar.close()
