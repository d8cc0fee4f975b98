"""Names of metrics, params, tags and artifacts in the form that MLflow accepts.

MLflow takes word characters, "/", ".", "-", " " and ":", at most 250 of them, and no name that a file system would
read as another one ("a//b", "../a"). A `KeyMap` gives each name a key of its own. Nearly every key gives its name back
through `unitrack.unescape`; the few that do not (too long) are kept as tags of the run.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping

from unitrack.names import escape, unescape
from unitrack_mlflow import limits

KEY = r"/\w.\- :"
ARTIFACT = r"/\w.\- ()+,=@"
"""MLflow puts artifact names into URLs unquoted: "#", "?" and "%" would cut or change them."""
_FLAT = r"\w\- "
_LOWER = r"a-z0-9_\- "
_DIGEST = 16


class KeyMap:
    """The keys of one kind of name within one run; injective, and the same whenever it is asked again."""

    def __init__(
        self,
        kind: str,
        *,
        allowed: str = KEY,
        reserved: tuple[str, ...] = (),
        folds_case: bool = False,
        nests: bool = False,
    ) -> None:
        """`reserved`: how keys that aren't the user's begin. `nests`: "a" and "a/b" can't both be, as with files."""
        self._allowed = allowed
        self._reserved = reserved
        self._folds_case = folds_case
        self._nests = nests
        self._tag_prefix = f"unitrack.names.{kind}."
        self._keys: dict[tuple[str, str], str] = {}
        self._names: dict[str, str] = {}
        self._taken: set[str] = set()
        self._folders: set[str] = set()
        self._unsaved: dict[str, str] = {}

    def restore(self, keys: Iterable[str], tags: Mapping[str, str], prefixes: tuple[str, ...] = ("",)) -> None:
        """Take up the keys that a run has already, with the tags that hold the names which keys don't tell."""
        for text in _joined({tag: text for tag, text in tags.items() if tag.startswith(self._tag_prefix)}):
            with contextlib.suppress(ValueError):  # a part is missing: it is written again with the key
                key, name = json.loads(text)
                self._names[key] = name
        for key in keys:
            prefix = max((p for p in prefixes if key.startswith(p)), key=len)
            self._take((prefix, self.name(key, prefix)), key)

    def key(self, name: str, prefix: str = "") -> str:
        """The key of `name`, behind `prefix`, which is one of the reserved beginnings."""
        known = self._keys.get((prefix, name))
        if known is not None:
            return known
        key = next((key for key in self._candidates(name, prefix) if self._is_free(key, prefix)), None)
        if key is None:
            digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST]
            readable = escape(name, _LOWER)
            key = f"{prefix}{readable[: limits.KEY_LENGTH - len(prefix) - 1 - _DIGEST]}-{digest}"
            self._names[key] = name
            tag = self._tag_prefix + hashlib.sha256(key.encode()).hexdigest()[:_DIGEST]
            self._unsaved |= _split(tag, json.dumps([key, name], ensure_ascii=False))
        self._take((prefix, name), key)
        return key

    def name(self, key: str, prefix: str = "") -> str:
        """The name that `key`, which starts with `prefix`, was made from."""
        kept = self._names.get(key)
        return unescape(key.removeprefix(prefix)) if kept is None else kept

    def unsaved(self) -> dict[str, str]:
        """Return the tags to write before keys that were made; the same again until they are `saved`."""
        return dict(self._unsaved)

    def saved(self, tags: Iterable[str]) -> None:
        """MLflow has these tags: what is not ours among them is passed over."""
        for tag in tags:
            self._unsaved.pop(tag, None)

    def _candidates(self, name: str, prefix: str) -> Iterator[str]:
        """Reversible keys, the most readable one first; `unescape` undoes each, so no two names can meet."""
        yield prefix + escape(name, self._allowed)
        yield prefix + escape(name, _FLAT)
        yield prefix + escape(name, _LOWER)
        if name:
            yield f"{prefix}_x{ord(name[0]):x}_" + escape(name[1:], _LOWER)

    def _is_free(self, key: str, prefix: str) -> bool:
        if not key or posixpath.normpath(key) != key or key.startswith(("/", "..")) or key == ".":
            return False
        if len(key) > limits.KEY_LENGTH or any(_too_long(part) for part in key.split("/")):
            return False
        if not prefix and key.startswith(self._reserved):
            return False
        folded = self._fold(key)
        if folded in self._taken:
            return False
        return not (self._nests and (folded in self._folders or not self._taken.isdisjoint(_parents(folded))))

    def _take(self, name: tuple[str, str], key: str) -> None:
        folded = self._fold(key)
        self._keys[name] = key
        self._taken.add(folded)
        self._folders.update(_parents(folded))

    def _fold(self, key: str) -> str:
        return key.lower() if self._folds_case else key


def names_of(kind: str, run_tags: Mapping[str, str], *, is_ours: bool) -> Callable[[str], str]:
    """Return the function that makes names of a run's keys; if unitrack did not write the run, keys are names."""
    if not is_ours:
        return str
    keys = KeyMap(kind)
    keys.restore((), run_tags)
    return keys.name


def _split(tag: str, text: str) -> dict[str, str]:
    """A text as tags that MLflow takes: `tag`, `tag`.1, `tag`.2 and so on."""
    size = limits.TAG_LENGTH
    parts = [text[start : start + size] for start in range(0, len(text), size)]
    return {tag if number == 0 else f"{tag}.{number}": part for number, part in enumerate(parts)}


def _joined(tags: Mapping[str, str]) -> Iterator[str]:
    """The texts that `_split` made tags of."""
    for tag, text in tags.items():
        digest, _, number = tag.rpartition(".")
        if number.isdecimal() and digest in tags:
            continue
        parts = [text]
        while (part := tags.get(f"{tag}.{len(parts)}")) is not None:
            parts.append(part)
        yield "".join(parts)


def side_key(prefix: str, key: str) -> str:
    """The key of a tag that says something about `key`. One way: it is looked up, never taken apart."""
    joined = prefix + key
    if len(joined) <= limits.KEY_LENGTH and not any(_too_long(part) for part in joined.split("/")):
        return joined
    return prefix + hashlib.sha256(key.encode()).hexdigest()[:_DIGEST]


def _too_long(part: str) -> bool:
    return len(part.encode()) > limits.PATH_PART_BYTES


def _parents(key: str) -> Iterator[str]:
    end = key.find("/")
    while end >= 0:
        yield key[:end]
        end = key.find("/", end + 1)
