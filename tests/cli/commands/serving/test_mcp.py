"""``embedkit mcp`` as a client starts it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from embedkit import Encoder, ingest, open_store

pytest.importorskip("sqlite_vec")
pytestmark = pytest.mark.usefixtures("entry_points")


@pytest.fixture
def arguments(bundle, tmp_path):
    store = f"sqlite-vec:{tmp_path}/index.db"
    with open_store(store) as opened:
        ingest(
            [{"id": str(i), "text": f"text {i}"} for i in range(9)],
            Encoder.load(bundle, threads=1),
            opened,
            collection="docs",
        )
    return ["-m", "embedkit", "mcp", str(bundle), "--store", store, "--collection", "docs"]


def test_over_standard_streams(arguments):
    call = {"name": "search", "arguments": {"query": "text 7"}}
    lines = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call},
    ]
    given = "".join(json.dumps(line) + "\n" for line in lines)
    done = subprocess.run([sys.executable, *arguments], input=given, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert first["result"]["serverInfo"]["name"] == "embedkit"
    assert second["result"]["structuredContent"]["hits"][0]["id"] == "7"


def test_the_protocols_own_client(arguments):
    pytest.importorskip("mcp.client.stdio")
    import asyncio

    from mcp import ClientSession, StdioServerParameters
    from mcp.client.stdio import stdio_client

    async def talk():
        server = StdioServerParameters(command=sys.executable, args=arguments)
        async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
            await session.initialize()
            names = [tool.name for tool in (await session.list_tools()).tools]
            return names, await session.call_tool("search", {"query": "text 7", "k": 1})

    names, found = asyncio.run(talk())
    assert names == ["search", "get", "list_collections"]
    assert json.loads(found.content[0].text)["hits"][0]["id"] == "7"
