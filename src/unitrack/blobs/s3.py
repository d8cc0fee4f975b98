"""Objects in S3, and in what speaks its language. An upload that was cut off goes on with the parts that arrived.

A file above `SINGLE_BYTES` goes in parts, and appears once the last request puts them together. The parts of an upload
that was cut off, by a kill or a broken wire, stay with the server: the next one finds them by the key, checks each by
its MD5, and sends the rest. It needs no note on this machine, so another process or machine can go on as well. As keys
are made from contents, two that upload one key at the same time send the same parts.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from unitrack.blobs.bucket import BucketObjects, run_parallel
from unitrack.blobs.objects import Advance, Check, ignore, unchecked
from unitrack.blobs.troubles import is_lost_upload
from unitrack.errors import ArtifactStoreError, SinkUnavailableError
from unitrack.limits import MIB

SINGLE_BYTES = 32 * MIB
"""A file up to this goes in one request: it is sent again in seconds."""
PART_BYTES = 32 * MIB
"""Bytes of a part, of which four are in memory at a time."""
_MOST_PARTS = 9_000
"""S3 takes 10,000."""
_PER_DELETE = 1_000
_MD5 = re.compile(r"[0-9a-f]{32}")
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_MLFLOW_ENDPOINT = "MLFLOW_S3_ENDPOINT_URL"


class _Part(msgspec.Struct, frozen=True):
    """A part that has arrived."""

    size: int
    tag: str


class S3Objects(BucketObjects):
    """Objects in a bucket of S3."""

    def _open(self, options: Mapping[str, Any]) -> tuple[Any, str]:
        from s3fs import S3FileSystem  # noqa: PLC0415  # half a second

        # One request fails once, and is made again by `retry_in_place`: botocore's and s3fs's own tries would multiply.
        patient = {"retries": {"max_attempts": 1, "mode": "standard"}, "connect_timeout": 10, "read_timeout": 60}
        patient["max_pool_connections"] = 32
        given = dict(options)
        config = patient | dict(given.pop("config_kwargs", {}))
        if "endpoint_url" not in given and not any(os.environ.get(name) for name in _ENDPOINTS):
            given["endpoint_url"] = os.environ.get(_MLFLOW_ENDPOINT) or None
        # No shared instance: it would go on with the credentials and the endpoint of before.
        files = S3FileSystem(config_kwargs=config, use_listings_cache=False, skip_instance_cache=True, **given)
        files.retries = 1
        return files, self.address.url.partition("://")[2].rstrip("/")

    def _split(self, key: str) -> dict[str, str]:
        bucket, _, prefix = self._base.partition("/")
        return {"Bucket": bucket, "Key": f"{prefix}/{key}" if prefix else key}

    def _call(self, method: str, key: str = "", **arguments: Any) -> dict[str, Any]:
        return self._ask(lambda: dict(self._files.call_s3(method, **arguments)), key)

    def size(self, key: str) -> int | None:
        """See `Objects.size`. Keys that may not list the bucket get 403 for what is not there."""
        try:
            found: int = self._call("head_object", key, **self._split(key))["ContentLength"]
        except (FileNotFoundError, ArtifactStoreError):
            return None
        return found

    def read(self, key: str) -> bytes:
        """See `Objects.read`. One request: s3fs's own way asks for the size first."""
        return self._ask(lambda: self._content(key), key)

    def _slice(self, key: str, start: int, end: int) -> bytes:
        return self._content(key, Range=f"bytes={start}-{end - 1}")

    def _content(self, key: str, **arguments: Any) -> bytes:
        from fsspec.asyn import sync  # noqa: PLC0415  # s3fs has imported it

        answer = self._files.call_s3("get_object", **self._split(key), **arguments)
        return bytes(sync(self._files.loop, answer["Body"].read))

    def write(self, key: str, data: bytes) -> None:
        """See `Objects.write`."""
        self._call("put_object", key, **self._split(key), Body=data)

    def upload(self, key: str, path: Path, advance: Advance = ignore, check: Check = unchecked) -> None:
        """See `Objects.upload`."""
        size = path.stat().st_size
        if size <= SINGLE_BYTES:
            data = path.read_bytes()
            check()
            self.write(key, data)
            advance(size)
        else:
            self._upload_in_parts(key, path, size, advance, check)

    def _upload_in_parts(self, key: str, path: Path, size: int, advance: Advance, check: Check) -> None:
        where = self._split(key)
        upload, arrived = self._find_upload(key)
        if not upload:
            upload = str(self._call("create_multipart_upload", key, **where)["UploadId"])
        part_bytes = PART_BYTES * math.ceil(size / PART_BYTES / _MOST_PARTS)
        tags: dict[int, str] = {}
        with path.open("rb") as file:

            def send(number: int) -> None:
                start = (number - 1) * part_bytes
                data = os.pread(file.fileno(), min(part_bytes, size - start), start)
                tags[number] = _tag_if_same(arrived.get(number), data) or str(
                    self._call("upload_part", key, **where, UploadId=upload, PartNumber=number, Body=data)["ETag"]
                )
                advance(len(data))

            try:
                run_parallel(send, range(1, math.ceil(size / part_bytes) + 1))
                check()
                parts = [{"PartNumber": number, "ETag": tags[number]} for number in sorted(tags)]
                self._call("complete_multipart_upload", key, **where, UploadId=upload, MultipartUpload={"Parts": parts})
            except FileNotFoundError as error:
                self._accept_if_complete(key, size, error)
        self._abort_others(key)

    def _find_upload(self, key: str) -> tuple[str, dict[int, _Part]]:
        """Return the newest upload of this key that is not complete, and what has arrived of it; "" if there is none.

        Keys that may not list uploads begin anew.
        """
        where, parts = self._split(key), dict[int, _Part]()
        try:
            found = self._uploads(key)
            if not found:
                return "", {}
            upload, marker = found[-1], 0
            while True:
                page = self._call("list_parts", key, **where, UploadId=upload, PartNumberMarker=marker)
                for one in page.get("Parts", ()):
                    parts[int(one["PartNumber"])] = _Part(int(one["Size"]), str(one["ETag"]))
                if not page.get("IsTruncated"):
                    return upload, parts
                marker = page["NextPartNumberMarker"]
        except (ArtifactStoreError, FileNotFoundError):
            return "", {}

    def _uploads(self, key: str) -> list[str]:
        """Return the uploads of a key that are not complete, the newest last."""
        where = self._split(key)
        page = self._call("list_multipart_uploads", key, Bucket=where["Bucket"], Prefix=where["Key"])
        own = [one for one in page.get("Uploads", ()) if one["Key"] == where["Key"]]
        return [str(one["UploadId"]) for one in sorted(own, key=lambda one: str(one.get("Initiated", "")))]

    def _accept_if_complete(self, key: str, size: int, error: FileNotFoundError) -> None:
        """Accept that an upload is gone if the object is there: another process, or a try before, completed it."""
        cause = error.__cause__
        if not isinstance(cause, Exception) or not is_lost_upload(cause):
            raise ArtifactStoreError(f"can't write {self.address}/{key}: {error}") from error
        if self.size(key) != size:
            raise SinkUnavailableError(f"the upload of {self.address}/{key} was removed; it begins anew") from error

    def _abort_others(self, key: str) -> None:
        """Remove the parts of other uploads of this key, which is complete now."""
        try:
            for upload in self._uploads(key):
                self._call("abort_multipart_upload", key, **self._split(key), UploadId=upload)
        except (ArtifactStoreError, FileNotFoundError, SinkUnavailableError):
            return  # a rule of the bucket's life cycle removes them

    def keys(self, prefix: str) -> Iterator[str]:
        """See `Objects.keys`. A thousand objects a request."""
        where = self._split(prefix)
        base = where["Key"].removesuffix(prefix)
        token: dict[str, str] = {}
        while True:
            page = self._call("list_objects_v2", Bucket=where["Bucket"], Prefix=where["Key"], **token)
            for one in page.get("Contents", ()):
                yield str(one["Key"]).removeprefix(base)
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def remove(self, keys: Iterable[str]) -> None:
        """See `Objects.remove`."""
        wanted = [self._split(key) for key in keys]
        for start in range(0, len(wanted), _PER_DELETE):
            some = [{"Key": one["Key"]} for one in wanted[start : start + _PER_DELETE]]
            self._call("delete_objects", Bucket=wanted[0]["Bucket"], Delete={"Objects": some, "Quiet": True})


def _tag_if_same(part: _Part | None, data: bytes) -> str:
    """Return the tag of a part that has arrived, if it holds these bytes; "" otherwise.

    With some kinds of encryption the tag is no MD5: then the size has to do.
    """
    if part is None or part.size != len(data):
        return ""
    tag = part.tag.strip('"')
    is_same = not _MD5.fullmatch(tag) or hashlib.md5(data, usedforsecurity=False).hexdigest() == tag
    return part.tag if is_same else ""
