"""The bundle: a folder that holds an encoder, checked at every read and written whole or not at all."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from embedkit.system.processes import is_alive
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.sparse import SparseVectors
from embedkit.vectors.values import Values

from .errors import BundleError
from .onnxfile import external_files
from .types import MANIFEST, SCHEMA, FileEntry, Manifest, Output, Tower, is_plain_name


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


def read_manifest(raw: bytes, where: str) -> Manifest:
    """Decode and validate a manifest; raises `BundleError` that names the field, what was expected and what was
    found."""
    try:
        head = json.loads(raw)
    except ValueError as error:
        raise BundleError(f"{where}: not valid JSON ({error}); export the bundle again") from None
    found = head.get("schema") if isinstance(head, dict) else None
    if found != SCHEMA or isinstance(found, bool):
        raise BundleError(
            f"{where}: schema: expected {SCHEMA}, found {found!r}; this embedkit reads schema {SCHEMA} only"
        )
    try:
        manifest = msgspec.convert(head, Manifest)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `")
        steps, value = _locate(head, place.rstrip("`"))
        raise BundleError(f"{where}: {'.'.join(steps) or 'manifest'}: {message}, found {_short(value)}") from None
    _check_names(manifest, where)
    return manifest


def _locate(head: object, place: str) -> tuple[list[str], object]:
    """The keys that lead to msgspec's ``place``, such as ``$.towers[...].frontend``, and the value there.

    msgspec writes ``[...]`` for any key of a mapping: the key meant is one with which, alone in its mapping, the
    error stays.
    """
    keys: list[str] = []
    value = head
    for step in re.findall(r"\[[^\]]*\]|[^.\[\]]+", place.removeprefix("$")):
        if isinstance(value, list) and step.startswith("["):
            key: Any = int(step[1:-1])
        elif isinstance(value, dict) and step == "[...]":
            key = next((key for key in value if _fails_alone(head, keys, key)), None)
        else:
            key = step
        if not isinstance(value, dict | list) or (isinstance(value, dict) and key not in value):
            break
        keys.append(str(key))
        value = value[key]
    return keys, value


def _fails_alone(head: object, keys: list[str], key: str) -> bool:
    alone = copy.deepcopy(head)
    mapping: Any = alone
    for step in keys:
        mapping = mapping[int(step)] if isinstance(mapping, list) else mapping[step]
    for other in [other for other in mapping if other != key]:
        del mapping[other]
    try:
        msgspec.convert(alone, Manifest)
    except msgspec.ValidationError:
        return True
    return False


def golden_key(role: str, output: str) -> str:
    """What the golden file calls a role's values of an output; their parts follow after a dot."""
    return f"vectors.{role}" if output == "dense" else f"{output}.{role}"


def golden_arrays(values: Values, key: str) -> dict[str, npt.NDArray[Any]]:
    """Values as the arrays of the golden file."""
    if isinstance(values, SparseVectors):
        return {f"{key}.offsets": values.offsets, f"{key}.indices": values.indices, f"{key}.values": values.values}
    if isinstance(values, MultiVectors):
        return {f"{key}.offsets": values.offsets, f"{key}.values": values.values}
    return {key: values}


def golden_values(output: Output, key: str, data: Mapping[str, npt.NDArray[Any]]) -> Values | None:
    """The inverse of `golden_arrays`; None where the file has none."""
    if output.kind in ("dense", "logits"):
        return data.get(key)
    if f"{key}.offsets" not in data:
        return None
    offsets, values = data[f"{key}.offsets"], data[f"{key}.values"]
    if output.kind == "sparse":
        return SparseVectors(offsets, data[f"{key}.indices"], values, output.dim)
    return MultiVectors(offsets, values)


def _check_names(manifest: Manifest, where: str) -> None:
    """What types cannot say: every name is plain and listed, every reference leads somewhere."""
    for name in manifest.files:
        if not is_plain_name(name):
            raise BundleError(f"{where}: files: expected plain file names inside the folder, found {name!r}")

    def listed(name: str, place: str) -> None:
        if name not in manifest.files:
            raise BundleError(f"{where}: {place}: expected a file listed under `files`, found {name!r}")

    listed(manifest.golden, "golden")
    for role, tower in manifest.towers.items():
        listed(tower.frontend.tokenizer, f"towers.{role}.frontend.tokenizer")
        if tower.like is not None and (
            tower.like not in manifest.towers or manifest.towers[tower.like].like is not None
        ):
            raise BundleError(
                f"{where}: towers.{role}.like: expected a tower that is not itself `like` another, found {tower.like!r}"
            )
        for key, variant in (tower.graph.variants if tower.graph else {}).items():
            for name in (variant.file, *variant.data):
                listed(name, f"towers.{role}.graph.variants.{key}")
    for key, scorer in manifest.scorers.items():
        if scorer.graph is not None:
            listed(scorer.graph, f"scorers.{key}.graph")
        for side in (scorer.left, scorer.right):
            role, _, output = side.partition(".")
            tower_ = manifest.towers.get(role)
            base = manifest.towers.get(tower_.like) if tower_ is not None and tower_.like else tower_
            if base is None or output not in base.outputs:
                raise BundleError(f"{where}: scorers.{key}: expected TOWER.OUTPUT of this bundle, found {side!r}")


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."


def fingerprint(manifest: Manifest) -> str:
    """sha256 of all that decides the vector space: the fp32 graph, tokenizer, templates, truncation, outputs and
    similarity.

    Two bundles of one fingerprint give interchangeable vectors, so the precision of the graph is not part of it;
    where a bundle carries no fp32 graph, its first variant stands for it.
    """
    towers: dict[str, object] = {}
    for role, tower in manifest.towers.items():
        whole: dict[str, object] = {
            "like": tower.like,
            "frontend": tower.frontend,
            "inputs": tower.inputs,
            "outputs": tower.outputs,
        }
        whole["tokenizer"] = manifest.files[tower.frontend.tokenizer].sha256
        if tower.graph:
            variant = tower.graph.variants.get("fp32") or next(iter(tower.graph.variants.values()))
            whole["graph"] = [manifest.files[name].sha256 for name in (variant.file, *variant.data)]
        towers[role] = whole
    heads = [manifest.files[scorer.graph].sha256 for scorer in manifest.scorers.values() if scorer.graph is not None]
    whole_space = [towers, manifest.scorers, *([heads] if heads else [])]
    return hashlib.sha256(msgspec.json.encode(whole_space, order="sorted")).hexdigest()


def sha256_file(path: Path) -> str:
    """The hex sha256 of a file, read in pieces."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


@contextmanager
def writing(target: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """A folder to write a bundle into; it becomes ``target`` when the block ends, and vanishes when the block raises.

    The work is done in a hidden folder beside ``target``, so an export that is cut leaves no half bundle; what a
    killed one left is removed by the next. An existing ``target`` is refused, unless it is a bundle or empty and
    ``overwrite`` is set.
    """
    goal = Path(target)
    check_target(goal, overwrite=overwrite)
    goal.parent.mkdir(parents=True, exist_ok=True)
    for stale in goal.parent.glob(f".{goal.name}.partial-*"):
        if not is_alive(stale.name.rpartition("partial-")[2].partition("-")[0]):
            shutil.rmtree(stale, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix=f".{goal.name}.partial-{os.getpid()}-", dir=goal.parent))
    try:
        yield work
        work.chmod(0o755)
        for path in work.iterdir():
            _sync(path)
        _sync(work)
        check_target(goal, overwrite=overwrite)
        old = work.with_name(work.name + "-old")
        if goal.exists():
            goal.rename(old)
        work.rename(goal)
        _sync(goal.parent)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def check_target(goal: Path, *, overwrite: bool) -> None:
    """Raise `BundleError` where a bundle may not be written to ``goal``; called before the long work and again at its
    end."""
    if not goal.exists():
        return
    if not goal.is_dir():
        raise BundleError(f"{goal}: expected a folder to write, found a file; choose another --output")
    if any(goal.iterdir()):
        if not (goal / MANIFEST).is_file():
            raise BundleError(f"{goal}: the folder holds other files than a bundle; choose another --output")
        if not overwrite:
            raise BundleError(
                f"{goal}: a bundle is there already; pass --overwrite to replace it, or choose another --output"
            )


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Write ``embedkit.json`` into ``folder``, with the hashes of all other files and the fingerprint filled in."""
    names = sorted(path.name for path in folder.iterdir() if path.name != MANIFEST)
    files = {name: FileEntry(sha256=sha256_file(folder / name), bytes=(folder / name).stat().st_size) for name in names}
    manifest = msgspec.structs.replace(manifest, files=files)
    manifest = msgspec.structs.replace(manifest, fingerprint=fingerprint(manifest))
    raw = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    read_manifest(raw, str(folder / MANIFEST))
    part = folder / (MANIFEST + ".part")
    part.write_bytes(raw)
    part.replace(folder / MANIFEST)
    return manifest


def _sync(path: Path) -> None:
    if os.name == "nt":  # folders cannot be opened there
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
