"""`make demo-images`: a trained model of pictures, real pictures, what is on them, and which are like one another.

EfficientNet-Lite0 is exported with its head for the classes of ImageNet; the pictures of scikit-image, scikit-learn and matplotlib, and
pieces of them, go into a store. Everything after the export is done by commands of embedkit in processes that cannot import torch.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from pictures.packages import pictures

KNOWN = {
    "coffee.png": "espresso", "flower.jpg": "daisy", "china.jpg": "palace", "chelsea.png": "tiger cat", "rocket.jpg": "missile",
    "camera.png": "tripod", "motorcycle_left.png": "moped",
}  # fmt: skip
"""What the model sees on pictures of which everyone knows what they show."""
WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; from embedkit.cli.entry import main; main()"
QUERIES = {"motorcycle_left.png": "motorcycle", "chelsea-piece.jpg": "cat", "flower-piece.jpg": "flower"}


def main(home: Path = Path(".demo-images")) -> None:
    bundle, photos = home / "bundle", home / "photos"
    print("1. the model")
    export(bundle)
    print(f"\n2. pictures, into {photos}")
    print(f"{gather(photos)} pictures and pieces of pictures")
    print("\n3. what is on them, without torch")
    judge(bundle, photos)
    print(f"\n4. into {home / 'chroma'}, and searched by pictures")
    store = ["--store", f"chroma:{home / 'chroma'}", "--collection", "photos"]
    dead = ["--dead-letters", str(home / "photos.dead.jsonl")]
    print(embedkit("ingest", bundle, photos, *store, "--root", photos, *dead), end="")
    for name, sheet in QUERIES.items():
        for kind in ("png", "html"):
            drawn = home / f"{sheet}.{kind}"
            found = embedkit(
                "search",
                bundle,
                "--image",
                photos / name,
                *store,
                "-k",
                5,
                "--json",
                "--sheet",
                drawn,
                "--root",
                photos,
            )
        hits = ", ".join(f"{hit['id']} {hit['score']:.2f}" for hit in json.loads(found)["hits"])
        print(f"{name}: {hits}\n  contact sheet: {home / sheet}.png and .html")


def export(bundle: Path) -> None:
    """The bundle, exported unless it is there whole."""
    from embedkit import Bundle, BundleError
    from embedkit.bundle.quality import quality_table
    from embedkit.bundle.summary import measured_variants, variant_bytes

    try:
        Bundle.open(bundle).verify_files()
        print(f"{bundle} is there, all files unchanged")
        return
    except BundleError:
        pass
    from pictures.lite0 import exported

    started = time.perf_counter()
    print("exporting EfficientNet-Lite0 (some minutes)", flush=True)
    with_sample = bundle.parent / "sample"
    gather(with_sample, pieces=False)
    report = exported(bundle, sample=with_sample, progress=True)
    print(f"exported in {time.perf_counter() - started:.0f} s; measured against torch:")
    variants = measured_variants(report.manifest)
    sizes = {name: variant_bytes(report.manifest, variant) for name, variant in variants.items()}
    print(quality_table(variants, sizes).text())
    for note in report.notes:
        print(note)


def gather(folder: Path, *, pieces: bool = True) -> int:
    """Copy the pictures to a folder, and of each a piece: cropped, mirrored and saved again as JPEG. How many there are."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    folder.mkdir(parents=True, exist_ok=True)
    for path in pictures():
        try:
            with Image.open(path) as picture:
                whole = picture.convert("RGB")
        except UnidentifiedImageError:  # a TIFF of colours in planes
            continue
        if min(whole.size) < 100:
            continue
        shutil.copy(path, folder / path.name)
        if pieces:
            width, height = whole.size
            piece = whole.crop((width // 8, height // 8, width - width // 8, height - height // 8))
            ImageOps.mirror(piece).save(folder / f"{path.stem}-piece.jpg", quality=85)
    return len(list(folder.iterdir()))


def judge(bundle: Path, photos: Path) -> None:
    """Print the classes of the pictures; ends the program where one that is known is another."""
    lines = embedkit("classify", bundle, *(photos / name for name in KNOWN), "--top", 3).splitlines()
    wrong = []
    for line, (name, wanted) in zip(map(json.loads, lines), KNOWN.items(), strict=True):
        said = ", ".join(f"{label} {value:.2f}" for label, value in line["probabilities"].items())
        print(f"  {name:20}  {said}")
        wrong += [name] if line["class"] != wanted else []
    if wrong:
        sys.exit(f"other classes than expected: {', '.join(wrong)}")


def embedkit(*arguments: object) -> str:
    """What a command prints, in a process that cannot import torch."""
    command = [sys.executable, "-c", WITHOUT_TORCH, *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
