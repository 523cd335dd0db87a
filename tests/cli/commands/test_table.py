"""``embedkit load-table``."""

from __future__ import annotations

import pytest

from embedkit.stores.opening import open_store
from helpers.commands import error
from helpers.small_bundles import DIM, eighths, of_ids


@pytest.fixture
def bundle(folder):
    return of_ids(folder / "ids", (["1", "2", "7"], eighths(3, DIM)))


def test_the_rows_are_in_the_collection_and_said(run, bundle):
    code, out, err = run("load-table", bundle, "--store", "sqlite-vec:index.db", "--collection", "items")
    assert (code, out) == (0, "3 rows of items are in items\n"), err
    with open_store("sqlite-vec:index.db") as store:
        assert {row.id for row in store.open("items").get(["1", "2", "7", "3"])} == {"1", "2", "7"}
    code, out, _ = run("load-table", bundle, "--store", "sqlite-vec:index.db", "--collection", "items", "--quiet")
    assert (code, out) == (0, "")


def test_a_table_that_is_not_there_is_an_error_of_one_line(run, bundle):
    wrong = run("load-table", bundle, "--store", "sqlite-vec:i.db", "--collection", "c", "--table", "users")
    assert "expected a table of this bundle (items), found 'users'" in error(wrong)
