"""Sounds as a modality: paths, the bytes of files, and samples with their rate."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.bundle.frontends.audio import AudioFrontend
from embedkit.errors import InputError
from embedkit.records.media import Audio
from embedkit.runtime.frontends.base import Item, Modality, Preparer
from embedkit.runtime.frontends.media import Undecodable, digest, read_file

from .batches import AudioPreparer
from .decoding import MAX_SOUND_BYTES, soundfile
from .mel import MelBank, shape
from .waves import PreparedSound, SoundPart, problem_of

_BYTES_A_CHARACTER = 32
"""What a character of text takes of memory, about, until it is a tensor."""
_PACKED = 16
"""How many times as large the samples of a file are, at most as a rule, as the file."""


_KINDS = Path | Audio | PreparedSound | SoundPart


class AudioModality(Modality):
    """Sounds, as one `AudioFrontend` reads them."""

    kind = AudioFrontend
    sources = frozenset({"samples", "features", "length"})
    noun = "sound"

    def is_item(self, value: object) -> bool:
        """A path, an `Audio` or (array, rate); a string, bytes or an array too, which `check` refuses in words."""
        return isinstance(value, _KINDS | str | bytes | np.ndarray) or is_rated(value)

    def claims(self, value: object) -> bool:
        """What is no text: a string and bytes are none of a sound's types."""
        return isinstance(value, _KINDS) or is_rated(value)

    def check(self, value: object, where: str) -> Item:
        """A path or `Audio` as it is, (array, rate) as an `Audio`; anything else is an `InputError`. Whether a file is a sound is known
        when it is prepared."""
        if is_rated(value):
            assert isinstance(value, tuple)
            try:
                value = Audio(*value)
            except InputError as error:
                raise InputError(f"{where}: {error}") from None
        if isinstance(value, Audio) and (problem := problem_of(value, where)):
            raise InputError(problem)
        if isinstance(value, _KINDS):
            return value
        if isinstance(value, str):
            raise InputError(
                f"{where}: a string is a text, and this role reads sounds; give pathlib.Path({value!r:.80}) if it names a file"
            )
        if isinstance(value, bytes):
            raise InputError(f"{where}: found bytes; give embedkit.Audio(data=...) of a sound's file")
        if isinstance(value, np.ndarray):
            raise InputError(
                f"{where}: found an array, whose rate nothing says; give embedkit.Audio(samples, rate), or (samples, rate)"
            )
        raise InputError(
            f"{where}: expected a sound (pathlib.Path, embedkit.Audio, (samples, rate)), found {type(value).__name__} {value!r:.40}"
        )

    def key(self, item: Item) -> Hashable:
        """A digest of its bytes; of a file that cannot be read its path, for the preparer to tell why."""
        if isinstance(item, Path):
            try:
                return digest("file", read_file(item, MAX_SOUND_BYTES))
            except Undecodable:
                return item
        if isinstance(item, SoundPart):
            try:
                found = item.path.stat()
            except (OSError, ValueError):
                return item
            return (item, found.st_size, found.st_mtime_ns)
        if isinstance(item, PreparedSound):
            return digest(f"prepared {item.numbers.shape}", item.numbers.tobytes())
        if item.data is not None:
            return digest("file", item.data)
        about = f"{item.samples.shape} {item.samples.dtype} {item.rate}"
        return digest(about, np.ascontiguousarray(item.samples).tobytes())

    def cost(self, item: Item) -> int:
        """What it holds in memory until it is computed, in characters of text: where clips have a length of their own, they are
        decoded before their batch is chosen."""
        if isinstance(item, SoundPart):
            held = int((item.end - item.start) * self.frontend.rate) * 4 if self._early else 0
        elif isinstance(item, Path):
            held = 0
            if self._early:
                try:
                    held = item.stat().st_size * _PACKED
                except OSError:
                    held = 0
        elif isinstance(item, PreparedSound):
            held = item.numbers.nbytes
        elif item.data is not None:
            held = len(item.data) * (_PACKED if self._early else 1)
        else:
            held = item.samples.nbytes
        return 64 + held // _BYTES_A_CHARACTER

    def fill(self, text: str, number: int = 0) -> Item:
        """The path that a text names: on a command line, in a table."""
        return Path(text)

    def of_row(self, text: str, metadata: Mapping[str, Any]) -> Item:
        """The path of the row's ``uri``, or of its text; of a row that is a part of a sound its ``start`` and ``end`` in it."""
        path = Path(str(metadata.get("uri") or text))
        start, end = metadata.get("start"), metadata.get("end")
        if metadata.get("media") != "audio" or "chunk" not in metadata:
            return path
        if not isinstance(start, int | float) or not isinstance(end, int | float):
            return path
        return SoundPart(path, float(start), float(end))

    def reads_text(self, metadata: Mapping[str, Any]) -> bool:
        """Where it names the file."""
        return not metadata.get("uri")

    def prepared(self, items: Sequence[Item]) -> dict[str, npt.NDArray[Any]]:
        """(n, ...) float32 ``features``; of clips of other lengths (n, longest) ``samples`` or (n, most windows, ...) ``features``, and
        (n,) ``size`` how many are a clip's."""
        preparer = self._preparer
        made = [preparer.numbers(item, i) for i, item in enumerate(items)]
        if not self._early:
            return {"features": np.stack(made)}
        sizes = np.array([len(one) for one in made], dtype=np.int64)
        rows = np.zeros((len(made), int(sizes.max()), *made[0].shape[1:]), dtype=np.float32)
        for row, one in zip(rows, made, strict=True):
            row[: len(one)] = one
        return {"samples" if self.frontend.mel is None else "features": rows, "size": sizes}

    def restored(self, arrays: Mapping[str, npt.NDArray[Any]]) -> list[Item]:
        """The numbers as they are."""
        mel = self.frontend.mel
        found = arrays.get("samples" if mel is None else "features")
        sizes = arrays.get("size")
        inner = () if mel is None else shape(mel)
        before = 2 if self._early else 1
        if found is None or found.dtype != np.float32 or found.ndim < before or found.shape[before:] != inner:
            raise InputError(f"expected prepared sounds, found {', '.join(arrays)}")
        if not self._early:
            return [PreparedSound(one) for one in found]
        if sizes is None or sizes.shape != (len(found),) or not (sizes <= found.shape[1]).all():
            raise InputError("expected the size of each prepared clip")
        return [PreparedSound(one[: int(size)]) for one, size in zip(found, sizes, strict=True)]

    @property
    def _early(self) -> bool:
        """Whether clips are prepared before their batch is chosen, since their size is their own."""
        return self.frontend.mel is None or self.frontend.windows is not None

    def of_file(self, data: bytes) -> Item:
        """The sound of a file."""
        return Audio(data=data)

    _preparer: AudioPreparer

    def open(self, path: Callable[[str], Path]) -> Preparer:
        """What makes batches, with the arrays of a mel."""
        soundfile()
        mel = self.frontend.mel
        self._preparer = AudioPreparer(self.frontend, None if mel is None else MelBank.read(mel, path(mel.file)))
        return self._preparer


def is_rated(value: object) -> bool:
    """Whether a value is an array with its rate."""
    return (
        isinstance(value, tuple)
        and len(value) == 2
        and isinstance(value[0], np.ndarray)
        and isinstance(value[1], int | float | np.integer)
    )
