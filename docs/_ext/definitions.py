"""Reference pages from what defines a thing: the command line from click's commands, the server from its own OpenAPI document,
the stores from their capabilities; and a role for names in docstrings."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole


class Name(SphinxRole):
    """A name in single backticks: a link to where the reference has it, and else code."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        target = self.text.removeprefix("~").removesuffix("()")
        reference = pending_xref(
            "", nodes.literal(self.text, self.text.removeprefix("~")), refdomain="name", reftype="name", reftarget=target, refwarn=False
        )
        reference["refdoc"] = self.env.docname
        return [reference], []


def resolve_name(app: Sphinx, env: Any, node: Any, content: Any) -> Any:
    """The object of Python that a name stands for: whole, behind ``embedkit.``, or a method of a class that has it alone."""
    if node.get("refdomain") != "name":
        return None
    wanted, python = node["reftarget"], env.domains["py"]
    for full in (wanted, f"embedkit.{wanted}", f"embedkit_export.{wanted}"):
        if full in python.objects:
            entry = python.objects[full]
            refid = entry.node_id
            link = nodes.reference("", "", content, internal=True, reftitle=full)
            link["refuri"] = app.builder.get_relative_uri(node["refdoc"], entry.docname) + "#" + refid
            return link
    return content


class Generated(SphinxDirective):
    """A directive that writes Markdown, which is read as if it stood on the page."""

    def markdown(self) -> Iterator[str]:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        lines = "\n".join(self.markdown()).splitlines()
        holder = nodes.container()
        self.state.nested_parse(StringList(lines, source=self.env.docname), 0, holder)
        return list(holder.children)


def _code(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


class Commands(Generated):
    """``{commands} module:command``: a click command, and those below it where it is a group, each under a heading."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()  # what it reads is no page
        module, _, attribute = self.arguments[0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        if not isinstance(command, click.Group):
            return self._command(command, command.name or "", None)
        context = click.Context(command, info_name=command.name, **command.context_settings)
        found: list[nodes.Node] = []
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            found += self._command(below, f"{command.name} {name}", context)
        return found

    def _command(self, command: click.Command, name: str, parent: click.Context | None) -> list[nodes.Node]:
        context = command.make_context(name.split()[-1], [], parent=parent, resilient_parsing=True)
        section = nodes.section(ids=[name.replace(" ", "-")], names=[name])
        self.state.document.note_explicit_target(section)
        section += nodes.title("", name)
        usage = f"{name} {' '.join(command.collect_usage_pieces(context))}"
        section += nodes.paragraph("", inspect.cleandoc((command.help or "").replace("\b", "").split("\f")[0]))
        section += nodes.literal_block(usage, usage, language="text")
        rows = [
            (parameter.human_readable_name, getattr(parameter, "about", ""))
            for parameter in command.get_params(context)
            if isinstance(parameter, click.Argument)
        ]
        rows += [
            record
            for parameter in command.get_params(context)
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(context))
        ]
        section += definitions(rows)
        if command.epilog:
            shown = inspect.cleandoc("\n" + command.epilog.replace("\b\n", "").replace("\b", ""))
            section += nodes.literal_block(shown, shown, language="text")
        return [section]


def definitions(rows: list[tuple[str, str]]) -> nodes.definition_list:
    """A list of terms in code, each with its paragraph."""
    found = nodes.definition_list()
    for name, about in rows:
        item = nodes.definition_list_item()
        item += nodes.term("", "", nodes.literal(name, name))
        item += nodes.definition("", nodes.paragraph("", " ".join(about.split())))
        found += item
    return found


class Routes(SphinxDirective):
    """``{routes}``: the routes of the server with their fields, from the document that it gives at ``/openapi.json``."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        document = openapi_document()
        found: list[nodes.Node] = []
        for path, methods in document["paths"].items():
            for method, what in methods.items():
                title = f"{method.upper()} {path}"
                section = nodes.section(ids=[nodes.make_id(title)], names=[title])
                self.state.document.note_explicit_target(section)
                section += nodes.title("", "", nodes.literal(title, title))
                if what.get("summary"):
                    section += nodes.paragraph("", what["summary"])
                body = what.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
                rows = list(fields(document, body))
                if rows:
                    section += definitions(rows)
                found.append(section)
        return found


def fields(document: dict[str, Any], schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(name, type, default and what it means) of each field of a schema."""
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
    for name, field in schema.get("properties", {}).items():
        default = f"; {json.dumps(field['default'])} by default" if field.get("default") is not None else ""
        needed = "; required" if name in schema.get("required", []) else ""
        said = f". {field['description']}" if field.get("description") else ""
        yield name, type_of(field) + needed + default + said


def type_of(field: dict[str, Any]) -> str:
    """A JSON schema's type in a few words."""
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(type_of(one) for one in field["anyOf"]))
    if "enum" in field:
        return ", ".join(json.dumps(one) for one in field["enum"])
    if field.get("type") == "array":
        return f"list of {type_of(field['items'])}" if field.get("items") else "list"
    return str(field.get("type", "object" if "$ref" in field else "any value"))


def openapi_document() -> dict[str, Any]:
    """What a server answers at ``/openapi.json``."""
    from embedkit import AsyncEncoder, Encoder
    from embedkit.server import create_app
    from embedkit.server.models import Catalogue, ServedModel
    from embedkit.server.service import Service
    from embedkit.server.settings import ServeSettings
    from embedkit.testing.tiny import tiny_bundle

    sent: list[dict[str, Any]] = []

    async def ask() -> None:
        with tempfile.TemporaryDirectory() as folder:
            encoder = Encoder.load(tiny_bundle(Path(folder) / "tiny"), variant="fp32", engine="onnxruntime", threads=1)
            catalogue = Catalogue([ServedModel("tiny", encoder, AsyncEncoder(encoder))])
            app = create_app(Service(catalogue, ServeSettings(access_log=False)), warm=False)
            scope = {"type": "http", "method": "GET", "path": "/openapi.json", "raw_path": b"/openapi.json", "query_string": b"",
                     "headers": [], "http_version": "1.1", "scheme": "http", "server": ("localhost", 80), "client": None}

            async def receive() -> dict[str, Any]:
                await asyncio.Event().wait()  # as a client does that stays, and says nothing more
                raise AssertionError

            async def send(message: dict[str, Any]) -> None:
                sent.append(message)

            await app(scope, receive, send)

    asyncio.run(ask())
    return json.loads(b"".join(part.get("body", b"") for part in sent))


class Stores(Generated):
    """``{stores}``: what each store can do, as `embedkit stores` says it."""

    def markdown(self) -> Iterator[str]:
        from embedkit.stores.plugins import describe, store_plugins

        yield "| address | what it can do |"
        yield "|-|-|"
        for scheme in sorted(store_plugins()):
            for address, words in describe(scheme).abilities().items():
                yield f"| `{_code(address)}` | {_code(words)} |"


class Models(Generated):
    """``{models} PATTERN``: the rows of models.md whose model the pattern finds."""

    required_arguments = 1
    final_argument_whitespace = True

    def markdown(self) -> Iterator[str]:
        page = (Path(self.env.srcdir) / "models.md").read_text(encoding="utf-8")
        self.env.note_dependency("models.md")
        rows = [line for line in page.splitlines() if line.startswith("| ") and line.count(" | ") == 3]
        found = [row for row in rows if re.search(self.arguments[0], row.partition(" | ")[0])]
        if not found:
            raise self.error(f"no model of models.md is found by {self.arguments[0]}")
        yield from ("| model | recipe | command | difference |", "|-|-|-|-|", *found)


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_role("name", Name())
    app.connect("missing-reference", resolve_name)
    app.add_directive("commands", Commands)
    app.add_directive("routes", Routes)
    app.add_directive("stores", Stores)
    app.add_directive("models", Models)
    return {"parallel_read_safe": True}
