"""What a recipe says of a role that reads sounds: from a file to samples, and from these to the energies of their bands."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from embedkit.bundle.frontends.audio import AudioFrontend, Convolution, Mel, samples_of
from embedkit.errors import InputError


class MelInput(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The energies of ``bands`` bands between ``low`` and ``high`` Hz, on a ``scale`` of pitches, with triangular filters; the rest as
    of `embedkit.bundle.frontends.audio.Mel`."""

    frame: int
    hop: int
    bands: int
    frames: int
    fft: int = 0
    low: float = 0.0
    high: float
    scale: Literal["htk", "kaldi", "slaney"] = "slaney"
    norm: Literal["none", "slaney"] = "none"
    in_mel: bool = False
    """Whether the filters are triangles on the scale of pitches, not of Hz."""
    periodic: bool = True
    """Whether the window is the beginning of a longer one."""
    center: bool = True
    dc: bool = True
    preemphasis: float = 0.0
    floor: float = 1e-10
    log: Literal["ln", "log10", "dB"] = "log10"
    range: float | None = None
    shift: float = 0.0
    divide: float = 1.0
    layout: Literal["bands", "frames"] = "bands"
    planes: int = 0

    def arrays(self, rate: int) -> dict[str, npt.NDArray[np.float64]]:
        """The ``filters`` and the ``window``."""
        from transformers.audio_utils import mel_filter_bank, window_function

        filters = mel_filter_bank(
            num_frequency_bins=(self.fft or self.frame) // 2 + 1,
            num_mel_filters=self.bands,
            min_frequency=self.low,
            max_frequency=self.high,
            sampling_rate=rate,
            norm=None if self.norm == "none" else self.norm,
            mel_scale=self.scale,
            triangularize_in_mel_space=self.in_mel,
        )
        window = window_function(self.frame, "hann", periodic=self.periodic)
        return {"filters": np.asarray(filters, np.float64), "window": np.asarray(window, np.float64)}

    def described(self, file: str) -> Mel:
        """As the manifest has it."""
        own = {name: getattr(self, name) for name in self.__struct_fields__ if name in Mel.__struct_fields__}
        return Mel(file=file, **{**own, "fft": self.fft or self.frame})


class AudioInput(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Sounds at ``rate`` samples a second, of which the graph takes the samples, or the ``mel`` (``auto``: as the model's own files
    say); the rest as of `embedkit.bundle.frontends.audio.AudioFrontend`."""

    rate: int
    most: int | None = None
    cut: Literal["head", "center"] = "head"
    fill: Literal["none", "zeros", "repeat", "repeatpad"] = "none"
    wave: Literal["none", "standardize"] = "none"
    int16: bool = False
    mel: MelInput | Literal["auto"] | None = None
    batch: Literal["auto", "longest", "equal"] = "auto"

    def frontend(self, *, file: str, convolutions: list[Convolution], batch: str, slots: int = 256) -> AudioFrontend:
        """What the manifest says of it; ``convolutions`` and ``batch`` are the model's where it reads samples."""
        common = {name: getattr(self, name) for name in ("rate", "most", "cut", "fill", "wave", "int16")}
        if isinstance(self.mel, MelInput):
            mel = self.mel.described(file)
            return AudioFrontend(**common, least=min(mel.frame, self.most or mel.frame), mel=mel, slots=slots)
        chosen: Any = batch if self.batch == "auto" else self.batch
        least = samples_of(2 if chosen == "equal" else 1, convolutions)
        return AudioFrontend(**common, least=least, batch=chosen, convolutions=convolutions)


def audio_input(given: Any, where: str) -> AudioInput:
    """An `AudioInput` from a table, or itself; `InputError` that names the field."""
    if isinstance(given, AudioInput):
        return given
    try:
        return msgspec.convert(given, AudioInput)
    except msgspec.ValidationError as error:
        raise InputError(f"{where}: audio: {error}; found {given!r:.120}") from None


def lines(frontend: AudioFrontend) -> list[str]:
    """The steps to what the graph takes, in words, in order."""
    said = [f"channels averaged, resampled to {frontend.rate:,} samples a second (soxr_hq)"]
    if frontend.most is not None:
        where = "the first" if frontend.cut == "head" else "the middle"
        said.append(f"cut to {where} {frontend.most:,} samples ({frontend.most / frontend.rate:g} seconds)")
    if frontend.int16:
        said.append("rounded to 16 bits")
    if frontend.wave == "standardize":
        said.append("(x - mean) / sqrt(variance + 1e-7) of the clip")
    if frontend.fill != "none":
        said.append(f"filled to {frontend.most:,} samples: {frontend.fill}")
    if frontend.mel is None:
        beside = (
            "filled with zeros behind, with a mask"
            if frontend.batch == "longest"
            else "beside clips of equal length alone"
        )
        return [*said, f"in a batch {beside}"]
    mel = frontend.mel
    said.append(
        f"frames of {mel.frame} every {mel.hop} samples, {'centred' if mel.center else 'from the first on'}; fft {mel.fft}"
    )
    if not mel.dc or mel.preemphasis:
        said.append(f"of a frame: {'' if mel.dc else 'its mean taken off, '}preemphasis {mel.preemphasis:g}")
    said.append(f"{mel.bands} bands of the power, at least {mel.floor:g}, {mel.log}")
    if mel.range is not None:
        said.append(f"at least the largest less {mel.range:g}")
    return [*said, f"{mel.frames} frames, (x - {mel.shift:g}) / {mel.divide:g}"]
