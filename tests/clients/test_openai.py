"""The client of OpenAI: what it gives are the vectors of `Encoder.encode`, bit for bit."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from embedkit import Encoder
from embedkit.errors import OverloadedError
from helpers.clients import KEY, TEXTS
from helpers.served import Served, quiet, served

openai = pytest.importorskip("openai")


@pytest.fixture
def client(base: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=base, api_key=KEY, max_retries=2, timeout=20)


def vectors(answer) -> np.ndarray:
    return np.array([row.embedding for row in answer.data], np.float32)


@pytest.mark.parametrize("more", [{}, {"encoding_format": "float"}, {"encoding_format": "base64"}])
def test_the_vectors_of_encode(client, tiny: Encoder, more: dict[str, str]) -> None:
    answer = client.embeddings.create(model="tiny", input=TEXTS, **more)
    if more.get("encoding_format") == "base64":  # handed on as it came
        import base64

        found = np.stack([np.frombuffer(base64.b64decode(row.embedding), "<f4") for row in answer.data])
    else:
        found = vectors(answer)
    assert found.tobytes() == tiny.encode(TEXTS).tobytes()
    assert answer.usage.prompt_tokens == sum(min(64, len(text.encode()) + 2) for text in TEXTS)


def test_names_roles_and_one_text(client, tiny: Encoder) -> None:
    assert {model.id for model in client.models.list()} >= {"tiny", "tiny:query", "text-embedding-3-small", "rank"}
    assert client.models.retrieve("tiny").id == "tiny"
    for name in ("tiny:query", "text-embedding-3-small:query"):
        answer = client.embeddings.create(model=name, input="tea")
        assert vectors(answer).tobytes() == tiny.encode_query(["tea"]).tobytes()
    answer = client.embeddings.create(model="tiny", input="tea", extra_body={"role": "query"})
    assert vectors(answer).tobytes() == tiny.encode_query(["tea"]).tobytes()


def test_many_texts_and_asynchronous(base: str, tiny: Encoder) -> None:
    texts = [f"text {i} {'x' * (i % 50)}" for i in range(2048)]

    async def ask():
        async with openai.AsyncOpenAI(base_url=base, api_key=KEY, timeout=60) as client:
            return await asyncio.gather(
                client.embeddings.create(model="tiny", input=texts),
                *(client.embeddings.create(model="tiny", input=text) for text in texts[:40]),
            )

    whole, *lone = asyncio.run(ask())
    expected = tiny.encode(texts)
    assert vectors(whole).tobytes() == expected.tobytes()
    assert [vectors(one).tobytes() for one in lone] == [row.tobytes() for row in expected[:40]]


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({"model": "tiny", "input": [[1, 2]]}, "BadRequestError", "check_embedding_ctx_length=False"),
        ({"model": "tiny", "input": []}, "BadRequestError", "expected"),
        ({"model": "nobody", "input": "a"}, "NotFoundError", "there is no model 'nobody'"),
        ({"model": "tiny", "input": "a", "dimensions": 1000}, "BadRequestError", "dim"),
    ],
)
def test_what_is_refused(client, asked, error: str, words: str) -> None:
    with pytest.raises(getattr(openai, error)) as caught:
        client.embeddings.create(**asked)
    assert words in str(caught.value)
    assert isinstance(caught.value.body["message"], str)


def test_a_wrong_key(base: str) -> None:
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=base, api_key="wrong", max_retries=0).embeddings.create(model="tiny", input="a")


def test_it_comes_again_where_too_much_waits(tiny: Encoder) -> None:
    refused = 0
    with served({"tiny": tiny}, quiet()) as server:
        admission = server.service.catalogue.models["tiny"].queue._admission
        check = admission.check

        def full_at_first(*given) -> None:
            nonlocal refused
            if refused < 2:
                refused += 1
                raise OverloadedError("full", waiting=1, retry_after=0.05)
            check(*given)

        admission.check = full_at_first  # type: ignore[method-assign]
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="-", max_retries=2, timeout=20)
        answer = client.embeddings.create(model="tiny", input="tea")
    assert refused == 2
    assert vectors(answer).tobytes() == tiny.encode(["tea"]).tobytes()


def test_the_server_is_named_in_no_error_page(server: Served, client) -> None:
    with pytest.raises(openai.NotFoundError):
        client.get("/nothing", cast_to=object)
