"""The names of models, and the roles that they say."""

from __future__ import annotations

import asyncio

import pytest

from embedkit import Encoder, InputError
from embedkit.server.http.failures import Refusal
from embedkit.server.models import role_for
from helpers.served import catalogue_of, quiet


def test_names_aliases_and_roles(encoders: dict[str, Encoder]) -> None:
    catalogue = catalogue_of(encoders, quiet(), aliases={"other": "tiny"})
    for name, wanted in (
        ("tiny", ("tiny", None)),
        ("other", ("tiny", None)),
        ("other:query", ("tiny", "query")),
        (None, ("tiny", None)),
    ):
        model, role = catalogue.find(name)
        assert (model.name, role) == wanted
    assert catalogue.find(None, lambda one: one.ranks)[0].name == "rank"
    for unknown in ("nobody", "tiny:nobody", ":", "tiny:"):
        with pytest.raises(Refusal, match="there is no model") as caught:
            catalogue.find(unknown)
        assert caught.value.status == 404


def test_what_models_can(encoders: dict[str, Encoder]) -> None:
    models = catalogue_of(encoders, quiet()).models
    assert [name for name, model in models.items() if model.ranks] == ["rank"]
    assert [name for name, model in models.items() if model.classifies] == ["rank", "classes"]
    assert models["tiny"].output_of("sparse") == "sparse"
    with pytest.raises(InputError, match="no sparse"):
        models["pictures"].output_of("sparse")


def test_wrong_aliases(encoder: Encoder) -> None:
    for aliases, words in (({"a": "b"}, "expected one of tiny"), ({"tiny": "tiny"}, "this name already")):
        with pytest.raises(InputError, match=words):
            catalogue_of({"tiny": encoder}, quiet(), aliases=aliases)


def test_roles(encoders: dict[str, Encoder]) -> None:
    tiny, rank = encoders["tiny"], encoders["rank"]
    assert role_for(tiny, "query", "search_document", "document", "default") == "query"
    assert role_for(tiny, None, "search_document", "query", "default") == "document"
    assert role_for(tiny, None, None, "query", "document") == "query"
    assert role_for(tiny, None, None, None, "document") == "document"
    assert role_for(rank, None, "search_query", None, "query") == "default", "a bundle without this role"
    with pytest.raises(Refusal, match="default, query, document"):
        role_for(tiny, "nobody", None, None, "default")


def test_a_model_is_closed_once_nobody_uses_it(encoder: Encoder) -> None:
    async def main() -> None:
        model = catalogue_of({"tiny": encoder}, quiet()).models["tiny"]
        with model.used():
            closing = asyncio.create_task(model.close())
            await asyncio.sleep(0.01)
            assert not closing.done()
            assert len(await model.queue.encode(["a"])) == 1
        await asyncio.wait_for(closing, 10)

    asyncio.run(main())
