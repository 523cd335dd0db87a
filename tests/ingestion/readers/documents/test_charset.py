"""Which encoding a page is in, as browsers find it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.ingestion.readers.documents.charset import charset
from embedkit.system.files.encodings import encoding_of

KOI = "koi8-r"


@pytest.mark.parametrize(
    ("raw", "encoding"),
    [
        (b"<p>plain", "utf-8"),
        (b"<meta charset=koi8-r>", KOI),
        (b"<META CHARSET = 'KOI8-R' >", KOI),
        (b'<meta name="x" charset=" koi8-r ">', KOI),
        (b"<meta/charset=koi8-r>", KOI),
        (b'<meta http-equiv="Content-Type" content="text/html; charset=koi8-r">', KOI),
        (b"<meta content='text/html; charset = \"koi8-r\"; x' http-equiv=content-type>", KOI),
        (b'<meta content="text/html; charset=koi8-r">', "utf-8"),
        (b'<meta http-equiv="refresh" content="text/html; charset=koi8-r">', "utf-8"),
        (b"<!-- <meta charset=windows-1251> --><meta charset=koi8-r>", KOI),
        (b"<!-- <meta charset=windows-1251> --><p>", "utf-8"),
        (b"<!--> <meta charset=koi8-r> -->", KOI),
        (b"<!-- never closed <meta charset=koi8-r>", "utf-8"),
        (b'<a title="<meta charset=windows-1251>"><meta charset=koi8-r>', KOI),
        (b"<a title='<meta charset=windows-1251>'>x</a>", "utf-8"),
        (b"<!doctype html><?php x ?></p ><meta charset=koi8-r>", KOI),
        (b"<metadata charset=koi8-r>", "utf-8"),
        (b"<meta charset=klingon><meta charset=koi8-r>", KOI),
        (b"<meta charset=klingon>", "utf-8"),
        (b"<meta charset=idna>", "utf-8"),
        (b"<meta charset=koi8-r><meta charset=windows-1251>", KOI),
        (b"<meta charset=utf-16>", "utf-8"),
        (b"<meta charset=utf-16be>", "utf-8"),
        (b"<meta charset=x-user-defined>", "windows-1252"),
        (b"<meta charset=iso-8859-1>", "windows-1252"),
        (b'<?xml version="1.0" encoding="koi8-r"?><html>', KOI),
        (b"<?xml version='1.0' encoding='windows-1251'?><meta charset=koi8-r>", KOI),
        (b"<p>" + b"x" * 5000 + b"<meta charset=koi8-r>", KOI),
        (b"<p>" + b"x" * 5000 + b"<script>'<meta charset=windows-1251>'</script><meta charset=koi8-r>", KOI),
        (b"<p>" + b"x" * 5000 + b"<title><meta charset=windows-1251></title>", "utf-8"),
        (b"<p>" + b"x" * 5000 + b"<!-- <meta charset=windows-1251> -->", "utf-8"),
    ],
)
def test_what_a_page_says(raw, encoding):
    assert charset(raw) == (encoding, 0)


def test_a_byte_order_mark_comes_first():
    assert charset(b"\xef\xbb\xbf<meta charset=koi8-r>") == ("utf-8", 3)
    assert charset(b"\xff\xfe<\0") == ("utf-16le", 2)
    assert charset(b"\xfe\xff\0<") == ("utf-16be", 2)
    assert charset('<?xml version="1.0"?>'.encode("utf-16-le")) == ("utf-16le", 0)
    assert charset('<?xml version="1.0"?>'.encode("utf-16-be")) == ("utf-16be", 0)


PARTS = [
    b"<meta",
    b" charset",
    b"=",
    b"koi8-r",
    b'"',
    b"'",
    b">",
    b"<!--",
    b"-->",
    b"<script>",
    b"</script>",
    b" ",
    b"<",
    b"/",
    b"\0",
    b"\xff",
]


@given(st.lists(st.sampled_from(PARTS), max_size=40).map(b"".join))
def test_any_bytes_have_an_encoding(raw):
    encoding, _ = charset(raw)
    assert encoding_of(encoding) == encoding
