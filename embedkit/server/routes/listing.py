"""What is served, and how the server is: ``/v1/models``, ``/health``, ``/ready``, ``/metrics``."""

from __future__ import annotations

from collections.abc import Mapping

from embedkit.server.http.call import Call
from embedkit.server.http.endpoint import Reply
from embedkit.server.http.failures import Refusal, retry_headers
from embedkit.server.service import Service


async def answer_models(service: Service, call: Call, body: None, path: Mapping[str, str]) -> Reply:
    """Each model by each of its names, also those that say a role."""
    found = [service.catalogue.find(id)[0].about(id) for id in service.catalogue.ids()]
    return Reply({"object": "list", "data": found})


async def answer_model(service: Service, call: Call, body: None, path: Mapping[str, str]) -> Reply:
    """One model by one of its names."""
    id = path["id"]
    if id not in service.catalogue.ids():
        known = ", ".join(service.catalogue.ids())
        raise Refusal(404, f"there is no model {id!r:.80}; there are {known}", param="model", code="model_not_found")
    return Reply(service.model(call, id)[0].about(id))


async def answer_health(service: Service, call: Call, body: None, path: Mapping[str, str]) -> Reply:
    """The process is alive."""
    return Reply({"status": "ok"})


async def answer_ready(service: Service, call: Call, body: None, path: Mapping[str, str]) -> Reply:
    """New requests are welcome: the models are warm, and the server is not about to end."""
    if service.draining or not service.ready:
        what = "about to end" if service.draining else "loading"
        raise Refusal(503, f"the server is {what}; ask another, or again in a second", headers=retry_headers(1.0))
    return Reply({"status": "ready"})


async def answer_metrics(service: Service, call: Call, body: None, path: Mapping[str, str]) -> Reply:
    """The page for Prometheus."""
    page, kind = service.metrics.page(ready=service.ready and not service.draining)
    return Reply(page, kind=kind)
