"""How a question and a document become one text: as a pair of segments, or rendered by a chat template, which is read off
what it makes of known texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from embedkit.errors import ExportError

QUERY, DOCUMENT, INSTRUCTION = "query", "document", "instruction"
_MARKS = {QUERY: "Aq7xW", DOCUMENT: "Bd9zK", INSTRUCTION: "Cp5vR"}
_PROBES = (
    {QUERY: " two words ", DOCUMENT: "\n a line\n\nand another \n", INSTRUCTION: " asked\n"},
    {QUERY: "{x} {{y}}", DOCUMENT: "<|z|> {y} 'quoted' \"twice\" \\n & <b>", INSTRUCTION: "{% if %}"},
    {QUERY: "é 你好 🎉", DOCUMENT: "\t# Heading\r\n- İtem", INSTRUCTION: "Größe"},
)
"""Texts that a template may change: white space around them, its own signs, other scripts."""

Render = Callable[[str, str, str | None], str]
"""A question, a document and an instruction (None without one) to the text that is read."""


@dataclass(frozen=True)
class PairTemplate:
    """What a recipe says of a pair: its template, texts for fields that need not be given, and whether the template has
    all special tokens that are read, and an end that no cut takes."""

    template: str | list[str]
    fields: dict[str, str] = field(default_factory=dict)
    whole: bool = False
    closed: bool = True

    def options(self) -> dict[str, Any]:
        """The fields of a recipe or a role."""
        if not self.whole:
            return {"template": self.template, "fields": self.fields}
        cut = {"cut": "body"} if self.closed else {}
        return {"template": self.template, "fields": self.fields, "special_tokens": False, **cut}


def escaped(text: str) -> str:
    """Literal text of a template."""
    return text.replace("{", "{{").replace("}", "}}")


def of_reader(reader: Any, prompt: str) -> PairTemplate:
    """What a Transformer of sentence-transformers makes of a pair with a prompt. Raises `ExportError` where its chat
    template cannot be written as one."""
    if "message" not in reader.modality_config:
        return PairTemplate([escaped(prompt) + "{query}", "{document}"])
    options = dict(reader.processing_kwargs.get("chat_template", {}))
    closed = options.pop("restore_suffix", True)
    for size in ("padding", "truncation", "max_length", "return_tensors"):
        options.pop(size, None)
    return of_chat(renderer(reader.input_formatter, reader.processor, options), prompt or None, closed=closed)


def renderer(formatter: Any, processor: Any, options: dict[str, Any]) -> Render:
    """What a chat template of sentence-transformers' processor makes of a pair; ``formatter`` is its `InputFormatter`."""

    def render(query: str, document: str, instruction: str | None) -> str:
        messages = [formatter.pair_to_messages((query, document))]
        if instruction is not None:
            messages = formatter.prepend_prompt_to_messages(messages, instruction)
        try:
            return str(processor.apply_chat_template(messages[0], tokenize=False, **options))
        except Exception as error:
            raise ExportError(f"chat template: it cannot be rendered for a question and a document: {error}") from error

    return render


def carries_pairs(render: Render) -> bool:
    """Whether what is rendered holds the question and the document."""
    try:
        text = render(_MARKS[QUERY], _MARKS[DOCUMENT], None)
    except ExportError:
        return False
    return _MARKS[QUERY] in text and _MARKS[DOCUMENT] in text


def of_chat(render: Render, prompt: str | None, *, closed: bool = True) -> PairTemplate:
    """The template that a rendering follows. An instruction is a field, with ``prompt``, or what stands there without one,
    as the text where it is not given. Raises `ExportError` where the rendering changes texts, or leaves them out."""
    plain = render(_MARKS[QUERY], _MARKS[DOCUMENT], prompt)
    default = _instruction(render, plain)
    names = [QUERY, DOCUMENT] if default is None else [QUERY, DOCUMENT, INSTRUCTION]
    shown = plain if default is None else render(*_MARKS.values())
    for name in names:
        if shown.count(_MARKS[name]) != 1:
            found = "does not hold" if _MARKS[name] not in shown else "repeats"
            raise ExportError(
                f"chat template: what it renders {found} the {name}; give the text that the model reads as `template` in a recipe, "
                "with {query} and {document}"
            )
    for strips in product((False, True), repeat=len(names)):
        stripped = [name for name, strip in zip(names, strips, strict=True) if strip]
        if all(_filled(shown, names, stripped, probe) == _rendered(render, names, prompt, probe) for probe in _PROBES):
            break
    else:
        raise ExportError(
            "chat template: it changes the texts that it renders, which a bundle's template cannot; give the text that the model "
            "reads as `template` in a recipe, with {query} and {document}"
        )
    text = escaped(shown)
    for name in names:
        text = text.replace(_MARKS[name], f"{{{name}:strip}}" if name in stripped else f"{{{name}}}")
    return PairTemplate(text, {} if default is None else {INSTRUCTION: default}, whole=True, closed=closed)


def _instruction(render: Render, plain: str) -> str | None:
    """What stands in ``plain`` in the place of an instruction; None where that place is not there, or cannot be told."""
    try:
        shown = render(*_MARKS.values())
    except ExportError:
        return None
    before, found, after = shown.partition(_MARKS[INSTRUCTION])
    if not found or _MARKS[INSTRUCTION] in after or len(before) + len(after) > len(plain):
        return None
    if not (plain.startswith(before) and plain.endswith(after)):
        return None
    inside = plain[len(before) : len(plain) - len(after)]
    return None if any(mark in inside for mark in _MARKS.values()) else inside


def _filled(shown: str, names: list[str], stripped: list[str], probe: dict[str, str]) -> str:
    """What is shown with a probe's texts in the place of the marks, all at once."""
    parts = [shown]
    for name in names:
        value = probe[name].strip() if name in stripped else probe[name]
        out: list[str] = []
        for i, part in enumerate(parts):
            if i % 2:  # a text that was put in is not searched
                out.append(part)
                continue
            before, found, after = part.partition(_MARKS[name])
            out += [before, value, after] if found else [part]
        parts = out
    return "".join(parts)


def _rendered(render: Render, names: list[str], prompt: str | None, probe: dict[str, str]) -> str:
    return render(probe[QUERY], probe[DOCUMENT], probe[INSTRUCTION] if INSTRUCTION in names else prompt)
