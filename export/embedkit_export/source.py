"""Where a model comes from: a sentence-transformers folder, a transformers folder, a GGUF file, a hub name, or live
objects."""

from __future__ import annotations

import copy
import hashlib
import io
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from embedkit.errors import ExportError, InputError, MissingExtraError

from . import pipelines

_CHARACTERS = "abcACGT012.éяع的"


@dataclass(frozen=True)
class Source:
    """A loaded model in evaluation mode on the CPU, float32."""

    name: str
    backbone: Any
    """The transformers model (or a module with its call), token ids in, ``last_hidden_state`` out."""
    tokenizer: Any
    """The transformers tokenizer."""
    folder: Path | None = None
    model: Any = None
    """The SentenceTransformer around the backbone, where there is one."""
    records: list[str] = field(default_factory=list)
    """Where the weights came from and what was done to them, for the manifest."""
    notes: list[str] = field(default_factory=list)
    routes: dict[str, Source] = field(default_factory=dict)
    """The sources of roles that have a backbone of their own inside one model (a Router's routes)."""


@dataclass(frozen=True)
class Loading:
    """How a model is loaded. ``revision`` pins a hub name; ``trust_remote_code`` runs code that the model brings."""

    model_class: str | None = None
    surgery: Any = None
    base: Path = Path()
    """What paths in the surgery are relative to."""
    revision: str | None = None
    trust_remote_code: bool = False


def load(model: Any, how: Loading | None = None) -> Source:
    """Load ``model``: a folder, a ``.gguf`` file, a hub name, a live SentenceTransformer, or a pair of a live
    transformers model and its tokenizer (which are copied, never changed). Raises `ExportError`."""
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise MissingExtraError("sentence_transformers", "export", "exporting a model") from error
    how = how or Loading()
    with quiet():
        if isinstance(model, SentenceTransformer):
            name = str(getattr(model.model_card_data, "model_name", None) or "live model")
            return _around(copy.deepcopy(model).to("cpu"), name, None, how)
        if isinstance(model, tuple) and len(model) == 2:
            _no_surgery(how, "live objects")
            backbone, notes = _backbone(copy.deepcopy(model[0]).to("cpu").float().eval())
            return Source(type(backbone).__name__, backbone, model[1], folder=None, notes=notes)
        if not isinstance(model, str | os.PathLike):
            raise ExportError(
                "model: expected a folder, a hub name, a SentenceTransformer or a pair (model, tokenizer), "
                f"found {type(model).__name__}"
            )
        folder, records = _folder(model, how)
        name = _name(folder.resolve()) if Path(model).exists() else str(model)
        notes = []
        if how.trust_remote_code:
            notes.append("code that came with the model was run (trust_remote_code); read it before you do so again")
        try:
            if folder.suffix == ".gguf":
                loaded = _from_gguf(folder, name)
            elif (folder / "modules.json").is_file() and how.surgery is None:
                whole = SentenceTransformer(str(folder), device="cpu", trust_remote_code=how.trust_remote_code)
                loaded = _around(whole, name, folder, how)
            else:
                loaded = _plain(folder, name, how)
        except (ExportError, InputError):
            raise
        except Exception as error:
            hint = ""
            if "trust_remote_code" in str(error):
                hint = "; this model brings code of its own: read it, then pass --trust-remote-code"
            raise ExportError(
                f"{model}: cannot be loaded as a sentence-transformers or transformers model: {error}{hint}"
            ) from error
    _check_tokenizer(loaded.tokenizer, model)
    return Source(
        loaded.name,
        loaded.backbone,
        loaded.tokenizer,
        folder if folder.is_dir() else folder.parent,
        loaded.model,
        [*records, *loaded.records],
        [*notes, *loaded.notes],
        loaded.routes,
    )


def _around(model: Any, name: str, folder: Path | None, how: Loading) -> Source:
    """The source of a SentenceTransformer."""
    _no_surgery(how, "a sentence-transformers model")
    model = model.float().eval()
    first = {role: next(iter(pipelines.pipeline(model, role)), None) for role in ("default", "query", "document")}
    sources: dict[int, Source] = {}
    for module in first.values():
        if id(module) not in sources:
            sources[id(module)] = Source(name, *pipelines.reader(module), folder, model)
    own = {role: sources[id(module)] for role, module in first.items() if module is not first["default"]}
    return replace(sources[id(first["default"])], routes=own)


def _check_tokenizer(tokenizer: Any, model: Any) -> None:
    """Raise `ExportError` where no character is told from another: where its files are missing, transformers makes a
    tokenizer that knows special tokens only."""
    if callable(tokenizer) and len({tuple(tokenizer(text)["input_ids"]) for text in _CHARACTERS}) == 1:
        raise ExportError(
            f"{model}: the tokenizer knows no words: put its files (tokenizer.json, tokenizer_config.json) beside the weights, with "
            "the tokenizer's save_pretrained"
        )


def _no_surgery(how: Loading, what: str) -> None:
    if how.surgery is not None:
        raise ExportError(f"surgery: cannot be done on {what}; give the folder with its checkpoint")


def _plain(folder: Path, name: str, how: Loading) -> Source:
    """The source of a transformers folder."""
    from transformers import AutoConfig, AutoTokenizer

    inner = _transformer_folder(folder)
    config = AutoConfig.from_pretrained(inner, trust_remote_code=how.trust_remote_code)
    tokenizer = AutoTokenizer.from_pretrained(inner, trust_remote_code=how.trust_remote_code)
    kind = model_class(config, how.model_class)
    records: list[str] = []
    if how.surgery is not None:
        from . import surgery

        def build(given: Any) -> Any:
            return kind.from_config(given) if hasattr(kind, "from_config") else kind(given)

        model, records = surgery.apply(inner, how.surgery, build=build, root=how.base)
        random_pooler = any("made at random" in record for record in records)
    else:
        model, info = kind.from_pretrained(
            inner, output_loading_info=True, dtype="float32", trust_remote_code=how.trust_remote_code
        )
        missing = sorted(key for key in info["missing_keys"] if ".pooler." not in f".{key}")
        random_pooler = len(missing) < len(info["missing_keys"])
        if missing:
            raise ExportError(
                f"{folder}: the checkpoint lacks {len(missing)} weights of {type(model).__name__} (first: {missing[0]}), which would "
                "be random; name another --model-class, or select, strip or rename its weights in the recipe's [surgery]"
            )
    model, notes = _backbone(model.float().eval())
    if random_pooler and hasattr(model, "pooler"):
        model.pooler = None  # not in the checkpoint: nothing may come from it
    return Source(name, model, tokenizer, folder, None, records, notes)


def _backbone(model: Any) -> tuple[Any, list[str]]:
    """The part of a model that gives token vectors: without a head, and of two halves the encoder; and notes."""
    notes: list[str] = []
    while getattr(model, "base_model", model) is not model:  # a head, or a wrapper such as DPR's
        model = model.base_model
        if getattr(getattr(model, "config", None), "projection_dim", 0) and hasattr(model, "encode_proj"):
            notes.append(
                "this checkpoint has a projection (encode_proj) that is not part of the backbone: give it as a linear stage"
            )
    if getattr(getattr(model, "config", None), "is_encoder_decoder", False) and hasattr(model, "get_encoder"):
        model = model.get_encoder()
    return model, notes


def model_class(config: Any, name: str | None = None) -> Any:
    """The transformers class that reads a text with this configuration: the one named, a text encoder, or what
    AutoModel takes."""
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_FOR_TEXT_ENCODING_MAPPING

    if name is not None:
        found = getattr(transformers, name, None)
        if found is None or not hasattr(found, "from_pretrained"):
            raise ExportError(
                f"model class: transformers has no class {name!r}; look its name up in config.json, `architectures`"
            )
        return found
    named = (getattr(config, "architectures", None) or [""])[0]
    if named.endswith(("Encoder", "EncoderModel")) and hasattr(
        transformers, named
    ):  # one of several of the configuration, as DPR has
        return getattr(transformers, named)
    if type(config) in MODEL_FOR_TEXT_ENCODING_MAPPING and getattr(config, "is_encoder_decoder", False):
        return MODEL_FOR_TEXT_ENCODING_MAPPING[type(config)]
    return transformers.AutoModel


def _from_gguf(file: Path, name: str) -> Source:
    from torch import nn
    from transformers import AutoModel, AutoTokenizer

    folder, options = str(file.parent), {"gguf_file": file.name}
    with redirect_stderr(io.StringIO()):  # a progress bar that cannot be switched off
        model = AutoModel.from_pretrained(folder, dtype="float32", **options)
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
    nn.Module.float(model)  # transformers' own refuses, although the weights are no longer quantised
    return Source(name, model.eval(), tokenizer, records=[f"dequantised from {file.name}"])


def _folder(model: str | os.PathLike[str], how: Loading) -> tuple[Path, list[str]]:
    """The folder (or GGUF file) of a path or of a hub name, which is fetched into the cache and recorded with its
    revision."""
    path, given = Path(model), str(model)
    if path.is_file() and path.suffix != ".gguf":
        raise ExportError(f"{path}: expected a model folder, found a file; give the folder that holds config.json")
    if given.strip() and path.exists():
        if (
            path.is_dir()
            and _transformer_folder(path) == path
            and not any((path / name).is_file() for name in ("modules.json", "config.json"))
        ):
            raise ExportError(
                f"{path}: no model here: expected modules.json (sentence-transformers) or config.json (transformers) in the folder"
            )
        return path, []
    if given.count("/") > 1 or given.startswith((".", "/", "~")) or not given.strip():
        raise ExportError(f"{path}: there is no such folder")
    from huggingface_hub import snapshot_download

    wanted = [
        "*.json",
        "*.txt",
        "*.model",
        "*.safetensors",
        "*.bin",
        "*.md",
        *(["*.py"] if how.trust_remote_code else []),
    ]
    try:
        fetched = Path(
            snapshot_download(
                given, revision=how.revision, allow_patterns=wanted, ignore_patterns=["onnx/*", "openvino/*"]
            )
        )
    except Exception as error:
        lines = str(error).strip().splitlines()
        raise ExportError(
            f"{given}: there is no such folder, and no model of this name could be fetched from the hub: "
            f"{lines[0] if lines else type(error).__name__}"
        ) from error
    return fetched, [f"hub {given} at revision {fetched.name}"]


def _transformer_folder(folder: Path) -> Path:
    """The folder with config.json: itself, or the first module's of a sentence-transformers folder."""
    if (folder / "config.json").is_file():
        return folder
    return next((file.parent for file in sorted(folder.glob("0_*/config.json"))), folder)


def _name(folder: Path) -> str:
    """The folder's name, with its parent's where it says nothing by itself."""
    return f"{folder.parent.name}/{folder.name}" if folder.name in ("model", "final", "best", "output") else folder.name


def weights_sha256(modules: list[Any]) -> str:
    """sha256 over all parameters and buffers of some modules, by name: the same weights give the same digest however
    they were stored.

    A transformers pooler is left out: where the checkpoint has none it is made at random, and where its vectors are
    used it is a stage of its own.
    """
    digest = hashlib.sha256()
    for module in modules:
        for key, tensor in sorted(module.state_dict().items()):
            if ".pooler." in f".{key}":
                continue
            digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(memoryview(tensor.detach().cpu().contiguous().numpy()).cast("B"))
    return digest.hexdigest()


def reason(error: BaseException) -> str:
    """The first line of what an error says; of one that was raised from others, of the first."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


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
