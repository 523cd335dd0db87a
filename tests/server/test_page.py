"""The page for people: whole in itself, and in a real browser where one is there."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from embedkit import Encoder
from helpers.served import Served

BROWSERS = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome")


def test_it_takes_nothing_from_elsewhere(server: Served) -> None:
    got = server.ask("/")
    text = got.data.decode()
    assert got.headers["content-type"] == "text/html; charset=utf-8"
    assert not re.search(r"https?://|<script src|<link|@import", text)
    script = re.search("<script>(.*?)</script>", text, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    policy = got.headers["content-security-policy"]
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "innerHTML" not in text, "texts are shown as texts"


def test_its_script_in_a_real_browser(server: Served, encoders: dict[str, Encoder], tmp_path: Path) -> None:
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip("no Chromium is installed")
    driver = pytest.importorskip("websockets.sync.client", reason="websockets is not installed")
    with Page(browser, tmp_path, driver) as page:
        page.open(server.url + "/")
        page.until("document.querySelectorAll('#model option').length >= 4")
        page.run(
            "document.getElementById('query').value = 'tea'; document.getElementById('texts').value = 'rain\\n<b>tea</b>\\ntea'"
        )
        page.run("document.getElementById('go').click()")
        page.until("document.querySelectorAll('#results tbody tr').length == 3")
        cells = "[...document.querySelectorAll('#results tbody tr')].map((row) => [...row.cells].map((cell) => cell.textContent))"
        rows = json.loads(page.run(f"JSON.stringify({cells})"))
        assert "3 texts in" in page.run("document.getElementById('status').textContent")
        tiny = encoders["tiny"]
        texts = ["rain", "<b>tea</b>", "tea"]
        scores = tiny.similarity(tiny.encode_query(["tea"]), tiny.encode_document(texts))[0]
        order = np.argsort(-scores, kind="stable")
        assert [row[2] for row in rows] == [texts[i] for i in order]
        assert [float(row[0]) for row in rows] == pytest.approx([scores[i] for i in order], abs=1e-4)
        page.run("document.getElementById('texts').value = ''; document.getElementById('go').click()")
        page.until("document.getElementById('status').className == 'error'")


class Page:
    """A page of a headless browser, steered by its own protocol."""

    def __init__(self, browser: str, folder: Path, driver: object) -> None:
        self._arguments = [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--remote-debugging-port=0", f"--user-data-dir={folder}", "about:blank",
        ]  # fmt: skip
        self._driver, self._number = driver, 0

    def __enter__(self) -> Page:
        self._process = subprocess.Popen(self._arguments, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        found = None
        for line in self._process.stderr:
            if found := re.search(r"ws://127\.0\.0\.1:\d+/\S+", line):
                break
        assert found is not None
        self._open = ExitStack()
        self._socket = self._open.enter_context(self._driver.connect(found[0], max_size=None))  # type: ignore[attr-defined]
        target = self._send("Target.createTarget", {"url": "about:blank"})["targetId"]
        self._session = None
        self._session = self._send("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()
        self._process.kill()
        self._process.wait()

    _session: str | None = None

    def _send(self, method: str, given: dict[str, object]) -> dict[str, object]:
        self._number += 1
        message: dict[str, object] = {"id": self._number, "method": method, "params": given}
        if self._session:
            message["sessionId"] = self._session
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv(timeout=60))
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, url: str) -> None:
        self._send("Page.navigate", {"url": url})

    def run(self, script: str) -> str:
        found = self._send("Runtime.evaluate", {"expression": script, "returnByValue": True})["result"]
        return str(found.get("value"))  # type: ignore[attr-defined]

    def until(self, condition: str) -> None:
        look = f"if ({condition}) done(true); else if (Date.now() > end) fail('late'); else setTimeout(look, 20);"
        waiting = f"new Promise((done, fail) => {{ const end = Date.now() + 20000; const look = () => {{ {look} }}; look(); }})"
        found = self._send("Runtime.evaluate", {"expression": waiting, "awaitPromise": True})
        assert "exceptionDetails" not in found, (condition, self.run("document.body.innerText"))
