"""What every worker of a run does alike: chosen once, by the driver, and handed to each."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from uuid import uuid4

from embedkit.encoders.encoder import Encoder
from embedkit.errors import StoreError
from embedkit.ingestion.chunking.chunked import Chunking
from embedkit.ingestion.pipeline.columns import Columns, kept_in
from embedkit.ingestion.pipeline.kept import Kept
from embedkit.ingestion.rows.fields import Fields
from embedkit.records.coercion import MetadataMode
from embedkit.runtime.options import Decode
from embedkit.stores.contract import Metric
from embedkit.stores.guarded import GuardedCollection, GuardedStore
from embedkit.stores.opening import open_store
from embedkit.system.version import __version__

from .bundle_ref import BundleRef

_PACKAGES = ("numpy", "tokenizers", "onnxruntime", "openvino")
"""What the vectors come from, beside embedkit."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A run. It is some kilobytes, and holds no secrets: credentials of the store are in each worker's environment.

    ``variant`` and ``engine`` are names, never ``auto``, which each machine would answer for itself. ``threads`` are those of one
    worker. ``keep_ids`` makes workers give back the id of each row, for a sync.
    """

    bundle: BundleRef
    store: str
    collection: str
    role: str
    columns: Columns
    fields: Fields
    chunking: Chunking | None
    metadata_policy: MetadataMode
    variant: str
    engine: str
    device: str
    decode: Decode
    threads: int
    keep_ids: bool = False
    run_id: str = field(default_factory=lambda: uuid4().hex[:12])
    versions: Mapping[str, str] = field(default_factory=lambda: versions())

    def encoder(self, fetch: Callable[[], bytes] | None = None) -> Encoder:
        """The encoder as all workers have it; ``fetch`` gives the packed bundle where the path has none."""
        return Encoder.load(
            self.bundle.folder(fetch),
            device=self.device,
            variant=self.variant,
            engine=self.engine,
            threads=self.threads,
            on_truncate="ignore",
            decode=self.decode,
        )

    def opened(self) -> tuple[GuardedStore, GuardedCollection]:
        """The store and the collection that the driver made; `CollectionMismatchError` where that is another model's."""
        store = open_store(self.store)
        collection = store.open(self.collection)
        spec = self.columns.spec(self.collection, collection.info.metric)
        return store, store.ensure(spec)


@dataclass(frozen=True, slots=True)
class Work:
    """What of a run its user may choose, beside the bundle, the store and the collection; the meaning is that of `embedkit.ingest`
    and `embedkit.chunked`."""

    role: str = "document"
    metric: Metric | None = None
    outputs: tuple[str, ...] | None = None
    fields: Fields = field(default_factory=Fields)
    chunking: Chunking | None = None
    metadata_policy: MetadataMode = "strict"
    keep_ids: bool = False
    kept: Kept = Kept()  # noqa: RUF009 (it cannot be changed)


def plan_run(encoder: Encoder, store: GuardedStore, collection: str, work: Work, *, threads: int) -> Plan:
    """Make the plan and the collection.

    Raises:
        StoreError: one process alone may write to this store, or it is not known by an address.
        CollectionMismatchError: the collection belongs to another model.
    """
    check_shared(store)
    assert store.address is not None
    kept = replace(work.kept, late=work.chunking is not None and work.chunking.late)
    columns, _ = kept_in(encoder, work.role, work.outputs, store, collection, work.metric, kept)
    setup = encoder.loaded.setup
    return Plan(
        bundle=BundleRef.of(encoder.bundle),
        store=store.address.text,
        collection=collection,
        role=work.role,
        columns=columns,
        fields=work.fields,
        chunking=work.chunking,
        metadata_policy=work.metadata_policy,
        variant=setup.variant,
        engine=setup.engine,
        device=setup.device,
        decode=setup.decode,
        threads=threads,
        keep_ids=work.keep_ids,
    )


def check_shared(store: GuardedStore) -> None:
    """`StoreError` where several processes cannot write to a store."""
    if store.address is None or not store.caps.multi_process:
        name = store.address.text if store.address else "this store"
        raise StoreError(
            f"{name}: one process alone may write to it, and a cluster's workers are many; take its server, or another store "
            "(`embedkit stores` tells which take any number of processes)"
        )


def versions() -> dict[str, str]:
    """The versions here of what decides a vector."""
    found = {"embedkit": __version__}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
