"""What surrounds the backbone: roles, templates, truncation, pooling, stages, similarity; read from a
SentenceTransformer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from embedkit.errors import ExportError
from embedkit.types import Frontend, Part, Truncate

TOKENIZER_FILE = "tokenizer.json"


@dataclass(frozen=True)
class Recipe:
    """All that `capture` and the manifest need to know of a model."""

    backbone: Any
    """The transformers model, token ids in, ``last_hidden_state`` out."""
    pooling: str
    stages: list[Any]
    """The sentence-transformers modules after pooling, in order."""
    dim: int
    normalized: bool
    similarity: Literal["cosine", "dot"]
    prompts: dict[str, str]
    """Role to the text put before each input; always has ``default``, ``query`` and ``document``."""
    tokenizer_json: str
    max_tokens: int
    pad_id: int
    notes: list[str]
    """What the user should know of how the model was read."""

    def frontend(self, role: str) -> Frontend:
        """The manifest's frontend of a role."""
        prompt = self.prompts[role]
        template = [Part(lit=prompt), Part(field="text")] if prompt else [Part(field="text")]
        return Frontend(
            kind="text",
            tokenizer=TOKENIZER_FILE,
            template=template,
            truncate=Truncate(max=self.max_tokens),
            pad_id=self.pad_id,
        )


def read(model: Any, *, max_tokens: int | None = None) -> Recipe:
    """The recipe of a SentenceTransformer. Raises `ExportError` naming the module or setting that cannot be
    exported."""
    names = [type(module).__name__ for module in model]
    transformer, pooling, *rest = [*model, None, None][: max(2, len(names))]
    if names[:1] != ["Transformer"] or names[1:2] != ["Pooling"]:
        raise ExportError(
            f"modules: expected Transformer, Pooling, then any of Dense, LayerNorm, Normalize; found {', '.join(names)}"
        )
    for module, name in zip(rest, names[2:], strict=True):
        if name not in ("Dense", "LayerNorm", "Normalize", "Dropout"):
            raise ExportError(
                f"modules: cannot export the module {name}; after pooling, Dense, LayerNorm and Normalize are known"
            )
        if name == "Dense" and (module.module_input_name, module.module_output_name) != ("sentence_embedding",) * 2:
            raise ExportError(
                "modules: a Dense module over token vectors is not a sentence vector's stage; only those after pooling can be exported"
            )
    mode = pooling.pooling_mode
    if mode not in ("cls", "mean", "max"):
        raise ExportError(f"pooling: expected one of cls, mean, max; found {mode!r}")
    prompts = _prompts(model)
    if not pooling.include_prompt and any(prompts.values()):
        raise ExportError(
            "pooling: this model leaves its prompt out of the pooling (include_prompt=False), which cannot be exported yet"
        )
    similarity = model.similarity_fn_name or "cosine"
    if similarity not in ("cosine", "dot"):
        raise ExportError(f"similarity: expected cosine or dot, found {similarity!r}")
    tokenizer = transformer.tokenizer
    limit = max_tokens or transformer.max_seq_length
    room = _positions(transformer.auto_model.config)
    if limit is None or (room and limit > room):
        limit = room
    if limit is None:
        raise ExportError(
            "max length: neither the model nor its tokenizer says how many tokens it reads; pass --max-tokens"
        )
    return Recipe(
        backbone=transformer.auto_model,
        pooling=mode,
        stages=[module for module, name in zip(rest, names[2:], strict=True) if name != "Dropout"],
        dim=model.get_embedding_dimension(),
        normalized=names[-1] == "Normalize",
        similarity="dot" if similarity == "dot" else "cosine",
        prompts=prompts,
        tokenizer_json=_tokenizer_json(tokenizer, limit),
        max_tokens=limit,
        pad_id=tokenizer.pad_token_id or 0,
        notes=[
            f"the prompt {name!r} is the role {name!r}; as in sentence-transformers, encode_document does not use it"
            for name in ("passage", "corpus")
            if prompts.get(name) and prompts["document"] != prompts[name]
        ],
    )


def _prompts(model: Any) -> dict[str, str]:
    """Roles as ``encode``, ``encode_query`` and ``encode_document`` of sentence-transformers resolve them."""
    given = {name: text or "" for name, text in model.prompts.items()}
    default = given.get(model.default_prompt_name, "") if model.default_prompt_name else ""
    document = next((given[name] for name in ("document", "passage", "corpus") if name in given), default)
    return {**given, "default": default, "query": given.get("query", default), "document": document}


def _positions(config: Any) -> int | None:
    """Tokens that the position table holds; RoBERTa-like models start counting after their padding id."""
    table = getattr(config, "max_position_embeddings", None)
    if not table or table < 0:
        return None
    shifted = config.model_type in (
        "roberta",
        "xlm-roberta",
        "camembert",
        "mpnet",
        "xlm-roberta-xl",
        "data2vec-text",
        "longformer",
    )
    return int(table) - (config.pad_token_id + 1 if shifted else 0)


def _tokenizer_json(tokenizer: Any, max_tokens: int) -> str:
    """The fast tokenizer, whole, without truncation or padding of its own."""
    from tokenizers import Tokenizer

    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ExportError(
            "tokenizer: this model has no fast tokenizer (tokenizer.json), which encoding without torch needs"
        )
    own = Tokenizer.from_str(backend.to_str())
    own.no_padding()
    own.no_truncation()
    closing = len(own.encode("").ids)
    if max_tokens <= closing:
        raise ExportError(
            f"max length: {max_tokens} tokens leave no room for text beside {closing} special tokens; pass a larger --max-tokens"
        )
    text: str = own.to_str(pretty=False)
    return text
