"""What an export has proved so far, kept beside its output, so that one that was cut goes on from there."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import msgspec
import numpy as np
import onnx_ir as ir

from embedkit import bundle
from embedkit.bundle.hashes import sha256_file
from embedkit.bundle.manifest import Output, Variant
from embedkit.errors import ExportError
from embedkit.system.atomic import atomic_file
from embedkit.system.cache import processor
from embedkit.vectors.values import Values
from embedkit_export import files
from embedkit_export.plan.tokenizers import Tokenizers
from embedkit_export.quantization.forms import FusedGraph
from embedkit_export.reporting.manifest import Description
from embedkit_export.verification.gates import Gates
from embedkit_export.verification.media.samples import sample_key
from embedkit_export.verification.sample import Sample

_NAME = ".unfinished-"


class Proven(msgspec.Struct, frozen=True):
    """A variant that passed, by the role that owns its graph, with the operators that matter in it, the notes on it and what the
    labels of the sample said of it; or, where there is none, why it is ``missing``. ``files`` have their sha256."""

    variants: dict[str, Variant]
    operators: dict[str, int]
    notes: list[str]
    labels: dict[str, float]
    missing: str | None
    files: dict[str, str] = {}


class Unfinished:
    """Keeps torch's values and the variants of one export in a hidden folder beside ``target``: ``.NAME.unfinished-KEY``, where the key
    stands for all that decides them (`export_key`). Where nothing can be kept, nothing is, and the export goes on."""

    def __init__(self, target: Path, key: str) -> None:
        self._folder = target.with_name(f".{target.name}{_NAME}{key}")
        self.taken = False
        """Whether `values` has given what was kept."""

    def values(
        self, role: str, outputs: Mapping[str, Output], count: int, make: Callable[[], dict[str, Values]]
    ) -> dict[str, Values]:
        """What torch makes of the ``count`` items of a role, by output: as it was kept, or ``make``'s, which is kept."""
        path = self._folder / f"torch.{hashlib.sha256(role.encode()).hexdigest()[:16]}.npz"
        with suppress(OSError, ValueError, KeyError, EOFError, BadZipFile), np.load(path, allow_pickle=False) as data:
            found = {name: bundle.golden_values(output, name, data) for name, output in outputs.items()}
            known = {name: values for name, values in found.items() if values is not None and len(values) == count}
            if len(known) == len(outputs):
                self.taken = True
                return known
        made = make()
        arrays = {part: array for name in outputs for part, array in bundle.golden_arrays(made[name], name).items()}
        with suppress(OSError), self._writing(path) as file:
            files.write_npz(file, arrays)
        return made

    def find(self, variant: str, folder: Path) -> Proven | None:
        """What is known of a variant, with its files in ``folder``; None where that is nothing."""
        taken: list[Path] = []
        try:
            kept = msgspec.json.decode((self._folder / f"{variant}.json").read_bytes(), type=Proven)
            for name, digest in kept.files.items():
                taken.append(folder / name)
                _linked(self._folder / name, folder / name)
                if sha256_file(folder / name) != digest:
                    raise ValueError(name)
        except (OSError, ValueError):
            for path in taken:
                path.unlink(missing_ok=True)
            return None
        return kept

    def keep(self, variant: str, folder: Path, proven: Proven) -> None:
        """Keep a variant whose files lie in ``folder``."""
        names = [name for made in proven.variants.values() for name in (made.file, *made.data)]
        with suppress(OSError):
            self._folder.mkdir(exist_ok=True)
            for name in names:
                (self._folder / name).unlink(missing_ok=True)
                _linked(folder / name, self._folder / name)
            known = msgspec.structs.replace(proven, files={name: sha256_file(folder / name) for name in names})
            with atomic_file(self._folder / f"{variant}.json") as file:
                file.write(msgspec.json.encode(known))

    @contextmanager
    def _writing(self, path: Path) -> Iterator[Path]:
        """A file to write, which becomes ``path``."""
        self._folder.mkdir(exist_ok=True)
        part = path.with_suffix(".part.npz")
        yield part
        part.replace(path)


@contextmanager
def until_ended(target: Path) -> Iterator[None]:
    """Forget all that was kept for exports to ``target`` once the block ends, well or because the model does not pass; not where it
    is cut."""
    try:
        yield
    except ExportError:
        _forget(target)
        raise
    _forget(target)


def export_key(
    graphs: Mapping[str, FusedGraph],
    description: Description,
    samples: Mapping[str, Sample],
    tokenizers: Tokenizers,
    gates: Mapping[str, Gates],
) -> str:
    """What an export's proofs depend on, as a short name: the weights and all that the manifest says, the captured graphs, the sample,
    the gates, the code and the packages that work on them, and the processor."""
    digest = hashlib.sha256()

    def add(*parts: Any) -> None:
        digest.update(repr(parts).encode("utf-8", "surrogatepass"))

    add(processor(), {name: msgspec.to_builtins(one) for name, one in gates.items()})
    for package in ("embedkit", "embedkit_export"):
        found = find_spec(package)
        for root in (found.submodule_search_locations or []) if found else []:
            for path in sorted(Path(root).rglob("*.py")):
                add(path.relative_to(root).as_posix(), path.read_bytes())
    add(msgspec.json.encode(description.manifest({owner: {} for owner in graphs}), order="sorted"))
    for owner, graph in graphs.items():
        add(owner, graph.max_tokens)
        for node in graph.model.graph.all_nodes():
            add(node.domain, node.op_type, [value and value.name for value in node.inputs])
            add([value.name for value in node.outputs], [_attribute(one) for _, one in sorted(node.attributes.items())])
        for feed in graph.feeds:
            add([(name, array.dtype.str, array.shape, array.tobytes()) for name, array in sorted(feed.items())])
        own = samples[sample_key(description.prepared.plan.roles[owner].frontend)]
        add([_ordered(key) for key in tokenizers.keys(owner, own.texts)], own.pairs, own.queries, own.documents)
    return digest.hexdigest()[:16]


def _ordered(key: Any) -> Any:
    """The key of an item, without an order that another process has otherwise."""
    if isinstance(key, tuple):
        return tuple(map(_ordered, key))
    return sorted(map(repr, key)) if isinstance(key, frozenset) else key


def _attribute(given: ir.Attr) -> Any:
    if given.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS):
        return given.name  # its nodes come by themselves
    if given.type == ir.AttributeType.TENSOR:
        return given.name, given.value.tobytes()
    return given.name, given.value


def _linked(source: Path, target: Path) -> None:
    """The same file under another name, or where there are no links a copy."""
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)


def _forget(target: Path) -> None:
    with suppress(OSError):
        for left in target.parent.glob(f".{target.name}{_NAME}*"):
            shutil.rmtree(left, ignore_errors=True)
