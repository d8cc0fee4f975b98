"""How the program of this process was started: its arguments, its file, its working directory."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from unitrack.environment.record import Command
from unitrack.values.plain import plain_text
from unitrack.values.redaction import redact

_WITH_ARGUMENT = ("-X", "-W", "--check-hash-based-pycs")
"""Options of the interpreter that have an argument of their own."""


def describe_command(redact_keys: Sequence[str] = (), patterns: Sequence[str] = ()) -> Command:
    """Return how this process was started, with secrets redacted."""
    argv = [plain_text(word) for word in getattr(sys, "argv", [])]
    shown = redact(argv, "", redact_keys, patterns)
    options, module = _interpreter()
    return Command(
        argv=tuple(shown),
        options=options,
        module=module,
        script=plain_text(script_path()),
        cwd=_cwd(),
        redacted=shown != argv,
    )


def _cwd() -> str:
    try:
        return plain_text(os.getcwd())
    except OSError:  # it was deleted
        return ""


def script_path() -> str:
    """Return the path of the program's file, absolute; "" without one."""
    main: Any = sys.modules.get("__main__")
    file = getattr(main, "__file__", None)
    if not isinstance(file, str) or not os.path.isfile(file):
        return ""
    return os.path.abspath(file)


def _interpreter() -> tuple[tuple[str, ...], str]:
    """Return the options of the interpreter, and the module that it was to run."""
    words = [plain_text(word) for word in sys.orig_argv[1:]]
    options: list[str] = []
    while words:
        word = words.pop(0)
        if not word.startswith("-") or word == "-":
            break
        flags = word if word.startswith("--") else word[:2]
        if flags in _WITH_ARGUMENT and word == flags and words:
            options += [word, words.pop(0)]
        elif flags in _WITH_ARGUMENT:
            options.append(word)
        elif word.startswith("-") and not word.startswith("--") and ("m" in word or "c" in word):
            # "-um" is "-u -m"; what follows in the word, or the next word, is the module or the code
            place = min(word.find(flag) for flag in "mc" if flag in word)
            if place > 1:
                options.append(word[:place])
            is_module = word[place] == "m"
            argument = word[place + 1 :] or (words[0] if words else "")
            return tuple(options), argument if is_module else ""
        else:
            options.append(word)
    return tuple(options), ""
