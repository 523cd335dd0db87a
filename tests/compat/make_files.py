"""The other files that embedkit writes, kept by `make.py`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

import embedkit
from compat import observed

STORE, COLLECTION = "sqlite-vec", "docs ü"
_SOURCES = {
    "rows.jsonl": '{"id": "j1", "text": "a row", "n": 1, "deep": {"list": [1, null]}}\n\n{"id": 2, "text": "héllo"}\n'
    '{"text": "no id"}\nnot json\n{"id": "j1", "text": "again"}\n',
    "rows.csv": 'id,text,n,when\nc1,"two\nlines, ""quoted""",1,2024-05-01\nc2,,2,\nc3,three,x,2024-05-02\n',
    "rows.tsv": "id\ttext\nt1\ta text\nt2\t日本語\n",
    "guide/read me.md": "---\ntitle: A guide\ntags: [a, b]\n---\n# Guide\n\nFirst words.\n\n## Install\n\n```\n# no heading\n```\n"
    "Last *words*.\n",
    "guide/page.html": "<!doctype html><title>A page &amp; more</title><nav>menu</nav><h1>Top</h1><p>One<br>two</p>"
    "<script>no()</script><ul><li>x<li>y</ul>",
    "guide/notes.txt": "plain\r\nnotes 🎉\n",
    "guide/.hidden.txt": "hidden",
}


def make_files(work: Path) -> None:
    """Lexical indexes, ranges, saved vectors, dead letters; and what is read of files to be ingested."""
    here = observed.here()
    observed.unpack(here / "stores" / f"{STORE}.tar.xz", work / "place")
    bundle = observed.unpack(here / "bundles" / "tiny-kinds.tar.xz", work / "bundle")
    encoder = observed.load(bundle)
    files = work / "files"
    for name, text in _SOURCES.items():
        path = files / "sources" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    os.chdir(work / "place")
    with embedkit.open_store(f"{STORE}:index") as store:
        for name, options in (("plain", {}), ("english", {"language": "english", "stopwords": ["the", "and"]})):
            embedkit.LexicalIndex.build(store, collection=COLLECTION, **options).save(files / "words" / name)
    vectors = np.load(here / "bundles" / "tiny.npz")["fp32/document/dense"]
    for suffix in ("json", "npz"):
        embedkit.fit_ranges(vectors).save(files / f"ranges.{suffix}")
    outputs = encoder.encode_outputs(["bread", "", "rain 🎉"])
    for name in ("sparse", "multivector"):
        outputs[name].save(files / f"{name}.npz")
    os.chdir(files)
    observed.bury(encoder, files / "bad.dead.jsonl")
    observed.pack(files, here / "files" / "files.tar.xz")
    told: dict[str, Any] = {
        "store": STORE,
        "collection": COLLECTION,
        "bundle": "tiny-kinds",
        **observed.read(files, encoder),
    }
    told["words"] = observed.words(files, told["questions"])
    told["quantized"] = observed.quantized(files, vectors)
    told["vectors"] = vectors
    told["saved"] = {
        name: value
        for kind in ("sparse", "multivector")
        for name, value in observed.arrays(observed.saved(files, kind), kind).items()
    }
    told["retried"] = observed.retried(encoder, files / "bad.dead.jsonl")
    observed.write_json(here / "files" / "files.json", told)
