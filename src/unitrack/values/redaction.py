"""Redaction of secrets, before anything is written: by the name of a key and by the form of a value."""

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
"""A password in ODBC and MySQL, the working directory in a shell: secret unless the value is a path."""
_PATH = re.compile(r"\s*[\"']?([~.]?/|\.{1,2}$|[A-Za-z]:[\\/])")

_NO_SECRET_KEY = re.compile(
    r"(^|_)(eos|bos|pad|unk|mask|cls|sep|start|end|stop|prefix|suffix|special|image|audio|video|separator|trigger)_token$"
)
"""Hyperparameters of language models that are not secrets: `eos_token` and the like."""

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@functools.cache
def _secret_values() -> re.Pattern[str]:
    """Return the pattern of values with the form of a credential. Compiled at its first use: that costs 3 ms."""
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
    """Return the pattern of passwords that commands such as curl take without a name. Compiled at its first use."""
    return re.compile(
        r"""(?P<before>\bcurl\b[^\n|;&]{0,300}?\s(?:-u|--user)[\s=]{0,4}["']?[^\s:"'=]{1,64}:"""
        r"""|\bsshpass\s{1,4}-p\s{0,4}|\bmysql(?:dump|admin)?\b[^\n|;&]{0,300}?\s-p(?=\S))"""
        r"""(?:"[^"\n]{1,200}"|'[^'\n]{1,200}'|[^\s"']{1,200})"""
    )


@functools.cache
def _name_before_value() -> re.Pattern[str]:
    """Return the pattern of a name before its value: `--password=`, `--password `, `"api_key": `, `?token=`.

    Compiled at its first use. Each repetition is bounded, or ends at a character that it can't match (in `_VALUE`), so
    a search takes time proportional to the text.
    """
    return re.compile(
        r"""(?<![\w.\-])(?:(?P<key>[\w.\-]{1,64})["']?\s{0,4}(?P<to>[=:])\s{0,4}"""
        r"""(?:(?:Bearer|Basic|Token)\s{1,4})?(?!//)"""
        r"""|--(?P<flag>[\w.\-]{1,62})\s{1,4}(?!-))"""
    )


_VALUE = re.compile(r"""(?P<quote>["'])[^"'\n]+(?P=quote)|[^\s"'&,;(){}\[\]<>]+""")
_MIN_SECRET = 8
"""Minimum length of a secret in the environment, in characters: shorter values are words, as in `PASSWORD=test`."""


_remembered: set[str] = set()


def remember_secrets(options: Any, key: str = "") -> None:
    """Make `redact_text` replace the values under secret keys of a sink's options, wherever they appear in a text."""
    if isinstance(options, Mapping):
        for name, value in options.items():
            remember_secrets(value, str(name))
    elif isinstance(options, str) and _names_secret(key) and options != REDACTED:
        _remembered.add(options)


def _known_values() -> re.Pattern[str] | None:
    """Return the pattern of the secrets that this process knows: from its environment and its sinks' options."""
    named = _secrets_among(tuple(os.environ.items()))
    return _pattern_of(frozenset(value for value in named | _remembered if len(value) >= _MIN_SECRET))


@functools.lru_cache(maxsize=1)
def _secrets_among(variables: tuple[tuple[str, str], ...]) -> frozenset[str]:
    """Return the secret values of environment variables: a start of a run asks for them six times."""
    return frozenset(
        value for name, value in variables if _names_secret(name) or (_is_pwd(name) and not _PATH.match(value))
    )


@functools.lru_cache(maxsize=4)
def _pattern_of(values: frozenset[str]) -> re.Pattern[str] | None:
    longest_first = sorted(values, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


def redact_text(text: str, patterns: Sequence[str] = ()) -> str:
    """Return `text` with everything that looks like a credential replaced by "[redacted]".

    Replaced are: values with the form of a credential, values assigned to a secret name, the values of this process's
    environment variables and sinks' options with secret names, and matches of `patterns`, which are regular
    expressions (`safeguards.redact_patterns` of the configuration).
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
    """Yield the pieces of a text, with "[redacted]" for values assigned to a secret name."""
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
    """Return whether a value may be a secret, and not prose as in "token: none". `to`: the separator before it."""
    bare = value.strip("\"'")
    return bare.lower() not in ("", "none", "null", "true", "false", REDACTED) and (to != ":" or len(bare) >= 4)


_LITERAL = re.compile(r"""(["'])(?P<quoted>[^"'\s{}<>]{8,200})\1""")
_IN_DOTENV = re.compile(r"(?:export )?[A-Za-z_][A-Za-z0-9_]*=(?P<bare>[^\s\"'(){}\[\]<>$]{8,200})\Z")


def holds_credential(text: str, patterns: Sequence[str] = ()) -> bool:
    """Return whether source code, or a patch of it, holds what looks like a credential.

    It asks for more than `redact_text` of what is assigned to a secret name: a literal with a digit in it, or a line of
    a file of variables. Code assigns other code to such names all the time: `token = next(tokens)`.
    """
    known = _known_values()
    if known is not None and known.search(text):
        return True
    if any(not _is_template(found) for found in _secret_values().finditer(text)):
        return True
    if any(re.search(pattern, text) for pattern in patterns):
        return True
    return any(_is_assigned_literal(text, name) for name in _name_before_value().finditer(text))


def _is_template(found: re.Match[str]) -> bool:
    """Return whether the user and password of a URL are put in later: "postgres://{user}:{password}@host"."""
    return found.lastgroup == "userinfo" and any(sign in found[0] for sign in "{}$%<>")


def _is_assigned_literal(text: str, name: re.Match[str]) -> bool:
    called = name["key"]
    if called is None or not _names_secret(called):
        return False
    literal = _LITERAL.match(text, name.end())
    if literal is None:
        line = text[text.rfind("\n", 0, name.start()) + 1 :].partition("\n")[0]
        literal = _IN_DOTENV.match(line.lstrip("+- "))
    value = literal[literal.lastgroup or 0] if literal else ""
    return any(character.isdigit() for character in value) and value != REDACTED


def redact(value: Any, key: str = "", extra_keys: Sequence[str] = (), patterns: Sequence[str] = ()) -> Any:
    """Return a copy of a JSON-like value without its secrets.

    Every string and number under a secret key is replaced, at any depth. Other strings are searched for credentials.
    In a list, the item after `--password` or the like is replaced. Empty strings, None and bools stay. `extra_keys` are
    more secret keys, as globs in any case (`safeguards.redact` of the configuration); `patterns` as in `redact_text`.
    """
    known = _known_values()

    def cleaned(value: Any, key: str) -> Any:
        if _names_secret(key, extra_keys) or (_is_pwd(key) and isinstance(value, str) and not _PATH.match(value)):
            return _hide(value)
        if isinstance(value, Mapping):
            return {name: cleaned(item, str(name)) for name, item in value.items()}
        if isinstance(value, list | tuple):
            # The list may be an argv: `flags` holds the flag before each item.
            flags = ("", *(item.lstrip("-") if _is_flag(item) else "" for item in value))
            is_curl = any(isinstance(item, str) and item.rpartition("/")[2] == "curl" for item in value[:3])
            return [
                _without_password(item) if is_curl and before in ("-u", "--user") else cleaned(item, flag)
                for before, flag, item in zip(("", *value), flags, value, strict=False)
            ]
        return _redact_text(value, known, patterns) if isinstance(value, str) else value

    return cleaned(value, key)


def _without_password(login: Any) -> Any:
    """Return `user:password`, as curl takes it, with the password redacted."""
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
