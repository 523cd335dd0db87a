"""The address of a server: what is asked, what may be shown of it, and the key that goes with it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from embedkit.errors import OptionError

ASKING_KEY = "EMBEDKIT_API_KEY"
"""The variable of the environment that holds a server's key."""
_KEYS = {"api.openai.com": "OPENAI_API_KEY"}
"""Of servers whose key has a name that all programs know; it goes to no other host."""


def is_address(place: object) -> bool:
    """Whether a bundle's place is a server rather than a folder."""
    return isinstance(place, str) and place.lower().startswith(("http://", "https://"))


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where a server listens: ``base`` with everything before the path of a request, without query; ``model`` is the
    fragment of what was given, if it had one. ``query`` (of Azure a version, elsewhere perhaps a secret) is never shown."""

    scheme: str
    host: str
    port: int
    path: str
    query: str
    model: str | None

    @classmethod
    def of(cls, url: str) -> ServerAddress:
        """The address that ``url`` is: ``http://host:8080/v1``, or with a model's name ``http://host:8080/v1#NAME``."""
        if not is_address(url):
            raise OptionError(f"url: expected an address, as http://localhost:8080/v1, found {url!r:.100}")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise OptionError(f"url: no address of a server ({error}); expected http://HOST:PORT/v1") from None
        if parts.username is not None or parts.password is not None:
            raise OptionError(
                f"url: holds a name or a password, which would be shown; set the key in {ASKING_KEY} instead"
            )
        if not host or not url.isprintable() or any(character.isspace() for character in url):
            raise OptionError("url: expected the name of a host, as in http://localhost:8080/v1")
        scheme = parts.scheme.lower()
        return cls(
            scheme,
            host,
            port or (443 if scheme == "https" else 80),
            parts.path.rstrip("/"),
            parts.query,
            parts.fragment or None,
        )

    def __str__(self) -> str:
        usual = self.port == (443 if self.scheme == "https" else 80)
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{name}{'' if usual else f':{self.port}'}{self.path}"

    def target(self, route: str, *, root: bool = False) -> str:
        """The path of a request for a ``route`` (``/embeddings``); with ``root`` beside the version and not below it."""
        path = self.path.removesuffix("/v1") if root else self.path
        return f"{path}{route}" + (f"?{self.query}" if self.query else "")

    def key(self, variable: str | None = None) -> str | None:
        """The key in the ``variable`` of the environment; by default ``EMBEDKIT_API_KEY``, of OpenAI its own. Raises `OptionError`
        where a variable that was named is not set."""
        if variable is not None:
            if not os.environ.get(variable):
                raise OptionError(f"key_variable: the environment has no {variable!r}; set it to the server's key")
            return os.environ[variable]
        return os.environ.get(_KEYS.get(self.host, "")) or os.environ.get(ASKING_KEY) or None
