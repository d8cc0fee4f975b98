"""Uploading a file to S3: ours, plain s3fs, and a bare HTTP request; and listing a team's store of 1,000 runs.

`python benchmarks/storage.py [--megabytes 256] [--rounds 5] [--runs 1000]`. The server is moto's, a process of its own
on loopback, which keeps everything in memory. Each upload goes to a new key; rounds are interleaved, and what counts is
the ratio of medians. Hashing, which needs no network, stands apart.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

BUCKET = "bench"
MB = 1_000_000


def run(folder: Path, megabytes: int = 64, rounds: int = 3, runs: int = 200) -> Table:
    """Seconds, medians over interleaved rounds."""
    path = folder / "model.pt"
    with path.open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(MB))
    with _server(folder) as url:
        table = Table("what", "seconds", "MB/s", "x s3fs", title=f"one file of {megabytes} MB to S3")
        found = _uploads(path, url, rounds)
        base = statistics.median(found["s3fs put"])
        for name, times in found.items():
            seconds = statistics.median(times)
            table.add_row(name, f"{seconds:.3f}", f"{megabytes / seconds:.0f}", f"{seconds / base:.2f}")
        listing, requests = _listing(runs)
        table.caption = (
            f"log_artifact of this file on the caller: {_on_the_caller(path, folder):.3f} s; "
            f"{runs} runs of a team's store listed in {listing:.2f} s, {requests} requests"
        )
    return table


def _uploads(path: Path, url: str, rounds: int) -> dict[str, list[float]]:
    import s3fs

    from unitrack.blobs.content import Content, content_of
    from unitrack.blobs.store import open_store

    files = s3fs.S3FileSystem()
    files.mkdir(BUCKET)
    size, number = path.stat().st_size, 0
    found: dict[str, list[float]] = {}

    def measure(name: str, work: Callable[[int], object]) -> None:
        nonlocal number
        number += 1
        began = time.perf_counter()
        work(number)
        found.setdefault(name, []).append(time.perf_counter() - began)
        for key in files.find(BUCKET):
            files.rm_file(key)

    store = open_store(f"s3://{BUCKET}/blobs")
    store.objects.check()  # both have a connection and have imported all
    files.pipe_file(f"{BUCKET}/warm", b"warm")
    for _ in range(rounds):
        measure("HTTP PUT, the floor", lambda number: _bare_put(path, url, f"floor-{number}"))
        measure("s3fs put", lambda number: files.put_file(str(path), f"{BUCKET}/s3fs-{number}"))
        measure("unitrack, hash known", lambda number: store.put(path, Content(f"{number:064x}", size)))
        began = time.perf_counter()
        content_of(path)
        found.setdefault("SHA-256 alone", []).append(time.perf_counter() - began)
    return found


def _bare_put(path: Path, url: str, key: str) -> None:
    """One request with the whole file, as `curl -T` makes it; moto does not check signatures."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    with path.open("rb") as file:
        headers = {"Content-Length": str(path.stat().st_size), "Authorization": "AWS4-HMAC-SHA256 Credential=x/y/z/s3/"}
        connection.request("PUT", f"/{BUCKET}/{key}", file, headers)
        answer = connection.getresponse()
        answer.read()
    assert answer.status == 200, answer.status
    connection.close()


def _listing(runs: int) -> tuple[float, int]:
    """Return the seconds and the requests that listing a team's store takes."""
    import unitrack
    from unitrack.blobs.s3 import S3Objects
    from unitrack.blobs.store import open_objects
    from unitrack.hookspecs import MetricSummary, RunSummary
    from unitrack.local.team.layout import RunEntry, encode_entry, entry_key
    from unitrack.records import RunStart

    location = f"s3://{BUCKET}/team"
    objects = open_objects(location)
    for number in range(runs):
        metrics = {f"m{one}": MetricSummary(points=10, last=0.5, last_step=9, min=0.5, max=1.0) for one in range(20)}
        entry = RunEntry(
            folder=f"run-{number}",
            start=RunStart(
                seq=0, time=1_700_000_000_000 + number, run_id=f"id{number}", name=f"run {number}", project=""
            ),
            params=b'{"lr":0.1}',
            summary=RunSummary(status="finished", ended=1, metrics=metrics),
            artifacts=(),
            parts=(),
        )
        objects.write(entry_key(entry.folder), encode_entry(entry))
    calls, plain = 0, S3Objects._ask

    def counted(self: S3Objects, request: Callable[[], object], key: str = "") -> object:
        nonlocal calls
        calls += 1
        return plain(self, request, key)

    S3Objects._ask = counted  # type: ignore[method-assign,assignment]  # counts, and asks
    began = time.perf_counter()
    assert len(unitrack.runs(f"local:{location}")) == runs
    seconds = time.perf_counter() - began
    S3Objects._ask = plain  # type: ignore[method-assign]
    return seconds, calls


def _on_the_caller(path: Path, folder: Path) -> float:
    """Return the seconds that `log_artifact` takes with a bucket as location: a copy into the spool, no hash."""
    import unitrack

    config = {"safeguards": {"max_artifact_bytes": "10GB"}}
    sink = {"local": {"artifact_location": f"s3://{BUCKET}/logged"}}
    run = unitrack.start_run("a", sinks=[sink], config=config, root=folder / "runs")
    began = time.perf_counter()
    run.log_artifact(path)
    seconds = time.perf_counter() - began
    assert run.finish(timeout=300).ok
    return seconds


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    before = dict(os.environ)
    os.environ.update(
        AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="y", AWS_DEFAULT_REGION="us-east-1", AWS_ENDPOINT_URL=url
    )
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            for _ in range(600):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                time.sleep(0.1)
            yield url
        finally:
            process.terminate()
            process.wait()
            os.environ.clear()
            os.environ.update(before)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=1000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="unitrack-bench-") as folder:
        Console().print(run(Path(folder), given.megabytes, given.rounds, given.runs))


if __name__ == "__main__":
    main()
