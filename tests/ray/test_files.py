"""Files and folders by a cluster: the rows that `embedkit ingest` makes of them."""

from __future__ import annotations

import json

import pytest

from embedkit.cli.entry import app
from embedkit.encoders.encoder import Encoder
from embedkit.errors import OptionError
from embedkit.ingestion import FileRows, ingest
from embedkit.stores.opening import open_store

pytestmark = pytest.mark.ray


def stored(url):
    with open_store(url) as store:
        return {row.id: (row.text, row.metadata, row.hash) for row in store.open("docs").records()}


def test_the_command_makes_the_same_rows_of_a_folder(cluster, bundle, tmp_path):
    from click.testing import CliRunner

    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "a.jsonl").write_text(
        "".join(json.dumps({"id": f"j{i}", "text": f"line {i}"}) + "\n" for i in range(700))
    )
    (folder / "b.csv").write_text("id,text,code\nc1,of a table,007\nc2,,8\n")
    (folder / "c.md").write_text("# A page\n\nof text\n")
    url = f"sqlite-vec:{tmp_path}/rows.db"
    arguments = [
        "ingest",
        str(bundle),
        str(folder),
        "--store",
        url,
        "--collection",
        "docs",
        "--variant",
        "fp32",
        "--json",
    ]
    found = CliRunner().invoke(app, [*arguments, "--on", "ray", "--dead-letters", str(tmp_path / "x.dead.jsonl")])
    assert found.exit_code == 0, found.output
    report = json.loads(found.stdout.splitlines()[-1])
    assert (report["read"], report["written"], report["dead"]) == (703, 702, 1)
    here = f"sqlite-vec:{tmp_path}/here.db"
    ingest(FileRows([folder]), Encoder.load(bundle, variant="fp32"), here, collection="docs")
    assert stored(url) == stored(here)


def test_standard_input_is_refused(bundle):
    from embedkit.ray import ingest_files

    with pytest.raises(OptionError, match="standard input"):
        ingest_files(FileRows(["-"]), bundle, "sqlite-vec:x", collection="docs")
