"""PDF: text of pages, passwords, scans, broken files."""

from __future__ import annotations

import io
import sys
import zlib
from pathlib import Path

import matplotlib
import pytest

from embedkit.errors import MissingExtraError
from embedkit.ingestion.rows.row import BadRow
from helpers.pdfs import pdf

from .conftest import assert_broken_files_are_bad_rows, rows_of


def test_pages_and_title(tmp_path):
    (row,) = rows_of(
        tmp_path,
        "a.pdf",
        pdf("First page.\nSecond line.", "Caf\xe9 (no).".replace("(", "\\(").replace(")", "\\)"), title="Tea"),
    )
    assert row.text == "First page.\nSecond line.\n\nCaf\xe9 (no)."
    assert row.metadata == {"path": str(tmp_path / "a.pdf"), "title": "Tea", "pages": 2}
    assert row.id == str(tmp_path / "a.pdf")


def test_what_another_program_wrote(tmp_path):
    """matplotlib writes its logo with text in fonts of its own."""
    from matplotlib import pyplot

    with matplotlib.rc_context({"pdf.fonttype": 42}):
        figure = pyplot.figure()
        figure.text(0.1, 0.5, "Grüße aus Köln")
        file = io.BytesIO()
        figure.savefig(file, format="pdf")
        pyplot.close(figure)
    (row,) = rows_of(tmp_path, "a.pdf", file.getvalue())
    assert row.text == "Grüße aus Köln"


def test_a_scan_a_password_and_another_file_say_what_to_do(tmp_path):
    import pypdf

    (row,) = rows_of(tmp_path, "scan.pdf", pdf(""))
    assert isinstance(row, BadRow)
    assert "OCR" in row.reason
    assert row.id == str(tmp_path / "scan.pdf")
    for password, readable in (("secret", False), ("", True)):
        writer = pypdf.PdfWriter(io.BytesIO(pdf("Hidden.")))
        writer.encrypt(password, "owner", algorithm="RC4-128")
        file = io.BytesIO()
        writer.write(file)
        (row,) = rows_of(tmp_path, "locked.pdf", file.getvalue())
        assert row.text == "Hidden." if readable else "needs a password" in row.reason
    (row,) = rows_of(tmp_path, "text.pdf", b"just text")
    assert "broken, or no pdf" in row.reason


def test_a_bomb_costs_that_file_alone(tmp_path):
    stream = zlib.compress(b"BT (x) Tj ET\n" * 40_000_000, 9)
    raw = pdf("x").replace(b"/Length", b"/Filter /FlateDecode /Length", 1)
    start, end = raw.index(b"stream\n") + 7, raw.index(b"\nendstream")
    raw = raw[:start] + stream + raw[end:]
    (tmp_path / "good.pdf").write_bytes(pdf("Good."))
    (row,) = rows_of(tmp_path, "bomb.pdf", raw)
    assert isinstance(row, BadRow)


def test_broken_files(tmp_path, caplog):
    assert_broken_files_are_bad_rows(tmp_path, "a.pdf", pdf("Some text.", "More of it."))
    assert not caplog.records


def test_the_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pypdf", None)
    with pytest.raises(MissingExtraError, match=r"pypdf.*embedkit-onnx\[office\]"):
        rows_of(Path(tmp_path), "a.pdf", pdf("x"))
