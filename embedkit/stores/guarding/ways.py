"""Ways of keeping vectors that a store has not: told by name before anything is made."""

from __future__ import annotations

from embedkit.errors import OptionError, StoreError
from embedkit.stores.contract import Capabilities, CollectionSpec
from embedkit.stores.plugins import able


def require_ways(spec: CollectionSpec, caps: Capabilities) -> None:
    """Raise `StoreError` where a store of these capabilities has not the precision, or a setting of the index, that a collection is to
    have, and `OptionError` where the precision is not for it."""
    keeping = spec.keeping
    if keeping.precision not in caps.precisions:
        others = ", ".join(able(lambda other: keeping.precision in other.precisions)) or "no installed one"
        raise StoreError(
            f"collection {spec.name!r}: precision: this store keeps no {keeping.precision} vectors; it keeps "
            f"{', '.join(sorted(caps.precisions))}; {others} could"
        )
    for name, _ in keeping.index:
        if name not in caps.index:
            others = ", ".join(able(lambda other, name=name: name in other.index)) or "no installed one"  # type: ignore[misc]
            known = ", ".join(sorted(caps.index)) or "no setting"
            raise StoreError(
                f"collection {spec.name!r}: index: this store's index takes {known}, and not {name!r}; {others} could"
            )
    if not spec.dim and str(keeping) != "float32":
        raise OptionError(
            f"collection {spec.name!r}: precision and index are of dense vectors, and it keeps none; leave them out"
        )
    if keeping.base in ("int8", "binary") and spec.metric != "cosine":
        raise OptionError(
            f"collection {spec.name!r}: precision: {keeping.precision} keeps the direction of a vector alone, and is for the metric cosine, "
            f"found {spec.metric!r}; take float16"
        )
