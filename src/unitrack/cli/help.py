"""Help pages that name what a user gives, without the types of Python that typer prints beside it."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


class Command(TyperCommand):
    """A command whose help says `--json` and `RUN`, not `--json <bool>` and `{RUN} <str>`."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters and the options for help."""
        return _without_types(super().get_params(ctx))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the parts of the line after "Usage:"."""
        return [piece.translate({ord(brace): None for brace in "{}"}) for piece in super().collect_usage_pieces(ctx)]


DEFAULT = "run"
"""A group with a command of this name takes it for what follows the group's name and is none of its commands."""


class Group(TyperGroup):
    """A group of commands with such a help."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the arguments; those that name no command are of the default one, if the group has one."""
        if DEFAULT in self.commands and args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters and the options for help."""
        return _without_types(super().get_params(ctx))


def use_plain_help(app: typer.Typer) -> None:
    """Make each command of `app` and of its groups a `Command`, and each group a `Group`."""
    for command in app.registered_commands:
        command.cls = Command
    for group in app.registered_groups:
        group.cls = Group
        if group.typer_instance is not None:
            use_plain_help(group.typer_instance)


def _without_types(params: list[Any]) -> list[Any]:
    for param in params:
        if getattr(param, "is_flag", False):
            param.metavar = ""
        elif param.param_type_name == "argument":
            param.display_type_rich = lambda ctx: None  # from typer 0.27 on; before, a metavar hid the type
    return params
