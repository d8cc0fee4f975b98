"""Going on where a checkpoint of training was taken."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from unitrack.errors import InvalidTypeError, InvalidValueError
from unitrack.run_state import RunState
from unitrack.validation import check_step


class Checkpoints(RunState):
    """The part of a run that a checkpoint holds, and that goes back to one."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint of training should hold to go on with this run: `run_id`, and `step`, the next automatic
        one.
        """
        return {"run_id": self.id, "step": self._next_step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on as a checkpoint says, though the log may be ahead of it: calls without a step continue at its `step`,
        and each metric that is logged again behind its last step goes back to there. Its points from that step on are
        superseded: the local files keep them, and no backend shows two curves.

        Raises `InvalidTypeError` for what is no mapping, and `InvalidValueError` for the state of another run: start
        this one with `run_id=state["run_id"]` and `resume="must"`.
        """
        if not isinstance(state, Mapping):
            raise InvalidTypeError(f"the state must be what state_dict() gave, got {type(state).__name__}")
        if state.get("run_id") != self.id:
            raise InvalidValueError(
                f"the state is of run {state.get('run_id')!r}, this is {self.id!r}; "
                "pass run_id=state['run_id'] and resume='must' to start_run"
            )
        self._check_open()
        step = check_step(state.get("step"))
        if self._device_reader is not None:
            self._device_reader.wait()  # what was logged before is of before
        with self._journal.lock:
            if step < self._next_step:
                self._journal.begin_segment()  # what is read at a time never mixes sessions
                self._journal.copy(msgspec.structs.replace(self._start, time=time.time_ns() // 1_000_000))
            self._next_step = step
