"""References to data elsewhere: its place is asked, later and off the calling thread, what it knows of it."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from unitrack_tests.s3 import Bucket, client_of

import unitrack
from unitrack.artifacts.integrity import check_versions
from unitrack.artifacts.references import examined, make_reference
from unitrack.artifacts.registry import Registry
from unitrack.blobs.lookup import Facts, _checksum, can_look_up, look_up
from unitrack.errors import SourceError


def start(root):
    return unitrack.start_run("r", project="p", sinks="local", root=root, delivery="inline")


def put(bucket: Bucket, name: str, body: bytes) -> str:
    client_of(bucket.server).put_object(Bucket=bucket.name, Key=name, Body=body)
    return f"s3://{bucket.name}/{name}"


def test_size_and_etag_are_those_of_the_place(tmp_path, bucket):
    """Other content under the same URI is another version; `verify` asks again."""
    uri = put(bucket, "data/corpus.tar", b"12345")
    with start(tmp_path / "runs") as run:
        run.log_artifact(name="corpus", reference=uri)
        first = run.use_artifact("corpus")
        assert (first.size, len(first.reference.etag), first.reference.note) == (5, 32, "")
        put(bucket, "data/corpus.tar", b"1234567")
        run.log_artifact(name="corpus", reference=uri, size=5)
        second = run.use_artifact("corpus")
        assert (second.version, second.size) == ("v1", 7)
        assert second.reference.note == "it was said to have 5 bytes, and has 7"
    old, new = check_versions(Registry(tmp_path / "runs").artifacts())
    assert (old.problems, new.problems, new.note) == ((f"{uri} was changed",), (), "")
    client_of(bucket.server).delete_object(Bucket=bucket.name, Key="data/corpus.tar")
    assert [check.problems for check in check_versions(Registry(tmp_path / "runs").artifacts())] == [
        (f"{uri} is gone",)
    ] * 2


def test_trouble_is_said_and_not_fatal(tmp_path, bucket):
    with start(tmp_path / "runs") as run:
        run.log_artifact(name="gone", reference=f"s3://{bucket.name}/gone.tar", size=3)
        run.log_artifact(name="folder", reference=put(bucket, "all/1.csv", b"1").rpartition("/")[0])
        bucket.wire.trouble = lambda handler, number: handler.send_error(500) or True
        run.log_artifact(name="away", reference=f"s3://{bucket.name}/away.tar")
        bucket.wire.trouble = None
        found = {name: run.use_artifact(name) for name in ("gone", "folder", "away")}
    assert found["gone"].reference.note == f"there is no s3://{bucket.name}/gone.tar"
    assert found["gone"].size == 3
    assert "it is a folder" in found["folder"].reference.note
    assert "can't be asked" in found["away"].reference.note
    assert run.finish().ok


def test_nothing_is_asked_where_the_checksum_is_said_or_in_the_log_call(tmp_path, bucket):
    uri = put(bucket, "corpus.tar", b"12345")
    asked = len(bucket.wire.requests)
    reference = make_reference(uri)
    assert reference.size is None
    assert examined(make_reference(uri, "md5:11")).checksum == "md5:11"
    assert len(bucket.wire.requests) == asked
    assert examined(reference).size == 5
    assert len(bucket.wire.requests) > asked


@pytest.mark.parametrize("uri", ["s3://corpus", "https://127.0.0.1:9/x", "s3://user:secret-word@bucket/x"])
def test_what_can_not_be_asked_is_an_error_without_secrets(uri):
    with pytest.raises(SourceError) as caught:
        look_up(uri)
    assert "secret-word" not in str(caught.value)


def test_a_file_of_a_web_server(tmp_path):
    (tmp_path / "data.csv").write_text("x,y\n")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        place = f"http://127.0.0.1:{server.server_port}"
        assert look_up(f"{place}/data.csv") == Facts(4)
        with pytest.raises(FileNotFoundError, match=r"there is no .*/none.csv"):
            look_up(f"{place}/none.csv")
        server.shutdown()


def test_places_of_other_kinds():
    """Google's and Azure's stores tell an MD5; what is no kind of place is left alone."""
    assert _checksum({"md5Hash": "XUFAKrxLKna5cZ2REBfFkg=="}) == "md5:5d41402abc4b2a76b9719d911017c592"
    assert _checksum({"content_settings": {"content_md5": bytearray(b"\x01\x02")}}) == "md5:0102"
    assert _checksum({"md5Hash": "?"}) == ""
    assert not can_look_up("hdfs://cluster/x")
    assert examined(make_reference("hdfs://cluster/x")).note == ""
    assert Facts(3).etag == ""
