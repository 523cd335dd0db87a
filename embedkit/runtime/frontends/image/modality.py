"""Pictures as a modality: paths, the bytes of files, Pillow's pictures and arrays; batches that are prepared where they are
computed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.bundle.manifest import ImageFrontend, Input
from embedkit.errors import InputError
from embedkit.records.media import Image
from embedkit.runtime.frontends.base import Batch, Item, Modality, Preparer, Renderer, Rows, Unencodable, Widths
from embedkit.runtime.frontends.media import Undecodable, digest, read_file

from .decoding import MAX_PICTURE_BYTES, pillow
from .pixels import Pixels, Prepared, prepared
from .rendered import as_drawn

_BYTES_A_CHARACTER = 32
"""What a character of text takes of memory, about, until it is a tensor: a window of texts and one of pictures are of one
size."""


class ImageModality(Modality):
    """Pictures, as one `ImageFrontend` reads them."""

    kind = ImageFrontend
    sources = frozenset({"pixels"})
    noun = "image"
    renderer: Renderer | None = None

    def render_with(self, renderer: Renderer) -> bool:
        """Texts become arrays by it, where this role reads drawn ones."""
        if self.frontend.source == "rendered":
            self.renderer = renderer
        return bool(self.frontend.source == "rendered")

    def is_item(self, value: object) -> bool:
        """A path, an `Image`, a picture of Pillow, or one array; a string or bytes too, which `check` refuses in words."""
        if isinstance(value, np.ndarray):
            return value.ndim != 4
        return isinstance(value, Path | Image | Prepared | str | bytes) or is_picture(value)

    def claims(self, value: object) -> bool:
        """What is no text: a string and bytes are none of a picture's types."""
        return isinstance(value, Path | Image | Prepared | np.ndarray) or is_picture(value)

    def check(self, value: object, where: str) -> Item:
        """A path, `Image`, picture or (height, width, 3) uint8 array as it is; anything else is an `InputError`. Whether a file is
        a picture is known when it is prepared."""
        if self.frontend.source == "rendered" and not isinstance(value, Prepared):
            value = as_drawn(self.frontend, value, self.renderer, where)
        if isinstance(value, Path | Image | Prepared) or is_picture(value):
            return value
        if isinstance(value, np.ndarray):
            if value.ndim == 3 and value.shape[2] == 3 and value.dtype == np.uint8:
                return value
            raise InputError(
                f"{where}: expected pixels (height, width, 3) of uint8, found an array {value.shape} of {value.dtype}; convert it, or "
                "give the picture's path"
            )
        if isinstance(value, str):
            raise InputError(
                f"{where}: a string is a text, and this role reads pictures; give pathlib.Path({value!r:.80}) if it names a file"
            )
        if isinstance(value, bytes):
            raise InputError(f"{where}: found bytes; give embedkit.Image(...) of a picture's file")
        raise InputError(
            f"{where}: expected a picture (pathlib.Path, embedkit.Image, a picture of Pillow, a uint8 array), found "
            f"{type(value).__name__} {value!r:.40}"
        )

    def key(self, item: Item) -> Hashable:
        """A digest of its bytes; of a file that cannot be read its path, for `Preparer.batches` to tell why."""
        if isinstance(item, Path):
            try:
                return digest("file", read_file(item, MAX_PICTURE_BYTES))
            except Undecodable:
                return item
        if isinstance(item, Image):
            return digest("file", item.data)
        if isinstance(item, Prepared):
            return digest("pixels", item.pixels.tobytes())
        if isinstance(item, np.ndarray):
            return digest(f"array {item.shape}", np.ascontiguousarray(item).tobytes())
        return id(item)  # the same picture, or one that is computed again: its bytes would all be copied

    def cost(self, item: Item) -> int:
        """What it holds in memory, in characters of text; of a path, which holds nothing yet, what its file is: a window of huge
        files would take minutes."""
        if isinstance(item, Image):
            held = len(item.data)
        elif isinstance(item, np.ndarray):
            held = item.nbytes
        elif isinstance(item, Prepared):
            held = item.pixels.nbytes
        elif isinstance(item, Path):
            held = 0
            with suppress(OSError, ValueError):
                held = item.stat().st_size
        else:
            held = item.width * item.height * len(item.getbands())
        return 64 + held // _BYTES_A_CHARACTER

    def fill(self, text: str, number: int = 0) -> Item:
        """The path that a text names: on a command line, in a table; of drawn texts the text."""
        return text if self.frontend.source == "rendered" else Path(text)

    def of_row(self, text: str, metadata: Mapping[str, Any]) -> Item:
        """The path of the row's ``uri``, or of its text; of drawn texts the text."""
        if self.frontend.source == "rendered":
            return text
        return Path(str(metadata.get("uri") or text))

    def reads_text(self, metadata: Mapping[str, Any]) -> bool:
        """Where it is drawn, or names the file."""
        return self.frontend.source == "rendered" or not metadata.get("uri")

    def prepared(self, items: Sequence[Item]) -> dict[str, npt.NDArray[Any]]:
        """``pixels``, a row an item: (n, height, width, 3) uint8, or (n, 3, height, width) float32."""
        (batch,) = ImagePreparer(self.frontend).batches(items, self.frontend.slots * len(items), None)
        return batch.tensors(len(items))

    def restored(self, arrays: Mapping[str, npt.NDArray[Any]]) -> list[Item]:
        """The pixels as they are."""
        pixels = arrays.get("pixels")
        wanted = self.frontend.shape
        if pixels is None or pixels.shape[1:] != wanted or pixels.dtype != self.frontend.dtype:
            found = "none" if pixels is None else f"{pixels.shape} of {pixels.dtype}"
            raise InputError(f"expected pixels of the shape {wanted} of {self.frontend.dtype}, found {found}")
        return [Prepared(one) for one in pixels]

    def of_file(self, data: bytes) -> Item:
        """The picture of a file."""
        return Image(data)

    def open(self, path: Callable[[str], Path]) -> Preparer:
        """What makes batches; it needs no file of the bundle, and Pillow."""
        pillow()
        return ImagePreparer(self.frontend, fast=self.decode == "fast")


class ImagePreparer:
    """Makes batches of pictures for one `ImageFrontend`; several threads may share it."""

    def __init__(self, frontend: ImageFrontend, *, fast: bool = False) -> None:
        self.frontend, self.fast = frontend, fast

    def batches(self, items: Sequence[Item], budget: int, widths: Widths) -> list[Batch]:
        """Batches of at most ``budget`` token slots, in order. The pictures are prepared when a batch's tensors are asked for, on
        the thread that computes it: no more are in memory than are computed at a time."""
        most = max(1, budget // self.frontend.slots)
        return [
            ImageBatch(
                self.frontend,
                list(items[start : start + most]),
                np.arange(start, min(start + most, len(items))),
                self.fast,
            )
            for start in range(0, len(items), most)
        ]


@dataclass(slots=True)
class ImageBatch(Batch):
    """Pictures that are not prepared yet."""

    frontend: ImageFrontend
    items: list[Item]
    rows: Rows
    fast: bool = False
    truncated: npt.NDArray[np.bool_] = field(init=False)
    tokens: int = field(init=False)

    def __post_init__(self) -> None:
        self.truncated = np.zeros(len(self.items), dtype=np.bool_)
        self.tokens = self.frontend.slots * len(self.items)

    def tensors(self, count: int) -> dict[str, npt.NDArray[Any]]:
        """``pixels``, of as many rows (see `ImageModality.prepared`); rows that are added are black. Raises `Unencodable` with a row of the
        batch."""
        pixels = np.zeros((count, *self.frontend.shape), dtype=self.frontend.dtype)
        for i, item in enumerate(self.items):
            pixels[i] = _prepared(self.frontend, item, i, self.fast)
        return {"pixels": pixels}

    def choice(self, entry: Input, count: int) -> npt.NDArray[np.int64]:
        """Pictures choose nothing."""
        raise AssertionError(entry)


def is_picture(value: object) -> bool:
    """Whether a value is a picture of Pillow, which need not be imported for that."""
    return any(kind.__module__ == "PIL.Image" and kind.__name__ == "Image" for kind in type(value).__mro__)


def _prepared(frontend: ImageFrontend, item: Item, number: int, fast: bool) -> Pixels:
    try:
        return prepared(frontend, item, fast=True) if fast else prepared(frontend, item)
    except Undecodable as error:
        place = f"{item}: " if isinstance(item, Path) and not str(error).startswith(str(item)) else ""
        raise Unencodable(number, f"{place}{error}") from error
    except MemoryError as error:
        raise Unencodable(number, "too little memory to decode it; make it smaller, or leave it out") from error
