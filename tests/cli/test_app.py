"""The commands that there are, and what their help tells."""

from __future__ import annotations

import embedkit


def test_version_and_help(run):
    assert run("--version") == (0, f"embedkit {embedkit.__version__}\n", "")
    code, out, _ = run("--help")
    assert code == 0
    for command in (
        "encode",
        "ingest",
        "retry",
        "search",
        "inspect",
        "verify",
        "stores",
        "completion",
        "demo",
        "eval",
        "serve",
        "mcp",
        "migrate",
        "similar",
        "info",
        "dedupe",
        "pull",
        "push",
    ):
        assert f"  {command}" in out
        text = run(command, "--help")[1]
        assert text.startswith(f"Usage: embedkit {command} ")
        usage = text.split("Options:")[0]
        for many in ("TEXT]...", "FILE...", "BUNDLE...", "ID..."):
            usage = usage.replace(many, "")
        assert "..." not in usage
        assert run(command, "-h")[1] == text


def test_the_help_tells_what_is_needed_and_what_is_the_default(run):
    assert run() == (2, "", run("--help")[1])
    listed = run("--help")[1].split("Commands:\n")[1].split("\n\n")[0]
    names = (
        "encode rerank classify ingest sync check retry search copy stores load-table "
        "inspect verify eval info migrate similar dedupe pull push mcp serve completion demo"
    )
    assert [line.split()[0] for line in listed.splitlines()] == names.split()
    text = run("search", "--help")[1]
    assert text.startswith("Usage: embedkit search [OPTIONS] BUNDLE [QUERY]\n")
    assert "\n  BUNDLE   A folder that embedkit-export made, or the address of a server," in text
    assert "\n  [QUERY]  What to look for.\n" in text
    assert "\n    embedkit search bundle 'tea from the mountains' --store chroma:index --collection docs -k 5\n" in text
    words = " ".join(text.split())
    for part in (
        "--store URL The store's address, such as chroma:index. [required]",
        "The most hits. [default: 10; x>=1]",
        "(maximal marginal relevance). [default: 0.0; 0.0<=x<=1.0]",
        "such as fp32 or int8. [default: auto]",
    ):
        assert part in words
