"""Params of any shape as plain JSON values; names that backends don't take; secrets."""

from __future__ import annotations

import argparse
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import json
import math
import uuid
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import unitrack
from unitrack.names import escape, shorten, unescape
from unitrack.records import flatten
from unitrack.testing import recorded
from unitrack.values.plain import as_mapping, to_plain
from unitrack.values.redaction import REDACTED, redact, redact_text


class Colour(enum.Enum):
    RED = "red"
    PAIR = (1, 2)


class Level(enum.IntEnum):
    HIGH = 3


@dataclasses.dataclass
class Model:
    depth: int = 4
    path: Path = Path("/data")
    nested: dict[str, Any] = dataclasses.field(default_factory=lambda: {"colour": Colour.RED})


class Struct(msgspec.Struct):
    lr: float = 0.1


class Pydantic:
    """What pydantic looks like from outside."""

    def model_dump(self) -> dict[str, Any]:
        return {"lr": 0.1, "colour": Colour.RED}


class Thing:
    pass


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (0.1, 0.1),
        ("x", "x"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (2**63 - 1, 2**63 - 1),
        (2**63, str(2**63)),
        (-(2**70), str(-(2**70))),
        (Colour.RED, "red"),
        (Colour.PAIR, [1, 2]),
        (Level.HIGH, 3),
        (Path("a/b"), "a/b"),
        (PurePosixPath("/x"), "/x"),
        ((1, (2,)), [1, [2]]),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset({"b", "a"}), ["a", "b"]),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.float64("nan"), "nan"),
        (datetime.date(2024, 1, 2), "2024-01-02"),
        (datetime.datetime(2024, 1, 2, 3), "2024-01-02T03:00:00"),
        ({1: "a", Colour.RED: "b", None: "c"}, {"1": "a", "red": "b", "None": "c"}),
        (collections.OrderedDict(a=1), {"a": 1}),
        (collections.defaultdict(int, a=1), {"a": 1}),
        (argparse.Namespace(lr=0.1, path=Path("x")), {"lr": 0.1, "path": "x"}),
        (Model(), {"depth": 4, "path": "/data", "nested": {"colour": "red"}}),
        (Struct(), {"lr": 0.1}),
        (Pydantic(), {"lr": 0.1, "colour": "red"}),
        (Model, f"{__name__}.Model"),
        (np.tanh, "numpy.tanh"),
        (len, "builtins.len"),
        (b"abc", "b'abc'"),
        (type("S", (str,), {})("x"), "x"),
    ],
)
def test_values_become_plain(value: Any, plain: Any) -> None:
    """Of exactly the plain types, so that JSON holds them."""
    result = to_plain(value)
    assert result == plain
    assert type(result) is type(plain)
    assert json.loads(msgspec.json.encode(result)) == plain


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (decimal.Decimal("0.1"), "0.1"),
        (fractions.Fraction(1, 3), "1/3"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (datetime.timedelta(seconds=90), "0:01:30"),
        (1 + 2j, "(1+2j)"),
    ],
)
def test_values_that_have_a_natural_text_get_it(value: Any, plain: str) -> None:
    """Not their constructor's call."""
    assert to_plain(value) == plain


def test_an_object_looks_the_same_in_every_run() -> None:
    """Its memory address is no hyperparameter."""
    one, other = to_plain({"a": Thing(), "b": [Thing()]}), to_plain({"a": Thing(), "b": [Thing()]})
    assert one == other
    assert "0x" not in str(one)
    assert "Thing" in one["a"]
    assert "0x" not in str(to_plain(functools.partial(max, Thing())))


def test_a_pydantic_model_is_a_mapping() -> None:
    """The real one, where it is installed."""
    pydantic = pytest.importorskip("pydantic")
    model = pydantic.create_model("M", lr=(float, 0.5), inner=(Path, Path("x")))()
    assert as_mapping(model) == {"lr": 0.5, "inner": "x"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(json_values)
def test_plain_values_stay_and_anything_is_stable(value: Any) -> None:
    """Twice plain is once plain, and JSON brings it back."""
    plain = to_plain(value)
    assert to_plain(plain) == plain
    assert msgspec.json.decode(msgspec.json.encode(plain)) == plain


@given(st.dictionaries(st.text(alphabet="abc", min_size=1), json_values, max_size=4))
def test_flattening_keeps_every_leaf(params: dict[str, Any]) -> None:
    """An empty mapping is a leaf too, so that nothing vanishes."""

    def leaves(value: Any) -> int:
        return sum(map(leaves, value.values())) if isinstance(value, dict) and value else 1

    if any("." in str(key) or key == "" for key in _keys(params)):
        return  # a dotted key can meet a nested one: one of the two wins
    assert len(flatten(params)) == (leaves(params) if params else 0)


def _keys(value: Any) -> list[str]:
    if not isinstance(value, dict):
        return []
    return [*value, *(key for item in value.values() for key in _keys(item))]


ALLOWED = [r"A-Za-z0-9_", r"\w\-. /", r"A-Za-z0-9_\-. :/"]


@pytest.mark.parametrize("allowed", ALLOWED)
@given(name=st.text() | st.text(alphabet="_x0123456789abcdef@:/ "))
def test_escaped_names_come_back(allowed: str, name: str) -> None:
    """Reversible, hence injective; and only of allowed characters."""
    import re

    escaped = escape(name, allowed)
    assert re.fullmatch(rf"[{allowed}]*", escaped)
    assert unescape(escaped) == name


@given(st.text(min_size=1), st.text(min_size=1), st.integers(20, 60))
def test_shortened_names_do_not_meet(one: str, other: str, length: int) -> None:
    """Two long names that share a beginning stay two."""
    prefix = "p" * 70
    assert len(shorten(prefix + one, length)) <= length
    assert (shorten(prefix + one, length) == shorten(prefix + other, length)) == (one == other)


HYPERPARAMETERS = [
    "tokenizer", "eos_token", "bos_token", "pad_token", "unk_token", "mask_token", "cls_token", "sep_token",
    "max_tokens", "num_tokens", "key", "keys", "primary_key", "author", "authority", "secretary", "passes", "monkey",
    "token_dropout", "password_length", "credential_type", "api_keys_count", "decoder_start_token", "image_token",
]  # fmt: skip
SECRET_KEYS = [
    "password", "PASSWORD", "db_password", "db.password", "passwd", "secret", "client_secret", "api_key", "api-key",
    "apikey", "API_KEY", "aws_secret_access_key", "access_key", "private_key", "token", "auth_token", "HF_TOKEN",
    "github_token", "slack_bot_token", "access_token", "authorization", "credentials", "passphrase", "wandb-token",
    "accessToken", "apiKey", "clientSecret", "dbPassword", "X-Api-Key", "secretKey",
]  # fmt: skip


@pytest.mark.parametrize("key", HYPERPARAMETERS)
def test_hyperparameters_that_sound_secret_are_kept(key: str) -> None:
    """A tokenizer's padding token is no credential."""
    assert redact({key: "<value>"}) == {key: "<value>"}


@pytest.mark.parametrize("key", SECRET_KEYS)
@pytest.mark.parametrize("value", ["hunter2", ["hunter2"], 8713, {"inner": "hunter2"}, b"hunter2", [["hunter2"]]])
def test_all_under_a_secret_key_is_taken_out(key: str, value: Any) -> None:
    """Whatever its type: a numeric password is one too."""
    cleaned = redact({"outer": {key: value}})
    assert "hunter2" not in str(cleaned)
    assert "8713" not in str(cleaned)
    assert REDACTED in str(cleaned)


@pytest.mark.parametrize("value", ["", None, True, False])
def test_an_empty_secret_shows_that_it_is_empty(value: Any) -> None:
    """Whether a secret was set is worth knowing; flags and nothing hold none."""
    assert redact({"password": value}) == {"password": value}


CREDENTIALS = [
    "https://me:hunter2@host/path",
    "postgresql://me:hun%40ter2@db:5432/x",
    "https://:hunter2@host",
    "mysql+pymysql://u:p@ssword@host/db",
    "sk-abcdefghijklmnopqrstu",
    "sk-ant-api03-abcdefghijklmnop_qrst",
    "hf_abcdefghijklmnopqrstuvwxyz",
    "ghp_abcdefghijklmnopqrst1234567890",
    "github_pat_11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz",
    "glpat-abcdefghijklmnopqrst",
    "AKIAIOSFODNN7EXAMPLE",
    "xoxb-123456789012-abcdefghij",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEabc\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\nMIIEabc",
]


@pytest.mark.parametrize("text", CREDENTIALS)
def test_credentials_are_known_by_their_look(text: str) -> None:
    """Anywhere in a text, which is otherwise kept."""
    cleaned = redact_text(f"before {text} after")
    assert cleaned.startswith("before ")
    assert REDACTED in cleaned
    for secret in ("hunter2", "hun%40", "ssword", "abcdefghij", "AKIAIOS", "MIIE", "dozjg"):
        assert secret not in cleaned


@pytest.mark.parametrize(
    "text",
    ["https://host/path?x=1", "s3://bucket/key", "10:30@office", "sk-short", "a task-abcdefghijklmnopqrstuv",
     "user@host", "hf_model", "lr=1e-3", "git@github.com:me/x.git"],
)  # fmt: skip
def test_ordinary_texts_stay(text: str) -> None:
    """Nothing is taken that holds no secret."""
    assert redact_text(text) == text


def test_more_keys_can_be_secret() -> None:
    """`safeguards.redact` are globs, whatever the case."""
    assert redact({"door_pin": 1234, "DOOR_PIN": "9", "pins": "x"}, extra_keys=["*_pin"]) == {
        "door_pin": REDACTED,
        "DOOR_PIN": REDACTED,
        "pins": "x",
    }


class Opaque:
    """Its default repr is a memory address."""


def test_no_address_is_stored_wherever_an_object_stands(tmp_path: Path) -> None:
    """As a value, in a key, in a tag at the start or later, in a file."""
    one, other = Opaque(), Opaque()
    everywhere = {"value": one, "keys": {one: 1, other: 2, to_plain: 3, (one,): {one: [other]}}}
    with recorded() as runs, unitrack.start_run("a", tags={"early": one}, params=everywhere) as run:
        run.set_tags({"late": one, "list": [one]})
        run.log_dict(everywhere, "d.json")
    stored = msgspec.json.encode([runs[0].params, runs[0].tags, runs[0].files["d.json"].decode()]).decode()
    assert "Opaque object" in stored
    assert "0x" not in stored
    assert runs[0].params["keys.unitrack.values.plain.to_plain"] == 3
    assert {value for name, value in runs[0].params.items() if "Opaque object" in name and value in (1, 2)} == {1, 2}


def test_keys_that_look_alike_stay_apart() -> None:
    assert to_plain({1: "int", "1": "text", "1 (2)": "taken"}) == {"1": "int", "1 (2)": "text", "1 (2) (2)": "taken"}
