"""No secret is in any byte that any backend wrote: canaries wherever secrets live, and a search through all files."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from unitrack_tests.faults import FULL, figure

from unitrack.config import resolve
from unitrack.errors import ConfigError
from unitrack.system.files import files_below
from unitrack.values.redaction import redact, redact_text, remember_secrets

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

SINKS: dict[str, dict[str, Any]] = {
    "local": {},
    "mlflow": {"tracking_uri": "sqlite:///mlflow.db"},
    "wandb": {"mode": "offline"},
    "tensorboard": {},
    "trackio": {},
    "sql": {"url": "sqlite:///runs.db"},
    "probe": {"out": "probe"},
}
INSTALLED = [
    name
    for name in SINKS
    if name in ("local", "probe") or (importlib.util.find_spec(f"unitrack_{name}") and importlib.util.find_spec(name))
]

CANARIES = {
    "environment": "canary-environment-1a",
    "argument": "canary-argument-2b",
    "userinfo": "canary-userinfo-3c",
    "exception": "canary-exception-4d",
    "param": "canary-param-5e",
    "tag": "canary-tag-6f",
    "nested": "canary-nested-7g",
    "remote": "canary-remote-8h",
    "key": "ghp_canarykey9iabcdefghij",
    "pattern": "ACME-canary-10",
    "glob": "canary-glob-11k",
    "html": "canary-html-12l",
    "dict": "canary-dict-13m",
    "description": "canary-description-14n",
    "setting": "canary-setting-15o",
    "wandb key": "0123456789abcdefcanary0123456789abcdef16",
    "query": "canary-query-17p",
}
"""Where a secret is, and what it is."""

TRAINER = """
import os, sys, time, traceback
import unitrack
c = eval(sys.stdin.read())
run = unitrack.start_run(
    f"run password={c['setting']}",
    sinks=eval(sys.argv[1]),
    description=f"see https://me:{c['description']}@host/ for more",
    tags={"api_token": c["tag"], "note": f"uses {c['key']} and {c['environment']}"},
    params={"db": {"password": c["nested"]}, "url": f"postgres://u:{c['userinfo']}@db/x"},
    config={
        "safeguards": {"redact": ["door_pin"], "redact_patterns": ["ACME-[a-z0-9-]+"]},
        "artifacts": {"save_config": True},
        "reproducibility": {"log_environment": True, "log_git_hash": True},
        "experiment": {"tags": {"client_secret": c["tag"]}},
    },
)
run.log_params({"argv": sys.argv[2:], "secret_key": c["param"], "door_pin": c["glob"], "id": c["pattern"]})
run.log_params({"endpoint": f"http://h/api?token={c['query']}&x=1", "env": dict(os.environ)})
run.set_tags({"command": " ".join(sys.argv[2:]), "auth": f"Authorization: Bearer {c['tag']}"})
run.log_metrics({"loss": 0.5}, step=0)
run.log_dict({"password": c["dict"], "list": [{"apiKey": c["dict"]}], "wandb": c["wandb key"]}, "settings.yaml")
run.log_html(f"<p>token={c['html']}</p>", "page")
try:
    raise ConnectionError(f"https://user:{c['exception']}@host refused password={c['exception']} ({c['environment']})")
except ConnectionError:
    run.log_text(traceback.format_exc(), "trace.txt")
cmdlines = []
for pid in filter(str.isdecimal, os.listdir("/proc")):
    try:
        line = open(f"/proc/{pid}/cmdline").read().split(chr(0))
    except OSError:
        continue
    if "unitrack.delivery.courier" in line:
        cmdlines.append(line)
open("cmdlines", "w").write(repr(cmdlines))
report = run.finish(timeout=150)
assert report.ok, report
"""


@pytest.mark.several_plugins
@pytest.mark.parametrize("backend", INSTALLED if FULL else sorted({"local", "wandb"} & {*INSTALLED}))
def test_no_backend_writes_a_secret(root: Path, backend: str) -> None:
    """Every file that a run of one backend leaves, byte by byte: its own, unitrack's, the courier's log."""
    work = root / "work"
    work.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=work, check=True)
    remote = f"https://me:{CANARIES['remote']}@git.example.com/x.git"
    subprocess.run(["git", "remote", "add", "origin", remote], cwd=work, check=True)
    environment = {
        "MY_SERVICE_TOKEN": CANARIES["environment"],
        "WANDB_API_KEY": CANARIES["wandb key"],
        "HOME": str(root / "home"),
        "TRACKIO_DIR": str(root / "trackio"),
        "WANDB_DIR": str(work),
        "WANDB_CACHE_DIR": str(root / "cache"),
    }
    arguments = ["--api-key", CANARIES["argument"], f"--password={CANARIES['argument']}"]
    done = subprocess.run(
        [sys.executable, "-c", TRAINER, repr([{backend: SINKS[backend]}]), *arguments],
        cwd=work,
        env=os.environ | environment,
        input=repr(CANARIES),  # not among the arguments, which are recorded
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = search([path for path in files_below(root) if ".git" not in path.parts])
    assert found.files > 3
    assert found.hits == []
    for name, canary in CANARIES.items():
        assert canary not in done.stdout + done.stderr, name
    figure("Secrets", backend, canaries=len(CANARIES), files_searched=found.files, bytes_searched=found.bytes, found=0)


class Found:
    """What a search came to."""

    files = 0
    bytes = 0

    def __init__(self) -> None:
        self.hits: list[str] = []


def search(paths: list[Path]) -> Found:
    """Look for every canary in files, as it is and as text of other encodings; a courier may be removing the spool."""
    found = Found()
    for path in paths:
        if path.is_symlink() or not path.is_file():
            continue
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue
        found.files += 1
        found.bytes += len(content)
        for name, canary in CANARIES.items():
            if any(canary.encode(encoding) in content for encoding in ("utf-8", "utf-16-le")):
                found.hits.append(f"{name} in {path}")
    return found


def test_an_option_that_comes_back_in_an_error_is_redacted() -> None:
    """In whatever words it does."""
    remember_secrets({"auth": {"api_key": "a-secret-without-form"}, "name": "kept-as-it-is"})
    assert redact_text("401 for (a-secret-without-form) of kept-as-it-is") == "401 for ([redacted]) of kept-as-it-is"


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("--password=hunter2 --lr=3", "--password=[redacted] --lr=3"),
        ("train.py --api-key hunter22 --lr 3", "train.py --api-key [redacted] --lr 3"),
        ('{"password": "hunter2", "lr": 3}', '{"password": "[redacted]", "lr": 3}'),
        ("{'token': 'hunter2'}", "{'token': '[redacted]'}"),
        ("Authorization: Bearer abcdefgh", "Authorization: Bearer [redacted]"),
        ("http://h/x?token=abcdef&x=1", "http://h/x?token=[redacted]&x=1"),
        ("pad_token=<pad> max_tokens=512", "pad_token=<pad> max_tokens=512"),
        ("token: none, the token embedding", "token: none, the token embedding"),
    ],
)
def test_what_is_assigned_to_a_secret_name_is_redacted(text: str, cleaned: str) -> None:
    """In command lines, JSON, Python's repr, headers and URLs; not in prose."""
    assert redact_text(text) == cleaned


def test_what_follows_a_secret_flag_is_redacted() -> None:
    """As `sys.argv` has it, in two items."""
    argv = ["train.py", "--api-key", "hunter2", "--lr", "3"]
    assert redact({"argv": argv}) == {"argv": ["train.py", "--api-key", "[redacted]", "--lr", "3"]}


def test_a_pattern_that_is_none_is_an_error_of_configuration() -> None:
    """Named with its place, before a run starts."""
    with pytest.raises(ConfigError, match=r"safeguards.redact_patterns\[1\]: expected a regular expression"):
        resolve({"safeguards": {"redact_patterns": ["fine", "(open"]}})


GROWING = [
    "a",
    "a=",
    "password=x ",
    "://:",
    "--a ",
    "eyJaaaaaaaaaa-",
    "eyJaaaaaaaaaa.",
    "-----BEGIN ",
    "https://a:",
    "'",
]


@pytest.mark.parametrize("unit", GROWING)
def test_redaction_takes_time_in_proportion_to_a_text(unit: str) -> None:
    """Four times the text takes about four times as long; sixteen times would be quadratic."""

    def best(length: int) -> float:
        text = (unit * length)[:length]
        times = []
        for _ in range(5):
            started = time.process_time()
            redact_text(text)
            times.append(time.process_time() - started)
        return max(min(times), 1e-4)

    assert best(160_000) / best(40_000) < 11
