"""The bundle: a folder that holds an encoder, checked at every read and written whole or not at all."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from embedkit.errors import BundleError
from embedkit.system.files.kinds import is_special
from embedkit.vectors.arrays import FloatArray

from .golden import Golden, read_golden, read_vectors
from .graphs.external_data import external_files
from .graphs.interface import Interface, check_interface, read_interface
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
    _graphs: dict[str, tuple[set[str], Interface]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Bundle:
        """Read and validate the manifest; raises `BundleError` that names the field, what was expected and what was
        found."""
        path = _folder(folder)
        file = path / MANIFEST
        manifest = read_manifest(_read_manifest_bytes(file), str(file))
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

    def path(self, name: str, *, hashed: bool = True) -> Path:
        """The path of a file of the bundle, once its size and (unless that is not asked for) sha256 were found to be those of
        the manifest."""
        path = self._found(name)
        if name not in self._checked:
            entry = self.manifest.files[name]
            try:
                size = path.stat().st_size
                found = sha256_file(path) if hashed and size == entry.bytes else ""
            except OSError as error:
                raise BundleError(f"{path}: cannot be read ({error}); copy or export the bundle again") from error
            link = f" (a link to {os.path.realpath(path)})" if path.is_symlink() else ""
            if size != entry.bytes:
                raise BundleError(
                    f"{path}{link}: bytes: expected {entry.bytes}, found {size}; the file was changed or cut: copy or export the bundle again"
                )
            if not hashed:
                return path
            if found != entry.sha256:
                raise BundleError(
                    f"{path}{link}: sha256: expected {entry.sha256}, found {found}; the file was changed: copy or export the bundle again"
                )
            self._checked.add(name)
        return path

    def graph_path(self, role: str, variant: str, *, hashed: bool = True) -> Path:
        """The path of a role's ONNX file; it and its external data are files of the bundle and unchanged (as `path` checks it), and
        it takes and gives what the manifest says."""
        tower = self.tower(role)
        assert tower.graph is not None
        chosen = tower.graph.variants[variant]
        path, found = self._graph(chosen.file, chosen.data, hashed=hashed)
        check_interface(path.name, found, f"{self.folder / MANIFEST}: towers.{role}", tower.inputs, tower.outputs)
        return path

    def head_path(self, name: str, *, hashed: bool = True) -> Path:
        """The path of the ONNX file of a scorer's head for pairs, checked as `graph_path` checks it."""
        scorer = self.manifest.scorers[name]
        assert scorer.graph is not None
        path, found = self._graph(scorer.graph, [], hashed=hashed)
        for given, wanted in ((found.inputs, {"left", "right"}), (found.outputs, {"score"})):
            other = [tensor for tensor in given.values() if tensor.dtype != "float32"]
            if given.keys() != wanted or other:
                raise BundleError(
                    f"{self.folder / MANIFEST}: scorers.{name}.graph: expected {' and '.join(sorted(wanted))} in float32, found "
                    f"{', '.join(given) or 'nothing'}{f' in {other[0].dtype}' if other else ''} in {path.name}"
                )
        return path

    def _graph(self, file: str, data: list[str], *, hashed: bool) -> tuple[Path, Interface]:
        """The path of an ONNX file, which several roles may share and is read once, and what it takes and gives."""
        path = self.path(file, hashed=hashed)
        if file not in self._graphs:
            self._graphs[file] = (external_files(path), read_interface(path))
        needed, found = self._graphs[file]
        if not needed <= set(data):
            raise BundleError(
                f"{path}: external data: expected only files named in the manifest ({data}), found {sorted(needed - set(data))}"
            )
        for name in data:
            self.path(name, hashed=hashed)
        return path, found

    def golden(self) -> Golden:
        """The golden items and, for each role, what torch makes of them, by the name of the output."""
        towers = self.manifest.towers
        outputs = {role: self.tower(role).outputs for role in towers}
        # A role that is like another and prepares its items in the same way has that one's.
        owners = {
            role: tower.like if tower.like and towers[tower.like].frontend == tower.frontend else role
            for role, tower in towers.items()
        }
        return read_golden(self.path(self.manifest.golden), outputs, owners)

    def table(self, name: str) -> tuple[list[str], FloatArray]:
        """The ids and the (n, dim) float32 vectors of a table; `BundleError` naming those there are."""
        if not isinstance(name, str) or name not in self.manifest.tables:
            known = ", ".join(self.manifest.tables) or "none"
            raise BundleError(f"{self.folder}: expected a table of this bundle ({known}), found {name!r}")
        table = self.manifest.tables[name]
        role, _, output = table.output.partition(".")
        return read_vectors(self.path(table.file), name, self.tower(role).outputs[output].dim)

    def verify_files(self) -> int:
        """Check every file against the manifest; the number of files. Raises `BundleError` at the first that
        differs."""
        for name in self.manifest.files:
            self.path(name)
        for role, tower in self.manifest.towers.items():
            for variant in tower.graph.variants if tower.graph else ():
                self.graph_path(role, variant)
        for key, scorer in self.manifest.scorers.items():
            if scorer.graph is not None:
                self.head_path(key)
        return len(self.manifest.files)

    def _found(self, name: str) -> Path:
        """The path of a file by its plain name. It may be a link, as in the cache of huggingface_hub and in Kubernetes' volumes:
        what is behind it is checked as if it lay here."""
        path = self.folder / name
        if not os.path.exists(path):
            lost = "leads nowhere" if path.is_symlink() else "is missing"
            raise BundleError(f"{path}: the manifest names this file and it {lost}; copy or export the bundle again")
        if is_special(path) or not path.is_file():
            raise BundleError(f"{path}: expected a file, found a folder or a device; copy or export the bundle again")
        return path


_MOST_MANIFEST = 1 << 26
"""Bytes of a manifest that are read; real ones have some thousand."""


def _folder(folder: str | os.PathLike[str]) -> Path:
    try:
        path = Path(folder)
        found = path.is_dir()
    except (TypeError, ValueError, OSError) as error:
        raise BundleError(f"{folder!r:.200}: expected the path of a bundle folder ({error})") from None
    if not found:
        raise BundleError(
            f"{path}: expected a bundle folder, found {'a file' if os.path.exists(path) else 'nothing'}; make one with embedkit-export"
        )
    return path


def _read_manifest_bytes(file: Path) -> bytes:
    try:
        if is_special(file) or not file.is_file():
            raise BundleError(
                f"{file.parent}: no {MANIFEST} in this folder, so it is no bundle; make one with  embedkit-export MODEL --output DIR"
            )
        with file.open("rb") as opened:
            raw = opened.read(_MOST_MANIFEST + 1)
    except OSError as error:
        raise BundleError(f"{file}: cannot be read ({error}); copy or export the bundle again") from error
    if len(raw) > _MOST_MANIFEST:
        raise BundleError(f"{file}: expected at most {_MOST_MANIFEST:,} bytes; the file is no manifest")
    return raw
