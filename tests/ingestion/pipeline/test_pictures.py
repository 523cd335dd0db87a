"""Folders and tables of pictures into a collection."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL")

import embedkit
from embedkit import Encoder, FileRows
from embedkit.ingestion import check, estimate, ingest, retry
from embedkit.ingestion.rows.fields import Fields
from embedkit.ingestion.rows.media import MediaFields
from helpers.image_bundles import picture_bundle
from helpers.pictures import folder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return Encoder.load(picture_bundle(tmp_path_factory.mktemp("colors") / "bundle"))


def test_a_folder_with_bad_ones_among_good_ones(
    encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = folder(tmp_path / "photos", 60)
    for path in paths[7::20]:
        path.write_bytes(path.read_bytes()[:-300])
    good = [path for path in paths if path not in paths[7::20]]
    run: list[int] = []
    true = encoder.loaded.towers["document"].run
    monkeypatch.setattr(
        encoder.loaded.towers["document"],
        "run",
        lambda batch, outputs, preparing: run.append(len(batch.rows)) or true(batch, outputs, preparing),
    )
    rows = FileRows([tmp_path / "photos"], format="image")
    report = ingest(rows, encoder, "memory:bad", collection="photos", dead_letters=tmp_path / "dead.jsonl")
    assert (report.read, report.written, report.dead, report.items) == (60, 57, 3, "pictures")
    assert "57 pictures encoded" in str(report)
    assert sum(run) < 60 + 3 * encoder.token_budget // 16, "only the batches of bad ones are computed again"
    with embedkit.open_store("memory:bad") as store:
        rows_there = store.open("photos").get([path.name for path in paths], with_vectors=True)
        stored = {record.id: record for record in rows_there}
    assert sorted(stored) == [path.name for path in good]
    expected = encoder.encode(good)
    assert np.array_equal(np.stack([stored[path.name].vector for path in good]), expected)
    letters = [json.loads(line) for line in (tmp_path / "dead.jsonl").read_text().splitlines()]
    assert sorted(letter["id"] for letter in letters) == [path.name for path in paths[7::20]]
    assert all("broken or truncated" in letter["reason"] for letter in letters)


def test_from_another_folder_nothing_is_encoded(
    encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder(tmp_path / "data" / "photos", 5)
    dead = tmp_path / "dead.jsonl"

    def run(path: str, root: str) -> tuple[int, int]:
        found = ingest(
            FileRows([path], format="image", root=root), encoder, "memory:root", collection="photos", dead_letters=dead
        )
        return found.written, found.unchanged

    monkeypatch.chdir(tmp_path)
    assert run("data/photos", "data") == (5, 0)
    monkeypatch.chdir(tmp_path / "data")
    assert run("photos", ".") == (0, 5)
    monkeypatch.chdir("/")
    assert run(str(tmp_path / "data" / "photos"), str(tmp_path / "data")) == (0, 5)
    report = check(
        FileRows([tmp_path / "data" / "photos"], format="image", root=tmp_path / "data"), encoder, "memory:root", collection="photos", vectors=5
    )  # fmt: skip
    assert report.consistent
    assert report.compared == 5
    (tmp_path / "data" / "photos" / "picture00.png").unlink()
    gone = check(
        FileRows([tmp_path / "data" / "photos"], format="image", root=tmp_path / "data"), encoder, "memory:root", collection="photos", vectors=5
    )  # fmt: skip
    assert not gone.consistent
    assert gone.compared == 4, "what is gone is extra, and not compared"


def test_an_estimate_and_a_retry_know_the_root(
    encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = folder(tmp_path / "photos", 4)
    whole = paths[1].read_bytes()
    paths[1].write_bytes(whole[:-300])
    monkeypatch.chdir("/")
    rows = FileRows([tmp_path / "photos"], format="image", root=tmp_path)
    found = estimate(rows, encoder, "memory:retry", collection="photos")
    assert (found.new, found.items) == (4, "pictures")
    assert "to encode 4 pictures" in str(found)
    dead = tmp_path / "dead.jsonl"
    assert ingest(rows, encoder, "memory:retry", collection="photos", dead_letters=dead).dead == 1
    paths[1].write_bytes(whole)
    fields = Fields(media=MediaFields.of(None, tmp_path, None))
    assert retry(dead, encoder, "memory:retry", collection="photos", fields=fields).written == 1
    assert not dead.exists()
    again = ingest(rows, encoder, "memory:retry", collection="photos", dead_letters=dead)
    assert (again.written, again.unchanged) == (0, 4), "the file that was repaired was read anew"
