"""What embedkit adds to click."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from embedkit.cli.click_ext import Command, OptionalValue, argument


@click.command(cls=Command)
@argument("query", required=False, metavar="[QUERY]", help="What to look for.")
@click.option("--name", default="")
@click.option("--hybrid", cls=OptionalValue, alone="minmax", type=click.Choice(["minmax", "rrf"]), help="Fuse.")
def find(query: str | None, name: str, hybrid: str | None) -> None:
    click.echo(f"{query} {name} {hybrid}")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ([], "None  None"),
        (["tea"], "tea  None"),
        (["--hybrid"], "None  minmax"),
        (["tea", "--hybrid"], "tea  minmax"),
        (["--hybrid", "tea"], "tea  minmax"),
        (["--hybrid", "rrf"], "None  rrf"),
        (["--hybrid", "rrf", "tea"], "tea  rrf"),
        (["tea", "--hybrid", "rrf"], "tea  rrf"),
        (["--hybrid=rrf", "tea"], "tea  rrf"),
        (["--hybrid", "--name", "n", "tea"], "tea n minmax"),
        (["--hybrid", "--", "rrf"], "rrf  minmax"),
        (["--", "--hybrid"], "--hybrid  None"),
        (["--hybrid", "rrf", "minmax"], "minmax  rrf"),
    ],
)
def test_an_option_whose_value_may_be_left_out(line, expected):
    done = CliRunner().invoke(find, line)
    assert (done.exit_code, done.output) == (0, expected + "\n")


@pytest.mark.parametrize("line", [["--hybrid=other"], ["--hybrid="], ["tea", "--hybrid", "other"]])
def test_a_value_that_is_none_of_the_choices_is_refused(line):
    assert CliRunner().invoke(find, line).exit_code == 2


def test_the_help_explains_arguments_and_the_choices():
    told = CliRunner().invoke(find, ["--help"]).output
    assert "What to look for." in told
    assert "--hybrid [minmax|rrf]" in told
