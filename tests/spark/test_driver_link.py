"""The line from executors to the driver: over real sockets, from threads that stand for them."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import AuthenticationError

import pytest

from embedkit.errors import StoreError, WorkerError

pytestmark = pytest.mark.spark


def test_what_is_begun_is_counted_for_all_and_what_is_told_arrives():
    from embedkit.spark.driver_link import listening

    with listening("127.0.0.1") as driver:
        mine, other = (pickle.loads(pickle.dumps(driver.link)) for _ in range(2))
        assert [mine.begin([b"a"]), other.begin([b"a", b"b"])] == [[0], [1, 0]]
        other.end([b"a"])
        assert mine.begin([b"a"]) == [0]
        mine.tell(StoreError("read only"))
        assert [type(error) for error in driver.told] == [StoreError]
        with ThreadPoolExecutor(8) as threads:
            links = [pickle.loads(pickle.dumps(driver.link)) for _ in range(8)]
            found = list(threads.map(lambda link: [link.alone(b"c") for _ in range(25)], links))
        assert sorted(number for each in found for number in each) == list(range(200))


def test_who_does_not_know_the_secret_is_refused_and_hinders_no_other():
    from embedkit.spark.driver_link import DriverLink, listening

    with listening("127.0.0.1") as driver:
        with pytest.raises(AuthenticationError):
            DriverLink(driver.link.address, b"guessed").begin([b"a"])
        assert driver.link.begin([b"a"]) == [0]
        assert "secret" not in repr(driver.link)


def test_a_driver_that_is_gone_is_named():
    from embedkit.spark.driver_link import listening

    with listening("127.0.0.1") as driver:
        link = driver.link
    with pytest.raises(WorkerError, match="spark.driver.host"):
        link.begin([b"a"])
    link.tell(StoreError("nobody hears it"))
