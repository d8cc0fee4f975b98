"""Addresses of places for files: `s3://bucket/prefix`, `gs://`, `az://`, `sftp://`, `file://`, or a folder."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from unitrack.errors import ConfigError, MissingPackageError
from unitrack.names import nearest
from unitrack.system.installation import install_command
from unitrack.values.redaction import redact

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://(.*)", re.DOTALL)


class Protocol(msgspec.Struct, frozen=True):
    """How a kind of address is reached."""

    module: str
    """The package that reaches it, which need not be installed."""
    extra: str
    """The extra of unitrack-core that brings it; "" if there is none."""
    credentials: str = ""
    """Where its credentials belong, for messages."""


_S3 = Protocol("s3fs", "s3", "AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
_GCS = Protocol("gcsfs", "gcs", "GOOGLE_APPLICATION_CREDENTIALS")
_AZURE = Protocol("adlfs", "azure", "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY")
_SFTP = Protocol("paramiko", "sftp", "a key of ~/.ssh or of the SSH agent")

PROTOCOLS: Mapping[str, Protocol] = {
    "s3": _S3,
    "s3a": _S3,
    "gs": _GCS,
    "gcs": _GCS,
    "az": _AZURE,
    "abfs": _AZURE,
    "abfss": _AZURE,
    "sftp": _SFTP,
    "ssh": _SFTP,
    "memory": Protocol("fsspec", ""),
}
"""By the scheme of the URL. `memory` is gone with its process: for tests."""

_SECRET_OPTIONS = frozenset(
    (
        "key",
        "secret",
        "token",
        "password",
        "passphrase",
        "account_key",
        "sas_token",
        "connection_string",
        "client_secret",
        "credential",
        "pkey",
        "sse_customer_key",
    )
)
"""Names that fsspec's file systems give to credentials."""


class Address(msgspec.Struct, frozen=True):
    """A place for files, checked: it holds no credentials, and what reaches it is known."""

    url: str
    """Without a slash at its end; a folder of this machine as an absolute path."""
    scheme: str
    """"file" for a folder of this machine."""

    def __str__(self) -> str:
        return self.url

    @classmethod
    def parse(cls, text: str) -> Address:
        """Return the address that a URL or a path means. Raises `ConfigError`, with what to write instead."""
        match = _URL.fullmatch(text)
        if match is None or match[1].lower() == "file":
            return cls(_folder(text if match is None else match[2], text), "file")
        scheme, rest = match[1].lower(), match[2]
        if scheme not in PROTOCOLS:
            known = ("file", *PROTOCOLS)
            meant = nearest(scheme, known)
            hint = f"did you mean {meant}://?" if meant else f"known are {', '.join(f'{one}://' for one in known)}"
            raise ConfigError(f"{redact(text)!r} begins with {scheme}://, which unitrack can't store files at: {hint}")
        _refuse_credentials(text, PROTOCOLS[scheme])
        if not rest.strip("/") and scheme != "memory":
            raise ConfigError(f"{text!r} names no bucket: write {scheme}://BUCKET/PREFIX")
        return cls(f"{scheme}://{rest.rstrip('/')}", scheme)

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine."""
        return self.scheme == "file"

    @property
    def bucket(self) -> str:
        """The bucket, container or host; "" for a folder of this machine."""
        return "" if self.is_local else urlsplit(self.url).netloc

    @property
    def credentials(self) -> str:
        """Where credentials for it belong, in words."""
        return "" if self.is_local else PROTOCOLS[self.scheme].credentials

    def child(self, path: str) -> Address:
        """Return the address of something in it; `path` is relative and has no ".."."""
        return Address(f"{self.url.rstrip('/')}/{path}", self.scheme)

    def require_package(self) -> None:
        """Raise `MissingPackageError`, with the command to run, if the package that reaches it is not installed."""
        if self.is_local:
            return
        protocol = PROTOCOLS[self.scheme]
        for module in (protocol.module, "fsspec"):
            if importlib.util.find_spec(module) is None:
                command = install_command(f"unitrack-core[{protocol.extra}]" if protocol.extra else module)
                raise MissingPackageError(
                    f"{self.url} needs the package {module!r}, which is not installed: run `{command}`"
                )


def is_url(text: str) -> bool:
    """Return whether a text is a URL, and no path."""
    return _URL.fullmatch(text) is not None


def is_place(text: str) -> bool:
    """Return whether a text is a URL of a kind that `Address.parse` knows."""
    match = _URL.fullmatch(text)
    return match is not None and match[1].lower() in {"file", *PROTOCOLS}


def refuse_secret_options(options: Mapping[str, Any], address: Address) -> None:
    """Raise `ConfigError` for an option that is a credential: options are kept with the run, for a later delivery."""
    for name, value in options.items():
        if str(name).lower() in _SECRET_OPTIONS or redact({name: value}) != {name: value}:
            where = f"; set {address.credentials} in the environment instead" if address.credentials else ""
            raise ConfigError(f"storage_options must not hold {name!r}, which would be kept with the run{where}")
        if isinstance(value, Mapping):
            refuse_secret_options(value, address)


def _folder(path: str, given: str) -> str:
    if given != path:  # a URL: file:///folder, or file://localhost/folder
        host, slash, rest = path.partition("/")
        if host not in ("", "localhost") or not slash:
            raise ConfigError(f"{given!r} names the host {host!r}: write file:///FOLDER, with three slashes")
        path = "/" + unquote(rest)
    if not path or "\0" in path:
        raise ConfigError(f"{given!r} is no folder: give a path or a URL such as s3://BUCKET/PREFIX")
    return os.path.abspath(Path(path).expanduser())


def _refuse_credentials(text: str, protocol: Protocol) -> None:
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise ConfigError(f"{redact(text)!r} is no URL: {error}") from None
    user, colon, _ = parts.netloc.rpartition("@")[0].partition(":")
    if colon or (user and protocol is _S3):
        raise ConfigError(
            f"{parts.scheme}://[redacted]@{parts.netloc.rpartition('@')[2]}{parts.path} holds credentials, which would "
            f"be kept with the run: set {protocol.credentials} in the environment instead"
        )
    if parts.query or parts.fragment:
        raise ConfigError(
            f"{parts.scheme}://{parts.netloc}{parts.path} must have no '?' and no '#' after it; options belong into "
            "`storage_options`"
        )
