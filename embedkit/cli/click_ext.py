"""What the command lines need beside click: arguments that are explained, commands in their order, and dataclasses of
options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field, fields
from functools import partial, wraps
from typing import Any

import click

INTERRUPTED = 130
"""The exit code after Ctrl-C."""


class Argument(click.Argument):
    """An argument with a help text. Its metavar is shown as it is, such as ``[TEXT]...``."""

    def __init__(self, names: Sequence[str], *, metavar: str, help: str, **attributes: Any) -> None:
        super().__init__(names, metavar=metavar, **attributes)
        self.about = f"{help}  [required]" if self.required else help


class OptionalValue(click.Option):
    """An option whose value, one of a `click.Choice`, may be left out, for ``alone``.

    What follows it on the command line is its value where it is one of the choices, and else a word of its own, such as a
    query: click itself would take any word.
    """

    def __init__(self, names: Sequence[str], *, alone: str, **attributes: Any) -> None:
        super().__init__(names, **attributes)
        self.alone = alone

    def completed(self, args: list[str]) -> list[str]:
        """The words of a command line, in which the option always has its value."""
        assert isinstance(self.type, click.Choice)
        end = args.index("--") if "--" in args else len(args)
        return [
            f"{word}={self.alone}"
            if i < end and word in self.opts and args[i + 1 : i + 2] not in ([one] for one in self.type.choices)
            else word
            for i, word in enumerate(args)
        ]


class Command(click.Command):
    """A command whose help explains its arguments, and which Ctrl-C ends without a word."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line."""
        for one in self.get_params(ctx):
            if isinstance(one, OptionalValue):
                args = one.completed(args)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The arguments, then the options."""
        arguments = [(one.human_readable_name, one.about) for one in self.get_params(ctx) if isinstance(one, Argument)]
        if arguments:
            with formatter.section("Arguments"):
                formatter.write_dl(arguments)
        super().format_options(ctx, formatter)

    def invoke(self, ctx: click.Context) -> Any:
        """Run it."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None


class Group(click.Group):
    """Commands, listed in the order in which they were added."""

    command_class = Command

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names."""
        return list(self.commands)


argument = partial(click.argument, cls=Argument)


def option_field(default: Any, **attributes: Any) -> Any:
    """A field of a dataclass for `grouped`, with the attributes of a `click.option`."""
    return field(default=default, metadata=attributes)


def grouped(name: str, kind: type[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A decorator that gives a command an option for each field of a dataclass, and passes it all of them as one
    object, as the parameter ``name``."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def run(**given: Any) -> None:
            given[name] = kind(**{one.name: given.pop(one.name) for one in fields(kind)})
            command(**given)

        for one in reversed(fields(kind)):
            click.option("--" + one.name.replace("_", "-"), default=one.default, **one.metadata)(run)
        return run

    return decorate
