"""Params, tags and metric definitions of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from unitrack.records import Params, Tags, merge
from unitrack.run.rank_names import RankNames
from unitrack.run.recorder import Recorder
from unitrack.validation import ValidationChain
from unitrack.validation.metric_definitions import as_tag, check_definition
from unitrack.values.plain import changed_params


class ParamLog:
    """Logs params and tags. It remembers the params, so that an unchanged value is not logged again."""

    def __init__(self, recorder: Recorder, validation: ValidationChain, names: RankNames) -> None:
        self._recorder = recorder
        self._validation = validation
        self._names = names
        self._params: dict[str, Any] = {}
        self._before: dict[str, Any] = {}
        self.earlier: Callable[[], dict[str, Any]] | None = None
        """Reads the params of earlier sessions, when they are first asked for; None if there were none."""

    def own(self) -> dict[str, Any]:
        """Return the params that this process has logged, and those of earlier sessions of the run, nested."""
        if self.earlier is not None:
            self._before, self.earlier = self.earlier(), None
        return self._names.own_params(merge(self._before, self._params) if self._before else self._params)

    def remember(self, params: Mapping[str, Any]) -> None:
        """Take params for logged that the run has already."""
        self._params = merge(self._params, params)

    def log(self, params: Any) -> None:
        """See `Run.log_params`."""
        plain = self._validation.params(params)
        if self._names.prefix:
            plain = self._validation.params(self._names.params(plain))
        recorder = self._recorder
        with recorder.lock:
            changed = changed_params(self._params, plain)
            if changed:
                recorder.open().write(Params, params=changed)
                self._params = merge(self._params, changed)
            else:
                recorder.check_open()
        if changed:
            recorder.deliver_inline()

    def set_tags(self, tags: Mapping[str, Any] | Sequence[str]) -> None:
        """See `Run.set_tags`."""
        checked = self._validation.tags(tags)
        if self._names.prefix:
            checked = self._validation.tags(self._names.tags(checked))
        self._write_tags(checked)

    def define_metric(self, name: str, step_metric: str | None, summary: str | None) -> None:
        """See `Run.define_metric`."""
        definition = check_definition(name, self._names.path(step_metric), summary)
        self._write_tags(self._validation.tags(as_tag(self._names.path(name), definition)))

    def _write_tags(self, tags: Mapping[str, str]) -> None:
        if tags:
            self._recorder.write(Tags, tags=tags)
