"""Bundles behind HTTP, in the shapes that clients of others speak: ``embedkit serve``, or `create_app` for another ASGI server."""

from __future__ import annotations

from .app import create_app

__all__ = ["create_app"]
