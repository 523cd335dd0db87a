"""Templates that are read off what a chat template renders."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from embedkit.errors import ExportError
from embedkit_export.plan.detection.pairs.template import carries_pairs, escaped, of_chat

Render = Callable[[str, str, str | None], str]


def rendered(text: str) -> Render:
    def render(query: str, document: str, instruction: str | None) -> str:
        system = "none" if instruction is None else instruction
        return text.replace("<q>", query).replace("<d>", document).replace("<s>", system)

    return render


@pytest.mark.parametrize(
    ("text", "prompt", "template", "fields"),
    [
        ("Q: <q>\nD: <d>\n", None, "Q: {query}\nD: {document}\n", {}),
        ("D: <d> Q: <q>{", "not read", "D: {document} Q: {query}{{", {}),
        ("[<s>] <q> <d>", None, "[{instruction}] {query} {document}", {"instruction": "none"}),
        ("[<s>] <q> <d>", "find", "[{instruction}] {query} {document}", {"instruction": "find"}),
    ],
)
def test_what_is_rendered_as_a_template(text: str, prompt: str | None, template: str, fields: dict[str, str]) -> None:
    found = of_chat(rendered(text), prompt)
    assert (found.template, found.fields, found.whole) == (template, fields, True)
    assert found.options() == {"template": template, "fields": fields, "special_tokens": False, "cut": "body"}


def test_white_space_that_is_taken_off() -> None:
    found = of_chat(lambda query, document, _: f"{query.strip()}\n{document}", None)
    assert found.template == "{query:strip}\n{document}"


def test_a_system_message_that_moves_other_text_is_no_field() -> None:
    found = of_chat(lambda q, d, s: f"{q} {d}" if s is None else f"sys {s} then {q} / {d}", None)
    assert (found.template, found.fields) == ("{query} {document}", {})


@pytest.mark.parametrize(
    ("render", "reason"),
    [
        (lambda q, d, s: f"only {q}", "does not hold the document"),
        (lambda q, d, s: f"{q} {d} {q}", "repeats the query"),
        (lambda q, d, s: f"{q.upper()} {d}", "does not hold the query"),
        (lambda q, d, s: f"{q} {d.replace('{', '(')}", "changes the texts"),
    ],
)
def test_what_no_template_can_say_is_refused(render: Render, reason: str) -> None:
    with pytest.raises(ExportError, match=reason):
        of_chat(render, None)


def test_whether_a_pair_is_rendered() -> None:
    assert carries_pairs(lambda q, d, s: q + d)
    assert not carries_pairs(lambda q, d, s: q)
    assert escaped("{a}") == "{{a}}"
