"""The page for people at ``/``: it asks the server's own routes, and nothing else."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from .http.call import Call
from .http.endpoint import Reply
from .service import Service


async def answer_page(service: Service, call: Call, body: None, path: Mapping[str, str]) -> Reply:
    """A page to try the models with."""
    page, policy = _page()
    headers = {"content-security-policy": policy, "x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
    return Reply(page, headers, kind="text/html; charset=utf-8")


@cache
def _page() -> tuple[bytes, str]:
    """The page, and a policy by which nothing but its own script and style runs, and it asks nobody but this server."""
    text = files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    hashes = {}
    for tag in ("script", "style"):
        found = re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert found is not None
        digest = base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()
        hashes[tag] = f"'sha256-{digest}'"
    policy = (
        f"default-src 'none'; script-src {hashes['script']}; style-src {hashes['style']}; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return text.encode(), policy
