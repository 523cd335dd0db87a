"""The page docs/models.md: what was found, as tables."""

from __future__ import annotations

from collections.abc import Sequence

from .comparison import Comparison

_TITLES = {
    "dense": "Dense vectors",
    "sparse": "Sparse vectors",
    "multivector": "Late interaction",
    "reranker": "Rerankers and classifiers of pairs",
}
_PAGE = """# Published models

What `embedkit-export` makes of published models. Each row is a look-alike: the model's own configuration files and form of tokenizer, with
small random weights, so that the way from the files to the vectors is compared and nothing is fetched. `python benchmarks/lookalikes.py
--table docs/models.md` makes it anew. The difference is the greatest of any number of any vector or score, over eleven texts (one word,
four scripts, more tokens than many models read) in every role, to sentence-transformers, or to the code of the model's card where its
folder has no modules. Those below 1e-4 count as equal. `*`: the torch module and the tokenizer were compared, not the ONNX graph captured
from it, which every export compares itself before it writes anything.

A recipe names the pooling, what follows it, the tokens that are read, prompts, and the similarity; `--dry-run` shows it whole.
`--max-tokens` in a command made the comparison short; it may be left out.
"""


def table(found: Sequence[Comparison]) -> str:
    """The page."""
    out = [_PAGE]
    exported = [one for one in found if one.difference is not None]
    for kind, title in _TITLES.items():
        rows = [one for one in exported if one.kind == kind]
        if rows:
            out += [f"## {title}", "", "| model | recipe | command | difference |", "|-|-|-|-|"]
            out += [f"| {one.name} | {one.recipe} | `{one.command}` | {_number(one)} |" for one in rows]
            out.append("")
    refused = [one for one in found if one.difference is None]
    if refused:
        out += ["## Refused, with what to do", "", "| model | reason |", "|-|-|"]
        out += [f"| {one.name} | {one.refused.replace('|', chr(92) + '|')} |" for one in refused]
        out.append("")
    return "\n".join(out)


def _number(one: Comparison) -> str:
    return f"{one.difference:.0e}{'' if one.captured else ' *'}"
