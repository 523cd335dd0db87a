"""Where a model comes from: a sentence-transformers, transformers or adapter folder, a GGUF file, a hub name, or live
objects."""

from __future__ import annotations

import copy
import io
import os
from contextlib import redirect_stderr
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from embedkit.errors import ExportError, InputError, MissingExtraError
from embedkit_export.quiet import quiet

from . import adapters, folders
from . import routes as pipelines
from .completeness import complete
from .foreign.own_code import gone, restore_buffers
from .foreign.readable import readable
from .foreign.refusals import check_readable
from .media import images

_CHARACTERS = "abcACGT012.éяع的"


@dataclass(frozen=True)
class Source:
    """A loaded model in evaluation mode on the CPU, float32."""

    name: str
    backbone: Any
    """The transformers model (or a module with its call), token ids in, ``last_hidden_state`` out."""
    tokenizer: Any
    """The transformers tokenizer; None where the model reads ids."""
    folder: Path | None = None
    model: Any = None
    """The sentence-transformers model around the backbone, where there is one."""
    whole: Any = None
    """The transformers model with its head, whose body is the backbone, where it has one."""
    records: list[str] = field(default_factory=list)
    """Where the weights came from and what was done to them, for the manifest."""
    notes: list[str] = field(default_factory=list)
    routes: dict[str, Source] = field(default_factory=dict)
    """The sources of roles that have a backbone of their own inside one model (a Router's routes; ``image``)."""
    pictures: bool = False
    """Whether the backbone reads pictures."""
    processor: Any = None
    """The image processor of transformers beside a live model of pictures."""


@dataclass(frozen=True)
class Loading:
    """How a model is loaded. ``revision`` pins a hub name; ``trust_remote_code`` runs code that the model brings."""

    model_class: str | None = None
    surgery: Any = None
    base: Path = Path()
    """What paths in the surgery are relative to."""
    revision: str | None = None
    trust_remote_code: bool = False
    ids: bool = False
    """Whether the model is a module that reads sequences of ids and has no tokenizer."""
    parts: bool = False
    """Whether the recipe names parts of a live model, or of items, so that nothing is to be found out."""
    pictures: bool = False
    """Whether the recipe says that the model reads pictures: of a live module, which says nothing itself."""
    kind: str = ""
    """The class of sentence-transformers that reads the model (see `CLASSES`); empty for the one that its files name."""


CLASSES = {
    "dense": "SentenceTransformer",
    "sparse": "SparseEncoder",
    "multivector": "MultiVectorEncoder",
    "reranker": "CrossEncoder",
    "classifier": "AutoModelForSequenceClassification",
}
"""What reads a model, by the kind of what it gives: a class of sentence-transformers, or of transformers."""


def load(model: Any, how: Loading | None = None) -> Source:
    """Load ``model``: a folder, a ``.gguf`` file, a hub name, a live SentenceTransformer, or a pair of a live
    transformers model and its tokenizer (which are copied, never changed). Raises `ExportError`."""
    try:
        import sentence_transformers
    except ImportError as error:
        raise MissingExtraError("sentence_transformers", "export", "exporting a model") from error
    how = how or Loading()
    classes = tuple(found for name in CLASSES.values() if (found := getattr(sentence_transformers, name, None)))
    with quiet():
        if isinstance(model, classes):
            _no_surgery(how, "a live model")
            name = str(getattr(model.model_card_data, "model_name", None) or "live model")
            loaded = _around(copy.deepcopy(model).to("cpu"), name, None)
            _check_tokenizer(loaded.tokenizer, name)
            return loaded
        if isinstance(model, tuple) and len(model) == 2:
            _no_surgery(how, "a live model")
            processor, tokenizer = images.processor_of(model[1]), images.tokenizer_of(model[1])
            _check_tokenizer(tokenizer, "the live model")
            live, records = adapters.absorb(copy.deepcopy(model[0]).to("cpu").float().eval())
            if how.parts:
                return Source(type(live).__name__, live, tokenizer, records=records, processor=processor)
            if how.pictures or images.reads_images(live) or images.reads_both(live):
                return _of_pictures(live, type(live).__name__, tokenizer, processor, records)
            backbone, notes = _backbone(live)
            whole = live if live is not backbone else None
            name = type(backbone).__name__
            return Source(name, backbone, tokenizer, folder=None, records=records, notes=notes, whole=whole)
        if how.pictures and not isinstance(model, str | os.PathLike):
            return _of_pictures(copy.deepcopy(model).to("cpu").float().eval(), type(model).__name__, None, None, [])
        if how.ids or (how.parts and not isinstance(model, str | os.PathLike)):
            from torch import nn

            if not isinstance(model, nn.Module):
                raise ExportError(f"model: expected a module of torch beside `ids`, found {type(model).__name__}")
            return Source(type(model).__name__, copy.deepcopy(model).to("cpu").float().eval(), None)
        if not isinstance(model, str | os.PathLike):
            raise ExportError(
                "model: expected a folder, a hub name, a SentenceTransformer or a pair (model, tokenizer), "
                f"found {type(model).__name__}; a module that reads ids needs `ids` in the recipe"
            )
        folder, records = folders.find(model, revision=how.revision, code=how.trust_remote_code)
        name = folders.name(folder.resolve()) if Path(model).exists() else str(model)
        notes = []
        if how.trust_remote_code:
            notes.append("code that came with the model was run (trust_remote_code); read it before you do so again")
        try:
            loaded = _from_gguf(folder, name, how) if folder.suffix == ".gguf" else _readable(folder, name, how)
        except (ExportError, InputError):
            raise
        except Exception as error:
            hint = ""
            if gone(error):
                hint = gone(error)
            elif "trust_remote_code" in str(error) or (not how.trust_remote_code and folders.brings_code(folder)):
                hint = "; this model brings code of its own: read it, then pass --trust-remote-code"
            raise ExportError(
                f"{model}: cannot be loaded as a sentence-transformers or transformers model: {' '.join(str(error).split())}{hint}"
            ) from error
    _check_tokenizer(loaded.tokenizer, model)
    return replace(
        loaded,
        folder=folder if folder.is_dir() else folder.parent,
        records=[*records, *loaded.records],
        notes=[*notes, *loaded.notes],
    )


def _readable(folder: Path, name: str, how: Loading) -> Source:
    """The source of a folder, once it is in words that today's libraries read."""
    with readable(folder) as (inner, records):
        check_readable(inner, folder, code=how.trust_remote_code, surgery=how.surgery is not None)
        loaded = _from_folder(inner, name, how)
    return replace(loaded, records=[*records, *loaded.records])


def _from_folder(folder: Path, name: str, how: Loading) -> Source:
    if folders.is_adapter(folder):
        named = adapters.base(folders.transformer(folder))
        base, records = folders.find(
            str(named.base_model_name_or_path), revision=named.revision, code=how.trust_remote_code
        )
        plain = replace(how, surgery=None)
        with adapters.merged_folder(folder, base, lambda inner: _load(inner, plain)[0]) as (whole, record):
            loaded = _from_folder(whole, name, how)
        return replace(loaded, records=[*records, f"base {folders.name(base)}", record, *loaded.records])
    wanted = how.kind or folders.kind(folder)
    if wanted == CLASSES["classifier"]:
        return _plain(folder, name, replace(how, model_class=how.model_class or wanted))
    if wanted == CLASSES["reranker"] and folders.is_language_model(folder):
        return _plain(folder, name, replace(how, model_class=how.model_class or "AutoModelForCausalLM"))
    if wanted and wanted not in CLASSES.values():
        raise ExportError(f"{folder}: expected a model of {', '.join(CLASSES.values())}, found one of {wanted}")
    if (wanted and (folder / folders.MODULES).is_file()) or wanted not in ("", "SentenceTransformer"):
        import sentence_transformers

        if wanted == "MultiVectorEncoder" and not folders.has_projection(folder):
            raise ExportError(
                f"{folder}: has no layer for token vectors, and sentence-transformers would make one at random; train it, or give a "
                "recipe with an output of kind 'multivector' for the token vectors as they are"
            )
        kind: Any = getattr(sentence_transformers, wanted)
        if not how.trust_remote_code:
            folders.check_activations(folder)
        # In float32 each part is as it is stored: else all would be rounded to the precision of the first.
        precise = {"dtype": "float32"}

        def build() -> Any:
            return kind(str(folder), device="cpu", trust_remote_code=how.trust_remote_code, model_kwargs=precise)

        if how.surgery is not None:  # what it read is replaced
            model, notes = build(), list[str]()
            records = _operate(model, folder, how)
        else:
            # Stanford's ColBERT keeps the layer for token vectors, which a module of its own reads, among the others.
            own = ("linear.weight",) if wanted == CLASSES["multivector"] else ()
            model, notes = complete(build, str(folder), read_elsewhere=own)
            folders.check_stated(folder, [type(part).__name__ for part in list(model)[1:] if list(part.parameters())])
            records = []
        loaded = _around(model, name, folder)
        return replace(
            loaded, records=[*records, *loaded.records], notes=[*_pickled_head(folder), *notes, *loaded.notes]
        )
    return _plain(folder, name, how)


def _pickled_head(folder: Path) -> list[str]:
    """A note where a SetFit model keeps a head beside the encoder."""
    if not (folder / "model_head.pkl").is_file():
        return []
    return [
        "model_head.pkl is not read, since a pickle runs code: load the head yourself, save embedkit_export.logistic_head(head) with "
        "numpy.savez, and name that file in a recipe's outputs"
    ]


def _operate(model: Any, folder: Path, how: Loading) -> list[str]:
    """Put the backbone after surgery into a SentenceTransformer; the records."""
    first = model[0]
    backbone = getattr(first, "auto_model", None)
    place = next((name for name, module in first.named_children() if module is backbone), None)
    if place is None:
        raise ExportError(
            f"surgery: the first module of {folder.name} is a {type(first).__name__}: expected a Transformer; give the folder of "
            "the one transformers model, and its pooling in the recipe"
        )
    operated, records, _ = _load(folders.transformer(folder), how)
    setattr(first, place, operated)
    return records


def _around(model: Any, name: str, folder: Path | None) -> Source:
    """The source of a SentenceTransformer."""
    model, records = adapters.absorb(model.float().eval())
    records += restore_buffers(model)
    first = {role: next(iter(pipelines.pipeline(model, role)), None) for role in ("default", "query", "document")}
    sources: dict[int, Source] = {}
    for module in first.values():
        if id(module) not in sources:
            reader, tokenizer = pipelines.reader(module)
            backbone, notes = _backbone(reader) if reader is not None else (None, [])
            whole = reader if reader is not backbone else None
            sources[id(module)] = Source(
                name, backbone, tokenizer, folder, model, whole=whole, records=records, notes=notes
            )
    own = {role: sources[id(module)] for role, module in first.items() if module is not first["default"]}
    return replace(sources[id(first["default"])], routes=own)


def _check_tokenizer(tokenizer: Any, model: Any) -> None:
    """Raise `ExportError` where no character is told from another: where its files are missing, transformers makes a
    tokenizer that knows special tokens only."""
    if not callable(tokenizer):
        return
    try:
        found = {tuple(tokenizer(text)["input_ids"]) for text in _CHARACTERS}
    except Exception as error:  # the tokenizers library raises nothing more special
        raise ExportError(
            f"{model}: the tokenizer cannot encode what it does not know: {error}; name a token of its vocabulary as the unknown "
            "one (unk_token) in tokenizer.json"
        ) from error
    if len(found) == 1:
        raise ExportError(
            f"{model}: the tokenizer knows no words: put its files (tokenizer.json, tokenizer_config.json) beside the weights, with "
            "the tokenizer's save_pretrained"
        )


def _no_surgery(how: Loading, what: str) -> None:
    if how.surgery is not None:
        raise ExportError(f"surgery: cannot be done on {what}; give the folder with its checkpoint")


def _plain(folder: Path, name: str, how: Loading) -> Source:
    """The source of a transformers folder."""
    from transformers import AutoTokenizer

    inner = folders.transformer(folder)
    if folders.reads_pictures_alone(inner) and not how.parts:
        model, records, notes = _load(inner, how)
        return replace(_of_pictures(model, name, None, None, records), folder=folder, notes=notes)
    tokenizer = AutoTokenizer.from_pretrained(inner, trust_remote_code=how.trust_remote_code)
    model, records, notes = _load(inner, how)
    if how.parts:
        return Source(name, model, tokenizer, folder, records=records, notes=notes)
    if images.reads_both(model):
        both = _of_pictures(model, name, tokenizer, None, records)
        routes = {role: replace(source, folder=folder) for role, source in both.routes.items()}
        return replace(both, folder=folder, notes=notes, routes=routes)
    backbone, more = _backbone(model)
    notes += more
    whole = model if model is not backbone else None
    named = (getattr(getattr(backbone, "config", None), "architectures", None) or [""])[0]
    if whole is None and named.endswith("ForSequenceClassification"):
        notes.append(
            f"this checkpoint is a {named}, whose head for classes is left out: pass --kind classifier or --kind reranker to export it"
        )
    return Source(name, backbone, tokenizer, folder, None, records=records, notes=notes, whole=whole)


def _of_pictures(model: Any, name: str, tokenizer: Any, processor: Any, records: list[str]) -> Source:
    """The source of a model that reads pictures; beside texts, of its texts, with that of its pictures as the route ``image``."""
    if images.reads_both(model) and tokenizer is not None:
        seen = Source(name, model.vision_model, None, whole=model, pictures=True, processor=processor)
        return Source(name, model.text_model, tokenizer, whole=model, records=records, routes={"image": seen})
    backbone = images.body(model)
    whole = model if model is not backbone else None
    return Source(name, backbone, None, whole=whole, records=records, pictures=True, processor=processor)


def _load(folder: Path, how: Loading) -> tuple[Any, list[str], list[str]]:
    """The model of a transformers folder, after surgery if there is any, records and notes. A pooler that the checkpoint
    lacks is taken out: nothing may come from it."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, trust_remote_code=how.trust_remote_code)
    kind = model_class(config, how.model_class)
    code = {"trust_remote_code": True} if how.trust_remote_code else {}
    if how.surgery is None:
        model, notes = complete(lambda: kind.from_pretrained(folder, dtype="float32", **code), str(folder))
        model = model.float().eval()
        return model, restore_buffers(model), notes
    from . import surgery

    def build(given: Any) -> Any:
        return kind.from_config(given, **code) if hasattr(kind, "from_config") else kind(given)

    model, records = surgery.apply(
        folder, how.surgery, build=build, root=how.base, trust_remote_code=how.trust_remote_code
    )
    if any("made at random" in record for record in records):
        owner = model if hasattr(model, "pooler") else getattr(model, "base_model", model)
        if hasattr(owner, "pooler"):
            owner.pooler = None
    model = model.float().eval()
    return model, [*records, *restore_buffers(model)], []


def _backbone(model: Any) -> tuple[Any, list[str]]:
    """The part of a model that gives token vectors: without a head, and of two halves the encoder; and notes."""
    notes: list[str] = []
    while getattr(model, "base_model", model) is not model:  # a head, or a wrapper such as DPR's
        model = model.base_model
        if getattr(getattr(model, "config", None), "projection_dim", 0) and hasattr(model, "encode_proj"):
            notes.append(
                "this checkpoint has a projection (encode_proj) that is not part of the backbone: give it as a linear stage"
            )
    if hasattr(model, "text_model") and hasattr(model, "text_projection"):
        others = [name for name in ("vision_model", "audio_model") if hasattr(model, name)]
        if others:
            kind = type(model).__name__.removesuffix("Model")
            raise ExportError(
                f"{type(model).__name__} has an encoder of texts and another ({others[0]}), and one of texts is exported here: name its "
                f'class in a recipe, such as  model_class = "{kind}TextModelWithProjection"'
            )
        model = model.text_model
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
    # One of several of the configuration, as DPR and CLIP have.
    several = named.endswith(
        ("Encoder", "EncoderModel", "TextModelWithProjection", "VisionModelWithProjection", "VisionModel")
    )
    if hasattr(transformers, named) and (several or type(config) not in transformers.MODEL_MAPPING):
        return getattr(transformers, named)
    known = MODEL_FOR_TEXT_ENCODING_MAPPING.get(type(config), transformers.AutoModel)
    return known if known.__name__.endswith("EncoderModel") else transformers.AutoModel


def _from_gguf(file: Path, name: str, how: Loading) -> Source:
    from torch import nn
    from transformers import AutoModel, AutoTokenizer

    _no_surgery(how, "a GGUF file")
    folder, options = str(file.parent), {"gguf_file": file.name}
    with redirect_stderr(io.StringIO()):  # a progress bar that cannot be switched off
        model, notes = complete(lambda: AutoModel.from_pretrained(folder, dtype="float32", **options), str(file))
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
    nn.Module.float(model)  # transformers' own refuses, although the weights are no longer quantised
    return Source(name, model.eval(), tokenizer, records=[f"dequantised from {file.name}"], notes=notes)
