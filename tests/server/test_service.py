"""What the routes share."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from embedkit import Encoder, OverloadedError
from embedkit.runtime.options import EncodeOptions
from embedkit.server.http.call import Call
from embedkit.server.service import TIMEOUT, Service, timeout_of
from helpers.served import catalogue_of, quiet


def test_items_of_several_roles_come_back_in_their_order(encoders: dict[str, Encoder]) -> None:
    async def main() -> None:
        service = Service(catalogue_of(encoders, quiet()), quiet())
        await service.warm()
        assert service.ready
        call, model = Call("1"), service.catalogue.models["tiny"]
        items = [("query", "a"), ("document", "b"), ("query", "c")]
        answer = await service.encode(call, model, items, EncodeOptions())
        tiny = encoders["tiny"]
        expected = [tiny.encode(text, role=role) for role, text in items]
        assert answer.values.tobytes() == np.stack(expected).tobytes()
        assert (call.texts, call.tokens) == (3, 10 + 3 + 10)

    asyncio.run(main())


def test_the_shorter_time_counts() -> None:
    TIMEOUT.set(None)
    assert timeout_of(quiet()) is None
    assert timeout_of(quiet(timeout=3.0)) == 3.0
    TIMEOUT.set(1.0)
    assert timeout_of(quiet(timeout=3.0)) == 1.0
    TIMEOUT.set(None)


def test_other_work_is_limited_too(encoder: Encoder) -> None:
    async def main() -> None:
        service = Service(catalogue_of({"tiny": encoder}, quiet()), quiet())
        sign = threading.Event()
        tasks = [asyncio.create_task(service.beside(lambda: sign.wait(30))) for _ in range(256)]
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError):
            await service.beside(lambda: True)
        sign.set()
        assert all(await asyncio.gather(*tasks))
        assert await service.beside(lambda: True)

    asyncio.run(main())
