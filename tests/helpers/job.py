"""Sources, children and servers for the tests of faults: everything in them is real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

KILLS = int(os.environ.get("EMBEDKIT_KILLS", "5"))
"""How often an ingest is killed before it may end. ``make faults`` sets 20."""


@dataclass
class Job:
    """An ingest of a source, which can be run and killed again and again."""

    bundle: Path
    folder: Path
    rows: dict[str, str]
    environment: dict[str, str]

    @property
    def source(self) -> Path:
        return self.folder / "docs.jsonl"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def start(self, url: str, *, window: int = 64) -> subprocess.Popen[str]:
        script = Path(__file__).with_name("ingesting.py")
        command = [sys.executable, str(script), str(self.bundle), url, str(self.source), str(self.log), str(window)]
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def finish(self, process: subprocess.Popen[str]) -> dict[str, object]:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        report: dict[str, object] = json.loads(out)
        return report

    def lines(self) -> list[str]:
        return self.log.read_text().split("\n")[:-1] if self.log.exists() else []

    def wait(self, process: subprocess.Popen[str], until: Callable[[list[str]], bool]) -> None:
        """Return when the log says so, or the process has ended."""
        while process.poll() is None and not until(self.lines()):
            time.sleep(0.002)

    def acknowledged(self) -> set[str]:
        return {line[1:] for line in self.lines() if line.startswith("+")}

    def check_log(self) -> None:
        """That no row was encoded after the store had acknowledged it."""
        by_text = {text: row_id for row_id, text in self.rows.items()}
        taken: set[str] = set()
        for line in self.lines():
            if line.startswith("+"):
                taken.add(line[1:])
            elif line in by_text:
                assert by_text[line] not in taken, f"{by_text[line]} was encoded again"

    def stored(self, url: str) -> dict[str, str]:
        """Id and text of each row, as a new process finds them."""
        code = (
            "import json, sys; from embedkit import open_store\n"
            "rows = open_store(sys.argv[1]).open('docs'); cursor = None; out = []\n"
            "while True:\n"
            "    page = rows.scan(cursor=cursor); cursor = page.cursor\n"
            "    out += [[row.id, row.text, row.metadata['n']] for row in page.records]\n"
            "    if cursor is None: break\n"
            "assert rows.count() == len(out), (rows.count(), len(out))\n"
            "print(json.dumps(out))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, url], cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        listed = json.loads(done.stdout)
        assert len(listed) == len({row[0] for row in listed}), "a row is there twice"
        assert all(row_id == f"id {n}" for row_id, _, n in listed)
        return {row_id: text for row_id, text, _ in listed}
