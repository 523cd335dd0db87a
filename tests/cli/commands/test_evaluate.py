"""``embedkit eval`` as a person uses it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("pytrec_eval")
pytest.importorskip("matplotlib")

from embedkit.cli import entry as cli
from embedkit.evaluation import Similarities, evaluate
from embedkit.testing.tiny import tiny_bundle
from helpers.hub_stand_in import hub
from helpers.web import web


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Calls the command in a folder with data; its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    texts = [f"{word} {i}" for i in range(12) for word in ("apples are", "dogs run")]
    pairs = [(*(texts[int(i)] for i in rng.choice(24, 2, replace=False)), int(rng.integers(0, 6))) for _ in range(40)]
    (tmp_path / "sts.tsv").write_text(
        "sentence1\tsentence2\tscore\n" + "".join(f"{a}\t{b}\t{s}\n" for a, b, s in pairs)
    )
    (tmp_path / "pairs.csv").write_text("text1,text2,label\n" + "".join(f"{a},{b},{s // 3}\n" for a, b, s in pairs))
    (tmp_path / "labels.tsv").write_text("text\tlabel\n" + "".join(f"{t}\t{t.split()[0]}\n" for t in texts))
    folder = tmp_path / "scifact"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text(
        "".join(f'{{"_id": "{i}", "title": "", "text": "{t}"}}\n' for i, t in enumerate(texts))
    )
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "dogs run 3"}\n{"_id": "r", "text": "apples are 9"}\n')
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\t7\t1\nr\t18\t1\n")

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["embedkit", "eval", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err

    return call


def test_variants_side_by_side(run, bundle, encoder, tmp_path):
    options = ("--variant", "fp32", "--variant", "int8", "--resamples", 60, "--engine", "onnxruntime")
    code, out, err = run(bundle, "--sts", "sts.tsv", *options, "--output", "report.json", "--picture", "a.png")
    assert code == 0, err
    assert "text/s" in err
    assert out.startswith("sts on sts.tsv: 40 pairs\nmeasure")
    assert "minus bundle:fp32" in out
    whole = json.loads((tmp_path / "report.json").read_text())
    assert [result["name"] for result in whole["results"]] == ["bundle:fp32", "bundle:int8"]
    expected = evaluate(Similarities.read("sts.tsv"), {"one": encoder}, resamples=60).results[0].estimates
    found = whole["results"][0]["estimates"]
    assert found["spearman"]["value"] == expected["spearman"].value
    assert found["spearman"]["interval"] == list(expected["spearman"].interval)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    again = run(bundle, "--sts", "sts.tsv", *options, "--json", "--quiet")
    assert (again[0], again[2]) == (0, "")
    assert again[1] == (tmp_path / "report.json").read_text()


def test_several_data_sets(run, bundle, tmp_path):
    data = ("--sts", "sts.tsv", "--retrieval", "scifact", "--classify", "labels.tsv", "--texts", "sts.tsv")
    (tmp_path / "texts.txt").write_text("a\nb\nc\n")
    data = (*data[:-1], "texts.txt", "--sts", "sts.tsv", "--k", 1, "--k", 3, "--classifier", "knn")
    code, out, err = run(bundle, *data, "--resamples", 20, "--quiet", "--picture", "a.svg", "--output", "a.jsonl")
    assert (code, err) == (0, "")
    heads = [table.splitlines()[0] for table in out.split("\n\n")]
    assert [head.partition(":")[0] for head in heads] == [
        "retrieval on scifact",
        "sts on sts.tsv",
        "sts on sts.tsv",
        "classification on labels.tsv",
        "texts on texts.txt",
    ]
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [line["task"] for line in lines] == ["retrieval", "sts", "sts", "classification", "texts"]
    assert {"ndcg@1", "ndcg@3", "recall@100"} <= lines[0]["results"][0]["estimates"].keys()
    assert lines[4]["results"][0]["estimates"].keys() == {"uniformity", "isotropy"}
    assert (tmp_path / "a.svg").read_text().startswith("<?xml")


def test_queries_in_other_words(run, bundle, tmp_path):
    same, other = tmp_path / "same.jsonl", tmp_path / "other.jsonl"
    same.write_bytes((tmp_path / "scifact" / "queries.jsonl").read_bytes())
    other.write_text('{"id": "q", "text": "the dog number three"}\n{"id": "r", "text": "9"}\n')
    options = ("--retrieval", "scifact", "--resamples", 5, "--quiet", "--json")
    found = []
    for more in ((same,), (same, other)):
        code, out, err = run(bundle, *options, *(part for file in more for part in ("--queries", file)))
        assert (code, err) == (0, "")
        found.append(json.loads(out))
    assert [one["size"]["wordings of each"] for one in found] == [2, 3]
    first, second = (one["results"][0]["estimates"]["mrv"]["value"] for one in found)
    assert first == 0.0 < second


def test_bundles_side_by_side(run, bundle, tmp_path):
    other = tiny_bundle(tmp_path / "other" / "bundle", seed=5, dim=16)
    code, out, err = run(bundle, other, "--retrieval", "scifact", "--json", "--quiet", "--resamples", 10)
    assert (code, err) == (0, "")
    first, second = json.loads(out)["results"]
    assert (first["name"], second["name"]) == (str(bundle), str(other))
    assert (first["dim"], second["dim"]) == (8, 16)
    # The text of the relevant document is the query's.
    assert first["estimates"]["mrr@10"]["value"] == 1.0
    assert second["estimates"]["ndcg@10"]["difference"]["value"] == 0.0


@pytest.mark.parametrize(
    ("options", "measures"),
    [
        (("--pairs", "pairs.csv"), {"accuracy", "f1", "average_precision", "auc", "partner_rank"}),
        (("--classify", "labels.tsv"), {"accuracy", "macro_f1"}),
        (("--classify", "labels.tsv", "--test", "labels.tsv"), {"accuracy", "macro_f1"}),
        (("--sts", "sts.tsv", "--similarity", "euclidean", "--role", "query"), {"spearman", "pearson", "alignment"}),
    ],
)
def test_each_kind(run, bundle, options, measures):
    code, out, err = run(bundle, *options, "--json", "--quiet", "--resamples", 20)
    assert code == 0, err
    estimates = json.loads(out)["results"][0]["estimates"]
    assert measures <= estimates.keys()
    for name in measures:
        low, high = estimates[name]["interval"]
        assert low <= high


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "give data: --retrieval DIR"),
        (("--sts", "sts.tsv", "--test", "sts.tsv"), "give --test with --classify only"),
        (("--sts", "sts.tsv", "--classifier", "knn"), "give --classifier with --classify only"),
        (("--sts", "sts.tsv", "--split", "dev"), "give --split with --retrieval only"),
        (("--sts", "sts.tsv", "--ignore-identical-ids"), "with --retrieval only"),
        (("--sts", "sts.tsv", "--k", "5"), "give --k with --retrieval only"),
        (("--retrieval", "scifact", "--k", "0"), "0 is not in the range"),
        (("--sts", "sts.tsv", "--queries", "a.jsonl"), "give --queries with --retrieval only"),
        (("--retrieval", "a", "--retrieval", "b", "--queries", "c"), "give --queries with one --retrieval only"),
        (("--classify", "a", "--classify", "b", "--test", "c"), "give --test with one --classify only"),
        (("--retrieval", "scifact", "--role", "query"), "give --role with --sts, --pairs, --classify or --texts only"),
        (
            ("--classify", "labels.tsv", "--similarity", "dot"),
            "give --similarity with --retrieval, --sts or --pairs only",
        ),
        (("--sts", "sts.tsv", "--variant", "fp32", "--variant", "fp32"), "once, found bundle:fp32 again"),
    ],
)
def test_wrong_usage(run, bundle, options, message):
    code, out, err = run(bundle, *options)
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--sts", "none.tsv"), "none.tsv: expected a file, found nothing"),
        (("--sts", "labels.tsv"), "found text, label; rename them"),
        (("--sts", "sts.tsv", "--picture", "a.pdf"), "expected a name that ends in .png or .svg"),
        (("--classify", "labels.tsv", "--classifier", "svm"), "expected logistic or knn, found 'svm'"),
        (("--texts", "scifact"), "scifact: expected a file, found a folder"),
        (("--sts", "sts.tsv", "--similarity", "x"), "expected cosine, dot or euclidean"),
        (("--sts", "sts.tsv", "--role", "x"), "role: this bundle has default, query, document"),
        (("--sts", "sts.tsv", "--variant", "fp8"), "fp8"),
        (("--sts", "sts.tsv", "--output", "none/a.json"), "expected the name of a file in a folder that exists"),
        (("--retrieval", "scifact", "--split", "dev"), "qrels/dev.tsv"),
    ],
)
def test_errors_are_a_line(run, bundle, options, message):
    code, out, err = run(bundle, *options, "--quiet")
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err


def test_the_commands_of_the_page_run(run, bundle, tmp_path):
    (tmp_path / "bundle").symlink_to(bundle)
    page = (Path(__file__).parents[3] / "docs" / "howto" / "evaluate.md").read_text(encoding="utf-8")
    commands = re.findall(r"^embedkit eval (.*)$", page, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        code, _, err = run(*command.split())
        assert code == 0, err
    assert (tmp_path / "scifact.png").exists()
    assert (tmp_path / "report.jsonl").exists()


def test_no_bundle(run):
    code, _, err = run("nowhere", "--sts", "sts.tsv")
    assert code == 1
    assert "make one with embedkit-export" in err


def test_pictures_with_captions_and_with_labels(run, tmp_path):
    pytest.importorskip("PIL")
    from PIL import Image

    from helpers.image_bundles import COLORS, picture_bundle

    bundle = picture_bundle(tmp_path / "both", texts=True)
    for name, color in COLORS.items():
        Image.new("RGB", (8, 8), color).save(tmp_path / f"{name}.png")
    (tmp_path / "c.csv").write_text("image,caption,label\n" + "".join(f"{n}.png,a {n} one,{n[:1]}\n" for n in COLORS))
    file = str(tmp_path / "c.csv")
    code, out, _ = run(
        bundle, "--image-text", file, "--zero-shot", file, "--knn", file, "--temperature", "0.1", "--quiet"
    )
    assert code == 0, _
    for line in (f"image-text on {file}: 8 pictures, 8 captions", "zero-shot on", "knn on", "modality gap", "top@5"):
        assert line in out
    quick = (bundle, "--zero-shot", file, "--quiet", "--resamples", "0", "--decode")
    assert run(*quick, "fast")[0] == 0
    assert "decode: expected 'exact' or 'fast', found 'other'" in run(*quick, "other")[2]


@pytest.fixture
def bucket(run, tmp_path, monkeypatch):
    """The data of ``run`` in a bucket of an S3 server."""
    s3fs = pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    system = s3fs.S3FileSystem()
    name = f"bucket-{uuid4()}"  # what one server has others of this process have too
    system.mkdir(name)
    for one in ("scifact", "sts.tsv"):
        system.put(str(tmp_path / one), f"{name}/", recursive=True)
    yield f"s3://{name}"
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.fixture
def site(run, tmp_path):
    """The data of ``run`` on a server of the web."""
    pytest.importorskip("fsspec")
    pytest.importorskip("aiohttp")
    with web(tmp_path) as server:
        yield server.url


@pytest.mark.parametrize("place", ["site", "bucket"])
def test_data_at_an_address_is_measured_as_the_same_here(run, bundle, place, request):
    far = request.getfixturevalue(place)
    found = []
    for start in ("", f"{far}/"):
        data = (
            "--retrieval",
            f"{start}scifact",
            "--queries",
            f"{start}scifact/queries.jsonl",
            "--sts",
            f"{start}sts.tsv",
        )
        code, out, err = run(bundle, *data, "--json", "--quiet", "--resamples", 10)
        assert (code, err) == (0, "")
        found.append(out)
    assert found[1] == found[0].replace('"source": "', f'"source": "{far}/')
    assert found[0] != found[1]
    for options, message in (
        (("--retrieval", f"{far}/scifact", "--split", "dev"), "qrels/dev.tsv"),
        (("--retrieval", f"{far}/nothing"), "expected a file corpus.jsonl or docs.jsonl"),
        (("--sts", f"{far}/nothing.tsv"), "nothing.tsv: expected a file, found nothing"),
    ):
        code, out, err = run(bundle, *options, "--quiet")
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert message in err
        assert "correct the address" in err


def test_a_folder_of_a_hub(run, bundle, tmp_path):
    """The hub's own client, in a process that takes a stand-in for the hub."""
    pytest.importorskip("huggingface_hub")
    folder = tmp_path / "scifact"
    with hub() as server:
        server.files["me/scifact"] = {
            path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
        }
        env = {**os.environ, "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_TOKEN": "hf_x"}
        env |= {"HF_HOME": str(tmp_path / "home"), "NO_PROXY": "127.0.0.1"}

        def far(address):
            command = [
                sys.executable,
                "-m",
                "embedkit",
                "eval",
                str(bundle),
                "--retrieval",
                address,
                "--json",
                "--quiet",
            ]
            done = subprocess.run([*command, "--resamples", "5"], env=env, capture_output=True, text=True, timeout=120)
            return done.returncode, done.stdout, done.stderr

        code, out, err = run(bundle, "--retrieval", "scifact", "--json", "--quiet", "--resamples", 5)
        assert (code, err) == (0, "")
        assert far("hf://me/scifact") == (0, out.replace('"scifact"', '"hf://me/scifact"'), "")
        for wrong in ("hf://me/scifact/none", "hf://me/nothing"):
            code, out, err = far(wrong)
            assert (code, out, err.count("\n")) == (1, "", 1)
            assert "expected a file corpus.jsonl" in err
            assert "set the credentials" in err


def test_a_package_that_an_address_needs_is_named(run, bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    for data in (("--retrieval", "s3://bucket/scifact"), ("--sts", "s3://bucket/sts.tsv")):
        code, out, err = run(bundle, *data, "--quiet")
        assert (code, out) == (1, "")
        assert "embedkit-onnx[s3]" in err
