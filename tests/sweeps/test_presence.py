"""Which agents of a sweep count as alive: by their locks on this machine, by their signs of life on others."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest

from unitrack.limits import AGENT_GONE_S
from unitrack.sweeps import presence as module
from unitrack.sweeps.presence import Presence


def test_an_agent_with_the_same_folder_is_alive_until_it_leaves(tmp_path: Path) -> None:
    with Presence(tmp_path) as one, Presence(tmp_path) as other:
        assert one.is_alive(one.owner, None) and one.is_alive(other.owner, None)
        other.__exit__(None, None, None)
        assert not one.is_alive(other.owner, time.time())


def test_the_lock_of_a_killed_agent_is_free(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, signal, sys; from unitrack.sweeps.presence import Presence\n"
        "presence = Presence(pathlib.Path(sys.argv[1])).__enter__()\n"
        "print(presence.owner.writer, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    with Presence(tmp_path) as one:
        owner = msgspec.structs.replace(one.owner, writer=killed.stdout.strip(), pid=2**22 + 1)
        assert (tmp_path / "agents" / f"{owner.writer}.lock").exists()
        assert not one.is_alive(owner, time.time())


@pytest.mark.parametrize(("silence", "alive"), [(0, True), (AGENT_GONE_S - 30, True), (AGENT_GONE_S + 1, False)])
def test_an_agent_on_another_machine_is_gone_after_five_minutes_of_silence(
    tmp_path: Path, silence: float, alive: bool
) -> None:
    with Presence(tmp_path, other_folders=True) as one:
        far = msgspec.structs.replace(one.owner, writer="far", boot="another", host="another")
        assert one.is_alive(far, time.time() - silence) is alive
        assert not one.is_alive(far, None)


def test_an_agent_on_this_machine_with_another_root_is_gone_with_its_process(tmp_path: Path) -> None:
    with Presence(tmp_path / "one", other_folders=True) as one, Presence(tmp_path / "two") as two:
        assert one.is_alive(two.owner, time.time())
        assert not one.is_alive(msgspec.structs.replace(two.owner, pid=2**22 + 1), time.time())


def test_signs_of_life_go_on_after_one_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGENT_BEAT_S", 0.01)
    beats, enough = [], threading.Event()

    def beat() -> None:
        beats.append(time.monotonic())
        if len(beats) == 1:
            raise OSError("the database is away")
        enough.set()

    with Presence(tmp_path, beat=beat):
        assert enough.wait(20)
    time.sleep(0.05)
    count = len(beats)
    time.sleep(0.1)
    assert len(beats) == count
