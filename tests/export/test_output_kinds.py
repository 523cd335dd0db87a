"""What a bundle says of outputs of every kind, and how the command line and an event loop give them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import embedkit_export
from embedkit import AsyncEncoder, Bundle, Encoder, InputError, MultiVectors, SparseVectors
from embedkit.bundle.summary import summary, summary_text
from embedkit.cli import entry as command_line
from embedkit.vectors.values import equal
from helpers import models, slow
from helpers.systems import TEXTS, sample

from .test_token_outputs import M3, m3

CLASSES = """
dense = false
model_class = "AutoModelForSequenceClassification"
[outputs.classes]
kind = "logits"
labels = ["wet", "dry", "odd"]
activation = "softmax"
"""
WORDS = 'dense = false\nmodel_class = "AutoModelForMaskedLM"\n[outputs.words]\nkind = "sparse"\ntop = 9\n'
LATE = (
    'dense = false\n[outputs.late]\nkind = "multivector"\nstages = [{kind = "normalize"}]\nsimilarity = "meanmaxsim"\n'
)
STATES = 'dense = false\n[outputs.states]\nkind = "tokens"\n'


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], embedkit_export.ExportReport]:
    """The report of a bundle by its name, exported once."""
    folder = tmp_path_factory.mktemp("kinds")
    reports: dict[str, embedkit_export.ExportReport] = {}
    recipes = {"m3": M3, "classes": CLASSES, "words": WORDS, "late": LATE, "states": STATES}
    heads = {"classes": "ForSequenceClassification", "words": "ForMaskedLM"}

    def make(name: str) -> embedkit_export.ExportReport:
        if name not in reports:
            recipe = folder / f"{name}.toml"
            recipe.write_text(recipes[name])
            model = folder / f"{name}-model"
            if name == "m3":
                m3(model)
            else:
                options = {"num_labels": 3} if name == "classes" else {}
                models.save("bert", model, head=heads.get(name, ""), **options)
            reports[name] = embedkit_export.export(
                model, recipe=recipe, output=folder / name, variants=["fp32"], sample=sample(folder), timing=False
            )
        return reports[name]

    return make


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["embedkit", *map(str, arguments)])
        code = 0
        try:
            command_line.main()
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        found = capsys.readouterr()
        return code, found.out, found.err

    return call


@pytest.mark.parametrize(
    ("name", "said", "use"),
    slow.after(1, [
        ("m3", ["`dense`: dense, 64 dimensions, of unit length, compared by cosine", "`sparse`: sparse, weights of some of",
                "compared by sparse_dot", "`multivector`: multivector, a vector of 32 dimensions for each token that is kept, of unit",
                "compared by maxsim", "| sparse: mean cosine | 1.00000 |"], "encode_outputs"),
        ("classes", ["`classes`: logits, 3 logits (wet, dry, odd), softmax makes scores of them", "1 minus the largest difference"],
         "logits = encoder.encode("),
        ("words", ["at most 9, compared by sparse_dot", "| top-32 words | 1.00000 |"], "encode_document"),
        ("late", ["64 dimensions for each token that is kept, of unit length, compared by meanmaxsim", "by MaxSim"], "encode_document"),
        ("states", ["`states`: tokens, a vector of 64 dimensions for each token, not normalised"], "encode_document"),
    ]),
)  # fmt: skip
def test_a_bundle_says_what_it_makes(made: Any, name: str, said: list[str], use: str) -> None:
    report = made(name)
    card = (report.path / "README.md").read_text()
    for part in (*said, use):
        assert part in card
    opened = Bundle.open(report.path)
    shown = summary_text(opened)
    assert said[0].partition(": ")[2] in shown
    whole = summary(opened)
    json.dumps(whole)
    encoder = Encoder.load(report.path)
    assert list(whole["roles"]["query"]["outputs"]) == list(encoder.outputs("query"))
    assert ("compared by" in shown) == (whole["similarity"] is not None)
    assert report.text()
    text = embedkit_export.prepare(
        report.path.parent / f"{name}-model", recipe=report.path.parent / f"{name}.toml"
    ).text()
    assert said[0].partition(": ")[2] in text
    assert ("similarity  " in text) == (name == "m3")


def test_every_output_is_written_from_the_command_line(made: Any, run: Any, tmp_path: Path) -> None:
    bundle, file = made("m3").path, tmp_path / "texts.txt"
    file.write_text("\n".join(TEXTS))
    encoder = Encoder.load(bundle, variant="fp32", on_truncate="ignore")
    found = encoder.encode_outputs(TEXTS)
    common = ("encode", bundle, "--variant", "fp32", "--input", file, "--output-name")
    assert run(*common, "sparse", "--output", tmp_path / "s.npz")[0] == 0
    assert SparseVectors.load(tmp_path / "s.npz") == found["sparse"]
    code, _, err = run(*common, "multivector", "--output", tmp_path / "m.npz")
    assert code == 0
    assert f"{len(TEXTS)} texts with {len(found['multivector'].values)} vectors" in err
    assert MultiVectors.load(tmp_path / "m.npz") == found["multivector"]
    assert run(*common, "dense", "--output", tmp_path / "d.npy", "--precision", "float16")[0] == 0
    assert np.load(tmp_path / "d.npy").dtype == np.float16
    rows = [json.loads(line) for line in run(*common, "multivector")[1].splitlines()]
    assert equal(MultiVectors.of(rows), found["multivector"])
    rows = [json.loads(line) for line in run(*common, "sparse")[1].splitlines()]
    assert (
        SparseVectors.of_rows([(row["indices"], row["values"]) for row in rows], found["sparse"].dim) == found["sparse"]
    )
    classes = made("classes").path
    assert run("encode", classes, "--input", file, "--output", tmp_path / "c.npy")[0] == 0
    assert np.array_equal(np.load(tmp_path / "c.npy"), Encoder.load(classes, on_truncate="ignore").encode(TEXTS))
    (tmp_path / "none.txt").write_text("")
    assert (
        run(*common[:4], "--input", tmp_path / "none.txt", "--output-name", "sparse", "--output", tmp_path / "e.npz")[0]
        == 0
    )
    assert len(SparseVectors.load(tmp_path / "e.npz")) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--output-name", "sparse", "--output", "x.npy"), "is sparse, which a .npz file holds"),
        (("--output-name", "dense", "--output", "x.npz"), "is dense, which a .npy file holds"),
        (("--output", "x.npz"), "the first output is dense"),
        (("--output-name", "odd"), "this bundle has dense, sparse, multivector, found 'odd'"),
        (("--output-name", "multivector", "--dim", "3"), "are for dense vectors"),
        (("--output", "x.json"), "ends in .npy or .npz"),
    ],
)
def test_a_file_that_cannot_hold_an_output_is_refused(
    made: Any, run: Any, options: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = run("encode", made("m3").path, "a text", *options)
    assert code != 0
    assert message in " ".join(err.split())
    assert not list(tmp_path.iterdir())


def test_an_event_loop_gives_every_output(made: Any) -> None:
    encoder = Encoder.load(made("m3").path, on_truncate="ignore")
    expected = encoder.encode_outputs(TEXTS, role="document")

    async def main() -> None:
        async with AsyncEncoder(encoder) as service:
            for name, values in expected.items():
                found = await asyncio.gather(
                    *(service.encode_document(text, output=name) for text in TEXTS),
                    service.encode_document(TEXTS, output=name),
                    service.encode_query([], output=name),
                    service.encode(TEXTS[:2], output="odd"),
                    return_exceptions=True,
                )
                assert equal(found[-3], values)  # type: ignore[arg-type]
                assert len(found[-2]) == 0  # type: ignore[arg-type]
                assert isinstance(found[-1], InputError)
                for i in range(len(TEXTS)):
                    own = found[i][None] if isinstance(found[i], np.ndarray) else found[i]  # type: ignore[index]
                    assert equal(own, values[i : i + 1])  # type: ignore[arg-type]

    asyncio.run(main())
