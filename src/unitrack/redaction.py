"""Secrets are taken out before anything is written: by the name of a key and by the look of a value."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from typing import Any

REDACTED = "[redacted]"

_SECRET_KEY = re.compile(
    r"(^|[_\-.])(password|passwd|passphrase|secret|secrets|credentials?|api[_\-]?key|access[_\-]?key|private[_\-]?key"
    r"|secret[_\-]?key|(auth|access|api|bearer|refresh|session|hf|wandb|github|gitlab)[_\-]?token|token|authorization)$",
    re.IGNORECASE,
)
"""Not `eos_token` or `tokenizer`: those are hyperparameters."""

_SECRET_VALUES = re.compile(
    r"""
      (?P<userinfo>(?<=://)[^/\s@:]*:[^/\s@]+(?=@))               # https://user:password@host
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
    return _SECRET_VALUES.sub(REDACTED, text)


def redact(value: Any, key: str = "", extra_keys: Sequence[str] = ()) -> Any:
    """A copy of a JSON-like value without its secrets.

    A string (or a list of them) under a key that names a secret is replaced whole; any other string is searched for
    credentials. `extra_keys` are more such keys, as globs (the `safeguards.redact` of the configuration).
    """
    if isinstance(value, Mapping):
        return {name: redact(item, str(name), extra_keys) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact(item, key, extra_keys) for item in value]
    if not isinstance(value, str):
        return value
    named_secret = _SECRET_KEY.search(key) or any(fnmatch.fnmatch(key, pattern) for pattern in extra_keys)
    return REDACTED if named_secret and value else redact_text(value)
