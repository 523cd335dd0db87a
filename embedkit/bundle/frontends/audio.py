"""What a manifest says of a role that reads sounds: from a file to samples, and from these to what a graph takes."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec

from .base import FileName, Model, Positive

Convolution: TypeAlias = Annotated[list[Positive], msgspec.Meta(min_length=2, max_length=2)]
"""Kernel and stride."""


class Mel(Model, frozen=True):
    """The energies of bands over time, of samples x: frames of ``frame`` samples, ``hop`` apart, each times a window, its Fourier
    transform of ``fft`` numbers, and of its power (of two) the sums that the filters say.

    ``file`` holds the arrays ``PREFIXfilters`` (fft // 2 + 1, bands) and ``PREFIXwindow`` (frame,) of float64. The sums, at least
    ``floor``, become ``log`` of them, no more than ``range`` below the largest of the clip; those are cut or filled with zeros to
    ``frames``, and each number y is given as (y - shift) / divide.
    """

    file: FileName
    frame: Positive
    hop: Positive
    fft: Positive
    bands: Positive
    frames: Positive
    prefix: str = ""
    center: bool = True
    """Whether half a frame is mirrored before and behind the clip."""
    dc: bool = True
    """Whether the mean of a frame stays in it."""
    preemphasis: float = 0.0
    floor: float = 1e-10
    log: Literal["ln", "log10", "dB"] = "log10"
    range: float | None = None
    shift: float = 0.0
    divide: float = 1.0
    layout: Literal["bands", "frames"] = "bands"
    """What comes first in a clip's numbers: (bands, frames), or (frames, bands)."""
    planes: Annotated[int, msgspec.Meta(ge=0, le=4)] = 0
    """How many equal copies stand before them as an axis of their own; none where it is 0."""

    def __post_init__(self) -> None:
        if self.frame > self.fft:
            raise ValueError("expected an `fft` of at least `frame` numbers")
        if not self.floor > 0 or self.divide == 0:
            raise ValueError("expected a `floor` above 0 and a `divide` other than 0")


class AudioFrontend(Model, frozen=True, tag_field="kind", tag="audio"):
    """From a sound of any rate and number of channels (which are averaged) to ``rate`` samples a second, and to the samples
    themselves or their `Mel`.

    A clip with fewer than ``least`` samples is refused. One with more than ``most`` is cut to the first of them (``head``) or those
    in the middle (``center``), one with fewer filled: with ``zeros``, with itself as often as it fits and then zeros (``repeatpad``)
    or itself again (``repeat``). ``standardize`` takes off a clip's mean and divides by its deviation before it is filled.

    Without a mel clips of other lengths go through the graph together, filled with zeros behind (``longest``), or only those of
    one length do (``equal``); the graph makes of each the frames that its ``convolutions`` leave, and these are its tokens.
    """

    rate: Positive
    least: Positive = 1
    most: Positive | None = None
    cut: Literal["head", "center"] = "head"
    fill: Literal["none", "zeros", "repeat", "repeatpad"] = "none"
    wave: Literal["none", "standardize"] = "none"
    int16: bool = False
    """Whether samples are rounded to 16 bits, and back."""
    mel: Mel | None = None
    batch: Literal["fixed", "longest", "equal"] = "fixed"
    convolutions: list[Convolution] = []
    slots: Positive = 256
    """Token slots of a clip whose size is fixed."""

    def __post_init__(self) -> None:
        if (self.batch == "fixed") is not (self.mel is not None):
            raise ValueError("expected a batch of a fixed size beside a `mel`, and only there")
        if (self.batch != "fixed") is not bool(self.convolutions):
            raise ValueError("expected `convolutions` without a `mel`, and only there")
        if self.fill != "none" and self.most is None:
            raise ValueError("expected `most` beside a `fill`")
        if self.most is not None and self.most < self.least:
            raise ValueError("expected a `most` of at least `least`")

    @property
    def kind(self) -> str:
        """What it reads."""
        return "audio"

    @property
    def files(self) -> tuple[str, ...]:
        """The file of the mel's arrays."""
        return () if self.mel is None else (self.mel.file,)

    @property
    def longest(self) -> int:
        """Token slots of a clip, of the longest that is read where they are not fixed."""
        return self.slots if self.mel is not None else max(1, self.frames(self.most or self.rate * LONGEST))

    def frames(self, samples: int) -> int:
        """How many frames the convolutions leave of so many samples."""
        for kernel, stride in self.convolutions:
            samples = (samples - kernel) // stride + 1 if samples >= kernel else 0
        return samples


LONGEST = 3600
"""Seconds of a clip that are read at most."""


def samples_of(frames: int, convolutions: list[Convolution]) -> int:
    """The fewest samples of which convolutions leave so many frames."""
    for kernel, stride in reversed(convolutions):
        frames = (frames - 1) * stride + kernel
    return frames
