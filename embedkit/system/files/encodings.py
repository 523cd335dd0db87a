"""Encodings of text by the labels of the web (WHATWG's Encoding Standard): what a browser, and most that was written by a
program on Windows, means by ``iso-8859-1``, ``shift_jis`` or ``gb2312``."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from types import MappingProxyType
from typing import Any, BinaryIO

from embedkit.errors import OptionError

_PIECE = 1 << 16

_LABELS = """
utf-8: unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf8 x-unicode20utf8
ibm866: 866 cp866 csibm866
iso-8859-2: csisolatin2 iso-ir-101 iso8859-2 iso88592 iso_8859-2 iso_8859-2:1987 l2 latin2
iso-8859-3: csisolatin3 iso-ir-109 iso8859-3 iso88593 iso_8859-3 iso_8859-3:1988 l3 latin3
iso-8859-4: csisolatin4 iso-ir-110 iso8859-4 iso88594 iso_8859-4 iso_8859-4:1988 l4 latin4
iso-8859-5: csisolatincyrillic cyrillic iso-ir-144 iso8859-5 iso88595 iso_8859-5 iso_8859-5:1988
iso-8859-6: arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 iso-8859-6-e iso-8859-6-i iso-ir-127
iso-8859-6: iso8859-6 iso88596 iso_8859-6 iso_8859-6:1987
iso-8859-7: csisolatingreek ecma-118 elot_928 greek greek8 iso-ir-126 iso8859-7 iso88597 iso_8859-7 iso_8859-7:1987
iso-8859-7: sun_eu_greek
iso-8859-8: csiso88598e csisolatinhebrew hebrew iso-8859-8-e iso-ir-138 iso8859-8 iso88598 iso_8859-8 iso_8859-8:1988
iso-8859-8: visual csiso88598i iso-8859-8-i logical
iso-8859-10: csisolatin6 iso-ir-157 iso8859-10 iso885910 l6 latin6
iso-8859-13: iso8859-13 iso885913
iso-8859-14: iso8859-14 iso885914
iso-8859-15: csisolatin9 iso8859-15 iso885915 iso_8859-15 l9
iso-8859-16:
koi8-r: cskoi8r koi koi8 koi8_r
koi8-u: koi8-ru
macintosh: csmacintosh mac x-mac-roman
windows-874: dos-874 iso-8859-11 iso8859-11 iso885911 tis-620
windows-1250: cp1250 x-cp1250
windows-1251: cp1251 x-cp1251
windows-1252: ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 iso88591 iso_8859-1
windows-1252: iso_8859-1:1987 l1 latin1 us-ascii x-cp1252
windows-1253: cp1253 x-cp1253
windows-1254: cp1254 csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 iso_8859-9:1989 l5 latin5 x-cp1254
windows-1255: cp1255 x-cp1255
windows-1256: cp1256 x-cp1256
windows-1257: cp1257 x-cp1257
windows-1258: cp1258 x-cp1258
x-mac-cyrillic: x-mac-ukrainian
gb18030: gbk chinese csgb2312 csiso58gb231280 gb2312 gb_2312 gb_2312-80 iso-ir-58 x-gbk
big5: big5-hkscs cn-big5 csbig5 x-x-big5
euc-jp: cseucpkdfmtjapanese x-euc-jp
iso-2022-jp: csiso2022jp
shift_jis: csshiftjis ms932 ms_kanji shift-jis sjis windows-31j x-sjis
euc-kr: cseuckr csksc56011987 iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 windows-949
replacement: csiso2022kr hz-gb-2312 iso-2022-cn iso-2022-cn-ext iso-2022-kr
utf-16be: unicodefffe
utf-16le: csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16
x-user-defined:
"""

_CODECS = {
    "ibm866": "cp866",
    "macintosh": "mac_roman",
    "x-mac-cyrillic": "mac_cyrillic",
    "windows-874": "cp874",
    "big5": "big5hkscs",
    "shift_jis": "cp932",
    "euc-kr": "cp949",
    "iso-2022-jp": "iso2022_jp_ext",
    "utf-16be": "utf-16-be",
    "utf-16le": "utf-16-le",
}
"""Python's name, where it is another than the standard's."""

_WIDE = frozenset({"utf-8", "gb18030", "big5", "euc-jp", "iso-2022-jp", "shift_jis", "euc-kr", "utf-16be", "utf-16le"})
"""Encodings with more than a byte a character."""

_NO_TEXT = {"replacement", "idna", "punycode", "undefined", "unicode-escape", "unicode_escape", "raw-unicode-escape"}
_NO_TEXT |= {"raw_unicode_escape"}
"""Encodings in which no file is: what browsers do not read, names of hosts, Python's own source."""

_OTHERWISE = {("windows-1255", 0xCA): "\u05ba", ("koi8-u", 0xAE): "\u045e", ("koi8-u", 0xBE): "\u040e"}
"""Characters that Python's tables lack, or have other ones for."""

_SINCE_2005 = str.maketrans(
    "\ue5e5\ue78d\ue78e\ue78f\ue790\ue791\ue792\ue793\ue794\ue795\ue796\ue7c7"
    "\ue81e\ue826\ue82b\ue82c\ue832\ue843\ue854\ue864",
    "\u3000\ufe10\ufe12\ufe11\ufe13\ufe14\ufe15\ufe16\ufe17\ufe18\ufe19\u1e3f\u9fb4\u9fb5\u9fb6\u9fb7\u9fb8\u9fb9\u9fba\u9fbb",
)
"""What GB 18030 puts in the place of private characters since Unicode has them."""

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16le"), (codecs.BOM_UTF16_BE, "utf-16be"))

_EUC = re.compile(
    rb"(?P<ascii>[\0-\x7f]+)|(?P<kana>(?:\x8e[\xa1-\xdf])+)|(?P<rare>\x8f[\xa1-\xfe]{2})|(?P<pairs>(?:[\xa1-\xfe]{2})+)"
)
_BIG5 = {
    b"\xa1\x45": "\u2027",
    b"\xa1\x4e": "\ufe51",
    b"\xa1\xc2": "\xaf",
    b"\xa1\xe3": "\uff5e",
    b"\xa1\xf2": "\u2295",
}
_BIG5 |= {b"\xa1\xf3": "\u2299", b"\xa2\x41": "\u2215", b"\xa2\x42": "\ufe68", b"\xa2\x44": "\uffe5"}
_BIG5 |= {b"\xa2\x46": "\uffe0", b"\xa2\x47": "\uffe1"}
"""Signs for which Python has those of Hong Kong's own standard."""
_BIG5_PARTS = re.compile(
    rb"(?:[\0-\x80\xff]|(?!\xa1[\x45\x4e\xc2\xe3\xf2\xf3]|\xa2[\x41\x42\x44\x46\x47])[\x81-\xfe].)+|..?", re.DOTALL
)
_ESCAPE = re.compile(rb"\x1b(\(B|\(J|\(I|\$@|\$B)")


class Transcoded(io.RawIOBase):
    """A file in another encoding (by `named`) as UTF-8 that begins with a byte order mark; bytes that are none of it stay, so that
    they are no UTF-8 either."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._file, self._encoding = file, encoding
        self._decoder: Callable[[bytes, bool], str] | None = None
        self._output, self._ended = codecs.BOM_UTF8, False

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer``; 0 at the end."""
        while not self._output and not self._ended:
            raw = self._file.read(_PIECE)
            self._ended = not raw
            if self._decoder is None:
                found, length = bom_of(raw) if self._encoding in LABELS else ("", 0)
                self._decoder, raw = _incremental(found or self._encoding), raw[length:]
            self._output = self._decoder(raw, self._ended).encode("utf-8", "surrogateescape")
        count = min(len(buffer), len(self._output))
        buffer[:count] = self._output[:count]
        self._output = self._output[count:]
        return count


def _incremental(encoding: str) -> Callable[[bytes, bool], str]:
    if encoding in LABELS and encoding not in _WIDE:
        table = single_bytes(encoding)
        return lambda raw, final: codecs.charmap_decode(raw, "embedkit-raw", table)[0]
    decoder = codecs.getincrementaldecoder(_CODECS.get(encoding, encoding))("embedkit-raw")
    return decoder.decode


def _raw(error: UnicodeError) -> tuple[str, int]:
    if isinstance(error, UnicodeDecodeError):
        return "".join(
            chr(0xDC00 + byte) if byte > 0x7F else "\udcff" for byte in error.object[error.start : error.end]
        ), error.end
    raise error


def _table() -> dict[str, str]:
    found: dict[str, str] = {}
    for line in _LABELS.split("\n"):
        name, _, labels = line.partition(":")
        found.update(dict.fromkeys([name, *labels.split()], name) if name else {})
    return found


LABELS = MappingProxyType(_table())
"""The encoding of each label, in lower case."""


def encoding_of(label: str) -> str | None:
    """The encoding that a label means; None for no label of the standard."""
    return LABELS.get(label.strip("\t\n\f\r ").lower())


def named(label: str) -> str:
    """The encoding of a label that a user gives, one of the web or of Python's; `OptionError` for any other."""
    found = encoding_of(label) if isinstance(label, str) else "replacement"
    with suppress(LookupError, ValueError):
        name = codecs.lookup(label).name if found is None else found
        found = encoding_of(name) or name
        if found not in _NO_TEXT:
            "".encode(found if found not in LABELS else "utf-8")  # raises where Python's codec is none of text
            return found
    shown = repr(label) if isinstance(label, str) else type(label).__name__
    raise OptionError(f"encoding: expected a name such as utf-8, windows-1252 or utf-16, found {shown:.60}")


def bom_of(raw: bytes) -> tuple[str, int]:
    """The encoding that a byte order mark at the beginning tells, and its length; nothing and 0 where there is none."""
    return next(((name, len(bom)) for bom, name in _BOMS if raw.startswith(bom)), ("", 0))


def decode(raw: bytes, encoding: str) -> str:
    """The text, by an encoding that `encoding_of` gave; `UnicodeDecodeError` where the bytes are none of it, and for
    ``replacement``, of which browsers show nothing."""
    if encoding == "replacement":
        raise UnicodeDecodeError(encoding, raw, 0, len(raw), "an encoding that browsers do not read")
    if encoding not in _WIDE:
        return codecs.charmap_decode(raw, "strict", single_bytes(encoding))[0]
    if encoding == "gb18030":
        return raw.decode("gb18030", "embedkit-euro").translate(_SINCE_2005)
    if encoding == "shift_jis":
        return _shift_jis(raw)
    if encoding == "big5":
        return _big5(raw)
    if encoding == "euc-jp":
        return _euc_jp(raw)
    if encoding == "iso-2022-jp":
        return _iso_2022_jp(raw)
    return raw.decode(_CODECS.get(encoding, encoding))


@cache
def single_bytes(encoding: str) -> str:
    """The characters of the 256 bytes, U+FFFE for a byte that has none."""
    if encoding == "x-user-defined":
        return "".join(map(chr, [*range(128), *range(0xF780, 0xF800)]))
    return "".join(_single_byte(encoding, byte) for byte in range(256))


def _single_byte(encoding: str, byte: int) -> str:
    if found := _OTHERWISE.get((encoding, byte)):
        return found
    try:
        return bytes([byte]).decode(_CODECS.get(encoding, encoding))
    except UnicodeDecodeError:
        return chr(byte) if byte < 0xA0 else "\ufffe"


def _euro(error: UnicodeError) -> tuple[str, int]:
    if isinstance(error, UnicodeDecodeError) and error.object[error.start] == 0x80:
        return "€", error.start + 1
    raise error


codecs.register_error("embedkit-euro", _euro)
codecs.register_error("embedkit-raw", _raw)


def _shift_jis(raw: bytes) -> str:
    text = raw.decode("cp932")
    if match := re.search("[\uf8f0-\uf8f3]", text):  # what Python makes of single bytes that stand for nothing
        start = len(text[: match.start()].encode("cp932"))
        raise UnicodeDecodeError("shift_jis", raw, start, start + 1, "no character")
    return text


def _big5(raw: bytes) -> str:
    text = raw.decode("big5hkscs")
    if not any(pair in raw for pair in _BIG5):
        return text
    return "".join(_BIG5.get(part) or part.decode("big5hkscs") for part in _BIG5_PARTS.findall(raw))


def _euc_jp(raw: bytes) -> str:
    out, place = [], 0
    for match in _EUC.finditer(raw):
        if match.start() != place:
            break
        place = match.end()
        if match["pairs"]:
            out.append(_jis(match[0]))
        elif match["kana"]:
            out.append("".join(chr(0xFF61 - 0xA1 + byte) for byte in match[0][1::2]))
        else:
            found = match[0].decode("euc_jp")
            out.append(found.replace("~", "\uff5e") if match["rare"] else found)
    if place < len(raw):
        raise UnicodeDecodeError("euc-jp", raw, place, place + 1, "invalid multibyte sequence")
    return "".join(out)


def _jis(pairs: bytes) -> str:
    """Pairs of bytes from 0xA1 on, of JIS X 0208 as Windows has it: Python's own codec lacks what NEC and IBM added."""
    shifted = bytearray()
    for row, cell in zip(pairs[::2], pairs[1::2], strict=True):
        lead, second = (row - 0xA1) // 2, (row - 0xA1) % 2
        place = cell - 0xA1
        shifted.append(lead + (0x81 if lead < 0x1F else 0xC1))
        shifted.append(place + 0x9F if second else place + 0x40 + (place >= 0x3F))
    return shifted.decode("cp932")


def _iso_2022_jp(raw: bytes) -> str:
    parts = _ESCAPE.split(raw)
    out = [parts[0].decode("ascii")]
    for escape, part in zip(parts[1::2], parts[2::2], strict=True):
        if escape in (b"$B", b"$@"):
            if len(part) % 2 or not all(0x21 <= byte <= 0x7E for byte in part):
                raise UnicodeDecodeError("iso-2022-jp", part, 0, len(part), "no pairs of bytes")
            out.append(_jis(bytes(byte | 0x80 for byte in part)))
        elif escape == b"(I":
            if not all(0x21 <= byte <= 0x5F for byte in part):
                raise UnicodeDecodeError("iso-2022-jp", part, 0, len(part), "no katakana")
            out.append("".join(chr(0xFF61 - 0x21 + byte) for byte in part))
        else:
            text = part.decode("ascii")
            out.append(text.replace("\\", "¥").replace("~", "‾") if escape == b"(J" else text)
    return "".join(out)
