"""Where a model comes from: a sentence-transformers, transformers or adapter folder, a GGUF file, a hub name, or live
objects."""

from __future__ import annotations

import copy
import io
import os
from contextlib import redirect_stderr
from dataclasses import replace
from pathlib import Path
from typing import Any

from embedkit.errors import ExportError, InputError, MissingExtraError
from embedkit_export.quiet import quiet

from . import adapters, folders
from . import routes as pipelines
from .foreign.own_code import gone, restore_buffers
from .foreign.readable import readable
from .foreign.refusals import check_readable
from .media import images, pictured, sounds
from .source import CLASSES, Loading, Source
from .transformer import backbone_of, has_halves, load_model
from .weights.completeness import complete

_CHARACTERS = "abcACGT012.éяع的"


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
            if sounds.extractor_of(model[1]) is None:
                _check_tokenizer(tokenizer, "the live model")
            live, records = adapters.absorb(copy.deepcopy(model[0]).to("cpu").float().eval())
            if how.parts:
                return Source(type(live).__name__, live, tokenizer, records=records, processor=processor)
            extractor = sounds.extractor_of(model[1])
            if extractor is not None and (sounds.reads_sounds(live) or sounds.reads_both(live)):
                words = None if extractor is model[1] else getattr(model[1], "tokenizer", None)
                return _of_sounds(live, type(live).__name__, words, extractor, records)
            if how.pictures or images.reads_images(live) or images.reads_both(live):
                return _of_pictures(live, type(live).__name__, tokenizer, processor, records)
            backbone, notes = backbone_of(live)
            whole = live if live is not backbone else None
            name = type(backbone).__name__
            return Source(name, backbone, tokenizer, folder=None, records=records, notes=notes, whole=whole)
        if how.pictures and not isinstance(model, str | os.PathLike):
            return _of_pictures(copy.deepcopy(model).to("cpu").float().eval(), type(model).__name__, None, None, [])
        if how.sounds and not isinstance(model, str | os.PathLike):
            live = copy.deepcopy(model).to("cpu").float().eval()
            return Source(type(model).__name__, live, None, sounds=True)
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
            elif isinstance(error, KeyError) and "linear.weight" in str(error):  # which Stanford's ColBERT has
                hint = (
                    ", the layer that makes its token vectors, is not among the weights: fetch the whole checkpoint, or take HF_ColBERT out "
                    "of config.json's architectures and give a recipe with an output of kind 'multivector'"
                )
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
        with adapters.merged_folder(folder, base, lambda inner: load_model(inner, plain)[0]) as (whole, record):
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
    operated, records, _ = load_model(folders.transformer(folder), how)
    setattr(first, place, operated)
    return records


def _around(model: Any, name: str, folder: Path | None) -> Source:
    """The source of a SentenceTransformer."""
    model, records = adapters.absorb(model.float().eval())
    records += restore_buffers(model)
    if type(model).__name__ == "SentenceTransformer" and pictured.reads(model, "image"):
        return _seen(model, name, folder, records)
    first = {role: next(iter(pipelines.pipeline(model, role)), None) for role in ("default", "query", "document")}
    sources: dict[int, Source] = {}
    for module in first.values():
        if id(module) not in sources:
            reader, tokenizer = pipelines.reader(module)
            if has_halves(getattr(reader, "base_model", reader)):
                raise ExportError(
                    f"{name}: its vectors are made of what the decoder of {type(reader).__name__} gives, which is not exported: give an "
                    "encoder, or train one on this model's encoder (T5EncoderModel and its like are read)"
                )
            backbone, notes = backbone_of(reader) if reader is not None else (None, [])
            whole = reader if reader is not backbone else None
            sources[id(module)] = Source(
                name, backbone, tokenizer, folder, model, whole=whole, records=records, notes=notes
            )
    own = {role: sources[id(module)] for role, module in first.items() if module is not first["default"]}
    return replace(sources[id(first["default"])], routes=own)


def _seen(model: Any, name: str, folder: Path | None, records: list[str]) -> Source:
    """The source of a SentenceTransformer that reads pictures; beside texts with that of its pictures as the route ``image``."""
    eye = pictured.pipeline(model, "image")[0]
    body = images.body(eye.auto_model)
    seen = Source(
        name,
        body,
        None,
        folder,
        model,
        whole=eye.auto_model if eye.auto_model is not body else None,
        records=records,
        pictures=True,
        processor=pictured.processor(eye),
    )
    if not pictured.reads(model, "text"):
        return seen
    module = pictured.pipeline(model, "text")[0]
    if images.reads_both(module.auto_model):
        whole, backbone, notes = module.auto_model, module.auto_model.text_model, list[str]()
    else:
        backbone, notes = backbone_of(module.auto_model)
        whole = module.auto_model if module.auto_model is not backbone else None
    routes = {"image": seen}
    return Source(
        name, backbone, module.tokenizer, folder, model, whole=whole, records=records, notes=notes, routes=routes
    )


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
        model, records, notes = load_model(inner, how)
        return replace(_of_pictures(model, name, None, None, records), folder=folder, notes=notes)
    if folders.reads_sounds_alone(inner):
        model, records, notes = load_model(inner, how)
        return replace(_of_sounds(model, name, None, None, records), folder=folder, notes=notes)
    tokenizer = AutoTokenizer.from_pretrained(inner, trust_remote_code=how.trust_remote_code)
    model, records, notes = load_model(inner, how)
    if how.parts:
        return Source(name, model, tokenizer, folder, records=records, notes=notes)
    if sounds.reads_both(model):
        both = _of_sounds(model, name, tokenizer, None, records)
        routes = {role: replace(source, folder=folder) for role, source in both.routes.items()}
        return replace(both, folder=folder, notes=notes, routes=routes)
    if images.reads_both(model):
        both = _of_pictures(model, name, tokenizer, None, records)
        routes = {role: replace(source, folder=folder) for role, source in both.routes.items()}
        return replace(both, folder=folder, notes=notes, routes=routes)
    backbone, more = backbone_of(model)
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


def _of_sounds(model: Any, name: str, tokenizer: Any, extractor: Any, records: list[str]) -> Source:
    """The source of a model that reads sounds; beside texts, of its texts, with that of its sounds as the route ``audio``."""
    backbone = sounds.body(model)
    if sounds.reads_both(model) and tokenizer is not None:
        heard = Source(name, backbone, None, whole=model, sounds=True, processor=extractor)
        return Source(name, model.text_model, tokenizer, whole=model, records=records, routes={"audio": heard})
    if not sounds.is_known(backbone):
        raise ExportError(
            f"{name}: {type(backbone).__name__} reads sounds in a way that is not known here; give a model of the kinds Wav2Vec2, HuBERT, "
            "WavLM, Whisper, AST or CLAP"
        )
    whole = model if model is not backbone else None
    return Source(name, backbone, None, whole=whole, records=records, sounds=True, processor=extractor)


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
