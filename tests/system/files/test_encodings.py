"""Encodings by the labels of the web, against the characters that the standard's own tables have."""

from __future__ import annotations

import io
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.system.files.encodings import LABELS, Transcoded, bom_of, decode, encoding_of, named, single_bytes


@pytest.mark.parametrize(
    ("label", "encoding"),
    [
        ("iso-8859-1", "windows-1252"),
        ("Latin1", "windows-1252"),
        ("us-ascii", "windows-1252"),
        (" ASCII\n", "windows-1252"),
        ("iso-8859-9", "windows-1254"),
        ("iso-8859-11", "windows-874"),
        ("tis-620", "windows-874"),
        ("shift_jis", "shift_jis"),
        ("x-sjis", "shift_jis"),
        ("windows-31j", "shift_jis"),
        ("gb2312", "gb18030"),
        ("gbk", "gb18030"),
        ("big5-hkscs", "big5"),
        ("ks_c_5601-1987", "euc-kr"),
        ("utf8", "utf-8"),
        ("unicode", "utf-16le"),
        ("hz-gb-2312", "replacement"),
        ("iso-8859-8-i", "iso-8859-8"),
        ("utf-7", None),
        ("klingon", None),
        ("", None),
    ],
)
def test_labels(label, encoding):
    assert encoding_of(label) == encoding


def test_there_are_all_labels_of_the_standard():
    assert len(LABELS) == 228
    assert set(LABELS.values()) <= set(LABELS)


@pytest.mark.parametrize(
    ("encoding", "raw", "text"),
    [
        ("windows-1252", b"\x80\x93na\xefve\x94\x81", "€“naïve”\x81"),
        ("windows-1255", b"\xca\xe0", "\u05ba\u05d0"),
        ("windows-874", b"\xa1\xdb", None),
        ("windows-1253", b"\xaa", None),
        ("iso-8859-15", b"\xa4", "€"),
        ("iso-8859-16", b"\xa4", "€"),
        ("koi8-r", b"\xf0\xd2", "Пр"),
        ("koi8-u", b"\xa4\xae\xbe", "єўЎ"),
        ("macintosh", b"\xdb\x8e", "€é"),
        ("shift_jis", b"\x93\xfa\x96{\x87@\x81`\xb1", "日本①～ｱ"),
        ("shift_jis", b"a\xa0", None),
        ("shift_jis", b"\x93\xfa\xff", None),
        ("euc-jp", b"\xc6\xfc\xcb\xdc\xad\xa1\xa1\xc1\x8e\xb1\x8f\xb0\xa1 a", "日本①～ｱ丂 a"),
        ("euc-jp", b"a\xff\xff", None),
        ("euc-jp", b"~\x8f\xa2\xb7", "~～"),
        ("iso-2022-jp", b"a\x1b$BF|K\\-!\x1b(Bb\x1b(I1\x1b(J\\~", "a日本①bｱ¥‾"),
        ("iso-2022-jp", b"\x1b$BF", None),
        ("gb18030", b"\xc4\xe3\x80\x81\x30\x81\x30\xa2\xe3\xfe\x59", "你€\x80€\u9fb4"),
        ("gb18030", b"\xff", None),
        ("big5", b"\xa7A\x88\x62", "你Ê̄"),
        ("big5", b"a\xa1\x45\xa2\x44\xa7\xa1\x45\xa1\xfe\xa2\x41b", "a‧￥均E／∕b"),
        ("big5", b"\xa1\x45\xa7", None),
        ("euc-kr", b"\xc7\xd1\x8c\x63", "한똠"),
        ("utf-16le", b"a\0\xe9\0", "aé"),
        ("utf-16be", b"\0a\0\xe9", "aé"),
        ("utf-8", b"\xff", None),
        ("x-user-defined", b"a\x80\xff", "a\uf780\uf7ff"),
        ("replacement", b"a", None),
    ],
)
def test_texts(encoding, raw, text):
    if text is None:
        with pytest.raises(UnicodeDecodeError):
            decode(raw, encoding)
    else:
        assert decode(raw, encoding) == text


@given(st.binary(max_size=12), st.sampled_from(sorted(set(LABELS.values()))))
def test_any_bytes_are_text_or_are_said_not_to_be(raw, encoding):
    with suppress(UnicodeDecodeError):
        decode(raw, encoding).encode()


def test_all_bytes_of_a_table():
    assert len(single_bytes("windows-1252")) == 256
    assert "\ufffe" not in single_bytes("windows-1252")


def test_byte_order_marks():
    assert bom_of(b"\xef\xbb\xbfa") == ("utf-8", 3)
    assert bom_of(b"\xff\xfea\0") == ("utf-16le", 2)
    assert bom_of(b"\xfe\xff\0a") == ("utf-16be", 2)
    assert bom_of(b"\xff") == ("", 0)


@pytest.mark.parametrize(
    ("label", "encoding"),
    [
        ("latin-1", "windows-1252"),
        ("latin_1", "windows-1252"),
        ("cp437", "cp437"),
        ("utf8", "utf-8"),
        ("U8", "utf-8"),
        ("sjis", "shift_jis"),
    ],
)
def test_names_of_python_are_taken_too(label, encoding):
    assert named(label) == encoding


@given(st.text(), st.sampled_from(["utf-8", "utf-16le", "gb18030", "utf-32"]))
def test_a_file_in_another_encoding_is_utf_8(text, encoding):
    text = text.removeprefix("\ufeff")
    raw = text.encode({"utf-16le": "utf-16-le"}.get(encoding, encoding), "replace")
    expected = text.encode("utf-8", "replace")
    assert io.BufferedReader(Transcoded(io.BytesIO(raw), encoding)).read() == b"\xef\xbb\xbf" + expected


@given(st.binary(max_size=30), st.sampled_from([*sorted({*LABELS.values()} - {"replacement"}), "cp437", "utf-7"]))
def test_bytes_of_no_encoding_are_no_utf_8(raw, encoding):
    found = io.BufferedReader(Transcoded(io.BytesIO(raw), encoding)).read()
    assert found.startswith(b"\xef\xbb\xbf")
