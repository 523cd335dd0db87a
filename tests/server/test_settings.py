"""What a server takes and refuses, as one object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from embedkit import DiskError, InputError, OptionError
from embedkit.server.settings import ServeSettings, check_port, read_keys


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_queue": 0},
        {"max_body": -1},
        {"drain": -1.0},
        {"timeout": 0.0},
        {"token_ids": "guess"},
        {"keys": ("a b\n",)},
        {"keys": ("",)},
        {"keys": ("ü",)},
    ],
)
def test_what_says_nothing_sensible(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        ServeSettings(**wrong)


def test_keys_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("# of May\nfirst\n\n  second  \n")
    assert read_keys(str(path)) == ("first", "second")
    path.write_text("# none\n")
    with pytest.raises(InputError, match="found none"):
        read_keys(str(path))
    with pytest.raises(DiskError):
        read_keys(str(tmp_path / "nothing"))
    assert "first" not in repr(ServeSettings(keys=("first",)))


def test_ports() -> None:
    assert check_port("port", 0) == 0
    with pytest.raises(OptionError):
        check_port("port", 65_536)
