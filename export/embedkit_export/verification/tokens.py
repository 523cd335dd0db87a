"""The reference's tokens: what the transformers tokenizer makes of one text, cut and padded by the frontend's definition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from embedkit.bundle.manifest import Choice, IdsFrontend, TextFrontend
from embedkit.runtime.frontends.text.template import Text


def padded(tokenizer: Any, frontend: TextFrontend, item: Text) -> tuple[list[int], list[int], list[int], list[int]]:
    """Ids, mask, token types and the places that are pooled of one text, as long as every text is at least."""
    ids, types, pool = tokens(tokenizer, frontend, item)
    mask = [1] * len(ids)
    missing = frontend.least - len(ids)
    if missing > 0:
        ids, mask = ids + [frontend.pad_id] * missing, mask + [int(frontend.padding == "read")] * missing
        types, pool = types + [0] * missing, pool + [int(frontend.padding != "ignored")] * missing
    return ids, mask, types, pool


def sequence(frontend: IdsFrontend, item: Sequence[int]) -> list[int]:
    """The ids of a sequence that are read."""
    ids = [int(number) for number in item]
    return ids[-frontend.max :] if frontend.keep == "last" else ids[: frontend.max]


def tokens(tokenizer: Any, frontend: TextFrontend, item: Text) -> tuple[list[int], list[int], list[int]]:
    """Ids, token types and the places that are pooled, as the transformers tokenizer has them."""
    given = {_main(frontend): item} if isinstance(item, str) else dict(item)
    segments, field_ends, before = [""], [], ""
    for part in frontend.template:
        if part.pair:
            segments.append("")
        elif part.field is None:
            segments[-1] += part.lit or ""
        else:
            before = "".join(segments)
            start = len(segments[-1])
            value = given.get(part.field, part.default) or ""
            segments[-1] += value.strip() if part.strip else value
            field_ends.append((len(segments) - 1, start, len(segments[-1])))
    limit, smart = frontend.truncate.max, frontend.truncate.mode == "smart"
    cut = smart and frontend.truncate.applies_to == "all"
    if cut and len(segments) == 2:
        segments = [_enough(tokenizer, segment, limit) for segment in segments]
    encoded = tokenizer(
        *([segment] for segment in segments),  # in lists, because an empty second text would not count alone
        truncation="longest_first" if cut else False,
        max_length=limit if cut else None,
        return_token_type_ids=True,
        return_special_tokens_mask=True,
        return_offsets_mapping=True,
    )
    columns = [encoded[name][0] for name in ("input_ids", "token_type_ids", "special_tokens_mask")]
    kept_places = list(range(len(columns[0])))
    if not smart:
        kept_places = kept_places[:limit]
        columns = [column[:limit] for column in columns]
    elif frontend.truncate.applies_to == "body":
        closing = _closing(tokenizer, frontend)
        if len(kept_places) > limit:
            kept_places = kept_places[: limit - len(closing)] + kept_places[len(kept_places) - len(closing) :]
            columns = [[column[place] for place in kept_places] for column in columns]
            columns[0][limit - len(closing) :] = closing
    elif not cut:
        places = list(range(len(columns[0])))
        spans, owners = encoded["offset_mapping"][0], encoded.sequence_ids(0)
        for segment, start, end in reversed(field_ends):
            for place in reversed(list(places)):
                first, last = spans[place]
                if len(places) > limit and owners[place] == segment and first < end and last > start:
                    places.remove(place)
        columns = [[column[place] for place in places] for column in columns]
        kept_places = places
    ids, types, special = (list(column) for column in columns)
    if frontend.first_token is not None and ids:
        ids[0] = chosen_id(frontend.first_token, item)
    pool = [1] * len(ids)
    if frontend.pool_mask and "template" in frontend.pool_mask.drop:
        spans, owners = encoded["offset_mapping"][0], encoded.sequence_ids(0)
        inside = [
            any(owner == segment and span[0] < end and span[1] > start for segment, start, end in field_ends)
            for span, owner in zip(spans, owners, strict=True)
        ]
        pool = [int(inside[place]) for place in kept_places]
    if frontend.pool_mask:
        pool = [0 if token in frontend.pool_mask.ids else kept for token, kept in zip(ids, pool, strict=True)]
    for rule in frontend.pool_mask.drop if frontend.pool_mask else ():
        kind, _, number = rule.partition(":")
        leading = int(number or 1) if kind == "first" else _prefix_tokens(tokenizer, before) if kind == "prefix" else 0
        pool = [0 if i < leading or (kind == "special" and special[i]) else kept for i, kept in enumerate(pool)]
    return ids, types, pool


def _closing(tokenizer: Any, frontend: TextFrontend) -> list[int]:
    """The ids that a text ends with, whatever its fields hold."""
    literal = ""
    for part in frontend.template:
        literal = literal + (part.lit or "") if part.field is None else ""
    before = "".join((part.lit or "0") for part in frontend.template).removesuffix(literal)
    encoded = tokenizer(before + literal, return_offsets_mapping=True, return_special_tokens_mask=True)
    ids: list[int] = encoded["input_ids"]
    spans, special = encoded["offset_mapping"], encoded["special_tokens_mask"]
    inside = [
        i for i, (span, added) in enumerate(zip(spans, special, strict=True)) if not added and span[0] < len(before)
    ]
    return ids[inside[-1] + 1 :] if inside else ids


def _prefix_tokens(tokenizer: Any, text: str) -> int:
    if not text:
        return 0
    encoded = tokenizer(text, return_special_tokens_mask=True)
    special = encoded["special_tokens_mask"]
    while special and special[-1]:
        special = special[:-1]
    return len(special)


def _enough(tokenizer: Any, text: str, limit: int) -> str:
    """A beginning of the text with more tokens than the limit, or all of it: what comes after cannot matter, and the
    library's cut of a pair takes time and memory that grow with the product of the two lengths."""
    beginning = text[: 10 * limit + 100]
    return beginning if len(tokenizer(beginning, add_special_tokens=False)["input_ids"]) > limit else text


def _main(frontend: TextFrontend) -> str:
    names = [str(part.field) for part in frontend.template if part.field]
    required = [str(part.field) for part in frontend.template if part.field and part.default is None]
    return required[0] if required else "text" if "text" in names else names[0]


def chosen_id(choice: Choice, item: Text) -> int:
    """The number that a choice is for one item."""
    value = choice.default if isinstance(item, str) else item.get(choice.field, choice.default)
    return choice.values[value or ""]
