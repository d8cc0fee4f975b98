"""Addresses: what is one, and what must not be kept with a run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from unitrack.blobs.address import Address, refuse_secret_options
from unitrack.blobs.store import open_store
from unitrack.errors import ConfigError, MissingPackageError


@pytest.mark.parametrize(
    ("text", "url", "scheme"),
    [
        ("s3://bucket/artifacts/", "s3://bucket/artifacts", "s3"),
        ("S3://Bucket", "s3://Bucket", "s3"),
        ("gs://bucket/x", "gs://bucket/x", "gs"),
        ("az://container/x", "az://container/x", "az"),
        ("abfs://container@account.dfs.core.windows.net/x", "abfs://container@account.dfs.core.windows.net/x", "abfs"),
        ("sftp://me@host:2222/data", "sftp://me@host:2222/data", "sftp"),
        ("file:///data/my%20runs/", "/data/my runs", "file"),
        ("file://localhost/data", "/data", "file"),
        ("/data/x/../y", "/data/y", "file"),
    ],
)
def test_what_is_an_address(text: str, url: str, scheme: str) -> None:
    assert Address.parse(text) == Address(url, scheme)


def test_a_path_is_taken_from_the_working_directory(tmp_path: Path) -> None:
    assert Address.parse("runs").url == str(tmp_path / "runs")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sfpt://host/x", "did you mean sftp://"),
        ("mlflow-artifacts://x", "known are file://, s3://"),
        ("s3://", "names no bucket"),
        ("s3://AKIAABCDEFGHIJKLMNOP:verysecret@bucket/x", r"holds credentials.*AWS_PROFILE"),
        ("sftp://me:password@host/x", "holds credentials"),
        ("s3://bucket/x?versionId=1", "must have no '\\?'"),
        ("file://data/x", "three slashes"),
        ("", "is no folder"),
    ],
)
def test_what_is_none(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        Address.parse(text)
    assert "verysecret" not in str(caught.value)
    assert "me:password" not in str(caught.value)


@pytest.mark.parametrize(
    "options", [{"key": "x"}, {"secret": "x"}, {"client_kwargs": {"aws_secret_access_key": "x"}}, {"account_key": "x"}]
)
def test_options_that_are_credentials(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="must not hold"):
        refuse_secret_options(options, Address.parse("s3://bucket"))


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(MissingPackageError, match=r"'gcsfs'.*pip install .*\[gcs\]"):
        open_store("gs://bucket")


def test_importing_unitrack_imports_no_fsspec() -> None:
    code = (
        "import sys, unitrack, unitrack.blobs.store, unitrack.local.sink; from unitrack.run import start; "
        "assert not [name for name in sys.modules if name.split('.')[0] in ('fsspec', 's3fs', 'aiobotocore')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
