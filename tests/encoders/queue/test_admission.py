"""What may wait, and when to come again."""

from __future__ import annotations

import numpy as np
import pytest

from embedkit import Encoder, InputError, OverloadedError
from embedkit.encoders.queue.admission import Admission, estimated_tokens


def test_texts_and_tokens_are_both_limited() -> None:
    admission = Admission(10, 1000)
    admission.check((0, 0), (50, 9000))
    admission.check((9, 900), (1, 100))
    with pytest.raises(OverloadedError, match="9 texts wait already, and 2 more would be above max_queue=10") as caught:
        admission.check((9, 900), (2, 2))
    assert (caught.value.waiting, caught.value.retry_after) == (9, 1.0)
    with pytest.raises(OverloadedError, match="about 900 tokens wait already, and 101 more .* max_queue_tokens=1000"):
        admission.check((1, 900), (1, 101))
    for wrong in (0, None, True):
        with pytest.raises(InputError, match="max_queue"):
            Admission(wrong)  # type: ignore[arg-type]


def test_the_time_to_wait_is_what_waits_by_the_pace() -> None:
    admission = Admission()
    assert admission.retry_after(10**9) == 1.0, "nothing is known yet"
    admission.begin(100.0)
    admission.end(102.0, 2000, idle=False)
    assert admission.retry_after(5000) == pytest.approx(5.0)
    admission.end(104.0, 2000, idle=True)
    assert admission.retry_after(5000) == pytest.approx(5.0)
    admission.begin(1000.0)  # the time without work counts for nothing
    admission.end(1002.0, 2000, idle=True)
    assert admission.retry_after(5000) == pytest.approx(5.0)
    assert admission.retry_after(0) == 1.0
    assert admission.retry_after(10**9) == 60.0
    admission.begin(2000.0)
    admission.end(2100.0, 1_000_000, idle=True)  # by far the most of late
    assert admission.retry_after(50_000) == pytest.approx(5.0, rel=0.01)


def test_tokens_are_estimated_by_characters(encoder: Encoder) -> None:
    found = estimated_tokens(encoder.modality(), ["", "four", "x" * 4_000_000])
    assert np.array_equal(found, [2, 3, 1_000_002])
