"""What goes wrong in OpenSearch and Elasticsearch, as errors of embedkit that say what to do next."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from opensearchpy import exceptions

from embedkit.stores import CollectionNotFoundError, StoreError, TransientStoreError, http_error, translated_errors

NO_INDEX = "index_not_found_exception"


def translated(what: str) -> AbstractContextManager[None]:
    """Turn whatever the block raises into an embedkit error; ``what`` says what was done."""
    return translated_errors(what, _error)


def refused(what: str, status: int, detail: Any, headers: Mapping[str, str] | None = None) -> StoreError:
    """The error for an answer that says no, to a whole request or to a part of one; ``detail`` is what it says: JSON, or what that holds."""
    said = reason(detail)
    if status == 404 and (NO_INDEX in said or "no such index" in said):
        return CollectionNotFoundError(f"{what}: {said}; it was dropped meanwhile: open or create it anew")
    if "cluster_block_exception" in said and status == 403:
        return StoreError(
            f"{what}: {said}; the server takes no writes here, as where its disk is nearly full: make room, or lift the block"
        )
    return http_error(what, status, said, headers or {})


def reason(detail: Any) -> str:
    """What an answer says went wrong, in one line: its kind, its reason, and what caused it."""
    if isinstance(detail, str):
        try:
            detail = json.loads(detail)
        except ValueError:
            return str(detail)
    found = detail.get("error", detail) if isinstance(detail, dict) else detail
    if not isinstance(found, dict):
        return str(found)
    told = [f"{found.get('type', 'error')}: {found.get('reason', '')}"]
    causes = [*(found.get("root_cause") or []), *(one.get("reason") for one in found.get("failed_shards") or [])]
    inner = found.get("caused_by") or next((one for one in causes if isinstance(one, dict)), None)
    while isinstance(inner, dict) and len(told) < 4:
        line = f"{inner.get('type', 'error')}: {inner.get('reason', '')}"
        told += [line] if line not in told else []
        inner = inner.get("caused_by")
    return "; ".join(told)


def _error(what: str, error: Exception) -> StoreError:
    if isinstance(error, exceptions.SSLError):
        return StoreError(
            f"{what}: no safe connection ({error.error}); give the file of the server's authority in the environment, as "
            "OPENSEARCH_CA_CERTS or ELASTICSEARCH_CA_CERTS, or look whether the server speaks TLS"
        )
    if isinstance(error, exceptions.ConnectionError):
        return TransientStoreError(
            f"{what}: the connection failed or was refused ({error.error}); look whether the server runs, and try again"
        )
    if isinstance(error, exceptions.TransportError) and isinstance(error.status_code, int):
        return refused(what, error.status_code, error.error, error.info if isinstance(error.info, dict) else {})
    return StoreError(
        f"{what}: {type(error).__name__}: {' '.join(str(error).split())[:500]}; look whether OpenSearch or Elasticsearch answers at this "
        "address, and into its log"
    )
