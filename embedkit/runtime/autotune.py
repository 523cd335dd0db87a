"""Which engine computes a bundle's graphs where that was left open: the fastest here that keeps the bundle's promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec

from embedkit.bundle.folder import Bundle
from embedkit.system import cache
from embedkit.system.version import __version__

from .engines.base import Engine
from .engines.selection import DEFAULT, choose_variant, engines, find_engine
from .loaded import LoadedBundle
from .selfcheck import agrees, broken_promise, measure, pieces

WORTH = 1.2
"""Another engine is taken where it is so many times as fast: its vectors are others, so a coin must not decide."""

Load = Callable[[str, str], LoadedBundle]
"""The bundle loaded with the engine that the first argument names, which says the second of itself (``why``)."""


def undecided(engine: str) -> bool:
    """Whether two processes might decide on different engines."""
    if engine != "auto":
        return engine in [entry.name for entry in engines() if entry.precisions and _installed(entry)]
    return any(_installed(entry) for entry in _others())


def without_measuring(bundle: Bundle, engine: str, variant: str, device: str) -> tuple[str, str] | None:
    """The engine, and why, where the question needs no measurement; None where it does."""
    if engine != "auto":
        named = find_engine(engine, device)
        if engine != named.name or not named.precisions:
            return engine, f"{engine}: it was named"
        if variant == "auto":
            return None
        exact = f"{named.name}:{named.precisions[0]}"
        return exact, f"{exact}: the variant {variant} was named, and is computed as it is"
    if device != "cpu":
        return DEFAULT, f"{DEFAULT}: of the engines it computes on {device.upper()}"
    if variant != "auto":
        return DEFAULT, f"{DEFAULT}: the variant {variant} was named, and its graph is computed as it is"
    if any(output.kind != "dense" for tower in bundle.manifest.towers.values() for output in tower.outputs.values()):
        return DEFAULT, f"{DEFAULT}: others are tried with dense vectors only"
    others = _others()
    names = ", ".join(dict.fromkeys(entry.name for entry in others))
    if not any(map(_installed, others)):
        return DEFAULT, f"{DEFAULT}: {names} is not installed"
    if not any(_reads(entry, bundle) for entry in others if _installed(entry)):
        wanted = next(entry.variants for entry in others if _installed(entry)) or ()
        return DEFAULT, f"{DEFAULT}: {names} reads the variant {' or '.join(wanted)}, which this bundle has not"
    return None


def fastest(bundle: Bundle, engine: str, load: Load, *, threads: int, token_budget: int | None) -> LoadedBundle:
    """The bundle loaded as ``auto`` means it, or by an engine whose precision was left open. What was found out is kept in
    the user's cache folder, for this bundle, processor, number of threads and versions."""
    candidates = [find_engine(engine)] if engine != "auto" else [entry for entry in _others() if _installed(entry)]
    packages = sorted({entry.package for entry in engines()} | {"onnxruntime-gpu"})
    key = {
        "files": sorted(entry.sha256 for entry in bundle.manifest.files.values()),
        "fingerprint": bundle.manifest.fingerprint,
        "engine": engine,
        "threads": threads,
        "token_budget": token_budget,
        "processor": cache.processor(),
        "versions": {name: _version(name) for name in packages} | {"embedkit": __version__},
    }
    first = DEFAULT if engine == "auto" else f"{engine}:{candidates[0].precisions[0]}"
    promised = _promised(bundle)
    rivals = [
        name for entry in candidates if _reads(entry, bundle) for name in _rivals(entry, promised) if name != first
    ]
    kept = cache.recall(key)
    if kept and kept.get("engine") in (first, *rivals) and isinstance(kept.get("why"), str):
        if kept["engine"] == first:
            return load(first, kept["why"])
        found = _tried(load, kept["engine"], kept["why"])
        if not isinstance(found, str) and agrees(found, promised):
            return found
    loaded = _compare(load, first, rivals)
    cache.remember(key, {"engine": loaded.setup.engine, "why": loaded.setup.why})
    return loaded


def _compare(load: Load, first: str, rivals: Sequence[str]) -> LoadedBundle:
    base = load(first, "")
    promised = base.setup.variant if first == DEFAULT else _promised(base.bundle)
    tried, about = {first: base}, []
    for rival in rivals:
        found = _tried(load, rival)
        if isinstance(found, str):
            about.append(f"{rival} cannot compute this model ({found})")
        else:
            tried[rival] = found
    seconds = measure(tried)
    for name in sorted(tried.keys() - {first}, key=seconds.__getitem__):
        speed = f"{name} is {seconds[first] / seconds[name]:.2f} times as fast here"
        if seconds[first] < WORTH * seconds[name]:
            about.append(f"{speed}, which is less than {WORTH}")
        elif broken := _broken(tried[name], promised):
            about.append(f"{speed}, but {broken}")
        else:
            return _because(
                tried[name],
                f"{speed} as {_name(base)}, and it keeps what the bundle promises of {promised}: golden vectors, and the "
                "same bytes alone and in any company",
            )
    return _because(base, f"{_name(base)}: " + "; ".join(about))


def _because(loaded: LoadedBundle, why: str) -> LoadedBundle:
    return LoadedBundle(loaded.bundle, loaded.towers, replace(loaded.setup, why=why))


def _broken(loaded: LoadedBundle, variant: str) -> str:
    try:
        return broken_promise(loaded, variant)
    except Exception as error:
        return f"it fails ({_line(error)})"


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


def _tried(load: Load, engine: str, why: str = "") -> LoadedBundle | str:
    """The bundle loaded, or why it cannot be had: what goes wrong here must not keep the first engine from working."""
    try:
        loaded = load(engine, why)
        loaded.values("default", pieces(loaded, loaded.bundle.golden().texts[:1]))
        return loaded
    except Exception as error:
        return _line(_first_cause(error))


def _first_cause(error: BaseException) -> BaseException:
    return error if error.__cause__ is None else _first_cause(error.__cause__)


def _promised(bundle: Bundle) -> str:
    """The variant that ``auto`` takes on CPU: what the others must keep up with."""
    graph = bundle.tower("default").graph
    assert graph is not None
    return choose_variant("auto", graph.variants, "cpu")


def _name(loaded: LoadedBundle) -> str:
    return f"{DEFAULT} with {loaded.setup.variant}" if loaded.setup.engine == DEFAULT else loaded.setup.engine


def _others() -> list[Engine]:
    """The engines on CPU that may be taken in the place of the default one."""
    return [entry for entry in engines() if entry.device == "cpu" and entry.name != DEFAULT and entry.rivals]


def _rivals(entry: Engine, variant: str) -> list[str]:
    return [f"{entry.name}:{precision}" for precision in entry.rivals.get(variant, entry.rivals.get("*", ()))]


def _installed(entry: Engine) -> bool:
    return find_spec(entry.package) is not None


def _reads(entry: Engine, bundle: Bundle) -> bool:
    graphs = [tower.graph for tower in bundle.manifest.towers.values() if tower.graph]
    return entry.variants is None or all(set(entry.variants) & set(graph.variants) for graph in graphs)


def _version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None
