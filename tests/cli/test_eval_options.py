"""What ``embedkit eval`` is told, without a command line around it."""

from __future__ import annotations

import click
import pytest

from embedkit.cli.eval_options import Compared, Data, Written
from embedkit.errors import EmbedkitError, InputError
from embedkit.testing.tiny import tiny_bundle


def test_every_data_set_is_a_task(tmp_path):
    (tmp_path / "sts.tsv").write_text("text1\ttext2\tscore\na\tb\t1\nc\td\t2\n")
    (tmp_path / "texts.txt").write_text("a\nb\n")
    data = Data(
        sts=(str(tmp_path / "sts.tsv"),) * 2, texts=(str(tmp_path / "texts.txt"),), role="query", similarity="dot"
    )
    data.check()
    tasks = data.tasks(0)
    assert [(task.name, task.role) for task in tasks] == [("sts", "query"), ("sts", "query"), ("texts", "query")]
    assert tasks[0].similarity == "dot"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give data"),
        ({"texts": ("a",), "similarity": "dot"}, "give --similarity with --retrieval, --sts or --pairs only"),
        ({"sts": ("a",), "queries": ("b",)}, "give --queries with --retrieval only"),
        ({"retrieval": ("a", "b"), "queries": ("c",)}, "give --queries with one --retrieval only"),
        ({"classify": ("a", "b"), "test": "c"}, "give --test with one --classify only"),
    ],
)
def test_options_that_say_nothing(options, message):
    with pytest.raises(click.UsageError, match=message):
        Data(**options).check()


def test_bundles_are_named_by_their_folders(tmp_path):
    paths = [str(tiny_bundle(tmp_path / name)) for name in ("a/same", "b/same", "other")]
    assert list(Compared().encoders(paths)) == [paths[0], paths[1], "other"]
    assert list(Compared(variant=("fp32", "int8")).encoders(paths[2:])) == ["other:fp32", "other:int8"]
    with pytest.raises(click.UsageError, match="each bundle and each variant once, found other:fp32 again"):
        Compared(variant=("fp32", "fp32")).encoders(paths[2:])
    encoder = Compared(variant=("int8",)).encoders(paths[2:])["other:int8"]()
    assert encoder.variant == "int8"
    with pytest.raises(EmbedkitError, match="make one with embedkit-export"):
        Compared().encoders([str(tmp_path / "none")])


def test_what_cannot_be_written_is_told_before_the_work(tmp_path):
    for name in ("none/a.json", "."):
        with pytest.raises(InputError, match="expected the name of a file in a folder that exists"):
            Written(output=str(tmp_path / name)).check()
    with pytest.raises(InputError, match=r"ends in \.png or \.svg"):
        Written(picture=str(tmp_path / "a.pdf")).check()
    Written(output=str(tmp_path / "a.json")).check()


def test_data_of_pictures(tmp_path):
    (tmp_path / "c.csv").write_text("image,caption\na.png,one\nb.png,two\n")
    (tmp_path / "l.csv").write_text("image,label\na.png,x\nb.png,y\nc.png,y\n")
    (tmp_path / "labels.txt").write_text("x\ny\nz\n")
    file = str(tmp_path / "l.csv")
    labels = str(tmp_path / "labels.txt")
    data = Data(
        image_text=(str(tmp_path / "c.csv"),), zero_shot=(file,), knn=(file,), labels=labels, prompts="plain",
        neighbours=2, temperature=0.5,
    )  # fmt: skip
    data.check()
    captions, named, near = data.tasks(0)
    assert (captions.name, named.name, near.name) == ("image-text", "zero-shot", "knn")
    assert (named.labels, named.prompts) == (("x", "y", "z"), "plain")
    assert (near.k, near.temperature) == (2, 0.5)
    for wrong in ({"knn": (file,), "labels": labels}, {"zero_shot": (file,), "temperature": 0.5}):
        with pytest.raises(click.UsageError, match="only"):
            Data(**wrong).check()
