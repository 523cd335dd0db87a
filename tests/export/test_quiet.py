"""Other libraries' noise, and their errors in one line."""

from __future__ import annotations

import logging
import warnings

import pytest
from transformers.utils import logging as transformers_logging

from embedkit_export.quiet import quiet, reason


def test_an_error_is_told_by_the_first_line_of_its_first_cause() -> None:
    around = RuntimeError("around it")
    around.__cause__ = ValueError("\n the cause\nmore")
    assert reason(around) == "the cause"
    assert reason(KeyError()) == "KeyError"


def test_the_terminal_hears_nothing_and_all_is_put_back(caplog: pytest.LogCaptureFixture) -> None:
    before = transformers_logging.is_progress_bar_enabled()
    with pytest.raises(RuntimeError), quiet(), warnings.catch_warnings(record=True) as heard:
        warnings.warn("old", stacklevel=1)
        logging.getLogger("other").warning("noise")
        assert not transformers_logging.is_progress_bar_enabled()
        raise RuntimeError
    assert (heard, caplog.records) == ([], [])
    assert transformers_logging.is_progress_bar_enabled() == before
    logging.getLogger("other").warning("heard again")
    assert [record.message for record in caplog.records] == ["heard again"]
