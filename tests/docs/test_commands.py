"""Commands in shell snippets exist, with these options; the paths that they name exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import typer.main

from unitrack.cli import app

_SNIPPET = re.compile(r"^```(?:sh|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SHELL = {">", ">>", "|", "&&", "||", ";"}


def test_unitrack_commands_parse(document: Path) -> None:
    """The command line takes them; they are not run."""
    group = typer.main.get_command(app)
    for words in _commands(document):
        if words[0] == "unitrack":
            with group.make_context("unitrack", words[1:]) as context:
                name, command, rest = group.resolve_command(context, [*context._protected_args, *context.args])
                command.make_context(name, rest, parent=context).close()


def test_paths_of_commands_exist(document: Path) -> None:
    """Those that begin with `./` or lie in a folder of this repository."""
    repository = Path(__file__).parents[2]
    for words in _commands(document):
        for word in words:
            if re.match(r"(\./)?(plugins|examples|benchmarks|tests|docs)/", word):
                assert (repository / word).exists(), f"{document.name}: {shlex.join(words)}"


def _commands(document: Path) -> Iterator[list[str]]:
    """The commands of shell snippets as words, without settings of variables before them."""
    for snippet in _SNIPPET.findall(document.read_text()):
        for line in snippet.replace("\\\n", " ").splitlines():
            words: list[str] = []
            for word in [*shlex.split(line.removeprefix("$ "), comments=True), ";"]:
                if word not in _SHELL:
                    words.append(word)
                    continue
                while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                    words.pop(0)
                if words:
                    yield words
                words = []
