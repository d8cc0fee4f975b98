"""How the interpreter ends: see also the ends of whole processes in test_couriers.py and tests/faults/test_ends.py."""

from __future__ import annotations

import sys

import pytest

from unitrack.run.exit_status import ExitStatus


def test_whoever_replaced_sys_exit_before_is_still_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """W&B does, to note the code."""
    codes = []
    python_exit = sys.exit

    def noting(code: int) -> None:
        codes.append(code)
        python_exit(code + 1)

    monkeypatch.setattr(sys, "exit", noting)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    ExitStatus().watch()
    with pytest.raises(SystemExit) as raised:
        sys.exit(3)
    assert codes == [3]
    assert raised.value.code == 4


def test_a_stand_in_that_returns_may_return(monkeypatch: pytest.MonkeyPatch) -> None:
    """As tests of training code have it."""
    codes: list[int] = []
    monkeypatch.setattr(sys, "exit", codes.append)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    status = ExitStatus()
    status.watch()
    sys.exit(3)
    assert codes == [3]
    assert status.status == "finished"
