"""Addresses: what is taken, what is shown, and which key goes where."""

from __future__ import annotations

import pytest

from embedkit import OptionError
from embedkit.encoders.remote.address import Address, is_address


def test_the_parts_of_an_address():
    found = Address.of("HTTP://Example.com:8080/v1/?version=2#bge:query")
    assert (found.host, found.port, found.path, found.model) == ("example.com", 8080, "/v1", "bge:query")
    assert found.target("/embeddings") == "/v1/embeddings?version=2"
    assert found.target("/tokenize", root=True) == "/tokenize?version=2"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://host/v1?code=secret", "https://host/v1"),
        ("https://host:443/v1", "https://host/v1"),
        ("http://host:443", "http://host:443"),
        ("http://[::1]:80/v1#m", "http://[::1]/v1"),
    ],
)
def test_what_is_shown_has_no_query(url, shown):
    assert str(Address.of(url)) == shown


@pytest.mark.parametrize(
    "url",
    [
        "host/v1",
        "ftp://host",
        "http://",
        "http:///v1",
        "http://host:port",
        "http://a b/",
        "http://h\0",
        7,
        "http://host:99999",
    ],
)
def test_what_is_no_address_is_refused(url):
    with pytest.raises(OptionError, match="url"):
        Address.of(url)


def test_a_password_in_an_address_is_refused_and_not_shown():
    with pytest.raises(OptionError) as error:
        Address.of("http://someone:s3cret@host/v1")
    assert "s3cret" not in str(error.value)


def test_a_key_goes_to_the_host_that_it_is_of(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "of openai")
    assert Address.of("https://api.openai.com/v1").key() == "of openai"
    assert Address.of("https://host/v1").key() is None
    monkeypatch.setenv("EMBEDKIT_API_KEY", "ours")
    assert Address.of("https://host/v1").key() == "ours"
    monkeypatch.setenv("OTHER", "another")
    assert Address.of("https://host/v1").key("OTHER") == "another"
    with pytest.raises(OptionError, match="MISSING"):
        Address.of("https://host/v1").key("MISSING")


def test_folders_are_no_addresses(tmp_path):
    assert is_address("https://host")
    assert not is_address(tmp_path)
    assert not is_address("bundle/http")
