"""A load of texts and points for an MLflow server, through unitrack or the plain client, and what arrived of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from mlflow import MlflowClient
from mlflow_proxy import Proxy, Refusing, a_share, each_nth, rate_limit

Load = Literal["alternating", "texts", "points"]
Client = Literal["unitrack", "MLflow"]

TROUBLES: dict[str, Callable[[], Refusing] | None] = {
    "no trouble": None,
    "503 for 1 % of all requests": lambda: a_share(0.01, seed=1),
    "503 for 5 %": lambda: a_share(0.05, seed=1),
    "503 for 25 %": lambda: a_share(0.25, seed=1),
    "503 for 50 %": lambda: a_share(0.5, seed=2),
    "each 60th request 503": lambda: each_nth(60),
    "429, 100 requests in 10 s": lambda: rate_limit(100, 10, retry_after=1),
}
"""What the server does to requests."""

EXITS_WITHIN_S = 30.0
"""A program that has reached its limit in `finish` gets this long to say so."""

PARTS = """
import json, sys, time
uri, folder, name, load, count, limit = *sys.argv[1:5], int(sys.argv[5]), float(sys.argv[6])
def say(**what): print(json.dumps(what | {"at": time.monotonic()}), flush=True)
def calls(log_text, log_point):
    for number in range(count):
        if load != "points": yield lambda: log_text(f"text {number}", f"texts/{number}.txt")
        if load != "texts": yield lambda: log_point(number / 7, number)
"""
UNITRACK = """
say(began=True)
import unitrack
run = unitrack.start_run("flaky", project=name, sinks=[{"mlflow": {"tracking_uri": uri}}], root=folder,
                         delivery="thread")
end = time.monotonic() + limit
while not run.links() and time.monotonic() < end: time.sleep(0.01)
say(opened=True)
end = time.monotonic() + limit
for call in calls(run.log_text, lambda value, step: run.log_metric("loss", value, step=step)): call()
report = run.finish(timeout=end - time.monotonic())
say(ok=report.ok and report["mlflow"].state == "complete", dead=report["mlflow"].dead_lettered, failed=0,
    report=str(report))
"""
MLFLOW = """
say(began=True)
from mlflow import MlflowClient
client, failed = MlflowClient(uri), 0
run = client.create_run(client.create_experiment(name)).info.run_id
say(opened=True)
for call in calls(lambda text, file: client.log_text(run, text, file),
                  lambda value, step: client.log_metric(run, "loss", value, step=step)):
    try: call()
    except Exception as error: failed += 1; print(error, file=sys.stderr)
client.set_terminated(run)
say(ok=not failed, dead=0, failed=failed, report=f"{failed} calls failed")
"""
SCRIPTS: dict[Client, str] = {"unitrack": PARTS + UNITRACK, "MLflow": PARTS + MLFLOW}


class Measured(NamedTuple):
    """What came of one load."""

    opened: float
    """Seconds until the run was there: imports, start-up, requests that open it. The limit if it never was."""
    seconds: float
    """From the first log call until the end of the run was confirmed; the limit if it was not."""
    says: str
    """How the program ended: "complete", or what it said, or that it was killed."""
    refused: int
    """Requests that the trouble refused, of both phases."""
    runs: int
    """Runs that the server holds."""
    texts: int
    """Texts that arrived, byte for byte."""
    points: int
    """Points that arrived, with their steps and values, once."""
    doubled: int
    """Points in the history beyond those."""
    failed: int
    """Calls of the plain client that raised an error."""
    dead: int
    """Records that unitrack gave up."""


def deliver(
    client: Client, proxy: Proxy, folder: Path, trouble: Refusing | None, load: Load, count: int, limit: float
) -> Measured:
    """Send `count` texts, points, or both in turn, through the proxy in trouble; opening and load have `limit` seconds.

    A new process does it, so that each client has its own settings, and is killed if it does not end.
    """
    folder.mkdir(parents=True)
    name = f"{folder.parent.name} {folder.name}"
    proxy.trouble = trouble
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_HTTP")}
    environment["MLFLOW_DISABLE_TELEMETRY"] = "true"
    arguments = [proxy.url, str(folder), name, load, str(count), str(limit)]
    command = [sys.executable, "-W", "ignore", "-c", SCRIPTS[client], *arguments]
    said: dict[str, float | str | int] = {}
    times: dict[str, float] = {}
    with (folder / "errors").open("wb") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment, cwd=folder
        )
        assert process.stdout is not None
        grace = EXITS_WITHIN_S if client == "unitrack" else 0.0
        timer = threading.Timer(limit + EXITS_WITHIN_S, process.kill)
        timer.start()
        for line in process.stdout:
            if not line.startswith("{"):
                continue
            said |= json.loads(line)
            times.setdefault(next(iter(json.loads(line))), float(said["at"]))
            if "opened" in times and "ok" not in times:
                timer.cancel()
                timer = threading.Timer(limit + grace, process.kill)
                timer.start()
        timer.cancel()
        code = process.wait()
        process.stdout.close()
    proxy.trouble = None
    spent = times["ok"] - times["opened"] if "ok" in times else limit
    if "ok" in times:
        says = "complete" if said["ok"] else str(said["report"])
    elif code < 0:
        says = f"killed after {limit:.0f} s"
    else:
        says = (folder / "errors").read_text(errors="replace").strip().rpartition("\n")[2][:200]
    return Measured(
        opened=times["opened"] - times["began"] if "opened" in times else limit,
        seconds=min(spent, limit),
        says=says,
        refused=trouble.refused if trouble else 0,
        failed=int(said.get("failed", 0)),
        dead=int(said.get("dead", 0)),
        **_arrived(f"http://{proxy.upstream}", folder, name, count),
    )


def _arrived(url: str, folder: Path, name: str, count: int) -> dict[str, int]:
    client = MlflowClient(url)
    experiment = client.get_experiment_by_name(name)
    runs = client.search_runs([experiment.experiment_id]) if experiment else []
    if len(runs) != 1:
        return {"runs": len(runs), "texts": 0, "points": 0, "doubled": 0}
    [run] = runs
    found = [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, "loss")]
    points = len(set(found) & {(number, number / 7) for number in range(count)})
    texts = 0
    if any(entry.path == "texts" for entry in client.list_artifacts(run.info.run_id)):
        got = Path(client.download_artifacts(run.info.run_id, "texts", str(folder)))
        files = {path.name: path.read_text() for path in got.iterdir()}
        texts = sum(files.get(f"{number}.txt") == f"text {number}" for number in range(count))
    return {"runs": 1, "texts": texts, "points": points, "doubled": len(found) - points}
