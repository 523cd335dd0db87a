"""Encode text with a quantised ONNX bundle, without torch, and put the vectors into any vector database.

Importing this package loads neither torch, onnxruntime nor a database client: the public names are loaded when first
used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from .system.version import __version__ as __version__

_HOME = {
    "Alias": "stores.guarding.aliases",
    "AsyncEncoder": "encoders.asynchronous",
    "Audio": "records.media",
    "BadRow": "ingestion",
    "Bundle": "bundle.folder",
    "BundleError": "errors",
    "CachedEncoder": "encoders.cached.encoder",
    "Capabilities": "stores.contract",
    "CheckReport": "ingestion",
    "Chunking": "ingestion",
    "Classifier": "encoders.classifier",
    "ClosedError": "errors",
    "Collection": "stores.contract",
    "CollectionInfo": "stores.contract",
    "CollectionMismatchError": "errors",
    "CollectionNotFoundError": "errors",
    "CollectionSpec": "stores.contract",
    "CopyReport": "ingestion",
    "CrossScorer": "encoders.cross.stored",
    "DeadLetters": "ingestion",
    "DeadlineError": "errors",
    "DeviceError": "errors",
    "DiskError": "errors",
    "Document": "records.documents",
    "EmbedkitError": "errors",
    "Encoder": "encoders.encoder",
    "EncoderPool": "encoders.pool",
    "ExportError": "errors",
    "F": "records.filters",
    "FileRows": "ingestion",
    "Filter": "records.filters",
    "FilterError": "errors",
    "GuardedCollection": "stores.guarding.collection",
    "GuardedStore": "stores.guarded",
    "Hit": "records.documents",
    "Image": "records.media",
    "IngestError": "ingestion.pipeline.report",
    "IngestEstimate": "ingestion",
    "IngestInterrupted": "ingestion",
    "IngestReport": "ingestion",
    "InputError": "errors",
    "LexicalIndex": "retrieval.lexical",
    "Match": "records.documents",
    "MigrateReport": "ingestion",
    "MissingExtraError": "errors",
    "MultiVectors": "vectors.multivector",
    "OptionError": "errors",
    "OverloadedError": "errors",
    "Page": "records.documents",
    "PullReport": "bundle.moving.pull",
    "PushReport": "bundle.moving.push",
    "Ranges": "vectors.quantization",
    "Ranked": "encoders.reranker",
    "Record": "records.documents",
    "RecordBatch": "records.batch",
    "RemoteEncoder": "encoders.remote.encoder",
    "RemoteError": "errors",
    "RemoteReranker": "encoders.remote.reranker",
    "Reranker": "encoders.reranker",
    "RowError": "records.documents",
    "Scorer": "encoders.scorer",
    "SparseVectors": "vectors.sparse",
    "StaleIndexError": "errors",
    "StoreError": "errors",
    "StoreURL": "stores.contract",
    "StoreURLError": "errors",
    "TokenCounter": "runtime.frontends.text.token_counter",
    "TransientStoreError": "errors",
    "TruncationError": "errors",
    "TruncationWarning": "errors",
    "VectorStore": "stores.contract",
    "VerifyReport": "runtime.verification",
    "WorkerError": "errors",
    "WriteResult": "records.documents",
    "ZeroShot": "encoders.zero_shot.classes",
    "aingest": "ingestion.pipeline.asynchronous",
    "asearch": "retrieval.awaiting.search",
    "check": "ingestion",
    "chunked": "ingestion",
    "combine": "vectors.geometry",
    "copy": "ingestion",
    "count_tokens": "runtime.frontends.text.token_counter",
    "encode_labels": "encoders.zero_shot.labels",
    "encode_spans": "encoders.late.spans",
    "fit_ranges": "vectors.quantization",
    "ingest": "ingestion",
    "ingest_table": "ingestion",
    "isotropy": "vectors.geometry",
    "knn": "retrieval.knn",
    "migrate": "ingestion",
    "open_store": "stores.opening",
    "parse_filter": "records.filter_text",
    "powered": "vectors.similarity",
    "pull": "bundle.moving.pull",
    "push": "bundle.moving.push",
    "quantize": "vectors.quantization",
    "rescore": "vectors.similarity",
    "retry": "ingestion",
    "score_maps": "vectors.similarity",
    "search": "retrieval.searching",
    "similar": "retrieval.questions.likeness",
    "similarity": "vectors.similarity",
    "store_plugins": "stores.plugins",
    "verify": "runtime.verification",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'embedkit' has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__


if TYPE_CHECKING:
    from embedkit.bundle.folder import Bundle as Bundle
    from embedkit.bundle.moving.pull import PullReport as PullReport
    from embedkit.bundle.moving.pull import pull as pull
    from embedkit.bundle.moving.push import PushReport as PushReport
    from embedkit.bundle.moving.push import push as push
    from embedkit.encoders.asynchronous import AsyncEncoder as AsyncEncoder
    from embedkit.encoders.cached.encoder import CachedEncoder as CachedEncoder
    from embedkit.encoders.classifier import Classifier as Classifier
    from embedkit.encoders.cross.stored import CrossScorer as CrossScorer
    from embedkit.encoders.encoder import Encoder as Encoder
    from embedkit.encoders.late.spans import encode_spans as encode_spans
    from embedkit.encoders.pool import EncoderPool as EncoderPool
    from embedkit.encoders.remote.encoder import RemoteEncoder as RemoteEncoder
    from embedkit.encoders.remote.reranker import RemoteReranker as RemoteReranker
    from embedkit.encoders.reranker import Ranked as Ranked
    from embedkit.encoders.reranker import Reranker as Reranker
    from embedkit.encoders.scorer import Scorer as Scorer
    from embedkit.encoders.zero_shot.classes import ZeroShot as ZeroShot
    from embedkit.encoders.zero_shot.labels import encode_labels as encode_labels
    from embedkit.ingestion.pipeline.asynchronous import aingest as aingest
    from embedkit.ingestion.pipeline.report import IngestError as IngestError
    from embedkit.records.batch import RecordBatch as RecordBatch
    from embedkit.records.documents import Document as Document
    from embedkit.records.documents import Hit as Hit
    from embedkit.records.documents import Match as Match
    from embedkit.records.documents import Page as Page
    from embedkit.records.documents import Record as Record
    from embedkit.records.documents import RowError as RowError
    from embedkit.records.documents import WriteResult as WriteResult
    from embedkit.records.filter_text import parse_filter as parse_filter
    from embedkit.records.filters import F as F
    from embedkit.records.filters import Filter as Filter
    from embedkit.records.media import Audio as Audio
    from embedkit.records.media import Image as Image
    from embedkit.retrieval.awaiting.search import asearch as asearch
    from embedkit.retrieval.knn import knn as knn
    from embedkit.retrieval.lexical import LexicalIndex as LexicalIndex
    from embedkit.retrieval.questions.likeness import similar as similar
    from embedkit.retrieval.searching import search as search
    from embedkit.runtime.frontends.text.token_counter import TokenCounter as TokenCounter
    from embedkit.runtime.frontends.text.token_counter import count_tokens as count_tokens
    from embedkit.runtime.verification import VerifyReport as VerifyReport
    from embedkit.runtime.verification import verify as verify
    from embedkit.stores.contract import Capabilities as Capabilities
    from embedkit.stores.contract import Collection as Collection
    from embedkit.stores.contract import CollectionInfo as CollectionInfo
    from embedkit.stores.contract import CollectionSpec as CollectionSpec
    from embedkit.stores.contract import StoreURL as StoreURL
    from embedkit.stores.contract import VectorStore as VectorStore
    from embedkit.stores.guarded import GuardedStore as GuardedStore
    from embedkit.stores.guarding.aliases import Alias as Alias
    from embedkit.stores.guarding.collection import GuardedCollection as GuardedCollection
    from embedkit.stores.opening import open_store as open_store
    from embedkit.stores.plugins import store_plugins as store_plugins
    from embedkit.vectors.geometry import combine as combine
    from embedkit.vectors.geometry import isotropy as isotropy
    from embedkit.vectors.multivector import MultiVectors as MultiVectors
    from embedkit.vectors.quantization import Ranges as Ranges
    from embedkit.vectors.quantization import fit_ranges as fit_ranges
    from embedkit.vectors.quantization import quantize as quantize
    from embedkit.vectors.similarity import powered as powered
    from embedkit.vectors.similarity import rescore as rescore
    from embedkit.vectors.similarity import score_maps as score_maps
    from embedkit.vectors.similarity import similarity as similarity
    from embedkit.vectors.sparse import SparseVectors as SparseVectors

    from .errors import BundleError as BundleError
    from .errors import ClosedError as ClosedError
    from .errors import CollectionMismatchError as CollectionMismatchError
    from .errors import CollectionNotFoundError as CollectionNotFoundError
    from .errors import DeadlineError as DeadlineError
    from .errors import DeviceError as DeviceError
    from .errors import DiskError as DiskError
    from .errors import EmbedkitError as EmbedkitError
    from .errors import ExportError as ExportError
    from .errors import FilterError as FilterError
    from .errors import InputError as InputError
    from .errors import MissingExtraError as MissingExtraError
    from .errors import OptionError as OptionError
    from .errors import OverloadedError as OverloadedError
    from .errors import RemoteError as RemoteError
    from .errors import StaleIndexError as StaleIndexError
    from .errors import StoreError as StoreError
    from .errors import StoreURLError as StoreURLError
    from .errors import TransientStoreError as TransientStoreError
    from .errors import TruncationError as TruncationError
    from .errors import TruncationWarning as TruncationWarning
    from .errors import WorkerError as WorkerError
    from .ingestion import BadRow as BadRow
    from .ingestion import CheckReport as CheckReport
    from .ingestion import Chunking as Chunking
    from .ingestion import CopyReport as CopyReport
    from .ingestion import DeadLetters as DeadLetters
    from .ingestion import FileRows as FileRows
    from .ingestion import IngestEstimate as IngestEstimate
    from .ingestion import IngestInterrupted as IngestInterrupted
    from .ingestion import IngestReport as IngestReport
    from .ingestion import MigrateReport as MigrateReport
    from .ingestion import check as check
    from .ingestion import chunked as chunked
    from .ingestion import copy as copy
    from .ingestion import ingest as ingest
    from .ingestion import ingest_table as ingest_table
    from .ingestion import migrate as migrate
    from .ingestion import retry as retry
