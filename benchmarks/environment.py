"""What `log_environment` costs the caller in a repository of 10,000 files, and how long until all of it is there."""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from rich.table import Table

import unitrack
from unitrack.environment.record import RECORD

FILES = 10_000
CHANGED = 100
NEW = 100
ROUNDS = 15


class Cost(NamedTuple):
    """Milliseconds: on the wall clock, and of the processor with child processes, which a busy machine changes less."""

    wall: float
    cpu: float


def run(folder: Path) -> Table:
    """The cost of a call, beside the commands of git that the document's example starts; medians."""
    repository = folder / "repository"
    _make_repository(repository)
    here = Path.cwd()
    os.chdir(repository)
    try:
        _git("status")  # the disk's cache
        floor = _median([_cost(lambda: _git("rev-parse", "HEAD")) for _ in range(ROUNDS)])
        rows = {
            "git rev-parse HEAD": floor,
            "git status": _median([_cost(lambda: _git("status", "--porcelain")) for _ in range(ROUNDS)]),
            "the document's: git rev-parse, git diff --stat": _median([_cost(_as_printed) for _ in range(ROUNDS)]),
            **_measure_ours(folder / "runs"),
        }
    finally:
        os.chdir(here)
        shutil.rmtree(repository)
    title = f"log_environment, {FILES:,} files, {CHANGED} changed, {NEW} new"
    table = Table("what", "ms", "CPU ms", "x git rev-parse", title=title)
    for name, cost in rows.items():
        table.add_row(name, f"{cost.wall:.1f}", f"{cost.cpu:.1f}", f"{cost.wall / floor.wall:.1f}")
    return table


def _measure_ours(root: Path) -> dict[str, Cost]:
    """Measure the first call, later calls, and how long it takes until the record of the first is complete."""
    with unitrack.start_run("bench", sinks=["local"], root=root) as one:
        time.sleep(2)  # the courier is up, as in training
        begun = time.perf_counter()
        first = _cost(one.log_environment)
        while not (one.path / "artifacts" / RECORD).exists():
            time.sleep(0.002)
        complete = Cost((time.perf_counter() - begun) * 1e3, float("nan"))
        later = []
        for _ in range(ROUNDS):
            later.append(_cost(one.log_environment))
            time.sleep(0.5)
        one.finish(timeout=120)
    return {
        "log_environment, first call of the process": first,
        "log_environment, later calls": _median(later),
        "until the record is complete, in the courier": complete,
    }


def _make_repository(repository: Path) -> None:
    repository.mkdir()
    for number in range(FILES):
        file = repository / f"package{number // 100}" / f"module{number}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"x = {number}\n" * 20)
    _git("init", "-q", cwd=repository)
    _git("add", "-A", cwd=repository)
    _git("-c", "user.name=b", "-c", "user.email=b@example.org", "commit", "-q", "-m", "all", cwd=repository)
    for number in range(0, CHANGED * 50, 50):
        (repository / f"package{number // 100}" / f"module{number}.py").write_text("y = 1\n")
    for number in range(NEW):
        (repository / f"new{number}.py").write_text("z = 1\n")


def _cost(action: Callable[[], object]) -> Cost:
    cpu, begun = _cpu(), time.perf_counter()
    action()
    return Cost((time.perf_counter() - begun) * 1e3, (_cpu() - cpu) * 1e3)


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _median(costs: list[Cost]) -> Cost:
    return Cost(statistics.median(one.wall for one in costs), statistics.median(one.cpu for one in costs))


def _as_printed() -> None:
    _git("rev-parse", "HEAD")
    _git("diff", "--stat")


def _git(*arguments: str, cwd: Path | None = None) -> None:
    subprocess.run(["git", *arguments], cwd=cwd, capture_output=True, check=True)


if __name__ == "__main__":
    import tempfile

    from rich.console import Console

    with tempfile.TemporaryDirectory() as made:
        Console().print(run(Path(made)))
