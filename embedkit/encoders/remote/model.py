"""What a server's model is: told by our server, and of others found out by a few texts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from embedkit.bundle.manifest import Output
from embedkit.errors import OptionError, RemoteError
from embedkit.stores.fingerprint import remote_space

from .client import Client
from .wire import dense, embeddings_of

PROBES = ("A cat sits on the mat.", "Der Zug fährt um acht Uhr ab.", "def add(a, b): return a + b", "42")
"""What every model is asked, to know it again: texts of several kinds."""
_ROLES = ("default", "query", "document")
_UNIT = 1e-3


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """A model behind an address. ``own`` tells whether the server is embedkit's, which knows roles and outputs; ``format`` is that
    of the vectors that it sends; ``fields`` are those of an item, as `EncoderInfo.fields` has them."""

    name: str
    own: bool
    fingerprint: str
    roles: tuple[str, ...]
    outputs: Mapping[str, Output]
    fields: Mapping[str, str | None]
    max_tokens: int | None
    metric: str
    format: str
    variant: str
    engine: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for: a model's name (None: the only one), texts before those of a role, fewer numbers, how vectors are
    compared (None: as the server says, or by cosine)."""

    name: str | None
    prompts: Mapping[str, str]
    dimensions: int | None
    metric: str | None


def find_model(client: Client, wanted: Wanted) -> RemoteModel:
    """The model that is meant. Raises `RemoteError` where it is not there, or is none of embeddings."""
    listed = listed_models(client)
    name = wanted.name or _only([entry for entry in listed if entry.get("kind") != "logits"], client)
    entry = next((entry for entry in listed if entry["id"] == name), None)
    if entry is None or not isinstance(entry.get("fingerprint"), str):
        return _foreign(client, name, wanted)
    if wanted.prompts:
        raise OptionError("prompts: this server has those of its bundle, and puts them itself; leave them out")
    return _own(client, entry, wanted)


def listed_models(client: Client) -> list[dict[str, Any]]:
    """What ``/models`` lists; none where the server has no such route."""
    try:
        found = client.get("/models")
    except RemoteError as error:
        if error.status in (404, 405, 501):
            return []
        raise
    data = found.get("data") if isinstance(found, dict) else None
    if not isinstance(data, list):
        raise RemoteError(
            f"{client.address}: expected a list of models in the field data of /models, found {str(found)[:100]!r}"
        )
    return [entry for entry in data if isinstance(entry, dict) and isinstance(entry.get("id"), str)]


def _only(entries: list[dict[str, Any]], client: Client) -> str:
    """The name of the only model; the same with a role after it (``NAME:query``) is no other."""
    names = [entry["id"] for entry in entries]
    own = [name for name in names if name.rpartition(":")[0] not in names]
    if len(own) == 1:
        return str(own[0])
    known = f"has {', '.join(own[:10])}{', ...' if len(own) > 10 else ''}" if own else "does not say which it has"
    raise RemoteError(f"{client.address}: the server {known}; name one by model=, or as {client.address}#NAME")


def _own(client: Client, entry: Mapping[str, Any], wanted: Wanted) -> RemoteModel:
    """What our server says of a model."""
    try:
        told = _told_outputs(entry)
        outputs = {name: _output(about) for name, about in told.items()}
        first, about = next(iter(outputs.items()))
    except (KeyError, TypeError, AttributeError, StopIteration, msgspec.ValidationError) as error:
        raise RemoteError(f"{client.address}: the server does not say what {entry['id']!r} gives ({error})") from error
    if about.kind == "logits":
        raise RemoteError(
            f"{client.address}: {entry['id']!r} gives numbers for classes or pairs, and no vectors; name another model"
        )
    if wanted.dimensions is not None:
        if about.kind != "dense":
            raise OptionError(
                f"dimensions: are for dense vectors, and {entry['id']!r} gives {about.kind} ones; leave them out"
            )
        outputs[first] = msgspec.structs.replace(about, dim=wanted.dimensions, default=None, matryoshka=[])
    if about.kind == "dense" and not any("normalized" in each for each in told.values()):
        found = _probed(client, entry["id"], {"dimensions": wanted.dimensions} if wanted.dimensions else {})
        outputs[first] = msgspec.structs.replace(outputs[first], normalized=_unit(found[0]))
    fields = entry.get("fields") or {"text": None}
    return RemoteModel(
        entry["id"],
        True,
        entry["fingerprint"],
        tuple(entry.get("roles") or _ROLES),
        outputs,
        dict.fromkeys(fields) if isinstance(fields, list) else fields,
        entry.get("max_tokens"),
        wanted.metric or entry.get("metric") or "cosine",
        "base64",
        str(entry.get("variant") or "remote"),
        str(entry.get("engine") or "remote"),
    )


def _told_outputs(entry: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What the server says of each output; of those of which it says the kind alone the first, whose size is the model's."""
    given = entry.get("outputs") or {entry["kind"]: entry["kind"]}
    first = next(iter(given))
    known = {name: about for name, about in given.items() if isinstance(about, Mapping)}
    return known or {first: {"kind": entry["kind"], "dim": entry["dim"]}}  # type: ignore[return-value]


def _output(about: Mapping[str, Any]) -> Output:
    known = {name: value for name, value in about.items() if name in Output.__struct_fields__ and value is not None}
    return msgspec.convert(known, Output)


def _foreign(client: Client, name: str, wanted: Wanted) -> RemoteModel:
    """A model of another server: what it makes of the probes, in the prompt of documents too, names its vectors."""
    more = {"dimensions": wanted.dimensions} if wanted.dimensions else {}
    vectors, form = _probed(client, name, more)
    if wanted.dimensions not in (None, vectors.shape[1]):
        raise OptionError(
            f"dimensions: the server gave {vectors.shape[1]} numbers where {wanted.dimensions} were asked for; leave it out, and "
            "cut the vectors with encode(dim=...)"
        )
    what = [str(client.address), name, dict(sorted(wanted.prompts.items())), wanted.dimensions]
    identity = hashlib.sha256(msgspec.json.encode(what)).hexdigest()
    output = Output(kind="dense", dim=vectors.shape[1], normalized=_unit(vectors))
    fingerprint = remote_space(identity, vectors)
    roles = tuple(dict.fromkeys([*_ROLES, *wanted.prompts]))
    metric = wanted.metric or "cosine"
    return RemoteModel(
        name, False, fingerprint, roles, {"dense": output}, {"text": None}, None, metric, form, "remote", "remote"
    )


def _probed(client: Client, name: str, more: Mapping[str, Any]) -> tuple[Any, str]:
    """(probes, dim) their vectors, and the format that the server sends: base64, or ``float`` where it refuses that."""
    body = {"model": name, "input": list(PROBES), **more}
    try:
        found, form = client.post("/embeddings", body | {"encoding_format": "base64"}), "base64"
    except RemoteError as error:
        if error.status not in (400, 422):
            raise
        found, form = client.post("/embeddings", body | {"encoding_format": "float"}), "float"
    where = str(client.address)
    return dense(embeddings_of(found, len(PROBES), where), where), form


def _unit(vectors: Any) -> bool:
    return bool(np.all(np.abs(np.linalg.norm(vectors.astype(np.float64), axis=1) - 1.0) < _UNIT))
