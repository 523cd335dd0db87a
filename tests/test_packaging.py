"""What stands beside the packages: the image, the compose file, the citation, the man pages."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import embedkit
from helpers.pages import ROOT

CLICK_MAN = Path(sys.executable).with_name("click-man")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_image_is_not_root_and_is_healthy_where_it_is_ready() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert lines.index("USER 10001:10001") > max(i for i, line in enumerate(lines) if line.startswith("RUN"))
    assert any(line.startswith("HEALTHCHECK") for line in lines)
    assert any("/ready" in line for line in lines)
    extras = re.findall(r"'\.\[([\w,]+)\]'", "\n".join(lines))
    assert extras == ["cpu,serve"]


def test_what_the_image_copies_is_there_and_is_sent() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = [name for line in re.findall(r"^COPY (?!--)(.*) \S+$", text, re.MULTILINE) for name in line.split()]
    sent = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE)
    assert copied == sent
    packages = {name.partition("/")[0] for name in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]}
    assert {*packages, "README.md", "LICENSE", "pyproject.toml"} <= set(copied)
    assert all((ROOT / name).exists() for name in copied)


def test_the_compose_file_takes_away_what_is_not_needed() -> None:
    yaml = pytest.importorskip("yaml")
    service = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]["embedkit"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "./bundle:/bundle:ro" in service["volumes"]


def test_the_citation_is_of_this_version() -> None:
    yaml = pytest.importorskip("yaml")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["version"], citation["license"]) == (embedkit.__version__, PROJECT["project"]["license"])


@pytest.mark.skipif(not CLICK_MAN.is_file(), reason="the extra docs is not installed")
def test_each_command_has_a_man_page(tmp_path: Path) -> None:
    from embedkit.cli.entry import app

    subprocess.run([CLICK_MAN, "embedkit", "--target", tmp_path], check=True, capture_output=True)
    pages = {page.name for page in tmp_path.iterdir()}
    assert {"embedkit.1", *(f"embedkit-{name}.1" for name in app.commands)} <= pages
    assert "--hybrid" in (tmp_path / "embedkit-search.1").read_text().replace("\\-", "-")
