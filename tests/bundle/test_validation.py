"""A manifest that is wrong: the field is named, what was expected and what was found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from embedkit import Bundle, BundleError
from helpers.manifests import edit, first_variant


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(schema=3), "schema: expected 1 or 2, found 3"),
        (lambda m: m.update(schema=2), "schema: expected 1 where all frontends are of the kind text"),
        (lambda m: m.update(schema=True), "schema: expected 1 or 2, found True"),
        (lambda m: m.pop("schema"), "schema: expected 1 or 2, found None"),
        (lambda m: m.pop("towers"), "towers"),
        (lambda m: m.update(surprise=1), "surprise"),
        (lambda m: m.update(fingerprint="abc"), 'fingerprint: .*found "abc"'),
        (lambda m: m.update(fingerprint="0" * 64), "fingerprint: expected"),
        (lambda m: m["source"].update(name=7), r"source\.name: Expected `str`, got `int`, found 7"),
        (lambda m: first_variant(m).update(file="../model.onnx"), "expected a file listed under `files`"),
        (lambda m: m["files"].update({"../x": {"sha256": "0" * 64, "bytes": 1}}), "expected plain file names"),
        (lambda m: m["files"].update({"/etc/passwd": {"sha256": "0" * 64, "bytes": 1}}), "expected plain file names"),
        (lambda m: m["files"].update({"a\\b": {"sha256": "0" * 64, "bytes": 1}}), "expected plain file names"),
        (lambda m: m.update(golden="nothing.npz"), "golden: expected a file listed"),
        (lambda m: m["scorers"]["main"].update(left="nobody.dense"), "scorers.main: expected TOWER.OUTPUT"),
        *(
            (
                lambda m, v=v: next(iter(m["towers"].values())).update(frontend=v),
                r"towers\.\w+\.frontend: Expected `object`, got",
            )
            for v in (None, 1, "text", [], True)
        ),
        (lambda m: next(iter(m["towers"].values())).pop("frontend"), r"towers\.\w+.*`frontend`"),
        (
            lambda m: next(iter(m["towers"].values()))["frontend"]["truncate"].update(max=0),
            r"towers\.\w+\.frontend\.truncate\.max: Expected `int` >= 1, found 0",
        ),
        (
            lambda m: next(iter(m["towers"].values()))["frontend"].update(template=[{"lit": "a", "field": "text"}]),
            "exactly one of",
        ),
        (lambda m: next(iter(m["towers"].values()))["frontend"].update(template=[{"lit": "a"}]), "at least one field"),
        (lambda m: next(iter(m["towers"].values())).update(like="nobody"), "like: expected a tower"),
    ],
)
def test_a_bad_manifest_names_the_field(tiny: Path, change: Callable[[dict[str, Any]], object], message: str) -> None:
    edit(tiny, change)
    with pytest.raises(BundleError, match=message):
        Bundle.open(tiny)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"3"])
def test_no_manifest_at_all(tiny: Path, raw: bytes) -> None:
    (tiny / "embedkit.json").write_bytes(raw)
    with pytest.raises(BundleError, match="embedkit.json"):
        Bundle.open(tiny)
