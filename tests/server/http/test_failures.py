"""Errors in each dialect."""

from __future__ import annotations

import json

import pytest

from embedkit import errors
from embedkit.server.http.failures import Refusal, refusal_of, retry_headers


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.InputError("a"), 400, None),
        (errors.TruncationError("a"), 400, None),
        (errors.OverloadedError("a", waiting=1, retry_after=2.4), 429, "rate_limit_exceeded"),
        (errors.DeadlineError("a"), 504, "deadline_exceeded"),
        (errors.WorkerError("a"), 503, "service_unavailable"),
        (errors.ClosedError("a"), 503, "service_unavailable"),
        (errors.CollectionNotFoundError("a"), 404, "collection_not_found"),
        (errors.CollectionMismatchError("a"), 409, "collection_mismatch"),
        (errors.FilterError("a"), 400, None),
        (errors.TransientStoreError("a", retry_after=3), 503, "service_unavailable"),
        (errors.StoreError("a"), 502, "store_failed"),
        (ZeroDivisionError("a secret"), 500, None),
    ],
)
def test_what_a_client_is_told(error: Exception, status: int, code: str | None) -> None:
    found = refusal_of(error, "id-1")
    assert (found.status, found.code) == (status, code)
    told = json.loads(found.body("openai"))["error"]
    assert set(told) == {"message", "type", "param", "code"}
    assert "secret" not in told["message"]
    if status == 500:
        assert "id-1" in told["message"]


def test_when_to_come_again() -> None:
    assert retry_headers(2.4) == {"retry-after": "3", "retry-after-ms": "2400"}
    assert refusal_of(errors.OverloadedError("a", waiting=1, retry_after=2.4), "").headers["retry-after"] == "3"


def test_in_the_words_of_tei() -> None:
    assert json.loads(Refusal(400, "no").body("tei")) == {"error": "no", "error_type": "validation"}
    assert Refusal(400, "no").status_for("tei") == 422
    assert Refusal(400, "no", tei_type="empty").status_for("tei") == 400
    assert Refusal(400, "no").status_for("openai") == 400
    assert json.loads(Refusal(429, "no").body("tei"))["error_type"] == "overloaded"
