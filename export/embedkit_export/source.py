"""Where a model comes from: a sentence-transformers folder, a plain transformers folder, a hub name, or a live
object."""

from __future__ import annotations

import copy
import hashlib
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from embedkit.errors import ExportError, MissingExtraError

Pooling: TypeAlias = Literal["cls", "mean", "max"]


@dataclass(frozen=True)
class Source:
    """A loaded model in evaluation mode on the CPU; ``model`` is a SentenceTransformer."""

    name: str
    model: Any
    checkpoint_sha256: str
    notes: list[str]


def load(model: Any, *, pooling: Pooling | None = None, normalize: bool | None = None) -> Source:
    """Load ``model``: a folder, a hub name, or a live SentenceTransformer (which is copied, never changed).

    ``pooling`` and ``normalize`` say what a plain transformers folder does not: without them its vectors are the mean
    of the token vectors, not normalised. They are refused for a model that states its own. Raises `ExportError`.
    """
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise MissingExtraError("sentence_transformers", "export", "exporting a model") from error
    notes: list[str] = []
    plain = False
    with quiet():
        if isinstance(model, SentenceTransformer):
            name = str(getattr(model.model_card_data, "model_name", None) or "live model")
            loaded = copy.deepcopy(model).to("cpu")
        elif isinstance(model, str | os.PathLike):
            folder = Path(model)
            name = _name(folder.resolve()) if folder.exists() else str(model)
            plain = _check_folder(folder, str(model))
            try:
                loaded = SentenceTransformer(str(model), device="cpu")
            except Exception as error:
                raise ExportError(
                    f"{model}: cannot be loaded as a sentence-transformers or transformers model: {error}"
                ) from error
        else:
            raise ExportError(
                f"model: expected a folder, a hub name or a SentenceTransformer, found {type(model).__name__}"
            )
        if plain:
            loaded, notes = _surround(loaded, pooling, normalize)
        elif pooling is not None or normalize is not None:
            raise ExportError(
                f"{name}: the model states its own pooling and normalisation; leave --pooling and --normalize out"
            )
        loaded = loaded.float().eval()
    return Source(name, loaded, _weights_sha256(loaded), notes)


def _name(folder: Path) -> str:
    """The folder's name, with its parent's where it says nothing by itself."""
    return f"{folder.parent.name}/{folder.name}" if folder.name in ("model", "final", "best", "output") else folder.name


def _check_folder(folder: Path, given: str) -> bool:
    """Whether it is a plain transformers folder; raises where it is no model at all."""
    if folder.is_file():
        raise ExportError(f"{folder}: expected a model folder, found a file; give the folder that holds config.json")
    if not folder.is_dir():
        if given.count("/") > 1 or given.startswith((".", "/", "~")):
            raise ExportError(f"{folder}: there is no such folder")
        return False
    if (folder / "modules.json").is_file():
        return False
    if not (folder / "config.json").is_file():
        raise ExportError(
            f"{folder}: no model here: expected modules.json (sentence-transformers) or config.json (transformers) in the folder"
        )
    return True


def _surround(loaded: Any, pooling: Pooling | None, normalize: bool | None) -> tuple[Any, list[str]]:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize
    from sentence_transformers.sentence_transformer.modules import Pooling as PoolingModule

    transformer = loaded[0]
    mode = pooling or "mean"
    modules = [
        transformer,
        PoolingModule(transformer.get_embedding_dimension(), pooling_mode=mode),
        *([Normalize()] if normalize else []),
    ]
    notes = (
        [] if pooling else ["a plain transformers folder names no pooling: mean is used; pass --pooling to change it"]
    )
    return SentenceTransformer(modules=modules, device="cpu"), notes


def _weights_sha256(model: Any) -> str:
    """sha256 over all parameters and buffers, by name: the same weights give the same digest however they were
    stored.

    A pooler is left out: no vector here comes from it, and where the checkpoint has none it is made at random.
    """
    digest = hashlib.sha256()
    for key, tensor in sorted(model.state_dict().items()):
        if ".pooler." in key:
            continue
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the chatter of torch and transformers (progress bars, deprecations, missing optional packages) from the
    terminal."""
    from transformers.utils import logging as transformers_logging

    bars = transformers_logging.is_progress_bar_enabled()
    level = logging.root.manager.disable
    transformers_logging.disable_progress_bar()
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
        if bars:
            transformers_logging.enable_progress_bar()
