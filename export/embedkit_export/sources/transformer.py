"""A model of a transformers folder, by its class, and the part of it that gives token vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from embedkit.errors import ExportError

from .foreign.own_code import restore_buffers
from .source import Loading
from .weights.completeness import complete


def load_model(folder: Path, how: Loading) -> tuple[Any, list[str], list[str]]:
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


def backbone_of(model: Any) -> tuple[Any, list[str]]:
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
    if has_halves(model):
        notes.append(
            f"of {type(model).__name__} the encoder alone is exported; AutoModel, and sentence-transformers with it, give what its decoder "
            "makes of the text"
        )
        model = model.get_encoder()
    return model, notes


def has_halves(model: Any) -> bool:
    """Whether a model has an encoder and a decoder behind it. Of an encoder alone the configuration may say so too (BERT's, of a model
    that was taken from its decoder)."""
    halves = getattr(model, "decoder", None) is not None and hasattr(model, "get_encoder")
    return halves and bool(getattr(getattr(model, "config", None), "is_encoder_decoder", False))


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
