"""What a role reads of a text: its template, the length, and the tokens that are left out."""

from __future__ import annotations

from typing import Any

from embedkit.bundle.manifest import Choice, Part, PoolMask, TextFrontend, Truncate
from embedkit.errors import ExportError
from embedkit_export.recipes.recipe import Pooling, Role, parts
from embedkit_export.recipes.recipe import pooling as as_pooling
from embedkit_export.sources.routes import ANY_LENGTH
from embedkit_export.sources.source import Source
from embedkit_export.sources.weights.state_dicts import some

from .backbone import has_endless_positions, positions, table_size


def text_frontend(role: Role, origin: Source, where: str, max_tokens: int | None) -> TextFrontend:
    """What a role reads of a text. ``max_tokens`` is an upper bound; ``where`` names the role in an `ExportError`, which is
    raised for what the tokenizer or a bundle cannot do."""
    tokenizer = origin.tokenizer
    template = parts(role.template or "{text}", role.fields or {}, where)
    pooling = as_pooling(role.pooling)
    mask = isinstance(pooling, Pooling) and "mask" in (
        [pooling.mode] if isinstance(pooling.mode, str) else pooling.mode
    )
    without = role.without if role.without is not None else pooling.without if isinstance(pooling, Pooling) else []
    if getattr(tokenizer, "truncation_side", "right") != "right":
        raise ExportError(
            f"{where}: the tokenizer cuts long texts at their beginning (truncation_side = 'left'), which a bundle cannot; set it to "
            "'right' in tokenizer_config.json, if the model may read beginnings"
        )
    if getattr(tokenizer, "split_special_tokens", False):
        raise ExportError(
            f"{where}: the tokenizer cuts special tokens that stand in a text like any other word (split_special_tokens = true), which "
            "tokenizer.json cannot say; set it to false in tokenizer_config.json, if the model may read them as special"
        )
    cut = role.cut or ("content" if mask and role.truncate != "slice" else "all")
    limit = _limit(role, origin, where, max_tokens)
    if mask:
        _check_mask(template, tokenizer, where)
    dropped = _dropped(role, tokenizer, where)
    first_token = _first_token(role, tokenizer, where)
    pad_id = tokenizer.pad_token_id or 0
    if role.pad_token is not None:
        pad_id = _token_id(tokenizer, role.pad_token, f"{where}: pad_token")
    literals = "".join(part.lit or "" for part in template)
    always = tokenizer(literals)["input_ids"]
    size = table_size(origin.backbone)
    beyond = _beyond(tokenizer, size)
    if beyond:
        read = [*always, *(first_token.values.values() if first_token else ())]
        padding = [pad_id] if role.padding not in (None, "ignored") else []
        _check_ids([*read, *padding], tokenizer, size, where)
        pad_id = pad_id if pad_id < (size or 0) else 0  # nothing is read of it
    frontend = TextFrontend(
        tokenizer="tokenizer.json",
        template=template,
        truncate=Truncate(max=limit, mode=role.truncate or "smart", applies_to=cut),
        pad=_pad(role),
        pad_id=pad_id,
        padding=role.padding or "ignored",
        pool_mask=PoolMask(drop=list(without), ids=dropped) if without or dropped else None,
        first_token=first_token,
        vocabulary=size if beyond else None,
    )
    fixed = len(always)
    if fixed >= limit and (cut != "all" or not literals):
        raise ExportError(
            f"max length: {limit} tokens leave no room for text beside {fixed} tokens of the template and special tokens; "
            "pass a larger --max-tokens"
        )
    return frontend


def _limit(role: Role, origin: Source, where: str, max_tokens: int | None) -> int:
    """Tokens that are read: what the recipe says, bounded by the option, the positions and a fixed length."""
    stated = getattr(origin.tokenizer, "model_max_length", None)
    room = positions(origin.backbone)
    if (role.max_tokens or max_tokens) and has_endless_positions(origin.backbone):
        room = None
    limits = [
        limit
        for limit in (role.max_tokens or stated, max_tokens, room, None if role.pad_least else role.pad)
        if limit and limit < 1 << 30
    ]
    if not limits:
        raise ExportError(
            f"{where}: max length: neither the model nor its tokenizer says how many tokens it reads; pass --max-tokens"
        )
    return int(min(limits))


def note_length(frontend: TextFrontend, role: Role, origin: Source, max_tokens: int | None) -> list[str]:
    """A note where fewer tokens are read than were asked for, with what the reason is."""
    read = frontend.truncate.max
    asked = min((limit for limit in (role.max_tokens, max_tokens) if limit), default=0)
    if not read < asked < ANY_LENGTH or role.pad:
        return []
    if read == positions(origin.backbone) and not has_endless_positions(origin.backbone):
        why = "the model's positions end there"
    else:
        why = "its tokenizer says so; a recipe with max_tokens reads more"
    return [f"at most {read} tokens of the {asked} that were asked for: {why}"]


def _check_mask(template: list[Part], tokenizer: Any, where: str) -> None:
    literals = "".join(part.lit or "" for part in template)
    if tokenizer.mask_token is None or literals.count(tokenizer.mask_token) != 1:
        raise ExportError(
            f"{where}: pooling at the mask needs a template with exactly one {tokenizer.mask_token or 'mask token'}, found {literals!r}"
        )


def _dropped(role: Role, tokenizer: Any, where: str) -> list[int]:
    """The ids of the tokens that the role leaves out."""
    return sorted({_token_id(tokenizer, t, f"{where}: without_tokens") for t in role.without_tokens or []})


def _first_token(role: Role, tokenizer: Any, where: str) -> Choice | None:
    given = role.first_token
    if given is None:
        return None
    known = tokenizer.get_vocab()
    unknown = [token for token in given.values.values() if token not in known]
    if unknown:
        raise ExportError(f"{where}: first_token: the tokenizer has no token {unknown[0]!r}")
    return Choice(
        field=given.field, values={key: known[token] for key, token in given.values.items()}, default=given.default
    )


def _beyond(tokenizer: Any, size: int | None) -> list[str]:
    """The tokens of the tokenizer that the model's table has no row for, by their ids."""
    vocabulary = tokenizer.get_vocab() if size is not None else {}
    return sorted((token for token, number in vocabulary.items() if number >= (size or 0)), key=vocabulary.__getitem__)


def note_beyond(origin: Source) -> list[str]:
    """A note where the tokenizer has tokens that the model has no vectors for."""
    size = table_size(origin.backbone) if origin.tokenizer is not None else None
    found = _beyond(origin.tokenizer, size)
    if not found:
        return []
    return [
        f"the tokenizer has {len(found)} tokens ({some(map(repr, found), limit=3)}) beyond the model's table of {size}, for which the "
        "model itself fails: a text that holds one is refused; if they are meant to be read, resize the table "
        "(resize_token_embeddings), train it and export again"
    ]


def _check_ids(ids: list[int], tokenizer: Any, size: int | None, where: str) -> None:
    """Raise `ExportError` where a token that every text has is beyond the model's table."""
    wrong = next((number for number in ids if number >= (size or 0)), None)
    if wrong is not None:
        raise ExportError(
            f"{where}: every text would have the token {tokenizer.convert_ids_to_tokens(wrong)!r} (id {wrong}), and the model's table "
            f"of tokens ends at {(size or 0) - 1}; take the tokenizer that the model was trained with, or resize the table "
            "(resize_token_embeddings) and train it"
        )


def _token_id(tokenizer: Any, token: str, where: str) -> int:
    found = tokenizer.get_vocab().get(token)
    if found is None:
        raise ExportError(f"{where}: the tokenizer has no token {token!r}")
    return int(found)


def _pad(role: Role) -> str:
    if role.pad_least:
        return f"least:{role.pad_least}"
    return "longest" if role.pad is None else f"fixed:{role.pad}"
