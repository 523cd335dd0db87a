"""A server of OpenSearch or Elasticsearch: ``opensearch://host:9200``, ``opensearch+https://host:9200``; ``elasticsearch://`` for one of
Elasticsearch.

OpenSearch is to be 2.13 or newer with its k-NN plugin, Elasticsearch 8.11 or newer. Both are asked by one client, opensearch-py, in the
REST API that they share; what they call by other names is in ``_dialects.py``.

User and password come from ``OPENSEARCH_USERNAME`` and ``OPENSEARCH_PASSWORD``, or a key from ``OPENSEARCH_API_KEY``; ``OPENSEARCH_CA_CERTS``
names the file with the certificate of a server's own authority. Importing this module loads no opensearchpy.
"""

from __future__ import annotations

import os

from embedkit.stores import (
    METRICS,
    Capabilities,
    MissingExtraError,
    StoreURL,
    StoreURLError,
    VectorStore,
    require_server,
)

__all__ = ["CAPABILITIES", "PACKAGES", "SERVER", "open_store"]

PACKAGES = ("opensearchpy",)
SERVER = "opensearch://HOST:PORT"
CAPABILITIES = {
    SERVER: Capabilities(
        max_batch_rows=500,
        max_batch_bytes=9 << 20,  # some hosted servers take requests of 10 MiB
        orders_text=False,
        metrics=METRICS,
        max_dim=16_000,
        index=frozenset({"m", "ef", "search"}),
        max_filter_values=200_000,
        max_comparisons=400,  # a query has at most 1,024 clauses, and a negated one counts twice
        max_filter_depth=15,  # and at most 20 levels, some of them those of the search itself
        max_row_bytes=50_000_000,  # the longest string that a server reads
    )
}


def open_store(url: StoreURL) -> VectorStore:
    """Connect to the server that ``url`` names.

    Raises `MissingExtraError` where opensearch-py is not installed, `TransientStoreError` where no server answers, and `StoreError` where it
    refuses, is too old, or is of the other kind.
    """
    try:
        import opensearchpy  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("opensearch-py", "opensearch", f"the store {url.text!r}") from error
    from ._dialects import DIALECTS
    from ._server import Server
    from ._store import SearchStore

    if not url.host or url.host == ":memory:" or url.transport not in ("", "http", "https"):
        raise StoreURLError(
            f"store URL {url.text!r}: expected {url.scheme}://HOST:PORT or {url.scheme}+https://HOST:PORT, with a path where the server has one"
        )
    require_server(url, 9200)
    host = f"[{url.host}]" if ":" in url.host else url.host
    given = {
        name: os.environ.get(f"{url.scheme.upper()}_{name.upper()}") or None
        for name in ("username", "password", "api_key", "ca_certs")
    }
    address = f"{url.transport or 'http'}://{host}:{url.port or 9200}{url.path.rstrip('/')}"
    return SearchStore(Server(address, **given), DIALECTS[url.scheme])
