"""The bundle: a folder that holds an encoder, checked at every read and written whole or not at all."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from embedkit.errors import BundleError
from embedkit.vectors.arrays import FloatArray
from embedkit.vectors.values import Values

from .external_data import external_files
from .golden import golden_key, golden_values
from .hashes import fingerprint, sha256_file
from .manifest import MANIFEST, Manifest, Tower
from .validation import read_manifest


@dataclass(frozen=True)
class Bundle:
    """An opened bundle. `Bundle.open` validates the manifest; a file's hash is checked when its path is first asked
    for."""

    folder: Path
    manifest: Manifest
    _checked: set[str] = field(default_factory=set, repr=False, compare=False)

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Bundle:
        """Read and validate the manifest; raises `BundleError` that names the field, what was expected and what was
        found."""
        path = Path(folder)
        file = path / MANIFEST
        if not path.is_dir():
            raise BundleError(
                f"{path}: expected a bundle folder, found {'a file' if path.exists() else 'nothing'}; make one with embedkit-export"
            )
        if not file.is_file():
            raise BundleError(
                f"{path}: no {MANIFEST} in this folder, so it is no bundle; make one with  embedkit-export MODEL --output DIR"
            )
        manifest = read_manifest(file.read_bytes(), str(file))
        if manifest.fingerprint != fingerprint(manifest):
            raise BundleError(
                f"{file}: fingerprint: expected {fingerprint(manifest)}, found {manifest.fingerprint}; the manifest was edited: export again"
            )
        return cls(path, manifest)

    def tower(self, role: str) -> Tower:
        """The tower of a role with all that its ``like`` takes over."""
        towers = self.manifest.towers
        tower = towers[role]
        if tower.like is None:
            return tower
        base = towers[tower.like]
        return msgspec.structs.replace(
            tower,
            like=None,
            inputs=tower.inputs or base.inputs,
            graph=tower.graph or base.graph,
            outputs=tower.outputs or base.outputs,
        )

    def path(self, name: str) -> Path:
        """The path of a file of the bundle, once its size and sha256 were found to be those of the manifest."""
        path = self._inside(name)
        if name not in self._checked:
            entry = self.manifest.files[name]
            size = path.stat().st_size
            if size != entry.bytes:
                raise BundleError(
                    f"{path}: bytes: expected {entry.bytes}, found {size}; the file was changed or cut: copy or export the bundle again"
                )
            found = sha256_file(path)
            if found != entry.sha256:
                raise BundleError(
                    f"{path}: sha256: expected {entry.sha256}, found {found}; the file was changed: copy or export the bundle again"
                )
            self._checked.add(name)
        return path

    def graph_path(self, role: str, variant: str) -> Path:
        """The path of a role's ONNX file; it and its external data are inside the folder and unchanged."""
        graph = self.tower(role).graph
        assert graph is not None
        chosen = graph.variants[variant]
        path = self.path(chosen.file)
        needed = external_files(path)
        if not needed <= set(chosen.data):
            raise BundleError(
                f"{path}: external data: expected only files named in the manifest ({chosen.data}), found {sorted(needed - set(chosen.data))}"
            )
        for name in chosen.data:
            self.path(name)
        return path

    def golden(self) -> tuple[list[str], dict[str, dict[str, Values]]]:
        """The golden texts and, for each role, what torch makes of them, by the name of the output."""
        with np.load(self.path(self.manifest.golden), allow_pickle=False) as data:
            texts = [str(text) for text in data["texts"]]
            found: dict[str, dict[str, Values]] = {}
            for role in self.manifest.towers:
                for name, output in self.tower(role).outputs.items():
                    values = golden_values(output, golden_key(role, name), data)
                    if values is not None:
                        found.setdefault(role, {})[name] = values
            return texts, found

    def table(self, name: str) -> tuple[list[str], FloatArray]:
        """The ids and the (n, dim) float32 vectors of a table; `BundleError` naming those there are."""
        if name not in self.manifest.tables:
            known = ", ".join(self.manifest.tables) or "none"
            raise BundleError(f"{self.folder}: expected a table of this bundle ({known}), found {name!r}")
        file = self.manifest.tables[name].file
        try:
            with np.load(self.path(file), allow_pickle=False) as data:
                ids, vectors = [str(row) for row in data["ids"]], np.asarray(data["vectors"], dtype=np.float32)
        except (ValueError, KeyError, OSError) as error:
            raise BundleError(
                f"{self.folder / file}: no table of ids and vectors ({error}); export the bundle again"
            ) from None
        if vectors.ndim != 2 or len(ids) != len(vectors):
            raise BundleError(
                f"{self.folder / file}: expected a vector for each of {len(ids)} ids, found the shape {vectors.shape}"
            )
        return ids, vectors

    def verify_files(self) -> int:
        """Check every file against the manifest; the number of files. Raises `BundleError` at the first that
        differs."""
        for name in self.manifest.files:
            self.path(name)
        for role, tower in self.manifest.towers.items():
            for variant in tower.graph.variants if tower.graph else ():
                self.graph_path(role, variant)
        return len(self.manifest.files)

    def _inside(self, name: str) -> Path:
        path = self.folder / name
        try:
            real = path.resolve(strict=True)
        except OSError:
            raise BundleError(
                f"{path}: the manifest names this file and it is missing; copy or export the bundle again"
            ) from None
        if real.parent != self.folder.resolve() or not real.is_file():
            raise BundleError(
                f"{path}: expected a file inside the bundle, found a link to {real}; copy the file itself into the bundle"
            )
        return path
