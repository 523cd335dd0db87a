"""What OpenSearch and Elasticsearch call by other names: the field of vectors, the search by its graph, and the comparison of all.

Under cosine rows and questions have unit length, so both metrics of products are one here, and a question may be a zero vector.
Scores only rank: those of the hits are computed again from the vectors.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from embedkit.stores import Capabilities, CollectionSpec, Keeping, Metric

from . import CAPABILITIES, SERVER, elasticsearch

VECTOR = "vector"
"""The field of a row's vector."""

MOST_HITS = 10_000
"""Most hits of one search, and most rows that a graph has in view."""
_IN_VIEW = 100
"""Rows that a search of a graph has in view, unless it was told, or more are wanted."""


class Dialect(Protocol):
    """How one of the servers is spoken to."""

    @property
    def title(self) -> str:
        """The server's name."""

    @property
    def caps(self) -> Capabilities:
        """What it can do."""

    @property
    def oldest(self) -> tuple[int, int]:
        """The oldest version that will do."""

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of a new index."""

    def field(self, spec: CollectionSpec) -> dict[str, Any]:
        """The mapping of the vectors' field."""

    def by_graph(
        self, vector: list[float], k: int, keeping: Keeping, condition: dict[str, Any] | None
    ) -> dict[str, Any]:
        """The body of a search for nearly the ``k`` nearest rows."""

    def script(self, vector: list[float], metric: Metric) -> dict[str, Any]:
        """The script that gives a row's score, which is higher where it is nearer, and never below 0."""


@dataclass(frozen=True)
class OpenSearch:
    """OpenSearch with its k-NN plugin, of which Lucene's graph is used."""

    title: str = "OpenSearch"
    caps: Capabilities = CAPABILITIES[SERVER]
    oldest: tuple[int, int] = (2, 13)
    settings: dict[str, Any] = field(default_factory=lambda: {"index.knn": True})

    def field(self, spec: CollectionSpec) -> dict[str, Any]:
        """See `Dialect.field`."""
        method = {
            "name": "hnsw",
            "engine": "lucene",
            "space_type": _space(spec.metric),
            "parameters": {"m": spec.keeping.setting("m", 16), "ef_construction": spec.keeping.setting("ef", 100)},
        }
        return {"type": "knn_vector", "dimension": spec.dim, "method": method}

    def by_graph(
        self, vector: list[float], k: int, keeping: Keeping, condition: dict[str, Any] | None
    ) -> dict[str, Any]:
        """See `Dialect.by_graph`; Lucene has as many rows in view as are asked for, so more are."""
        asked: dict[str, Any] = {"vector": vector, "k": _in_view(k, keeping)}
        if condition is not None:
            asked["filter"] = condition
        return {"size": k, "query": {"knn": {VECTOR: asked}}}

    def script(self, vector: list[float], metric: Metric) -> dict[str, Any]:
        """See `Dialect.script`."""
        params = {"field": VECTOR, "query_value": vector, "space_type": _space(metric)}
        return {"lang": "knn", "source": "knn_score", "params": params}


@dataclass(frozen=True)
class Elasticsearch:
    """Elasticsearch, whose graph is of full vectors."""

    title: str = "Elasticsearch"
    caps: Capabilities = elasticsearch.CAPABILITIES[elasticsearch.SERVER]
    oldest: tuple[int, int] = (8, 11)
    settings: dict[str, Any] = field(default_factory=dict)

    def field(self, spec: CollectionSpec) -> dict[str, Any]:
        """See `Dialect.field`."""
        similarity = "l2_norm" if spec.metric == "euclidean" else "max_inner_product"
        options = {
            "type": "hnsw",
            "m": spec.keeping.setting("m", 16),
            "ef_construction": spec.keeping.setting("ef", 100),
        }
        return {
            "type": "dense_vector",
            "dims": spec.dim,
            "index": True,
            "similarity": similarity,
            "index_options": options,
        }

    def by_graph(
        self, vector: list[float], k: int, keeping: Keeping, condition: dict[str, Any] | None
    ) -> dict[str, Any]:
        """See `Dialect.by_graph`."""
        asked: dict[str, Any] = {
            "field": VECTOR,
            "query_vector": vector,
            "k": k,
            "num_candidates": _in_view(k, keeping),
        }
        if condition is not None:
            asked["filter"] = condition
        return {"size": k, "knn": asked}

    def script(self, vector: list[float], metric: Metric) -> dict[str, Any]:
        """See `Dialect.script`."""
        source = f"double dot = dotProduct(params.asked, '{VECTOR}'); return dot < 0 ? 1 / (1 - dot) : 1 + dot;"
        if metric == "euclidean":
            source = f"1 / (1 + l2norm(params.asked, '{VECTOR}'))"
        return {"lang": "painless", "source": source, "params": {"asked": vector}}


def _space(metric: Metric) -> str:
    return "l2" if metric == "euclidean" else "innerproduct"


def _in_view(k: int, keeping: Keeping) -> int:
    return min(max(k, keeping.setting("search", _IN_VIEW)), MOST_HITS)


DIALECTS: dict[str, Dialect] = {"opensearch": OpenSearch(), "elasticsearch": Elasticsearch()}
"""By the scheme of an address."""
