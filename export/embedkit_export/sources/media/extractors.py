"""How a model's own files prepare a sound: transformers' feature extractors."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from embedkit.errors import ExportError
from embedkit_export.quiet import quiet, reason
from embedkit_export.recipes.audio import AudioInput, MelInput

FILES = ("preprocessor_config.json", "processor_config.json")
_WAVES = ("Wav2Vec2FeatureExtractor",)


@dataclass(frozen=True)
class Hearing:
    """What is done to a sound, where each part of it comes from, and the feature extractor that does the same."""

    audio: AudioInput
    reasons: list[str] = field(default_factory=list)
    extractor: Any = None


def of_folder(folder: Path | None) -> Hearing | None:
    """What a model's folder says of it; None where it says nothing. Raises `ExportError`."""
    found = next((folder / name for name in FILES if (folder / name).is_file()), None) if folder is not None else None
    if found is None or not _states_sounds(found):
        return None
    from transformers import AutoFeatureExtractor

    with quiet():
        try:
            extractor = AutoFeatureExtractor.from_pretrained(found.parent)
        except Exception as error:
            raise ExportError(
                f"{found}: transformers makes no feature extractor of it: {reason(error)}; give `audio` in the recipe as a table"
            ) from error
    return of_extractor(extractor, found.name)


def of_extractor(extractor: Any, where: str = "live") -> Hearing:
    """What a feature extractor of transformers does; raises `ExportError` where it is of a kind that is not known."""
    name = type(extractor).__name__
    if name in _WAVES:
        made = AudioInput(rate=extractor.sampling_rate, wave="standardize" if extractor.do_normalize else "none")
        said = {"mean and deviation of the clip": "do_normalize"}
    elif name == "WhisperFeatureExtractor":
        made, said = _whisper(extractor), _WHISPER
    elif name == "ClapFeatureExtractor":
        made = _clap(extractor)
        said = {"cut": f"truncation {extractor.truncation}; the head, where it draws", **_CLAP}
    elif name == "ASTFeatureExtractor":
        made, said = _ast(extractor), _AST
    else:
        raise ExportError(
            f"{where}: sounds are prepared by {name}, which is not known here; give `audio` in the recipe as a table"
        )
    reasons = [
        f"audio: {step}: {settings} of {name} ({where})" for step, settings in {"rate": "sampling_rate", **said}.items()
    ]
    return Hearing(made, reasons, extractor)


_WHISPER = {
    "cut and filled with zeros": "chunk_length (n_samples)",
    "frames": "n_fft, hop_length, and centred as the code",
    "bands": "feature_size, and slaney's scale and norm to 8 kHz as the code",
    "logarithm, range and shift": "the code",
}
"""Where each step comes from."""

_CLAP = {
    "filled": "padding",
    "length": "nb_max_samples (max_length_s)",
    "frames": "fft_window_size, hop_length",
    "bands": "feature_size, frequency_min, frequency_max, and the scale and norm that its truncation goes with",
    "decibels": "the code",
}

_AST = {
    "length": "max_length",
    "frames": "the code (Kaldi's fbank: 400 every 160 samples, no mean, preemphasis 0.97)",
    "bands": "num_mel_bins, and Kaldi's scale from 20 Hz as the code",
    "shift and division": "do_normalize, mean, std",
}


def _whisper(extractor: Any) -> AudioInput:
    most = _samples(extractor, "n_samples", "chunk_length")
    _no_dither(extractor)
    _silent(extractor)
    if extractor.n_fft % 2:
        raise ExportError(f"n_fft: expected an even number of samples, found {extractor.n_fft}; mend the model's files")
    mel = MelInput(
        frame=extractor.n_fft,
        hop=extractor.hop_length,
        bands=extractor.feature_size,
        frames=most // extractor.hop_length,
        high=8000.0,
        norm="slaney",
        range=8.0,
        shift=-4.0,
        divide=4.0,
    )
    return AudioInput(
        rate=extractor.sampling_rate, most=most, fill="zeros", mel=mel
    )  # do_normalize is read of a call alone


def _clap(extractor: Any) -> AudioInput:
    fused = extractor.truncation == "fusion"
    if not fused and extractor.truncation != "rand_trunc":
        raise ExportError(
            f"truncation: expected fusion or rand_trunc, found {extractor.truncation!r}; mend the model's files"
        )
    most = _samples(extractor, "nb_max_samples", "max_length_s")
    mel = MelInput(
        frame=extractor.fft_window_size,
        hop=extractor.hop_length,
        bands=extractor.feature_size,
        frames=most // extractor.hop_length + 1,
        low=float(extractor.frequency_min),
        high=float(extractor.frequency_max),
        scale="htk" if fused else "slaney",
        norm="none" if fused else "slaney",
        log="dB",
        layout="frames",
        planes=1,  # of a clip that is read in its length all four are equal
    )
    fills: dict[str, Any] = {"repeat": "repeat", "repeatpad": "repeatpad"}
    return AudioInput(rate=extractor.sampling_rate, most=most, fill=fills.get(extractor.padding, "zeros"), mel=mel)


def _ast(extractor: Any) -> AudioInput:
    normal = extractor.do_normalize
    frame, hop, frames = 400, 160, int(extractor.max_length)
    mel = MelInput(
        frame=frame,
        hop=hop,
        fft=512,
        bands=extractor.num_mel_bins,
        frames=frames,
        low=20.0,
        high=float(extractor.sampling_rate // 2),
        scale="kaldi",
        in_mel=True,
        periodic=False,
        center=False,
        dc=False,
        preemphasis=0.97,
        floor=1.192092955078125e-07,
        log="ln",
        shift=float(extractor.mean) if normal else 0.0,
        divide=2 * float(extractor.std) if normal else 1.0,
        layout="frames",
    )
    return AudioInput(rate=extractor.sampling_rate, most=(frames - 1) * hop + frame, mel=mel)


def _samples(extractor: Any, name: str, seconds: str) -> int:
    """The samples that are read; `ExportError` where they are not a whole number of them, with which the extractor ends too."""
    found = getattr(extractor, name)
    if not isinstance(found, int):
        raise ExportError(
            f"{seconds}: expected a whole number of seconds, found {getattr(extractor, seconds)}; mend the model's files"
        )
    return found


def _no_dither(extractor: Any) -> None:
    if getattr(extractor, "dither", 0.0):
        raise ExportError(
            "dither: noise that is drawn anew makes another vector each time; set it to 0 in the model's files"
        )


def _silent(extractor: Any) -> None:
    if getattr(extractor, "padding_value", 0.0):
        raise ExportError(
            f"padding_value: a bundle fills what is short with silence (0), and this model states {extractor.padding_value}; set it to 0 in "
            "the model's files"
        )
    if extractor.padding_side != "right":
        raise ExportError(
            f"padding_side: a bundle fills what is short behind it (right), and this model states {extractor.padding_side}; give `audio` in the "
            "recipe as a table"
        )


def _states_sounds(file: Path) -> bool:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ExportError(f"{file}: cannot be read: {error}; save or fetch the model again") from error
    if not isinstance(found, dict):
        return False
    return "feature_extractor" in found or "sampling_rate" in found or "feature_extractor_type" in found
