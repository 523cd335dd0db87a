"""What the tests of commands share."""

from __future__ import annotations

STORE = ["--store", "chroma:index", "--collection", "docs"]


def error(result):
    code, out, err = result
    assert (code, out) == (1, ""), err
    assert err.startswith("error: ")
    assert err.count("\n") == 1, "an error is one line"
    return err
