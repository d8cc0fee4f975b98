"""One backend's check in a process of its own: what hangs or crashes in it is a finding of `unitrack doctor`."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from typing import Any

import msgspec

from unitrack.hookspecs import Finding
from unitrack.values.redaction import redact_text


class CheckOrder(msgspec.Struct, frozen=True, kw_only=True):
    """The order that the process reads from its standard input."""

    check: str
    """"module:function"."""
    options_type: str
    options: dict[str, Any]
    sys_path: list[str]


def run_check(order: CheckOrder, timeout: float) -> list[Finding]:
    """Return the findings of a check within `timeout` seconds.

    A hang or a crash is one more finding. Raises nothing.
    """
    command = [sys.executable, "-P", "-m", "unitrack.cli.doctor.check_process"]
    # Files, not pipes: what the check leaves running would hold a pipe open.
    with tempfile.TemporaryFile() as orders, tempfile.TemporaryFile() as found, tempfile.TemporaryFile() as errors:
        orders.write(msgspec.json.encode(order))
        orders.seek(0)
        process = subprocess.Popen(command, stdin=orders, stdout=found, stderr=errors, start_new_session=True)
        try:
            process.wait(timeout)
            trouble = _crash(process.returncode, _text(errors)) if process.returncode else None
        except subprocess.TimeoutExpired:
            trouble = f"no answer within {timeout:g} s; the backend hangs, or --timeout is too short"
        finally:
            _kill_session(process)
        findings = [_decoded(line) for line in _text(found).splitlines()]
    return findings if trouble is None else [*findings, Finding(ok=False, subject="check", message=trouble)]


def _text(file: Any) -> str:
    file.seek(0)
    return str(file.read().decode(errors="replace"))


def _decoded(line: str) -> Finding:
    finding = msgspec.json.decode(line, type=Finding)
    return msgspec.structs.replace(finding, message=redact_text(finding.message))


def _crash(code: int, errors: str) -> str:
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    lines = [line for line in errors.splitlines() if line.strip()]
    return redact_text(f"the check {how}: {lines[-1].strip()}" if lines else f"the check {how}, without a word")


def _kill_session(process: subprocess.Popen[bytes]) -> None:
    """End the process and what it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def main() -> None:
    """Read an order, write a line of JSON for each finding as soon as there is one."""
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=CheckOrder)
    answers = os.dup(1)
    os.dup2(2, 1)  # what an SDK prints is no finding
    sys.path.extend(path for path in order.sys_path if path not in sys.path)
    from unitrack.plugins.options import load_object

    options = msgspec.convert(order.options, load_object(order.options_type))
    for finding in load_object(order.check)(options):
        os.write(answers, msgspec.json.encode(finding) + b"\n")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # an SDK's own threads and exit handlers may hang


if __name__ == "__main__":
    main()
