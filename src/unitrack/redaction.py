"""Secrets are taken out before anything is written: by the name of a key and by the look of a value."""

from __future__ import annotations

import fnmatch
import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

REDACTED = "[redacted]"

_SECRET_KEY = re.compile(
    r"(^|_)(password|passwd|passphrase|secrets?|credentials?|(api|access|private|secret)_?key|(auth|access|api)?token"
    r"|authorization)$"
)
"""Searched in a key in snake case."""

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
        | \beyJ[A-Za-z0-9_\-]{10,}\.[A-Za-z0-9_\-]{10,}\.[A-Za-z0-9_\-]+   # a JSON web token
        | -----BEGIN[ A-Z]*PRIVATE\ KEY-----.*?(?:-----END[ A-Z]*PRIVATE\ KEY-----|\Z)
        """,
        re.VERBOSE | re.DOTALL,
    )


def redact_text(text: str) -> str:
    """`text` with everything that looks like a credential replaced by "[redacted]"."""
    return _secret_values().sub(REDACTED, text)


def redact(value: Any, key: str = "", extra_keys: Sequence[str] = ()) -> Any:
    """A copy of a JSON-like value without its secrets.

    Under a key that names a secret every string and number is replaced, however deep; other strings are searched for
    credentials. What is empty, None or a bool stays: that no secret was set is none. `extra_keys` are more such keys,
    as globs (the `safeguards.redact` of the configuration), in any case.
    """
    if _names_secret(key, extra_keys):
        return _hide(value)
    if isinstance(value, Mapping):
        return {name: redact(item, str(name), extra_keys) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact(item, "", extra_keys) for item in value]
    return redact_text(value) if isinstance(value, str) else value


def _names_secret(key: str, extra_keys: Sequence[str]) -> bool:
    if not key:
        return False
    snake = _CAMEL.sub("_", key).lower().replace("-", "_").replace(".", "_")
    if _SECRET_KEY.search(snake) and not _NO_SECRET_KEY.search(snake):
        return True
    return any(fnmatch.fnmatchcase(key.lower(), pattern.lower()) for pattern in extra_keys)


def _hide(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _hide(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_hide(item) for item in value]
    return value if value is None or value == "" or isinstance(value, bool) else REDACTED
