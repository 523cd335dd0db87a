"""Files of offices, tables and pages by a stranger, which are rows, or bad ones, in some seconds and some megabytes. As a program:

python -m helpers.hostile_files SECONDS SEED
"""

from __future__ import annotations

import io
import itertools
import random
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
import zipfile
import zlib
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Any

import docx
import openpyxl
import pptx
import pyarrow as pa
import pyarrow.parquet as pq
import pypdf

from embedkit import EmbedkitError, FileRows
from helpers.mutations import changed_bytes
from helpers.pdfs import pdf

SECONDS, MEGABYTES = 20, 1_000
"""What the rows of a file may take, and this process may come to."""


def word() -> bytes:
    made = docx.Document()
    made.add_heading("A heading", 1)
    made.add_paragraph("Some text.")
    table = made.add_table(2, 2)
    table.cell(0, 0).text, table.cell(1, 1).text = "a", "b"
    table.cell(1, 0).merge(table.cell(1, 1))
    return saved(made)


def slides() -> bytes:
    made = pptx.Presentation()
    slide = made.slides.add_slide(made.slide_layouts[1])
    slide.shapes.title.text, slide.placeholders[1].text = "A title", "Some text."
    slide.shapes.add_table(2, 2, 0, 0, 9, 9).table.cell(0, 0).text = "a"
    slide.shapes.add_group_shape().shapes.add_textbox(0, 0, 9, 9).text_frame.text = "in a group"
    slide.notes_slide.notes_text_frame.text = "notes"
    return saved(made)


def sheet() -> bytes:
    made = openpyxl.Workbook()
    for row in (["id", "text", "when"], [1, "a", "=1+1"], ["x", "b", 2.5], [None, "c", True]):
        made.active.append(row)
    made.create_sheet("more").append(["id"])
    return saved(made)


def page() -> bytes:
    return pdf("Some text.", "More of it.", title="A title")


def locked() -> bytes:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(page()))
    writer.encrypt("secret", algorithm="RC4-128")
    return saved(writer, "write")


def columns() -> pa.Table:
    """A table with a column of many types."""
    rows: list[dict[str, Any]] = [
        {
            "id": "a",
            "text": "one",
            "n": 1,
            "f": 0.5,
            "b": b"x",
            "l": ["x", None],
            "s": {"a": 1, "b": "c"},
            "d": date(2024, 1, 1),
        },
        {"id": "b", "text": "two", "n": None, "f": None, "b": None, "l": [], "s": None, "d": None},
    ] * 20
    table = pa.Table.from_pylist(rows)
    times = pa.array([0, None] * 20, pa.timestamp("ns", tz="UTC"))
    return table.append_column("t", times).append_column("k", table["text"].dictionary_encode())


def parquet() -> bytes:
    file = io.BytesIO()
    pq.write_table(columns(), file, compression=random.Random(0).choice(["none", "snappy"]))
    return file.getvalue()


def arrow() -> bytes:
    file = io.BytesIO()
    with pa.ipc.new_file(file, columns().schema) as writer:
        writer.write_table(columns())
    return file.getvalue()


def text(*parts: str) -> Callable[[], bytes]:
    return lambda: "".join(parts).encode()


def saved(made: Any, how: str = "save") -> bytes:
    file = io.BytesIO()
    getattr(made, how)(file)
    return file.getvalue()


BASES: dict[str, list[Callable[[], bytes]]] = {
    ".docx": [word],
    ".pptx": [slides],
    ".xlsx": [sheet],
    ".pdf": [page, page, locked],
    ".parquet": [parquet],
    ".arrow": [arrow],
    ".csv": [text('id,text,n\n1,"a ""b""\nc",2\n', "2,caf\u00e9,\n" * 30)],
    ".jsonl": [text('{"id": "1", "text": "a", "n": {"b": [1.5, null, true]}}\n' * 30)],
    ".md": [
        text(
            "---\ntitle: a\ntags: [x, y]\ndate: 2024-01-01\n---\n# A\n\n```py\n# no\n```\n| a | b |\n|-|-|\n| 1 | 2 |\n"
        )
    ],
    ".html": [
        text(
            "<html><head><meta charset=utf-8><title>A</title></head><body><h1>B</h1><p>c &amp; d<table><tr><td>1</table></body>"
        )
    ],
}
OPTIONS: list[dict[str, Any]] = [
    *(
        {},
        {},
        {"id_from": "text"},
        {"text_field": ["text", "n"], "metadata_fields": ["n", "f"]},
        {"types": {"n": "int"}},
    ),
    *({"encoding": "utf-16"}, {"encoding": "shift_jis"}, {"encoding": "latin-1", "delimiter": ";"}),
]
VALUES = [
    b"0",
    b"-1",
    b"2147483648",
    b"99999999999999999999",
    b"1e400",
    b"",
    b"x",
    b"XFD1048576",
    b"ZZZZ9",
    b"A0",
    b"\xff",
    b"NaN",
    b"&a;",
]


def changed_package(raw: bytes, rng: random.Random) -> bytes:
    """A package of which a part is changed, left out, doubled, or said to be of another size."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        names = [part.filename for part in old.infolist()]
        told = [name for name in names if re.search(r"document|slide1|sheet1|workbook|sharedStrings|\[Content", name)]
        chosen = set(rng.sample(names, 1) if rng.random() < 0.3 or not told else rng.sample(told, 1))
        for name in names:
            data = old.read(name)
            if name in chosen:
                data = changed_part(data, rng)
                if rng.random() < 0.05:
                    continue
                if rng.random() < 0.05:
                    new.writestr(name, data)
            new.writestr(name, data)
    return out.getvalue()


def changed_part(data: bytes, rng: random.Random) -> bytes:
    """XML with another value, another name, an element many times or deep in itself, or an entity."""
    kind = rng.randrange(6)
    if kind < 2 and (places := [*re.finditer(rb'="([^"]*)"|>([^<>]+)<', data)]):
        place = rng.choice(places)
        start, end = place.span(1 if place[1] is not None else 2)
        return data[:start] + rng.choice(VALUES) + data[end:]
    if kind == 2 and (places := [*re.finditer(rb"<(\w+:?\w*)", data)]):
        one, other = rng.choice(places), rng.choice(places)
        return data[: one.start(1)] + other[1] + data[one.end(1) :]
    if kind == 3 and (places := [*re.finditer(rb"<(\w+:?\w+)[^<>]*>[^<>]*</\1>|<\w+:?\w+[^<>]*/>", data)]):
        place = rng.choice(places)
        return data[: place.start()] + place[0] * rng.choice([2, 300, 20_000]) + data[place.end() :]
    if kind == 4 and (places := [*re.finditer(rb"<(\w+:\w+)[^<>]*[^/]>", data)]):
        place, deep = rng.choice(places), rng.choice([3, 200, 3_000])
        return (
            data[: place.start()]
            + place[0] * deep
            + data[place.end() :].replace(b"</" + place[1] + b">", (b"</" + place[1] + b">") * deep, 1)
        )
    if kind == 5 and rng.random() < 0.3:
        bomb = b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 20) for n in range(1, 9))
        head = b'<!DOCTYPE x [<!ENTITY a0 "aaaaaaaaaa">' + bomb + b'<!ENTITY a "&a8;">]>'
        body = re.sub(rb"<\?xml[^>]*\?>", b"", data)
        return head + re.sub(rb">([^<>]+)<", b">&a;<", body, count=rng.choice([0, 1]))
    return changed_bytes(data, rng)


def changed_page(raw: bytes, rng: random.Random) -> bytes:
    """A PDF whose numbers, references or streams are others; what reads it finds the objects by itself."""
    kind = rng.randrange(5)
    if kind == 0 and (places := [*re.finditer(rb"\d+", raw)]):
        place = rng.choice(places)
        return (
            raw[: place.start()]
            + rng.choice([b"0", b"-1", b"99999999999", b"3", b"2147483647", b"4"])
            + raw[place.end() :]
        )
    if kind == 1 and (places := [*re.finditer(rb"\d+ 0 R", raw)]):
        place = rng.choice(places)
        return raw[: place.start()] + b"%d 0 R" % rng.randrange(12) + raw[place.end() :]
    if kind == 2 and (places := [*re.finditer(rb"stream\n(.*?)\nendstream", raw, re.DOTALL)]):
        place = rng.choice(places)
        data = rng.choice(
            [
                place[1] * 2_000,
                b"q " * 50_000,
                b"[" * 5_000,
                b"(" * 5_000,
                b"<<" * 5_000,
                b"BT /F 1e400 Tf 1e400 0 0 1e400 0 0 Tm (a) Tj ET",
                b"BI /W 99999 /H 99999 ID EI",
            ]
        )
        for _ in range(rng.choice([0, 1, 3])):
            data = zlib.compress(data)
            raw = raw.replace(b"/Length", b"/Filter [/FlateDecode /FlateDecode] /Length", 1)
        return raw[: place.start(1)] + data + raw[place.end(1) :]
    if kind == 3 and (places := [*re.finditer(rb"/(\w+)", raw)]):
        one, other = rng.choice(places), rng.choice(places)
        return raw[: one.start()] + other[0] + raw[one.end() :]
    return changed_bytes(raw, rng)


def made(seed: int) -> tuple[str, bytes]:
    """The suffix and the bytes of a file."""
    rng = random.Random(seed)
    suffix = rng.choice(list(BASES))
    raw = rng.choice(BASES[suffix])()
    change = {".pdf": changed_page, ".docx": changed_package, ".pptx": changed_package, ".xlsx": changed_package}.get(
        suffix, changed_bytes
    )
    for _ in range(rng.choice([1, 1, 2, 4])):
        try:
            raw = change(raw, rng) if rng.random() < 0.9 else changed_bytes(raw, rng)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, zlib.error, RuntimeError):
            break  # what was changed before is no package any more
    return suffix, raw


def failure(folder: Path, suffix: str, raw: bytes, **options: Any) -> str:
    """What is wrong with how a file is read; empty where nothing is."""
    file = folder / f"a{suffix}"
    file.write_bytes(raw)
    held = _peak(anew=True)
    before = signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(SECONDS)
    try:
        for _ in FileRows([file], **options):
            pass
    except EmbedkitError:
        pass
    except BaseException:
        return traceback.format_exc()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    grown = _peak() - held
    return f"{grown} MB" if grown > MEGABYTES else ""


def _peak(*, anew: bool = False) -> int:
    """The most MB that the process held; of Linux since it was asked ``anew``, which other tests of the process make necessary."""
    if sys.platform != "linux":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    if anew:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) // 1024


def _too_long(*_: object) -> None:
    raise KeyboardInterrupt(f"longer than {SECONDS} s")


def search(folder: Path, seeds: Iterable[int], *, until: float = float("inf")) -> list[str]:
    """What was wrong, by seeds."""
    found = []
    for seed in seeds:
        if time.monotonic() > until:
            break
        suffix, raw = made(seed)
        if wrong := failure(folder, suffix, raw, **random.Random(seed).choice(OPTIONS)):
            found.append(f"seed {seed}, {suffix}: {wrong}")
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        seeds = itertools.count(int(sys.argv[2]))
        for one in search(Path(place), seeds, until=time.monotonic() + float(sys.argv[1])):
            print(one)
        print("up to seed", next(seeds) - 1)
