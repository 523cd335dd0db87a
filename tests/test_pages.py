"""Every block of the pages runs, as a reader would run it; and what the pages name is there."""

from __future__ import annotations

import importlib.util
import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from embedkit.testing.tiny import tiny_bundle
from helpers.pages import ROOT, Runner, blocks, check_command, commands

DOCS = ROOT / "docs"
ELSEWHERE = {
    "serving.md": "tests/test_serving.py",
    "integrations.md": "tests/integrations/test_docs.py",
    "writing-a-store.md": "tests/test_writing_a_store.py",
    "clusters.md": "needs a cluster: its calls are those of tests/ray",
    "models.md": "a table, made by benchmarks/lookalikes.py",
    "reference/recipe.md": "tests/test_readme.py",
}
MINILM = {"start.md", "tutorials/notes.md", "tutorials/notebook.md"}
"""Pages whose output is of a trained model."""
EXPORTS = {"tutorials/export-and-compare.md", "howto/export.md"}
"""Pages that export the folder my-model, a small model with random weights."""
EXPORT = "embedkit-export my-model --output bundle"
PAGES = sorted(
    path.relative_to(DOCS).as_posix()
    for path in DOCS.rglob("*.md")
    if path.relative_to(DOCS).as_posix() not in ELSEWHERE
)
WITH_CODE = [name for name in PAGES if blocks((DOCS / name).read_text(encoding="utf-8"))]
NEEDS = {"start.md": "chromadb", "tutorials/serve.md": "starlette", "coming-from/tei.md": "starlette"}


def laid_out(folder: Path, name: str, request: pytest.FixtureRequest) -> None:
    """What the pages speak of: a bundle, and files to read."""
    if name in MINILM:
        (folder / "my-model").symlink_to(request.getfixturevalue("minilm_folder"))
        (folder / "bundle").symlink_to(request.getfixturevalue("minilm_bundle"))
    else:
        tiny_bundle(folder / "bundle-new", seed=1)
        if name in EXPORTS:
            small_model(folder / "my-model")
        else:
            tiny_bundle(folder / "bundle", max_tokens=300)
            tiny_bundle(folder / "bundle-late", max_tokens=300, kinds=("dense", "tokens"))
    (folder / "manual").mkdir()
    (folder / "manual" / "guide.md").write_text(
        "# Guide\n\n## Chunks\n\n--chunk-by headings cuts. " + "A sentence. " * 60
    )
    (folder / "table.csv").write_text("id,text\n1,one\n")
    import gzip

    table = "sku\tname\tdescription\tprice\n7\tTea\tgreen\t5\n8\tcut\n"
    (folder / "products.tsv.gz").write_bytes(gzip.compress(table.encode()))
    rows = [{"id": i, "text": f"who won {i}", "year": 2016 + i, "lang": "en"} for i in range(9)]
    (folder / "articles.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "docs.jsonl").write_text('{"id": 1, "text": "tea"}\n{"id": 2, "text": "rain"}\n')
    (folder / "millions.txt").write_text("one\ntwo\n")
    (folder / "typical-texts.jsonl").write_text(
        "".join(json.dumps({"text": f"a text about {word}"}) + "\n" for word in WORDS)
    )
    (folder / "sts.tsv").write_text(
        "sentence1\tsentence2\tscore\na\tb\t1\na boat\ta ship\t5\ntea\tcoffee\t3\none\ttwo\t2\n"
    )
    data = folder / "scifact"
    data.mkdir()
    (data / "corpus.jsonl").write_text(
        "".join(json.dumps({"_id": str(i), "text": text}) + "\n" for i, text in enumerate(WORDS))
    )
    (data / "queries.jsonl").write_text(
        "".join(json.dumps({"_id": f"q{i}", "text": text}) + "\n" for i, text in enumerate(WORDS))
    )
    (data / "qrels.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "".join(f"q{i}\t{i}\t1\n" for i in range(len(WORDS)))
    )


WORDS = [
    "tea",
    "rain",
    "boats",
    "letters",
    "bread",
    "harbours",
    "trains",
    "patients",
    "budgets",
    "drawers",
    "ovens",
    "coasts",
]


def small_model(folder: Path) -> None:
    """A sentence-transformers folder of a small BERT."""
    pytest.importorskip("torch")
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    from helpers.models import save

    body = Transformer(str(save("bert", folder.parent / "plain")))
    SentenceTransformer(modules=[body, Pooling(body.get_embedding_dimension()), Normalize()], device="cpu").save(
        str(folder)
    )


@pytest.mark.usefixtures("entry_points")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in EXPORTS else name for name in WITH_CODE]
)
def test_the_blocks_run(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    pytest.importorskip(NEEDS.get(name, "embedkit"))
    laid_out(tmp_path, name, request)
    page = (DOCS / name).read_text(encoding="utf-8")
    if name == "start.md":  # its export is that of the fixture; `inspect` prints the same table
        assert EXPORT in page
        page = page.replace(EXPORT, "embedkit inspect bundle")
    runner = Runner(tmp_path)
    runner.run(page)
    meant = [block for block in blocks(page) if block.language in ("python", "sh") and not block.not_run]
    assert runner.ran or not meant or name == "howto/production.md"


@pytest.mark.usefixtures("entry_points")
def test_a_block_that_fails_or_prints_something_else_is_told(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="prints\n2"):
        Runner(tmp_path).run("```python\nprint(1 + 1)\n```\n\n```text\n3\n```\n")
    with pytest.raises(AssertionError, match="not here"):
        Runner(tmp_path).run("```sh\necho not here >&2; false\n```\n")
    with pytest.raises(ZeroDivisionError):
        Runner(tmp_path).run("```python\n1 / 0\n```\n")
    with pytest.raises(AssertionError):
        Runner(tmp_path).run("```sh\npip install 'embedkit-onnx[nothing]'\n```\n")
    shell = "```sh\necho '4 written in 0.31 s, 1,234 documents/s, at   0.87'\n```\n\n"
    Runner(tmp_path).run(shell + "```text\n4 written in 0.5 s, 20 documents/s,\nat 0.9\n```\n")
    for wrong in ("5 written in 0.31 s, 1,234 documents/s, at 0.87", "4 written in 0.31 s, 1,234 documents/s, at 1"):
        with pytest.raises(AssertionError, match="4 written"):
            Runner(tmp_path).run(f"{shell}```text\n{wrong}\n```\n")


def test_a_command_that_is_not_run_is_read() -> None:
    import click

    found = list(
        commands(
            "A=1 embedkit search b 'a b' --store x:y \\\n  --collection c | head # not --this\nembedkit-export m 2> log\n"
        )
    )
    assert found == [
        ["embedkit", "search", "b", "a b", "--store", "x:y", "--collection", "c"],
        ["embedkit-export", "m"],
    ]
    check_command(found[0])
    with pytest.raises(click.UsageError):
        check_command(["embedkit", "search", "b", "--stores", "x"])


def test_pages_that_are_tested_elsewhere_are_there() -> None:
    for name, place in ELSEWHERE.items():
        assert (DOCS / name).is_file()
        assert " " in place or (ROOT / place).is_file()


@pytest.mark.parametrize("name", ["../README.md", "../SECURITY.md", "../CONTRIBUTING.md", *PAGES, *ELSEWHERE])
def test_every_link_leads_somewhere(name: str) -> None:
    """To a file of the repository, and to a heading of it. Sphinx checks those of its pages once more."""
    path = DOCS / name
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)|srcset=\"([^\"]+)\"|src=\"([^\"]+)\"", text):
        place, _, heading = next(filter(None, target)).partition("#")
        if place.startswith(("http://", "https://")):
            continue
        found = (path.parent / place) if place else path
        assert found.exists(), (name, place)
        if heading:
            titles = re.findall(r"^#+ (.*)$", found.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
            assert heading in slugs, (name, place, heading, slugs)


def test_the_reference_has_every_public_name_once() -> None:
    import embedkit
    import embedkit.evaluation
    import embedkit_export

    text = "".join(page.read_text(encoding="utf-8") for page in (DOCS / "reference" / "python").glob("*.md"))
    named = re.findall(r"auto(?:class|function|data|exception):: (\S+)", text)
    assert len(named) == len(set(named))
    for module in (embedkit, embedkit.evaluation, embedkit_export):
        assert {f"{module.__name__}.{name}" for name in module.__all__} <= set(named)


def test_the_pictures_are_those_that_the_numbers_make() -> None:
    drawn = runpy.run_path(str(ROOT / "benchmarks" / "pictures" / "charts.py"))["pictures"]()
    assert {path.name for path in (DOCS / "images").glob("*.svg")} == set(drawn)
    for name, picture in drawn.items():
        assert (DOCS / "images" / name).read_text(encoding="utf-8") == picture, (
            "run  python benchmarks/pictures/charts.py"
        )


def test_the_numbers_of_the_pictures_stand_beside_them() -> None:
    measured = json.loads((ROOT / "benchmarks" / "pictures" / "measured.json").read_text(encoding="utf-8"))
    page = (DOCS / "benchmarks.md").read_text(encoding="utf-8")
    rows = [re.split(r"\s*\|\s*", line.strip("| ")) for line in page.splitlines() if line.startswith("| ")]
    for system in measured["peers"]["systems"]:
        assert any(f"{system['documents_per_second']}" in row and f"{system['peak_mb']:,}" in row for row in rows), (
            system
        )
    for variant in measured["fidelity"]["variants"]:
        assert any(
            f"{variant['mb']:g}" in row and float(row[-1]) == variant["worst_cosine"]
            for row in rows
            if variant["name"][:2] in row[0]
        )


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cells, in order, as a kernel would run them; it is stored without outputs."""
    notebook = json.loads((DOCS / "tutorials" / "look-at-vectors.ipynb").read_text(encoding="utf-8"))
    tiny_bundle(tmp_path / "bundle")
    monkeypatch.chdir(tmp_path)
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(cells) > 3
    names: dict[str, object] = {}
    for cell in cells:
        assert not cell["outputs"]
        exec(compile("".join(cell["source"]), "notebook", "exec", dont_inherit=True), names)


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    for needed in ("sphinx", "furo", "myst_parser"):
        if importlib.util.find_spec(needed) is None:
            pytest.skip("the extra docs is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", DOCS, tmp_path / "site"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "index.html").is_file()
