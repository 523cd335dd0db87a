"""Files that an export is judged on."""

from __future__ import annotations

from pathlib import Path

import pytest

from embedkit import InputError
from embedkit_export.verification.media import files


def test_files_of_a_folder_by_their_suffixes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    wanted = {tmp_path / "a.ABC", tmp_path / "in" / "b.abc", tmp_path / "c.abd"}
    for path in (*wanted, tmp_path / "d.txt"):
        path.write_text("x")
    (tmp_path / "e.abc").mkdir()  # a folder of that name
    found = files.of_folder(tmp_path, (".abc", ".abd"), "thing")
    assert set(found.texts) == wanted
    assert (found.name, found.notes) == (tmp_path.name, ())
    assert files.of_folder(tmp_path, (".abc", ".abd"), "thing").texts == found.texts
    assert files.holds(tmp_path, (".abd",))
    assert not files.holds(tmp_path, (".abe",))
    assert not files.holds(tmp_path / "c.abd", (".abd",))
    with pytest.raises(InputError, match="a folder with at least two things, found 1"):
        files.of_folder(tmp_path, (".abd",), "thing")
    monkeypatch.setattr(files, "LIMIT", 2)
    few = files.of_folder(tmp_path, (".abc", ".abd"), "thing")
    assert len(few.texts) == 2
    assert few.notes == ("things beyond the first 2 left out: 1",)
