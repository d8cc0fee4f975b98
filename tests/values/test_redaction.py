"""Passwords in connection strings, commands and tables, and what only looks like one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from unitrack import start_run
from unitrack.values.redaction import redact, redact_text

SECRET = "hunter22secret"


@pytest.mark.parametrize(
    "text",
    [
        f"DefaultEndpointsProtocol=https;AccountName=x;AccountKey={SECRET}==;EndpointSuffix=core.windows.net",
        f"Endpoint=sb://x/;SharedAccessKeyName=root;SharedAccessKey={SECRET}",
        f"SharedAccessSignature={SECRET}",
        f"Driver={{ODBC Driver 18}};Server=db;Uid=me;Pwd={SECRET};",
        f"jdbc:sqlserver://db;user=me;password={SECRET};",
        f"curl -u me:{SECRET} https://x",
        f"curl -sS --user 'me:{SECRET}' https://x",
        f"sshpass -p {SECRET} ssh host",
        f"mysql -u root -p{SECRET} db",
        f"PGPASSWORD={SECRET} psql -h db",
        f"MYSQL_PWD={SECRET} mysql",
        f"wget --password={SECRET} https://x",
    ],
)
def test_a_password_in_a_text(text: str) -> None:
    assert SECRET not in redact_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "Pwd=/home/me/runs",
        "PWD=~/runs ls",
        "docker run -u 1000:1000 image",
        "curl -u name https://x",
        "mysql -p db",
        "sig=0.5 and pwd is a command",
    ],
)
def test_what_only_looks_like_one(text: str) -> None:
    assert redact_text(text) == text


def test_arguments_and_keys() -> None:
    assert redact(["/usr/bin/curl", "-u", f"me:{SECRET}", "x"]) == ["/usr/bin/curl", "-u", "me:[redacted]", "x"]
    assert redact({"AccountKey": SECRET, "Pwd": SECRET, "pwd": "/home/me"}) == {
        "AccountKey": "[redacted]",
        "Pwd": "[redacted]",
        "pwd": "/home/me",
    }


TABLES: dict[str, Any] = {
    "rows of dicts": [{"user": "me", "password": SECRET, "note": f"token={SECRET}", "n": 1}],
    "columns": {"user": ["me"], "password": [SECRET], "note": [f"token={SECRET}"], "n": [1]},
}


@pytest.mark.parametrize("form", TABLES)
def test_a_table(root: Path, form: str) -> None:
    """A column that is named like a secret is hidden, and texts are searched; the rest stays as it is."""
    with start_run("a", sinks=["local"], root=root / "runs", delivery="inline") as run:
        run.log_table(TABLES[form], "users")
    table = json.loads((run.path / "artifacts" / "users.json").read_text())
    assert table["columns"] == ["user", "password", "note", "n"]
    assert table["data"] == [["me", "[redacted]", "token=[redacted]", 1]]
