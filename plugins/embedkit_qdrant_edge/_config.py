"""From what a collection is for to the engine's configuration."""

from __future__ import annotations

from typing import Any

import qdrant_edge as edge

from embedkit.stores import INDEXED_FROM, CollectionSpec, Keeping
from embedkit_qdrant.points import DENSE, SEVERAL, SPARSE, has_names

_M, _EF, _FULL_SCAN = 16, 100, 10_000
"""The engine's own settings of an index, where not all of them are given; the last are kilobytes."""


def config_of(spec: CollectionSpec, indexed_from: int) -> edge.EdgeConfig:
    """What the engine is told of a collection, whose vectors it indexes from so many rows, unless an index was asked for."""
    distance = edge.Distance.Euclid if spec.metric == "euclidean" else edge.Distance.Dot
    dense = edge.EdgeVectorParams(size=spec.dim, distance=distance, **_kept(spec.keeping)) if spec.dim else None
    vectors: Any = dense
    if has_names(spec):
        vectors = {DENSE: dense} if dense else {}
        if spec.multivector:
            together = edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim)
            vectors[SEVERAL] = edge.EdgeVectorParams(
                size=spec.multivector, distance=edge.Distance.Dot, multivector_config=together
            )
    size = max(spec.dim, spec.multivector, 1)
    rows = INDEXED_FROM if spec.keeping.wants_index else indexed_from
    return edge.EdgeConfig(
        vectors=vectors,
        sparse_vectors={SPARSE: edge.EdgeSparseVectorParams()} if spec.sparse else None,
        optimizers=edge.EdgeOptimizersConfig(indexing_threshold=-(-rows * size * 4 // 1024)),
    )


def _kept(keeping: Keeping) -> dict[str, Any]:
    """How the engine keeps dense vectors, beside what it does by itself."""
    given: dict[str, Any] = {}
    if keeping.precision == "float16":
        given["datatype"] = edge.VectorStorageDatatype.Float16
    elif keeping.precision == "int8+full":
        given["quantization_config"] = edge.ScalarQuantizationConfig(edge.ScalarType.Int8)
    elif keeping.precision == "binary+full":
        given["quantization_config"] = edge.BinaryQuantizationConfig()
    if keeping.index:
        m, ef = keeping.setting("m", _M), keeping.setting("ef", _EF)
        given["hnsw_config"] = edge.HnswIndexConfig(m, ef, _FULL_SCAN)
    return given
