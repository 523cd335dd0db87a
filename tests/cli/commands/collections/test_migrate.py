"""``embedkit migrate``: there, compared, back, and done."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("sqlite_vec")

from embedkit.testing.tiny import tiny_bundle
from helpers.commands import error

URL = "sqlite-vec:index.db"
PLACE = ["--collection", "docs"]


@pytest.fixture(scope="module")
def newer(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("newer") / "bundle", dim=12, seed=5)


@pytest.fixture
def filled(run, bundle, docs):
    assert run("ingest", bundle, docs, "--store", URL, *PLACE, "--quiet")[0] == 0


def test_there_compared_back_and_done(run, bundle, newer, filled, folder):
    (folder / "q.txt").write_text("text number 7\n\nsomething else\n")
    compared = ["--from", bundle, "--queries", "q.txt"]
    code, out, err = run("migrate", URL, *PLACE, "--to", newer, *compared, "--no-switch")
    assert (code, err) == (0, "")
    assert "text number 7  (overlap " in out
    assert "mean overlap of the first ten hits of 2 queries: " in out
    assert "not switched: docs." in out
    code, out, _ = run("migrate", URL, *PLACE, "--to", newer, *compared, "--least-overlap", "1", "--json")
    told = json.loads(out)
    assert (code, told["switched"], told["unchanged"], len(told["queries"])) == (1, False, 40, 2)
    assert told["overlap"] == pytest.approx(sum(each["overlap"] for each in told["queries"]) / 2)
    assert len(told["queries"][0]["old"]) == len(told["queries"][0]["new"]) == 10
    search = ["search", bundle, "text number 7", "--store", URL, *PLACE]
    assert run(*search)[0] == 0
    code, out, _ = run("migrate", URL, *PLACE, "--to", newer)
    assert code == 0
    assert f"docs leads to {told['target']}" in out
    assert "another model's vectors" in error(run(*search))
    assert run("search", newer, "text number 7", "--store", URL, *PLACE)[0] == 0
    assert "holds this model's vectors already" in error(run("migrate", URL, *PLACE, "--to", newer))
    assert "docs leads to docs (40 rows) again" in run("migrate", URL, *PLACE, "--back")[1]
    assert run(*search)[0] == 0
    told = json.loads(run("migrate", URL, *PLACE, "--back", "--json")[1])
    assert (told["rows"], told["left"], told["left_rows"]) == (40, "docs", 40)
    assert run("migrate", URL, *PLACE, "--finish")[1] == "deleted: docs\n"
    assert json.loads(run("migrate", URL, *PLACE, "--finish", "--json")[1])["deleted"] == []
    assert "nothing to go back to" in error(run("migrate", URL, *PLACE, "--back"))
    assert run("search", newer, "text number 7", "--store", URL, *PLACE)[0] == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "either --to"),
        (["--back", "--finish"], "either --to"),
        (["--to", "x", "--queries", "q"], "together"),
        (["--to", "x", "--from", "q"], "together"),
        (["--to", "x", "--least-overlap", "0.5"], "together"),
    ],
)
def test_options_that_do_not_fit(run, options, words):
    code, _, err = run("migrate", URL, *PLACE, *options)
    assert code == 2
    assert words in err
