"""What the installed plugins are able to."""

from __future__ import annotations

import subprocess
import sys

import pytest

from embedkit.errors import StoreURLError
from embedkit.stores.contract import Capabilities
from embedkit.stores.plugins import describe, keeping, store_plugins

ABLE = """
from embedkit.stores import METRICS, Capabilities
CAPABILITIES = {"able:": Capabilities(sparse=True, metrics=METRICS, max_dim=4000, orders_text=False)}
def open_store(url): raise OSError("nothing to open")
"""


def test_a_plugin_listed_twice_with_one_value_is_one(install):
    install("first", "", "same = first:open_store")
    install("again", "", "same = first:open_store")
    assert store_plugins()["same"].value == "first:open_store"


def test_schemes_are_sorted(install):
    install("some", "", "zeta = some:open_store\nalpha = some:open_store")
    schemes = list(store_plugins())
    assert schemes == sorted(schemes)
    assert {"alpha", "zeta", "memory"} <= set(schemes)


def test_a_plugin_is_described_without_a_store(install):
    install("able_plugin", ABLE, "able = able_plugin:open_store")
    found = describe("able")
    assert found.problem == "the plugin able_plugin:open_store is broken: OSError: nothing to open"
    caps = found.capabilities["able:"]
    assert isinstance(caps, Capabilities)
    assert found.abilities() == {
        "able:": "dense, sparse; cosine, dot, euclidean; up to 4,000 dimensions; any number of processes; 1,000 rows a batch; "
        "embedkit finishes the order of text"
    }
    told = found.to_json()
    assert (told["ready"], told["stores"]["able:"]["metrics"]) == (False, ["cosine", "dot", "euclidean"])
    assert "able:" in keeping("sparse")
    assert "able:" not in keeping("multivector")


def test_a_missing_package_is_a_problem_that_names_the_extra(install):
    install(
        "asking",
        "from embedkit.stores import MissingExtraError\ndef open_store(url): raise MissingExtraError('p', 'e', 'w')",
        "asking = asking:open_store",
    )
    assert "embedkit-onnx[e]" in describe("asking").problem
    assert describe("asking").capabilities == {}
    assert describe("memory").problem == ""


def test_packages_that_are_installed_are_not_imported(install):
    module = "PACKAGES = (%r,)\ndef open_store(url): raise RuntimeError('opened')"
    install("quick", module % "json", "quick = quick:open_store")
    install("asked", module % "no_such_package", "asked = asked:open_store")
    assert describe("quick").problem == ""
    assert "RuntimeError: opened" in describe("asked").problem, "what is missing is said by the plugin itself"


def test_no_database_client_is_imported_to_list_the_stores():
    listed = "import sys; from embedkit.cli.entry import app; app(['stores'], standalone_mode=False); "
    heavy = ["chromadb", "lancedb", "pymilvus", "qdrant_client", "qdrant_edge", "psycopg", "torch", "onnxruntime"]
    code = f"{listed} print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_scheme_that_nobody_has():
    with pytest.raises(StoreURLError, match=r"'nobody'.*memory"):
        describe("nobody")
