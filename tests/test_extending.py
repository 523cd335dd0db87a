"""What CONTRIBUTING.md says of adding an engine, a frontend and a command, followed to the letter: each is a package of its
own, installed as a stranger's, and embedkit is not touched. A store is added in test_writing_a_store.py."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

import embedkit
from embedkit import Encoder
from embedkit.bundle.writer import write_manifest, writing
from embedkit.runtime.engines.selection import engines

Install = Callable[[str, str, str], None]

TEXTS = ["hello", "", "a", "héllo 日本語", "a text that is longer than the model reads: " + "so " * 30, "hello"]

ENGINE = '''
"""An engine: onnxruntime by another name, which counts its batches."""
import onnxruntime

from embedkit.runtime.engines.base import Engine, Session

BATCHES = []


class Counted(Session):
    def __init__(self, path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(self, inputs, outputs):
        BATCHES.append({name: array.shape for name, array in inputs.items()})
        return self._session.run(list(outputs), dict(inputs))


ENGINE = Engine(name="mine", package="onnxruntime", open=lambda path, precision, device, callers: Counted(path))
'''

FRONTEND = '''
"""A frontend: bytes that are written in hexadecimal digits."""
import msgspec
import numpy as np

from embedkit.errors import InputError
from embedkit.runtime.frontends.base import Modality
from embedkit.runtime.frontends.batching import Padding, batches


class HexFrontend(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="hex"):
    start: int
    end: int
    max: int
    files = ()

    @property
    def kind(self):
        return "hex"

    @property
    def longest(self):
        return self.max


class HexModality(Modality):
    kind = HexFrontend
    sources = frozenset({"ids", "mask"})
    noun = "hex string"

    def is_item(self, value):
        return isinstance(value, str | bytes)

    def check(self, value, where):
        if isinstance(value, bytes):  # checked before
            return value
        try:
            return bytes.fromhex(value)
        except (TypeError, ValueError):
            raise InputError(f"{where}: expected hexadecimal digits, found {value!r:.40}") from None

    def key(self, item):
        return item

    def cost(self, item):
        return len(item)

    def fill(self, text, number=0):
        return text.encode().hex()

    def of_row(self, text, metadata):
        return text

    def open(self, path):
        return HexPreparer(self.frontend)


class HexPreparer:
    def __init__(self, frontend):
        self.frontend = frontend

    def batches(self, items, budget, widths):
        most = self.frontend.max - 2
        ids = [np.array([self.frontend.start, *item[:most], self.frontend.end], dtype=np.int64) for item in items]
        cut = np.array([len(item) > most for item in items], dtype=np.bool_)
        return batches({"ids": ids}, cut, Padding(self.frontend.end), budget, widths, longest=self.frontend.max)
'''

COMMAND = '''
"""A command: how many files a bundle has."""
import click

from embedkit.cli.options import bundle_argument


@click.command(short_help="Count a bundle's files.")
@bundle_argument
def count_files(bundle):
    """Print how many files a bundle has."""
    from embedkit.bundle import Bundle

    click.echo(len(Bundle.open(bundle).manifest.files))
'''


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a package of one module: its name, its code, its entry points."""
    site, modules = tmp_path / "site", []

    def installed(module: str, code: str, entry_points: str) -> None:
        info = site / f"{module}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(entry_points)
        (site / f"{module}.py").write_text(code)
        monkeypatch.syspath_prepend(site)
        modules.append(module)
        engines.cache_clear()

    yield installed
    for module in modules:
        sys.modules.pop(module, None)
    monkeypatch.undo()
    engines.cache_clear()


@pytest.fixture
def hex_bundle(install: Install, bundle: Path, tmp_path: Path) -> Path:
    """The tiny bundle's graphs beside frontends of the kind hex."""
    install("their_frontend", FRONTEND, "[embedkit.frontends]\nhex = their_frontend:HexModality\n")
    from their_frontend import HexFrontend

    opened = embedkit.Bundle.open(bundle).manifest
    frontend = HexFrontend(start=256, end=257, max=opened.towers["default"].frontend.longest)
    towers = {role: msgspec.structs.replace(tower, frontend=frontend) for role, tower in opened.towers.items()}
    with writing(tmp_path / "hex") as work:
        for name in opened.files:
            if name != "tokenizer.json":
                (work / name).write_bytes((bundle / name).read_bytes())
        write_manifest(work, msgspec.structs.replace(opened, schema=2, towers=towers))
    return tmp_path / "hex"


def test_an_engine_computes_what_onnxruntime_does(
    install: Install, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBEDKIT_CACHE", str(tmp_path / "cache"))  # no choice of before is known
    with pytest.raises(embedkit.InputError, match="engine: expected"):
        Encoder.load(bundle, engine="mine")
    install("their_engine", ENGINE, "[embedkit.engines]\nmine = their_engine:ENGINE\n")
    encoder = Encoder.load(bundle, engine="mine", variant="fp32", on_truncate="ignore")
    import their_engine

    assert encoder.engine == "mine"
    before = len(their_engine.BATCHES)
    vectors = encoder.encode(TEXTS)
    assert len(their_engine.BATCHES) > before, "it computes what is encoded"
    assert {*their_engine.BATCHES[-1]} == {"input_ids", "attention_mask"}
    usual = Encoder.load(bundle, engine="onnxruntime", variant="fp32", on_truncate="ignore")
    assert vectors.tobytes() == usual.encode(TEXTS).tobytes()
    before = len(their_engine.BATCHES)
    assert Encoder.load(bundle).engine.partition(":")[0] != "mine"
    assert len(their_engine.BATCHES) == before, "where none is named it is not even tried"


def test_a_frontend_reads_what_embedkit_does_not_know(hex_bundle: Path, bundle: Path) -> None:
    encoder = Encoder.load(hex_bundle, variant="fp32", on_truncate="ignore")
    usual = Encoder.load(bundle, variant="fp32", on_truncate="ignore")
    given = [text.encode().hex() for text in TEXTS]
    assert encoder.encode(given).tobytes() == usual.encode(TEXTS).tobytes()
    assert encoder.encode_query(given[3]).tobytes() == usual.encode_query(TEXTS[3]).tobytes()
    assert (encoder.stats.truncated, encoder.stats.tokens) == (usual.stats.truncated, usual.stats.tokens)
    assert encoder.fingerprint != usual.fingerprint, "items of another kind are in another space"
    with pytest.raises(embedkit.InputError, match=r"1: expected hexadecimal digits, found 'xyz'"):
        encoder.encode(["68", "xyz"])


def test_its_bundle_is_verified_inspected_and_searched(
    hex_bundle: Path, entry_points: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert embedkit.verify(hex_bundle).passed
    from embedkit.cli.entry import app

    shown = CliRunner().invoke(app, ["inspect", str(hex_bundle)], catch_exceptions=False)
    assert shown.exit_code == 0
    assert "hex" in shown.output
    encoder = Encoder.load(hex_bundle, variant="fp32", on_truncate="ignore")
    with embedkit.open_store("memory:hex") as store:
        rows = [embedkit.Document(text, text.encode().hex()) for text in ("hello", "world", "other")]
        report = embedkit.ingest([*rows, embedkit.Document("bad", "no digits")], encoder, store, collection="c")
        assert report.written == 3
        assert report.dead == 1, "a row that it cannot read is set apart"
        (hit,) = embedkit.search(b"world".hex(), encoder, store, collection="c", k=1)
        assert (hit.id, round(hit.score, 5)) == ("world", 1.0)


def test_workers_read_it_too(hex_bundle: Path) -> None:
    given = [text.encode().hex() for text in TEXTS]
    with embedkit.EncoderPool.load(hex_bundle, workers=1, variant="fp32", on_truncate="ignore") as pool:
        found = pool.encode(given)
    assert found.tobytes() == Encoder.load(hex_bundle, variant="fp32", on_truncate="ignore").encode(given).tobytes()


def test_without_its_package_the_bundle_says_what_is_missing(hex_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # as if it were not installed
    with pytest.raises(
        embedkit.BundleError,
        match=r"frontend\.kind: expected one of audio, composed, features, ids, image, text, found 'hex'",
    ):
        Encoder.load(hex_bundle)


def test_a_command_stands_beside_the_others(install: Install, bundle: Path) -> None:
    from embedkit.cli.entry import app

    install("their_command", COMMAND, "[embedkit.commands]\ncount-files = their_command:count_files\n")
    listed = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["--help"], catch_exceptions=False)
    assert "Count a bundle's files." in listed.output
    done = CliRunner().invoke(app, ["count-files", str(bundle)], catch_exceptions=False)
    assert done.output == "4\n"  # two graphs, the tokenizer, the golden vectors
