"""A bundle loaded as the options say, with everything chosen that they leave open."""

from __future__ import annotations

import os
import warnings

from embedkit.bundle.folder import Bundle
from embedkit.errors import OptionError
from embedkit.system.processes import cpu_count

from .autotune import fastest, without_measuring
from .engines.selection import check_engine, choose_device
from .loaded import LoadedBundle
from .options import LoadOptions
from .selfcheck import agrees
from .threads.alone import Alone

DEFAULT_TOKEN_BUDGET = 512
"""Token slots a batch: its activations stay in a core's cache, and one batch is the smallest piece of work for a
thread."""


def load(path: str | os.PathLike[str], options: LoadOptions) -> LoadedBundle:
    """Load a bundle; the hashes of the files it uses are checked. Where the variant was left open and the one that suits
    does not give its golden vectors on this machine, fp32 is loaded, with a warning. Raises `BundleError`, `DeviceError`,
    `InputError` or `MissingExtraError`."""
    check_engine(options.engine)
    bundle = Bundle.open(path)
    device = choose_device(options.device, options.engine)
    threads = options.threads or (cpu_count() if device.kind == "cpu" else len(device.indices))
    budget = options.token_budget or (DEFAULT_TOKEN_BUDGET if device.kind == "cpu" else 32 * DEFAULT_TOKEN_BUDGET)

    if options.decode != "exact" and all(tower.frontend.kind != "image" for tower in bundle.manifest.towers.values()):
        raise OptionError(
            f"decode: {options.decode!r} is how pictures are read, and this bundle reads none; leave it out"
        )

    def load_variant(engine: str, variant: str, why: str) -> LoadedBundle:
        loaded = LoadedBundle.open(
            bundle,
            device,
            variant,
            engine=engine,
            why=why,
            threads=threads,
            token_budget=budget,
            decode=options.decode,
        )
        if threads > 1 and device.kind == "cpu":
            loaded.alone = Alone(threads).tower
        return loaded

    def load_engine(engine: str, why: str) -> LoadedBundle:
        loaded = load_variant(engine, options.variant, why)
        chosen, graph = loaded.setup.variant, bundle.tower("default").graph
        safer = options.variant == "auto" and chosen != "fp32" and graph is not None and "fp32" in graph.variants
        if not safer or loaded.once("agrees", lambda: agrees(loaded, chosen)):
            return loaded
        warnings.warn(
            f"the variant {chosen!r} does not give its golden vectors on this machine, so fp32 is used: "
            "a CPU without VNNI instructions may overflow in 8-bit products; `embedkit verify` tells more",
            RuntimeWarning,
            stacklevel=4,
        )
        return load_variant(engine, "fp32", why)

    if found := without_measuring(bundle, options.engine, options.variant, device.kind):
        return load_engine(*found)
    return fastest(bundle, options.engine, load_engine, threads=threads, token_budget=options.token_budget)
