"""Who may ask: keys, compared in constant time."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence

from .failures import Refusal


def check_key(headers: Mapping[str, str], keys: Sequence[str]) -> None:
    """`Refusal` 401 where the server has keys and a request names none of them: as ``Bearer KEY``, as a bare ``authorization``, as
    ``api-key`` or as ``x-api-key``."""
    if not keys:
        return
    given = [headers.get("authorization", ""), headers.get("api-key", ""), headers.get("x-api-key", "")]
    scheme, _, token = given[0].partition(" ")
    if scheme.lower() == "bearer":
        given[0] = token.strip()
    # Each is compared with each, so that the time tells neither which nor whether one was near.
    same = [hmac.compare_digest(one.encode("latin-1", "replace"), key.encode()) for one in given for key in keys]
    if not any(same):
        what = "an unknown key" if any(given) else "no key"
        raise Refusal(
            401, f"found {what}; send the header  authorization: Bearer KEY", headers={"www-authenticate": "Bearer"}
        )
