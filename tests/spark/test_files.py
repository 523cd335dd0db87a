"""Files and folders by a cluster: the rows that `embedkit ingest` makes of them."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from embedkit.cli.entry import app
from embedkit.encoders.encoder import Encoder
from embedkit.errors import OptionError
from embedkit.ingestion import FileRows, ingest
from helpers.cluster_rows import stored

pytestmark = pytest.mark.spark


def test_the_command_makes_the_same_rows_of_a_folder(spark, bundle, url, tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "a.jsonl").write_text(
        "".join(json.dumps({"id": f"j{i}", "text": f"line {i}"}) + "\n" for i in range(700))
    )
    (folder / "b.csv").write_text("id,text,code\nc1,of a table,007\nc2,,8\n")
    (folder / "c.md").write_text("# A page\n\nof text\n")
    given = ["ingest", str(bundle), str(folder), "--store", url, "--collection", "docs", "--variant", "fp32", "--json"]
    found = CliRunner().invoke(app, [*given, "--on", "spark", "--dead-letters", str(tmp_path / "x.dead.jsonl")])
    assert found.exit_code == 0, found.output
    report = json.loads(found.stdout.splitlines()[-1])
    assert (report["read"], report["written"], report["dead"]) == (703, 702, 1)
    here = f"sqlite-vec:{tmp_path}/here.db"
    ingest(FileRows([folder]), Encoder.load(bundle, variant="fp32"), here, collection="docs")
    assert stored(url) == stored(here)


def test_a_folder_without_files_is_an_empty_frame_and_standard_input_is_refused(spark, bundle, url, tmp_path):
    from embedkit.spark import ingest_files

    (tmp_path / "empty").mkdir()
    report = ingest_files(FileRows([tmp_path / "empty"]), bundle, url, collection="docs", variant="fp32")
    assert (report.read, report.dead) == (0, 0)
    with pytest.raises(OptionError, match="standard input"):
        ingest_files(FileRows(["-"]), bundle, url, collection="docs")
