"""Files by their content in a bucket of a real S3 server, in a folder, and in memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from unitrack_tests.s3 import Bucket, Handler, away, slow_down_each

from unitrack.blobs import s3
from unitrack.blobs.content import ContentChangedError, content_of, file_digest
from unitrack.blobs.store import BlobStore, DamagedBlobError, key_of, open_objects, open_store
from unitrack.errors import ArtifactStoreError, SinkUnavailableError

KIB = 1024
PART = 256 * KIB


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a file of a megabyte has several."""
    monkeypatch.setattr(s3, "SINGLE_BYTES", PART)
    monkeypatch.setattr(s3, "PART_BYTES", PART)


def made(path: Path, size: int) -> Path:
    path.write_bytes(os.urandom(size))
    return path


def folder_with_files(path: Path) -> Path:
    (path / "sub").mkdir(parents=True)
    (path / "a.txt").write_text("a")
    (path / "sub" / "again.txt").write_text("a")
    (path / "sub" / "b.bin").write_bytes(os.urandom(1000))
    (path / "empty").write_bytes(b"")
    return path


@pytest.fixture(params=["s3", "folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    if request.param == "s3":
        return open_store(f"{request.getfixturevalue('bucket').url}/artifacts")
    if request.param == "memory":
        pytest.importorskip("fsspec")
        return open_store(f"memory://{tmp_path.name}")
    return open_store((tmp_path / "store").as_uri())


def test_files_and_folders_come_back_as_they_were(store: BlobStore, tmp_path: Path) -> None:
    one, many = made(tmp_path / "model.pt", 100_000), folder_with_files(tmp_path / "folder")
    file, folder = store.put(one), store.put(many)
    assert store.has(file.digest, file.size)
    assert not store.has(file.digest, file.size + 1)
    assert store.fetch(file, tmp_path / "back.pt").read_bytes() == one.read_bytes()
    assert content_of(store.fetch(folder, tmp_path / "back")) == content_of(many) == folder
    store.objects.remove([key_of(file.digest)])
    assert not store.has(file.digest, file.size)
    with pytest.raises(DamagedBlobError, match="is gone"):
        store.fetch(file, tmp_path / "gone.pt")
    assert not (tmp_path / "gone.pt").exists()


def test_the_same_content_is_stored_once(store: BlobStore, tmp_path: Path) -> None:
    first, second = made(tmp_path / "epoch-1.pt", 50_000), tmp_path / "epoch-2.pt"
    second.write_bytes(first.read_bytes())
    assert store.put(first) == store.put(second)
    folder = folder_with_files(tmp_path / "folder")
    (folder / "copy.pt").write_bytes(first.read_bytes())
    store.put(folder)
    assert len(set(store.objects.keys("sha256/"))) == 4  # model, "a", b.bin and the empty file


def test_what_is_stored_is_not_sent_again(bucket: Bucket, tmp_path: Path) -> None:
    store, path = open_store(bucket.url), made(tmp_path / "model.pt", 50_000)
    store.put(path)
    bucket.wire.requests.clear()
    store.put(path)
    assert [request.split()[0] for request in bucket.wire.requests] == ["HEAD"]


def test_a_damaged_object_is_found_out(store: BlobStore, tmp_path: Path) -> None:
    content = store.put(made(tmp_path / "model.pt", 1000))
    store.objects.write(key_of(content.digest), os.urandom(1000))
    with pytest.raises(DamagedBlobError, match="is damaged"):
        store.fetch(content, tmp_path / "back.pt")
    store.objects.write(key_of(content.digest), b"short")
    with pytest.raises((DamagedBlobError, SinkUnavailableError)):
        store.fetch(content, tmp_path / "back.pt")
    assert not (tmp_path / "back.pt").exists()
    store.put(tmp_path / "model.pt")  # another size: it is sent again
    assert store.fetch(content, tmp_path / "back.pt").stat().st_size == 1000


def test_a_file_that_changes_while_it_is_stored_gets_no_digest_of_another_content(
    store: BlobStore, tmp_path: Path
) -> None:
    path = made(tmp_path / "model.pt", 3000)
    content = content_of(path)
    path.write_bytes(os.urandom(3000))
    with pytest.raises(ContentChangedError, match=r"model\.pt was changed"):
        store.put(path, content)
    assert not store.has(content.digest, content.size)


def test_a_file_that_changes_while_it_is_sent_never_appears(bucket: Bucket, tmp_path: Path, small_parts: None) -> None:
    path = made(tmp_path / "model.pt", 2 * PART + 7)

    def change(request: Handler, number: int) -> bool:
        if "partNumber=1" in request.path:
            with path.open("ab") as file:
                file.write(b"more")
        return False

    bucket.wire.trouble = change
    with pytest.raises(ContentChangedError, match=r"model\.pt was changed"):
        open_store(bucket.url).put(path)
    assert bucket.keys() == []


def test_where_a_write_is_seen_half_done_another_name_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As over SFTP. A write that breaks leaves nothing under either name."""
    memory = pytest.importorskip("fsspec.implementations.memory").MemoryFileSystem
    monkeypatch.setattr("unitrack.blobs.bucket._RENAMED", frozenset(("memory",)))
    monkeypatch.setattr("unitrack.limits.IN_PLACE_TRIES", 1)
    store, path = open_store(f"memory://{tmp_path.name}"), made(tmp_path / "model.pt", 1000)
    written: list[str] = []

    def break_off(files: Any, source: str, target: str) -> None:
        files.pipe_file(target, b"half")
        written.append(target)
        raise OSError("the connection broke")

    with monkeypatch.context() as broken, pytest.raises(SinkUnavailableError, match="the connection broke"):
        broken.setattr(memory, "put_file", break_off)
        store.put(path)
    assert [name.endswith(".part") for name in written] == [True]
    assert list(store.objects.keys("")) == []
    content = store.put(path)
    assert list(store.objects.keys("")) == [key_of(content.digest)]
    assert store.fetch(content, tmp_path / "back").read_bytes() == path.read_bytes()


def test_a_name_of_a_stranger_does_not_lead_out(store: BlobStore, tmp_path: Path) -> None:
    content = store.put(folder_with_files(tmp_path / "folder"))
    assert content.members is not None
    for name in ("../evil", "/evil", "a/../../evil"):
        bad = type(content.members[0])(name, content.members[0].size, content.members[0].digest)
        with pytest.raises(DamagedBlobError, match="leads out"):
            store.fetch(type(content)(content.digest, content.size, (bad,)), tmp_path / "new" / "folder")
    with pytest.raises(DamagedBlobError, match="no SHA-256"):
        store.fetch(type(content)("../../secret", 3), tmp_path / "secret")


# -- parts, and troubles of the wire ---------------------------------------------------------------------------------


def test_a_large_file_goes_in_parts_and_is_whole(bucket: Bucket, tmp_path: Path, small_parts: None) -> None:
    path, seen = made(tmp_path / "model.pt", 3 * PART + 3), list[int]()
    content = open_store(f"{bucket.url}/prefix").put(path, advance=seen.append)
    assert sum(seen) == path.stat().st_size
    assert bucket.read(f"prefix/{key_of(content.digest)}") == path.read_bytes()
    assert bucket.open_uploads() == []
    assert file_digest(open_store(f"{bucket.url}/prefix").fetch(content, tmp_path / "back")) == content.digest


def test_an_upload_that_was_cut_goes_on_with_its_parts(bucket: Bucket, tmp_path: Path, small_parts: None) -> None:
    """The third part never arrives; nothing appears. Later, only what is missing is sent."""
    path = made(tmp_path / "model.pt", 4 * PART + 7)

    def cut(request: Handler, number: int) -> bool:
        if "partNumber=3" not in request.path:
            return False
        request.cut(number * 10_000 % (PART))
        return True

    bucket.wire.trouble = cut
    with pytest.raises(SinkUnavailableError, match=bucket.name):
        open_store(bucket.url).put(path)
    assert bucket.keys() == []
    assert len(bucket.open_uploads()) == 1
    bucket.wire.trouble = None
    bucket.wire.requests.clear()
    content = open_store(bucket.url).put(path)
    sent = [request for request in bucket.wire.requests if "partNumber=" in request and request.startswith("PUT")]
    assert 1 <= len(sent) <= 3
    assert any("partNumber=3" in request for request in sent)
    assert bucket.read(key_of(content.digest)) == path.read_bytes()
    assert bucket.open_uploads() == []


def test_parts_of_another_content_are_not_taken(bucket: Bucket, tmp_path: Path, small_parts: None) -> None:
    """An upload of this key was begun by another program, and its parts have other bytes."""
    path = made(tmp_path / "model.pt", 2 * PART + 7)
    key = key_of(file_digest(path))
    upload = bucket.client.create_multipart_upload(Bucket=bucket.name, Key=key)["UploadId"]
    bucket.client.upload_part(Bucket=bucket.name, Key=key, UploadId=upload, PartNumber=1, Body=os.urandom(PART))
    open_store(bucket.url).put(path)
    assert bucket.read(key) == path.read_bytes()


UPLOAD = """
import sys
from pathlib import Path
from unitrack.blobs import s3
from unitrack.blobs.store import open_store
s3.SINGLE_BYTES = s3.PART_BYTES = 2**18
open_store(sys.argv[1]).put(Path(sys.argv[2]))
"""


def test_kill_9_in_mid_upload(bucket: Bucket, tmp_path: Path, small_parts: None) -> None:
    """Another process goes on; what arrived is not sent again, and until then there is no object."""
    path = made(tmp_path / "model.pt", 5 * PART + 7)
    held, go = threading.Event(), threading.Event()

    def hold(request: Handler, number: int) -> bool:
        if request.command == "PUT" and "partNumber=5" in request.path:
            held.set()
            go.wait(30)
        return False

    bucket.wire.trouble = hold
    process = subprocess.Popen([sys.executable, "-c", UPLOAD, bucket.url, str(path)])
    assert held.wait(100)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    bucket.wire.trouble = None
    go.set()
    assert bucket.keys() == []
    bucket.wire.requests.clear()
    content = open_store(bucket.url).put(path)
    sent = [request for request in bucket.wire.requests if "partNumber=" in request and request.startswith("PUT")]
    assert len(sent) <= 4  # of six
    assert bucket.read(key_of(content.digest)) == path.read_bytes()


def test_two_that_upload_the_same_file(bucket: Bucket, tmp_path: Path, small_parts: None) -> None:
    path = made(tmp_path / "model.pt", 3 * PART + 7)
    troubles: list[BaseException] = []

    def put() -> None:
        try:
            open_store(bucket.url).put(path)
        except BaseException as error:
            troubles.append(error)

    threads = [threading.Thread(target=put) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(isinstance(error, SinkUnavailableError) for error in troubles)  # it was completed by another: try again
    content = open_store(bucket.url).put(path)
    assert bucket.read(key_of(content.digest)) == path.read_bytes()


@pytest.mark.parametrize("n", [2, 3])
def test_a_server_that_is_too_busy_for_ever_gets_everything(
    bucket: Bucket, tmp_path: Path, small_parts: None, n: int
) -> None:
    bucket.wire.trouble = slow_down_each(n)
    path, folder = made(tmp_path / "model.pt", 2 * PART + 7), folder_with_files(tmp_path / "folder")
    store = open_store(bucket.url)
    large, many = store.put(path), store.put(folder)
    assert content_of(store.fetch(large, tmp_path / "back")) == large
    assert content_of(store.fetch(many, tmp_path / "back-folder")) == many


def test_connections_that_break_now_and_then(bucket: Bucket, tmp_path: Path, small_parts: None) -> None:
    def cut(request: Handler, number: int) -> bool:
        if number % 3:
            return False
        request.cut(number * 7_777 % (PART))
        return True

    bucket.wire.trouble = cut
    path = made(tmp_path / "model.pt", 3 * PART + 7)
    store = open_store(bucket.url)
    assert file_digest(store.fetch(store.put(path), tmp_path / "back")) == file_digest(path)


# -- what a person has to mend ---------------------------------------------------------------------------------------


def test_a_bucket_that_is_gone(bucket: Bucket, tmp_path: Path) -> None:
    with pytest.raises(ArtifactStoreError, match=r"the bucket 'nowhere-to-be-found'.*create it"):
        open_store("s3://nowhere-to-be-found/x").put(made(tmp_path / "a", 10))


def test_no_credentials_and_no_such_profile(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(tmp_path / "a", 10)
    with monkeypatch.context() as without:
        without.setenv("HOME", str(tmp_path))
        without.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            without.delenv(variable, raising=False)
        with pytest.raises(ArtifactStoreError, match=r"no credentials work for .* set AWS_PROFILE, or"):
            open_store(bucket.url).put(path)
    monkeypatch.setenv("AWS_PROFILE", "not-mine")
    with pytest.raises(ArtifactStoreError, match=r"not-mine"):
        open_store(bucket.url).put(path)


def test_a_server_that_is_away(bucket: Bucket, tmp_path: Path) -> None:
    bucket.wire.trouble = away
    with pytest.raises(SinkUnavailableError, match=f"can't reach {bucket.url}"):
        open_store(bucket.url).put(made(tmp_path / "a", 10))


@pytest.mark.parametrize(
    ("status", "code"), [(403, "AccessDenied"), (403, "InvalidAccessKeyId"), (400, "ExpiredToken")]
)
def test_credentials_that_are_refused(bucket: Bucket, tmp_path: Path, status: int, code: str) -> None:
    def refuse(request: Handler, number: int) -> bool:
        request.refuse(status, code)
        return True

    bucket.wire.trouble = refuse
    with pytest.raises(ArtifactStoreError, match=f"{bucket.name}.*refuses the credentials.*AWS_PROFILE"):
        open_store(bucket.url).put(made(tmp_path / "a", 10))


def test_mlflow_s_variable_for_the_endpoint(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", os.environ["AWS_ENDPOINT_URL"])
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    content = open_store(bucket.url).put(made(tmp_path / "a", 10))
    assert bucket.keys() == [key_of(content.digest)]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ArtifactStoreError, match="can't use"):
        open_store(str(tmp_path / "file")).put(made(tmp_path / "a", 10))


def test_the_check_writes_and_removes(store: BlobStore) -> None:
    store.objects.check()
    assert list(open_objects(store.objects.address).keys("")) == []
