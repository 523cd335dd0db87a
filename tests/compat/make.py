"""Write what this version of embedkit writes, for later versions to read: ``python tests/compat/make.py``.

Run it with the version whose data is wanted, before its release; the data of a version that was released is never
written again. ``tests/compat/data/VERSION`` then has

- ``bundles/``: bundles, the vectors that they give (``.npz``), and what is known of them (``.json``);
- ``stores/``: collections of each store that is a file or folder, and their rows (``.json.xz``);
- ``files/``: the other files that embedkit writes;
- ``public_names.json``: every public name, with the parameters that it takes.

The rows and texts are in the data, so what is compared later does not change with this script. With names of parts
(``make.py bundles stores/chroma``) only these are written.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from compat import make_bundles, make_collections, make_files, observed, public_names

PARTS: dict[str, Callable[[Path], None]] = {
    **{f"bundles/{name}": partial(make_bundles.make_bundle, name) for name in make_bundles.BUNDLES},
    "stores/rows": make_collections.make_rows,
    **{f"stores/{scheme}": partial(make_collections.make_store, scheme) for scheme in make_collections.SCHEMES},
    "files": make_files.make_files,
    "public_names": lambda work: observed.write_json(observed.here() / "public_names.json", public_names.everything()),
}


def main(names: Sequence[str]) -> None:
    """Each part in a folder of its own; later ones read what earlier ones wrote."""
    for name in [part for part in PARTS if not names or part.startswith(tuple(names))]:
        work = Path(tempfile.mkdtemp(prefix="embedkit-compat-"))
        home = os.getcwd()
        try:
            PARTS[name](work)
        finally:
            os.chdir(home)
            shutil.rmtree(work)
        print(name)


if __name__ == "__main__":
    main(sys.argv[1:])
