"""A contact sheet as one page of HTML that needs no other file."""

from __future__ import annotations

import base64
import io
from html import escape

from .cells import EDGE, Cell, Sheet

_STYLE = f"""
body {{ font: 13px/1.3 system-ui, sans-serif; margin: 14px; color: #181818; background: #fff }}
section {{ display: flex; flex-wrap: wrap; gap: 14px; margin-bottom: 28px }}
figure {{ margin: 0; width: {EDGE}px }}
figure > div {{ width: {EDGE}px; height: {EDGE}px; background: #f0f0f0; display: flex; align-items: center; justify-content: center }}
figure.query > div {{ outline: 2px solid #c82828; outline-offset: 1px }}
div > p {{ margin: 10px; overflow-wrap: anywhere; max-height: {EDGE - 20}px; overflow: hidden }}
p.missing {{ color: #c82828 }}
figcaption {{ margin-top: 5px; overflow-wrap: anywhere }}
figcaption span {{ display: block; color: #6e6e6e }}
"""


def html_page(sheet: Sheet) -> str:
    """The page: a section for each query. All that is said is escaped, pictures are inside it, and nothing is fetched or run."""
    sections = "\n".join(f"<section>{''.join(map(_figure, cells))}</section>" for cells in sheet.rows)
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<title>Search</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{sections}\n</body>\n</html>\n"
    )


def _figure(cell: Cell) -> str:
    lines = list(cell.lines)
    if cell.picture is not None:
        alt = escape(lines[0] if lines else cell.head, quote=True)
        shown = f'<img src="data:image/jpeg;base64,{_jpeg(cell)}" alt="{alt}">'
    elif cell.missing:
        shown = f'<p class="missing">{escape(cell.missing)}</p>'
    else:
        shown, lines = f"<p>{escape(' '.join(lines))}</p>", []
    said = "".join(f"<span>{escape(line)}</span>" for line in lines)
    kind = ' class="query"' if cell.query else ""
    return f"<figure{kind}><div>{shown}</div><figcaption><b>{escape(cell.head)}</b>{said}</figcaption></figure>"


def _jpeg(cell: Cell) -> str:
    file = io.BytesIO()
    cell.picture.save(file, "JPEG", quality=85)
    return base64.b64encode(file.getvalue()).decode("ascii")
