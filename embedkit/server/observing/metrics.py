"""What a Prometheus server reads: counters and times of requests, and the state of the queues."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from embedkit import __version__
from embedkit.server.http.call import Call
from embedkit.system.extras import needed

if TYPE_CHECKING:
    from embedkit.server.models import Catalogue

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
_TOKENS = tuple(4**n for n in range(1, 11))
_REASONS = {429: "overloaded", 413: "too_large", 408: "slow_body", 401: "key", 503: "unavailable", 504: "deadline"}


class Metrics:
    """The measures of one server, in a registry of their own. Labels are from fixed sets: routes, models, roles, statuses."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._client: Any = needed("prometheus_client", "serving", extra="serve")
        made = self.registry = self._client.CollectorRegistry()
        counter, histogram = self._client.Counter, self._client.Histogram
        self._requests = counter("embedkit_requests_total", "Requests.", ["route", "model", "code"], registry=made)
        self._seconds = histogram(
            "embedkit_request_seconds", "From a request to its answer.", ["route"], registry=made, buckets=_SECONDS
        )
        self._queued = histogram(
            "embedkit_queue_seconds", "Until a request was begun.", ["model"], registry=made, buckets=_SECONDS
        )
        self._encoded = histogram(
            "embedkit_encode_seconds", "From its begin to its end.", ["model"], registry=made, buckets=_SECONDS
        )
        self._texts = counter("embedkit_texts_total", "Texts that were answered.", ["model", "role"], registry=made)
        self._tokens = counter("embedkit_tokens_total", "Tokens of these.", ["model", "role"], registry=made)
        self._cut = counter("embedkit_truncated_texts_total", "Texts that were cut.", ["model"], registry=made)
        self._rejected = counter("embedkit_rejected_total", "Requests that were refused.", ["reason"], registry=made)
        self._cancelled = counter("embedkit_cancelled_total", "Requests whose client left.", ["stage"], registry=made)
        self._batch_texts = histogram(
            "embedkit_batch_texts", "Texts of a batch.", ["model"], registry=made, buckets=_TEXTS
        )
        self._batch_tokens = histogram(
            "embedkit_batch_tokens", "Tokens of a batch.", ["model"], registry=made, buckets=_TOKENS
        )
        self._batch_seconds = histogram(
            "embedkit_batch_seconds", "Time of a batch.", ["model"], registry=made, buckets=_SECONDS
        )
        self._ready = self._client.Gauge("embedkit_ready", "Whether new requests are welcome.", registry=made)
        made.register(_State(catalogue, self._client))

    def done(self, call: Call) -> None:
        """Count a request that has ended."""
        route = call.route or "unknown"
        self._requests.labels(route, call.model, str(call.code)).inc()
        self._seconds.labels(route).observe(call.seconds)
        if call.code == 499:
            self._cancelled.labels(call.stage or "start").inc()
        elif call.code in _REASONS:
            self._rejected.labels(_REASONS[call.code]).inc()
        if call.texts:
            self._texts.labels(call.model, call.role).inc(call.texts)
            self._tokens.labels(call.model, call.role).inc(call.tokens)
            self._cut.labels(call.model).inc(call.truncated)
            self._queued.labels(call.model).observe(call.waited)
            self._encoded.labels(call.model).observe(call.computed)

    def batch(self, model: str, texts: int, tokens: int, seconds: float) -> None:
        """Count a batch that was computed."""
        self._batch_texts.labels(model).observe(texts)
        self._batch_tokens.labels(model).observe(tokens)
        self._batch_seconds.labels(model).observe(seconds)

    def page(self, *, ready: bool) -> tuple[bytes, str]:
        """The page for Prometheus, and its content type."""
        self._ready.set(ready)
        page: bytes = self._client.generate_latest(self.registry)
        return page, str(self._client.CONTENT_TYPE_LATEST)


class _State:
    """What the models are and how much waits, read when it is asked for."""

    def __init__(self, catalogue: Catalogue, client: Any) -> None:
        self._catalogue, self._core = catalogue, client.metrics_core

    def collect(self) -> Iterable[Any]:
        """The measures of now."""
        gauge, counter = self._core.GaugeMetricFamily, self._core.CounterMetricFamily
        models = self._catalogue.models
        info = gauge(
            "embedkit_model_info",
            "What is served.",
            labels=["model", "fingerprint", "variant", "engine", "device", "version"],
        )
        for name, model in models.items():
            encoder = model.encoder
            info.add_metric(
                [name, encoder.fingerprint, encoder.variant, encoder.engine, encoder.device, __version__], 1
            )
        yield info
        for measure, about, field in (
            ("embedkit_waiting_texts", "Texts that wait.", "waiting"),
            ("embedkit_waiting_tokens", "Tokens that wait, as estimated.", "waiting_tokens"),
            ("embedkit_running_batches", "Batches that are computed.", "running"),
        ):
            family = gauge(measure, about, labels=["model"])
            for name, model in models.items():
                family.add_metric([name], getattr(model.queue, field))
            yield family
        padded = counter("embedkit_padded_tokens", "Token slots that held no token of a text.", labels=["model"])
        for name, model in models.items():
            stats = model.encoder.stats
            padded.add_metric([name], max(0, stats.slots - stats.tokens))
        yield padded
        preparing = counter(
            "embedkit_tokenize_seconds", "Time to make tokens of texts, of all threads.", labels=["model"]
        )
        restarts = counter(
            "embedkit_worker_restarts", "Worker processes that ended and were replaced.", labels=["model"]
        )
        for name, model in models.items():
            preparing.add_metric([name], model.encoder.stats.preparing)
            restarts.add_metric([name], getattr(model.encoder, "restarts", 0))
        yield preparing
        yield restarts
