"""What a model's card states."""

from __future__ import annotations

import re
from typing import Literal

from embedkit_export.recipes.recipe import Inferred, Pooling, Recipe
from embedkit_export.sources.source import Source


def from_card(origin: Source) -> Inferred:
    """The recipe of a plain model: what its card's code does, else the mean of the token vectors."""
    card = (origin.folder / "README.md") if origin.folder else None
    text = card.read_text(encoding="utf-8", errors="replace") if card is not None and card.is_file() else ""
    code = "\n".join(re.findall(r"```(?:python|py)?\n(.*?)```", text, re.DOTALL))
    seen = {
        "last": re.search(r"last_token_pool|last_hidden_states?\[:, -1", code),
        "mean": re.search(r"mean_pool|average_pool|/ *(?:torch\.clamp\()?\w*mask\w*\.sum\(|\.mean\((?:dim=)?1", code),
        "first": re.search(r"cls_pool|last_hidden_states?\[:, ?0|\[0\]\[:, 0", code),
        "pooler": re.search(r"pooler_output", code),
    }
    modes = [mode for mode, match in seen.items() if match]
    normal = re.search(r"F\.normalize\(|normalize_embeddings=True", code)
    after = [{"kind": "normalize"}] if normal else []
    if len(modes) != 1:
        return _unsaid(origin)
    match = seen[modes[0]]
    assert match is not None
    reasons = [f"pooling: {modes[0]}, because the model card's code has {match[0]!r}"]
    if normal:
        reasons.append(f"stages: normalize, because the model card's code has {normal[0]!r}")
    note = f"pooling {modes[0]!r}{' and unit length' if normal else ''} were read from the model card's code; check them with --dry-run"
    return Inferred(Recipe(pooling=Pooling(mode=modes[0]), stages=after), reasons, [note])  # type: ignore[arg-type]


def _unsaid(origin: Source) -> Inferred:
    """The recipe where nothing says what a text's vector is: what sentence-transformers takes by default."""
    config = getattr(getattr(origin, "backbone", None), "config", None)
    named = (getattr(config, "architectures", None) or [""])[0]
    decoder = named.endswith("ForCausalLM") and getattr(config, "is_causal", True) is not False
    mode: Literal["last", "mean"] = "last" if decoder else "mean"
    why = f"the model is a {named}" if decoder else "nothing says otherwise"
    other = "mean" if decoder else "last"
    notes = [
        f"pooling {mode!r} was taken, as sentence-transformers does, because {why}: a plain transformers folder does not say how the "
        "vectors of tokens become one, and if the model was trained otherwise its vectors are wrong; to change it pass --pooling "
        f'first, mean, max, last or pooler, or write  pooling = "{other}"  in a recipe'
    ]
    if getattr(getattr(origin, "tokenizer", None), "chat_template", None):
        notes.append(
            "the tokenizer has a chat template, which sentence-transformers puts every text into; here a text is read as it is: to "
            'change it write what the template renders in a recipe, such as  template = "<|user|>{text}<|end|>"'
        )
    return Inferred(Recipe(pooling=Pooling(mode=mode)), [f"pooling: {mode}, because {why}"], notes)
