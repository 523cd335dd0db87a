"""How a collection keeps its vectors, said on a command line."""

from __future__ import annotations

import click
import pytest

from embedkit.cli.filling.kept_options import KeptOptions


def test_options_become_the_keywords_of_an_ingest():
    none = {"dim": None, "any_dim": False, "precision": None, "index": None}
    assert KeptOptions().given() == none
    assert KeptOptions(256, True, "int8", "m=32, ef=200").given() == {
        "dim": 256,
        "any_dim": True,
        "precision": "int8",
        "index": {"m": 32, "ef": 200},
    }


@pytest.mark.parametrize("index", ["m", "m=", "m=x", "=3", "m=3;ef=4", "m=-1", "m=3,,", "m=3,m=4", "m=" + "9" * 5000])
def test_settings_of_another_form_are_refused(index):
    with pytest.raises(click.BadParameter, match="m=32,ef=200"):
        KeptOptions(index=index).given()
