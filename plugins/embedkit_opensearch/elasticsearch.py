"""An Elasticsearch server: ``elasticsearch://host:9200``, ``elasticsearch+https://host:9200``. User, password, key and certificate come from
``ELASTICSEARCH_USERNAME``, ``ELASTICSEARCH_PASSWORD``, ``ELASTICSEARCH_API_KEY`` and ``ELASTICSEARCH_CA_CERTS``; all else is as with
OpenSearch."""

from __future__ import annotations

from dataclasses import replace

from . import CAPABILITIES as OF_OPENSEARCH
from . import PACKAGES, open_store
from . import SERVER as OPENSEARCH

__all__ = ["CAPABILITIES", "PACKAGES", "SERVER", "open_store"]

SERVER = "elasticsearch://HOST:PORT"
CAPABILITIES = {SERVER: replace(OF_OPENSEARCH[OPENSEARCH], max_dim=4_096)}
