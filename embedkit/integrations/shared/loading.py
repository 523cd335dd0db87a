"""The encoder that an integration is given, how it is written down, and found again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TypeAlias

from embedkit.encoders.base import BaseEncoder
from embedkit.encoders.encoder import Encoder
from embedkit.encoders.info import check_encoder
from embedkit.encoders.remote.address import is_address
from embedkit.encoders.remote.encoder import RemoteEncoder
from embedkit.errors import BundleError, MissingExtraError
from embedkit.stores.fingerprint import same_space

Given: TypeAlias = "BaseEncoder | str | os.PathLike[str]"
"""A loaded encoder, a bundle's folder, or a server's address."""


def encoder_of(given: Given, **options: Any) -> BaseEncoder:
    """The encoder itself, or the one of a bundle or an address, loaded with ``options`` and without warnings of cut texts."""
    if isinstance(given, str) and is_address(given):
        return RemoteEncoder(given, **{"on_truncate": "ignore", **options})
    if isinstance(given, str | os.PathLike):
        return Encoder.load(given, **{"on_truncate": "ignore", **options})
    check_encoder(given)
    return given


def described(encoder: BaseEncoder) -> dict[str, Any]:
    """Where the encoder is from and what it is, in plain values, for `found_again`."""
    if isinstance(encoder, RemoteEncoder):
        return {"bundle": f"{encoder.address}#{encoder.model}", "fingerprint": encoder.fingerprint}
    return {
        "bundle": str(encoder.bundle.folder.absolute()),
        "fingerprint": encoder.fingerprint,
        "variant": encoder.variant,
        "decode": encoder.decode,
    }


def found_again(about: Mapping[str, Any]) -> BaseEncoder:
    """The encoder that was `described`; `BundleError` where another model is there now, if it says which it was."""
    options = {name: about[name] for name in ("variant", "decode") if name in about}
    encoder = encoder_of(about["bundle"], **options)
    if about["fingerprint"] is not None and not same_space(encoder.fingerprint, about["fingerprint"]):
        raise BundleError(
            f"{about['bundle']}: this was written with another model (fingerprint {about['fingerprint']:.12}, found "
            f"{encoder.fingerprint:.12}); put that bundle there, or make it anew"
        )
    return encoder


def missing(package: str, extra: str) -> MissingExtraError:
    """The error for a framework that is not installed."""
    return MissingExtraError(package, extra, f"embedkit.integrations.{extra.replace('-', '_')}")
