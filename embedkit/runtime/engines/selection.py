"""Which engine, device and variant a request means, and a graph opened by them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path

from embedkit.errors import DeviceError, OptionError
from embedkit.system.offers import offered

from .base import Device, Engine, Session

GROUP = "embedkit.engines"
"""The entry point group of further engines: each names an `Engine`."""

DEFAULT = "onnxruntime"
"""The engine that computes where nothing speaks for another."""

_OWN = (
    "embedkit.runtime.engines.onnxruntime:ENGINE",
    "embedkit.runtime.engines.cuda:ENGINE",
    "embedkit.runtime.engines.openvino:ENGINE",
)


@cache
def engines() -> tuple[Engine, ...]:
    """Every engine on every kind of device, those of this package first."""
    return (*_own(), *(entry.load() for entry in offered(GROUP)))


@cache
def _own() -> tuple[Engine, ...]:
    own = (name.partition(":") for name in _OWN)
    return tuple(getattr(import_module(module), attribute) for module, _, attribute in own)


def _each() -> Iterator[Engine]:
    """Every engine; those of other packages, which take a search, last and where they are reached."""
    yield from _own()
    yield from engines()[len(_own()) :]


def engine_names() -> tuple[str, ...]:
    """What ``engine=`` may name beside ``auto``."""
    return tuple(dict.fromkeys(name for engine in engines() for name in engine.names))


def find_engine(name: str, device: str = "cpu") -> Engine:
    """The engine of a name (``auto`` is the default one) on a kind of device; `DeviceError` where it is not there."""
    base = DEFAULT if name == "auto" else name.partition(":")[0]
    for engine in _each():
        if engine.name == base and engine.device == device:
            return engine
    raise DeviceError(f"device {device!r}: {base} does not compute there; load with engine={DEFAULT!r}")


def open_session(path: Path, *, engine: str, device: Device, threads: int) -> Session:
    """The graph in ``path``, run by an engine (with its precision) on a device, for ``threads`` callers at a time."""
    return find_engine(engine, device.kind).open(path, engine.partition(":")[2], device, threads)


def check_engine(engine: str) -> None:
    """`OptionError` for an engine that there is not."""
    if engine != "auto" and not any(engine in one.names for one in _each()):
        raise OptionError(f"engine: expected 'auto' or one of {', '.join(engine_names())}, found {engine!r}")


def choose_device(device: str, engine: str = "auto") -> Device:
    """The CPU, or devices of another kind, for ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``cuda:N,M``; `DeviceError` where
    what was asked for is not there. ``auto`` asks the engines of this package, or those of the name that is given."""
    if device == "cpu":
        return Device()
    base = DEFAULT if engine == "auto" else engine.partition(":")[0]
    asked = _own() if device == "auto" and any(one.name == base for one in _own()) else engines()
    kind, colon, numbers = device.partition(":")
    parts = numbers.split(",") if colon else ["0"]
    others = list(dict.fromkeys(entry.device for entry in asked if entry.device != "cpu"))
    if (
        kind not in ("auto", "cpu", *others)
        or (colon and kind not in others)
        or not all(part.isascii() and part.isdecimal() for part in parts)
        or len({int(part) for part in parts}) < len(parts)
    ):
        forms = [
            "'auto'",
            "'cpu'",
            *(form for name in others for form in (f"'{name}'", f"'{name}:N'", f"'{name}:N,M'")),
        ]
        raise DeviceError(f"device: expected {', '.join(forms[:-1])} or {forms[-1]}, found {device!r}")
    able = [entry for entry in asked if entry.name == base and entry.device != "cpu"]
    if kind not in ("auto", "cpu") and kind not in [entry.device for entry in able]:
        raise DeviceError(f"device {device!r}: {base} computes on CPU here; load with engine={DEFAULT!r}")
    for entry in able if kind == "auto" else [entry for entry in able if entry.device == kind]:
        if entry.available():
            return Device(entry.device, tuple(int(part) for part in parts))
        if kind != "auto":
            raise DeviceError(f"device {device!r}: {entry.missing}")
    return Device()


def choose_variant(variant: str, available: Mapping[str, object], device: str, engine: str = DEFAULT) -> str:
    """The variant asked for, or for ``auto`` the fastest that suits the device; `DeviceError` names what the bundle
    has, or what the engine reads."""
    if variant != "auto" and variant not in available:
        raise DeviceError(
            f"variant {variant!r}: this bundle has {', '.join(available)}; load one of them, or export again with --variants"
        )
    chosen = find_engine(engine, device)
    if chosen.variants is not None:
        readable = [name for name in chosen.variants if name in available]
        if not readable or variant not in ("auto", *readable):
            raise DeviceError(
                f"variant {variant!r}: {chosen.name} reads the variant {' or '.join(chosen.variants)}, and makes its own "
                f"precisions of it, and this bundle has {', '.join(available)}; load with variant={chosen.variants[0]!r}, "
                f"engine='{chosen.names[-1]}', or with engine={DEFAULT!r}"
            )
    if variant != "auto":
        return variant
    return next((name for name in chosen.preferred if name in available), next(iter(available)))
