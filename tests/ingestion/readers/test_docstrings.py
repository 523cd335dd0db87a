from __future__ import annotations

import ast
import sys
from itertools import islice
from pathlib import Path

import pytest

from embedkit.ingestion.readers.docstrings import MIN_CHARACTERS, standard_library


def test_there_are_thousands_of_different_documents():
    listed = list(standard_library())
    documents = {document.id: document for document in listed}
    assert len(documents) == len(listed) > 3_000
    compress = documents["gzip.compress"]
    assert compress.text.startswith("gzip.compress(data")
    assert "Compress data in one shot" in compress.text
    assert compress.metadata["module"] == "gzip"
    assert compress.metadata["kind"] == "function"
    assert compress.metadata["line"] > 1
    assert documents["json"].metadata == {"module": "json", "kind": "module", "line": 1}
    assert documents["argparse.ArgumentParser"].text.startswith("argparse.ArgumentParser(_AttributeHolder")
    assert documents["threading.Thread.join"].metadata["kind"] == "method"
    assert {document.metadata["kind"] for document in documents.values()} == {"module", "class", "function", "method"}
    for document in documents.values():
        assert len(document.text) > MIN_CHARACTERS
        document.text.encode()
        module = document.metadata["module"]
        assert document.id.startswith(module)
        assert module.split(".")[0] not in ("test", "idlelib", "lib2to3", "site-packages")


def test_the_order_is_fixed_and_nothing_is_imported():
    loaded = set(sys.modules)
    first = [document.id for document in islice(standard_library(), 200)]
    assert first == [document.id for document in islice(standard_library(), 200)]
    assert set(sys.modules) == loaded


def test_they_are_parsed_once_as_long_as_the_sources_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "library").mkdir()
    source = tmp_path / "library" / "harbour.py"
    source.write_text(f'"""{"The harbour was quiet. " * 4}"""\n')
    monkeypatch.setenv("EMBEDKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path / "library"))
    parsed: list[bytes] = []
    parse = ast.parse

    def counted(text: bytes) -> ast.Module:
        parsed.append(text)
        return parse(text)

    monkeypatch.setattr(ast, "parse", counted)
    first = list(standard_library())
    assert [document.id for document in first] == ["harbour"]
    assert list(standard_library()) == first
    assert len(parsed) == 1
    source.write_text(f'"""{"The last boat had left. " * 4}"""\n')
    assert "boat" in next(standard_library()).text
    for kept in (tmp_path / "cache").iterdir():  # what is kept and cannot be read is found again
        kept.write_text(kept.read_text().replace('"harbour"', "7"))
    assert "boat" in next(standard_library()).text
