"""The options of ``embedkit serve``: what is taken, who may ask, and how the process lives."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import click

from .click_ext import grouped, option_field

if TYPE_CHECKING:
    from embedkit.server.process import ListenAddress
    from embedkit.server.settings import ServeSettings, TokenIds

KEYS_VARIABLE = "EMBEDKIT_API_KEY"


@dataclass(frozen=True)
class ListenOptions:
    """Where the server listens."""

    host: str = option_field("127.0.0.1", show_default=True, help="0.0.0.0 to be reached from other machines.")
    port: int = option_field(8080, show_default=True, type=click.IntRange(0, 65_535), help="0: any that is free.")
    uds: str | None = option_field(None, metavar="PATH", help="Listen at a Unix socket instead.")
    tls_cert: str | None = option_field(None, metavar="FILE", help="A certificate (PEM), with --tls-key: https.")
    tls_key: str | None = option_field(None, metavar="FILE", help="The key of the certificate.")
    metrics_port: int | None = option_field(
        None, type=click.IntRange(0, 65_535), help="A port for /metrics, /health and /ready alone, without keys."
    )

    def address(self) -> ListenAddress:
        """The same as an object; both or none of the files of TLS are given."""
        from embedkit.server.process import ListenAddress

        if bool(self.tls_cert) != bool(self.tls_key):
            raise click.BadParameter("give --tls-cert and --tls-key together")
        return ListenAddress(self.host, self.port, self.uds, self.tls_cert, self.tls_key, self.metrics_port)


@dataclass(frozen=True)
class TakingOptions:
    """What is taken and refused."""

    default_role: str = option_field(
        "default",
        show_default=True,
        metavar="ROLE",
        help="The role of requests that name none: default, query or document.",
    )
    strict_model: bool = option_field(
        False, is_flag=True, help="Refuse names of models that are not served, also of a lone one."
    )
    token_ids: str = option_field(
        "refuse",
        show_default=True,
        type=click.Choice(["refuse", "model"]),
        help="Lists of integers in place of texts: refused, or read as tokens of the bundle's own tokenizer.",
    )
    api_key_file: str | None = option_field(
        None,
        metavar="FILE",
        help=f"Keys, one a line, of which requests must have one; or the variable {KEYS_VARIABLE} has one.",
    )
    cors: tuple[str, ...] = option_field(
        (),
        multiple=True,
        metavar="ORIGIN",
        help="Let pages of this origin ask, as https://example.org; can be repeated.",
    )
    max_queue: int = option_field(16_384, show_default=True, type=click.IntRange(min=1), help="Texts that may wait.")
    max_queue_tokens: int = option_field(
        1 << 20, show_default=True, type=click.IntRange(min=1), help="Tokens that may wait."
    )
    max_texts: int = option_field(8192, show_default=True, type=click.IntRange(min=1), help="Texts of one request.")
    max_body: int = option_field(32 << 20, show_default=True, type=click.IntRange(min=1), help="Bytes of one request.")
    body_timeout: float = option_field(30.0, show_default=True, help="Seconds in which a body must come.")
    timeout: float | None = option_field(
        None,
        type=float,
        help="Seconds after which a request that is not begun is refused; a client may ask for less (x-request-timeout-ms).",
    )
    drain: float = option_field(
        5.0, show_default=True, help="Seconds after SIGTERM in which new requests are still taken."
    )
    grace: float = option_field(
        25.0, show_default=True, help="Seconds after these in which what was taken is finished."
    )
    ranges: str | None = option_field(
        None,
        metavar="FILE",
        help="What int8 and uint8 answers are rounded in: embedkit.fit_ranges(vectors).save(FILE).",
    )
    store: str | None = option_field(
        None, metavar="URL", help="A store whose collections are searched, such as chroma:index."
    )
    quiet: bool = option_field(False, is_flag=True, help="No line in the log for each request.")
    allow_change: bool = option_field(
        False, is_flag=True, help="With --watch: swap in also a bundle with another fingerprint."
    )

    def settings(self, *, metrics_apart: bool) -> ServeSettings:
        """The same as an object."""
        from embedkit.server.settings import ServeSettings, read_keys
        from embedkit.vectors.quantization import Ranges

        keys = read_keys(self.api_key_file) if self.api_key_file else ()
        if own := os.environ.get(KEYS_VARIABLE, "").strip():
            keys = (*keys, own)
        return ServeSettings(
            default_role=self.default_role,
            strict_model=self.strict_model,
            token_ids=cast("TokenIds", self.token_ids),
            keys=keys,
            cors=self.cors,
            max_queue=self.max_queue,
            max_queue_tokens=self.max_queue_tokens,
            max_texts=self.max_texts,
            max_body=self.max_body,
            body_timeout=self.body_timeout,
            timeout=self.timeout,
            drain=self.drain,
            grace=self.grace,
            ranges=Ranges.load(self.ranges) if self.ranges else None,
            store=self.store,
            access_log=not self.quiet,
            metrics_apart=metrics_apart,
            allow_change=self.allow_change,
        )


listen_options = grouped("listening", ListenOptions)
taking_options = grouped("taking", TakingOptions)
