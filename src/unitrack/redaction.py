"""Secrets are taken out before anything is written: by the name of a key and by the look of a value."""

from __future__ import annotations

import fnmatch
import functools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

REDACTED = "[redacted]"

_SECRET_KEY = re.compile(
    r"(^|_)((pg)?password|passwd|passphrase|secrets?|credentials?|(api|access|account|private|secret)_?key"
    r"|(auth|access|api)?token|authorization|shared_access_signature)$"
)
"""Searched in a key in snake case."""

_PWD = re.compile(r"(^|_)pwd$")
"""A password in ODBC and MySQL, the working directory in a shell: a secret unless the value is a path."""
_PATH = re.compile(r"\s*[\"']?([~.]?/|\.{1,2}$|[A-Za-z]:[\\/])")

_NO_SECRET_KEY = re.compile(
    r"(^|_)(eos|bos|pad|unk|mask|cls|sep|start|end|stop|prefix|suffix|special|image|audio|video|separator|trigger)_token$"
)
"""What language models call their hyperparameters."""

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@functools.cache
def _secret_values() -> re.Pattern[str]:
    """Compiled at its first use: it costs 3 ms, which `import unitrack` need not."""
    return re.compile(
        r"""
          (?P<userinfo>(?<=://)[^/\s@:]*:[^/\s]+(?=@))                # https://user:password@host
        | \b(?:sk|pk|rk)-[A-Za-z0-9_\-]{16,}                          # OpenAI, Anthropic, Stripe
        | \bhf_[A-Za-z0-9]{16,}                                       # Hugging Face
        | \b(?:ghp|gho|ghu|ghs|ghr|github_pat)_[A-Za-z0-9_]{16,}      # GitHub
        | \bglpat-[A-Za-z0-9_\-]{16,}                                 # GitLab
        | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b                               # AWS access key id
        | \bxox[abprs]-[A-Za-z0-9\-]{10,}                             # Slack
        | \bwandb_v\d_[A-Za-z0-9_]{16,}                               # W&B
        | (?<![\w\-])eyJ[A-Za-z0-9_\-]{10,}\.[A-Za-z0-9_\-]{10,}\.[A-Za-z0-9_\-]+   # a JSON web token
        | -----BEGIN[ A-Z]*PRIVATE\ KEY-----.*?(?:-----END[ A-Z]*PRIVATE\ KEY-----|\Z)
        """,
        re.VERBOSE | re.DOTALL,
    )


@functools.cache
def _commands() -> re.Pattern[str]:
    """Passwords in the arguments of commands that take them without a name. Compiled at its first use."""
    return re.compile(
        r"""(?P<before>\bcurl\b[^\n|;&]{0,300}?\s(?:-u|--user)[\s=]{0,4}["']?[^\s:"'=]{1,64}:"""
        r"""|\bsshpass\s{1,4}-p\s{0,4}|\bmysql(?:dump|admin)?\b[^\n|;&]{0,300}?\s-p(?=\S))"""
        r"""(?:"[^"\n]{1,200}"|'[^'\n]{1,200}'|[^\s"']{1,200})"""
    )


@functools.cache
def _name_before_value() -> re.Pattern[str]:
    """`--password=`, `--password `, `"api_key": `, `?token=`, `Authorization: Bearer `. Compiled at its first use, too.

    Each repetition is bounded, and in `_VALUE` ends at a character that it can't take, so that a search takes time in
    proportion to the text.
    """
    return re.compile(
        r"""(?<![\w.\-])(?:(?P<key>[\w.\-]{1,64})["']?\s{0,4}(?P<to>[=:])\s{0,4}"""
        r"""(?:(?:Bearer|Basic|Token)\s{1,4})?(?!//)"""
        r"""|--(?P<flag>[\w.\-]{1,62})\s{1,4}(?!-))"""
    )


_VALUE = re.compile(r"""(?P<quote>["'])[^"'\n]+(?P=quote)|[^\s"'&,;(){}\[\]<>]+""")
_MIN_SECRET = 8
"""Characters of a secret in the environment: shorter ones are words, such as a user's `PASSWORD=test`."""


_remembered: set[str] = set()


def remember_secrets(options: Any, key: str = "") -> None:
    """Have `redact_text` know what stands under secret keys of a sink's options, in whatever words it comes back."""
    if isinstance(options, Mapping):
        for name, value in options.items():
            remember_secrets(value, str(name))
    elif isinstance(options, str) and _names_secret(key) and options != REDACTED:
        _remembered.add(options)


def _known_values() -> re.Pattern[str] | None:
    """What finds the secrets that this process holds in a text: of its environment, and of its sinks' options."""
    named = {
        value for name, value in os.environ.items() if _names_secret(name) or (_is_pwd(name) and not _PATH.match(value))
    }
    return _pattern_of(frozenset(value for value in named | _remembered if len(value) >= _MIN_SECRET))


@functools.lru_cache(maxsize=4)
def _pattern_of(values: frozenset[str]) -> re.Pattern[str] | None:
    longest_first = sorted(values, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


def redact_text(text: str, patterns: Sequence[str] = ()) -> str:
    """`text` with everything that looks like a credential replaced by "[redacted]".

    That is what has the form of one, what is assigned to a name of one, the values of this process's environment
    variables that are named like one, those of its sinks' options, and what one of `patterns` finds, regular
    expressions all (the `safeguards.redact_patterns` of the configuration).
    """
    return _redact_text(text, _known_values(), patterns)


def _redact_text(text: str, known: re.Pattern[str] | None, patterns: Sequence[str]) -> str:
    if known is not None:
        text = known.sub(REDACTED, text)
    text = _secret_values().sub(REDACTED, text)
    if any(command in text for command in ("curl", "sshpass", "mysql")):
        text = _commands().sub(rf"\g<before>{REDACTED}", text)
    text = "".join(_without_assigned(text))
    for pattern in patterns:
        text = re.sub(pattern, REDACTED, text)
    return text


def _without_assigned(text: str) -> Iterator[str]:
    """The pieces of a text, with "[redacted]" for what is assigned to a secret name."""
    done = 0
    for name in _name_before_value().finditer(text):
        called = (name["key"] or name["flag"]).lstrip("-")
        may_be_path = _is_pwd(called)
        if name.start() < done or not (may_be_path or _names_secret(called)):
            continue
        value = _VALUE.match(text, name.end())
        if value is not None and may_be_path and _PATH.match(value[0]):
            continue
        if value is not None and _can_be_secret(value[0], name["to"]):
            quote = value["quote"] or ""
            yield f"{text[done : name.end()]}{quote}{REDACTED}{quote}"
            done = value.end()
    yield text[done:]


def _can_be_secret(value: str, to: str | None) -> bool:
    """Whether it is more than a word of prose, as in "token: none"; `to` is what stands before it, None for a space."""
    bare = value.strip("\"'")
    return bare.lower() not in ("", "none", "null", "true", "false", REDACTED) and (to != ":" or len(bare) >= 4)


def redact(value: Any, key: str = "", extra_keys: Sequence[str] = (), patterns: Sequence[str] = ()) -> Any:
    """A copy of a JSON-like value without its secrets.

    Under a key that names a secret every string and number is replaced, however deep; other strings are searched for
    credentials, and of a list what follows `--password` or the like is replaced. What is empty, None or a bool stays:
    that no secret was set is none. `extra_keys` are more such keys, as globs (the `safeguards.redact` of the
    configuration), in any case; `patterns` are those of `redact_text`.
    """
    known = _known_values()

    def cleaned(value: Any, key: str) -> Any:
        if _names_secret(key, extra_keys) or (_is_pwd(key) and isinstance(value, str) and not _PATH.match(value)):
            return _hide(value)
        if isinstance(value, Mapping):
            return {name: cleaned(item, str(name)) for name, item in value.items()}
        if isinstance(value, list | tuple):
            flags = ("", *(item.lstrip("-") if _is_flag(item) else "" for item in value))  # of argv: what stands before
            is_curl = any(isinstance(item, str) and item.rpartition("/")[2] == "curl" for item in value[:3])
            return [
                _without_password(item) if is_curl and before in ("-u", "--user") else cleaned(item, flag)
                for before, flag, item in zip(("", *value), flags, value, strict=False)
            ]
        return _redact_text(value, known, patterns) if isinstance(value, str) else value

    return cleaned(value, key)


def _without_password(login: Any) -> Any:
    """`me:password` without the latter, as curl takes it."""
    user, colon, _ = login.partition(":") if isinstance(login, str) else (login, "", "")
    return f"{user}:{REDACTED}" if colon else user


def _is_pwd(key: str) -> bool:
    return _PWD.search(_snake(key)) is not None


def _snake(key: str) -> str:
    return _CAMEL.sub("_", key).lower().replace("-", "_").replace(".", "_")


def _is_flag(item: object) -> bool:
    return isinstance(item, str) and item.startswith("--") and "=" not in item


@functools.lru_cache(maxsize=1024)
def _is_secret_name(key: str) -> bool:
    snake = _snake(key)
    return _SECRET_KEY.search(snake) is not None and not _NO_SECRET_KEY.search(snake)


def _names_secret(key: str, extra_keys: Sequence[str] = ()) -> bool:
    if not key:
        return False
    return _is_secret_name(key) or any(fnmatch.fnmatchcase(key.lower(), pattern.lower()) for pattern in extra_keys)


def _hide(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _hide(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_hide(item) for item in value]
    return value if value is None or value == "" or isinstance(value, bool) else REDACTED
