"""Concurrent requests: the vectors of one call, whatever is refused, cancelled or closed meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from embedkit import (
    AsyncEncoder,
    ClosedError,
    DeadlineError,
    Encoder,
    EncoderPool,
    InputError,
    OverloadedError,
    TruncationError,
    TruncationWarning,
    fit_ranges,
)
from embedkit.runtime.frontends.base import Item
from embedkit.runtime.loaded import PendingRows
from embedkit.runtime.options import EncodeOptions
from helpers.image_bundles import picture_bundle

TEXTS = [f"request {i} " + "x" * (i % 17) for i in range(100)]


class HeldEncoder(Encoder):
    """An encoder whose work waits for a sign, and which keeps what it was handed."""

    calls: list[list[Item]]
    sign: threading.Event

    def submit(self, role: str, items: list[Item], outputs: Sequence[str]) -> list[PendingRows]:
        self.calls.append(items)
        assert self.sign.wait(30)
        return self.loaded.submit(role, items, outputs)


@pytest.fixture
def held(bundle: Path) -> HeldEncoder:
    encoder = HeldEncoder.load(bundle, variant="fp32", threads=1, on_truncate="ignore")
    assert isinstance(encoder, HeldEncoder)
    encoder.calls, encoder.sign, encoder.source = [], threading.Event(), encoder
    return encoder


async def settled(condition: object) -> None:
    """Lets the loop run until the condition holds."""
    for _ in range(2000):
        if condition():  # type: ignore[operator]
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not come to that")


def test_the_vectors_of_one_call(encoder: Encoder) -> None:
    expected = encoder.encode(TEXTS)
    queries = encoder.encode_query(TEXTS, dim=3)
    ranges = fit_ranges(expected)
    small = encoder.encode(TEXTS, precision="int8", ranges=ranges)

    async def main() -> None:
        async with AsyncEncoder(encoder) as service:
            found = await asyncio.gather(
                *(service.encode(text) for text in TEXTS),
                *(service.encode_query(text, dim=3) for text in TEXTS),
                *(service.encode_document([text], precision="int8", ranges=ranges) for text in TEXTS),
                service.encode(iter(TEXTS)),
                service.encode([]),
            )
        for i in range(len(TEXTS)):
            assert found[i].tobytes() == expected[i].tobytes()
            assert found[100 + i].tobytes() == queries[i].tobytes()
            assert found[200 + i].tobytes() == small[i : i + 1].tobytes()
        assert np.array_equal(found[300], expected)
        assert found[301].shape == (0, encoder.dim)

    asyncio.run(main())


def test_a_lone_request_begins_at_once_and_those_that_wait_go_together(held: HeldEncoder) -> None:
    async def main() -> None:
        async with AsyncEncoder(held) as service:
            first = asyncio.create_task(service.encode("first"))
            await settled(lambda: held.calls == [["first"]])
            others = [asyncio.create_task(service.encode(text)) for text in TEXTS]
            await settled(lambda: service.waiting == len(TEXTS))
            held.sign.set()
            await asyncio.gather(first, *others)
        assert held.calls == [["first"], TEXTS]

    asyncio.run(main())


def test_workers_share_what_waits(bundle: Path) -> None:
    encoder = HeldEncoder.load(bundle, variant="fp32", threads=4, on_truncate="ignore")
    assert isinstance(encoder, HeldEncoder)
    encoder.calls, encoder.sign, encoder.source = [], threading.Event(), encoder
    encoder.sign.set()

    async def main() -> None:
        async with AsyncEncoder(encoder) as service:
            await asyncio.gather(*(service.encode(text) for text in TEXTS))
        assert sorted(map(len, encoder.calls)) == [25, 25, 25, 25]

    asyncio.run(main())


def test_overload_is_refused_at_once(held: HeldEncoder) -> None:
    async def main() -> None:
        async with AsyncEncoder(held, max_queue=3) as service:
            first = asyncio.create_task(service.encode("first"))
            await settled(lambda: held.calls)
            waiting = [asyncio.create_task(service.encode(f"{i}")) for i in range(3)]
            await settled(lambda: service.waiting == 3)
            with pytest.raises(
                OverloadedError, match="3 texts wait already, and 2 more would be above max_queue=3"
            ) as caught:
                await service.encode(["one", "more"])
            assert caught.value.waiting == 3
            waiting[1].cancel()
            await settled(lambda: service.waiting == 2)
            again = asyncio.create_task(service.encode("again"))
            await settled(lambda: service.waiting == 3)
            held.sign.set()
            found = await asyncio.gather(first, *waiting, again, return_exceptions=True)
            assert isinstance(found[2], asyncio.CancelledError)
            assert held.calls[1] == ["0", "2", "again"]
            assert (await service.encode([f"{i}" for i in range(9)])).shape == (9, held.dim)

    asyncio.run(main())


def test_a_bad_text_fails_its_own_request_only(bundle: Path) -> None:
    encoder = Encoder.load(bundle, variant="fp32", threads=1, on_truncate="error")
    good = encoder.encode(TEXTS)

    async def main() -> None:
        async with AsyncEncoder(encoder) as service:
            bad: list[object] = [3, "lone \ud800", "long " * 100, ["fine", None]]
            found = await asyncio.gather(
                *(service.encode(item) for item in [*TEXTS[:50], *bad, *TEXTS[50:]]),  # type: ignore[arg-type]
                service.encode("x", role="nothing"),
                service.encode("x", dim=1000),
                return_exceptions=True,
            )
        errors = [error for error in found if isinstance(error, BaseException)]
        kinds = [InputError, InputError, TruncationError, InputError, InputError, InputError]
        assert len(errors) == len(kinds)
        assert all(map(isinstance, errors, kinds)), errors
        assert [str(error).partition(":")[0] for error in errors[:4]] == [
            "texts",
            "text 0",
            "text 0 is longer than the 64 tokens that the model reads; split it into chunks, or load with on_truncate='warn'",
            "text 1",
        ]
        vectors = [vector for vector in found if isinstance(vector, np.ndarray)]
        assert np.array_equal(np.stack(vectors), good)

    asyncio.run(main())


def test_closing_finishes_what_waits(held: HeldEncoder) -> None:
    async def main() -> None:
        service = AsyncEncoder(held)
        tasks = [asyncio.create_task(service.encode(text)) for text in TEXTS[:9]]
        await settled(lambda: held.calls)
        late = asyncio.create_task(service.encode("late"))
        await settled(lambda: service.waiting == 1)
        closing = asyncio.create_task(service.aclose())
        await asyncio.sleep(0)
        with pytest.raises(InputError, match="closed"):
            await service.encode("too late")
        held.sign.set()
        await closing
        assert all(task.done() for task in (*tasks, late))
        assert np.array_equal(late.result(), held.encode("late"))
        await service.aclose()

    asyncio.run(main())


def test_one_loop_after_another_but_not_two_at_once(held: HeldEncoder) -> None:
    service = AsyncEncoder(held)

    async def use() -> None:
        await service.encode("x")

    async def main() -> None:
        task = asyncio.create_task(use())
        await settled(lambda: held.calls)
        done: Future[BaseException | None] = Future()
        thread = threading.Thread(target=lambda: done.set_result(_error(use)))
        thread.start()
        thread.join()
        assert "in use on another event loop" in str(done.result())
        held.sign.set()
        await task

    asyncio.run(main())
    asyncio.run(use())
    asyncio.run(service.aclose())


def _error(use: object) -> BaseException | None:
    try:
        asyncio.run(use())  # type: ignore[operator]
    except InputError as error:
        return error
    return None


def test_what_is_cancelled_while_it_runs_harms_nobody(held: HeldEncoder) -> None:
    async def main() -> None:
        async with AsyncEncoder(held) as service:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(service.encode("slow"), 0.05)
            with pytest.raises(InputError, match="max_queue"):
                AsyncEncoder(held, max_queue=0)
            held.sign.set()
            assert np.array_equal(await service.encode("next"), held.encode("next"))

    asyncio.run(main())


def test_a_closed_loop_of_clients(encoder: Encoder) -> None:
    expected = encoder.encode(TEXTS)
    before = threading.active_count()

    async def main() -> Iterator[int]:
        seen = []
        async with AsyncEncoder(encoder) as service:

            async def client(start: int) -> None:
                for i in range(start, len(TEXTS), 10):
                    assert (await service.encode(TEXTS[i])).tobytes() == expected[i].tobytes()
                    seen.append(threading.active_count())

            await asyncio.gather(*(client(start) for start in range(10)))
        return iter(seen)

    assert max(asyncio.run(main())) <= before + 2 * encoder.threads + 1


@pytest.mark.filterwarnings("ignore:worker process")
def test_over_worker_processes_and_one_of_them_killed(bundle: Path, encoder: Encoder) -> None:
    expected = encoder.encode(TEXTS)

    async def main(pool: EncoderPool) -> None:
        async with AsyncEncoder(pool) as service:
            first = await asyncio.gather(*(service.encode(text) for text in TEXTS))
            assert np.stack(first).tobytes() == expected.tobytes()
            again = asyncio.gather(*(service.encode(text) for text in TEXTS))
            os.kill(pool.workers[0], signal.SIGKILL)
            assert np.stack(await again).tobytes() == expected.tobytes()
            with pytest.raises(InputError):
                await service.encode("lone \ud800")

    with EncoderPool.load(bundle, variant="fp32", workers=2, on_truncate="ignore") as pool:
        before = pool.workers
        asyncio.run(main(pool))
        assert pool.workers != before


def test_what_is_no_sequence_of_texts_is_refused(encoder: Encoder) -> None:
    async def run() -> None:
        async with AsyncEncoder(encoder) as asynchronous:
            for given in (7, {"a", "b"}, np.array("a")):
                with pytest.raises(InputError, match="texts: expected a string or an iterable of strings, found"):
                    await asynchronous.encode(given)

    asyncio.run(run())


def test_what_is_read_is_counted_a_text(encoder: Encoder) -> None:
    async def run() -> None:
        async with AsyncEncoder(encoder) as asynchronous:
            texts = ["ab", "x" * 500, "ab", ""] * 50
            found = await asynchronous.encode_counted(texts)
            assert found.tokens.tolist() == [4, 64, 4, 2] * 50, "equal texts are computed once, and each counts"
            assert found.truncated.tolist() == [False, True, False, False] * 50
            assert found.values.tobytes() == encoder.encode(texts).tobytes()
            assert found.waited >= 0 < found.computed
            none = await asynchronous.encode_counted([], EncodeOptions(dim=3))
            assert (none.values.shape, none.tokens.shape) == ((0, 3), (0,))

    asyncio.run(run())


def test_a_large_request_gives_way_to_small_ones(held: HeldEncoder) -> None:
    many = [f"{i} " + "y" * (i % 40) for i in range(1000)]

    async def run() -> None:
        async with AsyncEncoder(held) as asynchronous:
            large = asyncio.create_task(asynchronous.encode(many))
            await settled(lambda: len(held.calls) == 1)
            lone = asyncio.create_task(asynchronous.encode("a question"))
            await settled(lambda: asynchronous.waiting == 1000 - 64 + 1)
            held.sign.set()
            vectors, alone = await asyncio.gather(large, lone)
        turn = next(i for i, call in enumerate(held.calls) if "a question" in call)
        assert turn <= 2, "it waits for the slice that runs and at most one more"
        assert all(len(call) <= 65 for call in held.calls)
        assert vectors.tobytes() == held.encode(many).tobytes()
        assert alone.tobytes() == held.encode("a question").tobytes()

    asyncio.run(run())


def test_what_is_not_begun_in_time_is_not_begun(held: HeldEncoder) -> None:
    async def run() -> None:
        async with AsyncEncoder(held) as asynchronous:
            first = asyncio.create_task(asynchronous.encode("first"))
            await settled(lambda: held.calls)
            with pytest.raises(DeadlineError, match=r"0.01 seconds passed") as caught:
                await asynchronous.encode_counted(["late"], timeout=0.01)
            assert isinstance(caught.value, TimeoutError)
            assert asynchronous.waiting == 0
            held.sign.set()
            await first
            in_time = await asynchronous.encode_counted(["in time"], timeout=60)
            assert np.array_equal(in_time.values, held.encode(["in time"]))
        assert ["late"] not in held.calls

    asyncio.run(run())


def test_the_number_of_a_text_is_its_number_in_the_request(bundle: Path) -> None:
    encoder = Encoder.load(bundle, variant="fp32", threads=1, on_truncate="error")

    async def run() -> None:
        async with AsyncEncoder(encoder) as asynchronous:
            with pytest.raises(TruncationError, match="text 150 is longer than the 64 tokens"):
                await asynchronous.encode(["x"] * 150 + ["x" * 100] + ["x"] * 150)
            with pytest.raises(InputError, match="text 150: expected a string"):
                await asynchronous.encode(["x"] * 150 + [None])
            with pytest.warns(TruncationWarning, match="1 of 2 texts were longer"):
                await asynchronous.encode(["x", "x" * 100], on_truncate="warn")

    asyncio.run(run())


def test_giving_up_fails_what_waits_and_ends_what_runs(held: HeldEncoder) -> None:
    async def run() -> None:
        asynchronous = AsyncEncoder(held)
        first = asyncio.create_task(asynchronous.encode("first"))
        await settled(lambda: held.calls)
        second = asyncio.create_task(asynchronous.encode("second"))
        await settled(lambda: asynchronous.waiting == 1)
        assert asynchronous.abandon() == 1
        held.sign.set()
        found = await asyncio.gather(first, second, return_exceptions=True)
        assert np.array_equal(found[0], held.encode("first"))
        assert isinstance(found[1], ClosedError)
        await asynchronous.aclose()

    asyncio.run(run())


def test_a_request_of_pictures_does_not_go_with_texts(tmp_path: Path) -> None:
    encoder = Encoder.load(picture_bundle(tmp_path / "b", texts=True), variant="fp32")
    red = Image.fromarray(np.full((16, 16, 3), (255, 0, 0), np.uint8))

    async def run() -> None:
        async with AsyncEncoder(encoder) as asynchronous:
            picture, text = await asyncio.gather(asynchronous.encode([red]), asynchronous.encode(["red"]))
        assert np.array_equal(picture, encoder.encode([red]))
        assert np.array_equal(text, encoder.encode(["red"]))

    asyncio.run(run())
