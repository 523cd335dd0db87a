"""Vector stores: the contract, and all that the author of a plugin needs, in one import.
A plugin implements `VectorStore` and `Collection` over one database (docs/writing-a-store.md); `open_store` finds it by
its URL and gives a `GuardedStore` over it, which does what is the same for every database."""

from embedkit.errors import (
    CollectionMismatchError,
    CollectionNotFoundError,
    EmbedkitError,
    FilterError,
    InputError,
    MissingExtraError,
    StoreError,
    StoreURLError,
    TransientStoreError,
)
from embedkit.records.batch import RecordBatch
from embedkit.records.documents import Document, Hit, Page, Record, RowError, WriteResult
from embedkit.records.filters import OPS, ORDERINGS, Combine, Compare, F, Filter, Not, Scalar, push_down_not
from embedkit.records.metadata import Field, Metadata, dump_metadata, filterable, load_metadata
from embedkit.system.processes import is_alive
from embedkit.vectors.arrays import FloatArray
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.sparse import SparseVectors

from .contract import (
    METRICS,
    Capabilities,
    Collection,
    CollectionInfo,
    CollectionSpec,
    Footprint,
    MeasuredCollection,
    Metric,
    MultiVectorCollection,
    SparseCollection,
    StoreURL,
    VectorStore,
)
from .guarded import GuardedCollection, GuardedStore
from .guarding.aliases import Alias
from .keeping import INDEXED_FROM, Keeping, packed, rounded, unpacked
from .opening import open_store
from .plugin_kit.disk import folder_bytes, require_room
from .plugin_kit.naming import check_cursor, safe_name, term
from .plugin_kit.network import CONNECT_SECONDS, answered, http_error, request_seconds, require_server, some_home
from .plugin_kit.translation import translated_errors
from .plugins import store_plugins

__all__ = [
    "CONNECT_SECONDS",
    "INDEXED_FROM",
    "METRICS",
    "OPS",
    "ORDERINGS",
    "Alias",
    "Capabilities",
    "Collection",
    "CollectionInfo",
    "CollectionMismatchError",
    "CollectionNotFoundError",
    "CollectionSpec",
    "Combine",
    "Compare",
    "Document",
    "EmbedkitError",
    "F",
    "Field",
    "Filter",
    "FilterError",
    "FloatArray",
    "Footprint",
    "GuardedCollection",
    "GuardedStore",
    "Hit",
    "InputError",
    "Keeping",
    "MeasuredCollection",
    "Metadata",
    "Metric",
    "MissingExtraError",
    "MultiVectorCollection",
    "MultiVectors",
    "Not",
    "Page",
    "Record",
    "RecordBatch",
    "RowError",
    "Scalar",
    "SparseCollection",
    "SparseVectors",
    "StoreError",
    "StoreURL",
    "StoreURLError",
    "TransientStoreError",
    "VectorStore",
    "WriteResult",
    "answered",
    "check_cursor",
    "dump_metadata",
    "filterable",
    "folder_bytes",
    "http_error",
    "is_alive",
    "load_metadata",
    "open_store",
    "packed",
    "push_down_not",
    "request_seconds",
    "require_room",
    "require_server",
    "rounded",
    "safe_name",
    "some_home",
    "store_plugins",
    "term",
    "translated_errors",
    "unpacked",
]
