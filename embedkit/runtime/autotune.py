"""Which engine computes a bundle's graphs where that was left open: the fastest here that keeps the bundle's promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from embedkit._version import __version__
from embedkit.bundle.folder import Bundle
from embedkit.runtime.engines.selection import choose_variant
from embedkit.system import cache

from .selfcheck import GOLDEN_TOLERANCE, broken_promise, measure, pieces, worst_cosine

if TYPE_CHECKING:
    from embedkit.encoders.encoder import Encoder

WORTH = 1.2
"""Another engine is taken where it is so many times as fast: its vectors are others, so a coin must not decide."""

_CANARIES = 4

Load = Callable[[str, str], "Encoder"]
"""An encoder of the engine and variant named by the first argument, which says the second of itself (``why``)."""


def undecided(engine: str) -> bool:
    """Whether two processes might settle on different engines."""
    return engine in ("auto", "openvino") and find_spec("openvino") is not None


def settled(bundle: Bundle, engine: str, variant: str, device: str) -> tuple[str, str] | None:
    """The engine, and why, where the question needs no measurement; None where it does."""
    if engine == "openvino":
        return (
            ("openvino:f32", "openvino:f32: the variant fp32 was named, and is computed as it is")
            if variant == "fp32"
            else None
        )
    if engine != "auto":
        return engine, f"{engine}: it was named"
    if device == "cuda":
        return "onnxruntime", "onnxruntime: of the engines it computes on CUDA"
    if variant != "auto":
        return "onnxruntime", f"onnxruntime: the variant {variant} was named, and its graph is computed as it is"
    if any(output.kind != "dense" for tower in bundle.manifest.towers.values() for output in tower.outputs.values()):
        return "onnxruntime", "onnxruntime: others are tried with dense vectors only"
    if not find_spec("openvino"):
        return "onnxruntime", "onnxruntime: openvino is not installed"
    if not all("fp32" in tower.graph.variants for tower in bundle.manifest.towers.values() if tower.graph):
        return "onnxruntime", "onnxruntime: openvino reads the variant fp32, which this bundle has not"
    return None


def fastest(bundle: Bundle, engine: str, load: Load, *, threads: int, token_budget: int | None) -> Encoder:
    """The encoder of ``auto``, or of ``openvino`` with its precision left open. What was found out is kept in the user's
    cache folder, for this bundle, processor, number of threads and versions."""
    key = {
        "files": sorted(entry.sha256 for entry in bundle.manifest.files.values()),
        "fingerprint": bundle.manifest.fingerprint,
        "engine": engine,
        "threads": threads,
        "token_budget": token_budget,
        "processor": cache.processor(),
        "versions": {name: _version(name) for name in ("onnxruntime", "onnxruntime-gpu", "openvino")}
        | {"embedkit": __version__},
    }
    first = "onnxruntime" if engine == "auto" else "openvino:f32"
    promised = _promised(bundle)
    rivals = [
        rival
        for rival in (("openvino:f32",) if promised == "fp32" else ("openvino:int8", "openvino:bf16"))
        if rival != first
    ]
    kept = cache.recall(key)
    if kept and kept.get("engine") in (first, *rivals) and isinstance(kept.get("why"), str):
        if kept["engine"] == first:
            return load(first, kept["why"])
        found = _tried(load, kept["engine"], kept["why"])
        if not isinstance(found, str) and agrees(found, promised):
            return found
    encoder = _compare(load, first, rivals)
    cache.remember(key, {"engine": encoder.engine, "why": encoder.why})
    return encoder


def agrees(encoder: Encoder, variant: str) -> bool:
    """Whether the first golden texts get the vectors here that ``variant`` promises."""
    graph = encoder.bundle.tower("default").graph
    assert graph is not None
    promised = graph.variants[variant].golden_cosine_min
    return worst_cosine(encoder, count=_CANARIES) >= promised - GOLDEN_TOLERANCE


def _compare(load: Load, first: str, rivals: Sequence[str]) -> Encoder:
    base = load(first, "")
    promised = base.variant if first == "onnxruntime" else _promised(base.bundle)
    encoders, about = {first: base}, []
    for rival in rivals:
        found = _tried(load, rival)
        if isinstance(found, str):
            about.append(f"{rival} cannot compute this model ({found})")
        else:
            encoders[rival] = found
    seconds = measure(encoders)
    for name in sorted(encoders.keys() - {first}, key=seconds.__getitem__):
        speed = f"{name} is {seconds[first] / seconds[name]:.2f} times as fast here"
        if seconds[first] < WORTH * seconds[name]:
            about.append(f"{speed}, which is less than {WORTH}")
        elif broken := _broken(encoders[name], promised):
            about.append(f"{speed}, but {broken}")
        else:
            encoders[name].why = (
                f"{speed} as {_name(base)}, and it keeps what the bundle promises of {promised}: golden vectors, and the "
                "same bytes alone and in any company"
            )
            return encoders[name]
    base.why = f"{_name(base)}: " + "; ".join(about)
    return base


def _broken(encoder: Encoder, variant: str) -> str:
    try:
        return broken_promise(encoder, variant)
    except Exception as error:
        return f"it fails ({_line(error)})"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _tried(load: Load, engine: str, why: str = "") -> Encoder | str:
    """The encoder, or why it cannot be had: what goes wrong here must not keep the first engine from working."""
    try:
        encoder = load(engine, why)
        encoder._towers["default"].values(encoder.fill(pieces(encoder, ["text"])), encoder.token_budget)
        return encoder
    except Exception as error:
        return _line(error)


def _promised(bundle: Bundle) -> str:
    """The variant that ``auto`` takes on CPU: what the others must keep up with."""
    graph = bundle.tower("default").graph
    assert graph is not None
    return choose_variant("auto", graph.variants, "cpu")


def _name(encoder: Encoder) -> str:
    return f"onnxruntime with {encoder.variant}" if encoder.engine == "onnxruntime" else encoder.engine


def _version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None
