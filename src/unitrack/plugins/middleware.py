"""The middleware that is built in: options that every sink takes, whatever its backend.

Each is hook wrappers around one sink, written as any plugin's are. They keep no state, so a record that is delivered
again comes out as it did the first time. `every` alone counts; the lane does that where it reads, and commits the
counts together with the offset.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any

import msgspec

from unitrack.errors import RecordRejectedError
from unitrack.hookspecs import Middleware, RunContext, hookimpl
from unitrack.records import Metrics, Params, Tags
from unitrack.runfolder.manifest import THINNING
from unitrack.values.redaction import redact

Text = Annotated[str, msgspec.Meta(min_length=1)]
Wrapper = Generator[None, Any, Any]


@hookimpl
def register_middleware() -> list[Middleware]:
    """Return the built-in middleware."""
    return [
        Middleware(name="include", wrapper="unitrack.plugins.middleware:Include", option=tuple[Text, ...]),
        Middleware(name="exclude", wrapper="unitrack.plugins.middleware:Exclude", option=tuple[Text, ...]),
        Middleware(name="every", wrapper=THINNING, option=Annotated[int, msgspec.Meta(ge=1)]),
        Middleware(name="rename", wrapper="unitrack.plugins.middleware:Rename", option=dict[Text, Text]),
        Middleware(name="prefix", wrapper="unitrack.plugins.middleware:Prefix", option=Text),
        Middleware(name="redact", wrapper="unitrack.plugins.middleware:Redact", option=tuple[Text, ...]),
    ]


class Include:
    """`include: ["val/*"]`: of the metrics only those that match one of the globs."""

    def __init__(self, globs: Sequence[str]) -> None:
        self._globs = tuple(globs)

    @hookimpl(wrapper=True)
    def log_metrics(self, metrics: list[Metrics]) -> Wrapper:
        """Leave the others out."""
        _keep(metrics, lambda name: _matches(name, self._globs))
        return (yield)


class Exclude:
    """`exclude: ["grad/*"]`: all metrics but those that match one of the globs."""

    def __init__(self, globs: Sequence[str]) -> None:
        self._globs = tuple(globs)

    @hookimpl(wrapper=True)
    def log_metrics(self, metrics: list[Metrics]) -> Wrapper:
        """Leave them out."""
        _keep(metrics, lambda name: not _matches(name, self._globs))
        return (yield)


class Rename:
    """`rename: {loss: train/loss}`: other names for some metrics.

    A record in which two metrics would get one name is refused, and so becomes a dead letter: neither is lost.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = dict(names)

    @hookimpl(wrapper=True)
    def log_metrics(self, metrics: list[Metrics]) -> Wrapper:
        """Rename."""
        metrics[:] = [self._renamed(record) for record in metrics]
        return (yield)

    @hookimpl(wrapper=True)
    def rewind(self, steps: dict[str, int]) -> Wrapper:
        """Rename the metrics to rewind as well."""
        _replace(steps, {self._names.get(name, name): step for name, step in steps.items()})
        return (yield)

    def _renamed(self, record: Metrics) -> Metrics:
        values = record.values()
        if not self._names.keys() & values.keys():
            return record
        renamed: dict[str, float] = {}
        for name, value in values.items():
            new = self._names.get(name, name)
            if new in renamed:
                raise RecordRejectedError(f"`rename` gives two metrics of one call the name {new!r}")
            renamed[new] = value
        return record.with_values(renamed)


class Prefix:
    """`prefix: "team-a/"`: the beginning of all names of metrics."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    @hookimpl(wrapper=True)
    def log_metrics(self, metrics: list[Metrics]) -> Wrapper:
        """Put it before the names."""
        metrics[:] = [
            record.with_values({f"{self._prefix}{name}": value for name, value in record.values().items()})
            for record in metrics
        ]
        return (yield)

    @hookimpl(wrapper=True)
    def rewind(self, steps: dict[str, int]) -> Wrapper:
        """Prefix the names of the metrics to rewind as well."""
        _replace(steps, {f"{self._prefix}{name}": step for name, step in steps.items()})
        return (yield)


class Redact:
    """`redact: ["data.*", "*_path"]`: the values of params and tags whose names match, replaced by "[redacted]".

    A param matches by its own key or by its dotted name; what is nested below it goes as well.
    """

    def __init__(self, globs: Sequence[str]) -> None:
        self._globs = tuple(globs)

    @hookimpl(wrapper=True)
    def open_run(self, run: RunContext) -> Wrapper:
        """Redact the tags that the run started with."""
        run.start.tags.update(self._redacted(run.start.tags))
        return (yield)

    @hookimpl(wrapper=True)
    def log_params(self, params: list[Params]) -> Wrapper:
        """Redact."""
        params[:] = [msgspec.structs.replace(record, params=self._redacted(record.params)) for record in params]
        return (yield)

    @hookimpl(wrapper=True)
    def set_tags(self, tags: list[Tags]) -> Wrapper:
        """Redact."""
        tags[:] = [msgspec.structs.replace(record, tags=self._redacted(record.tags)) for record in tags]
        return (yield)

    def _redacted(self, values: Mapping[str, Any], path: str = "") -> dict[str, Any]:
        return {name: self._redacted_value(name, value, f"{path}{name}") for name, value in values.items()}

    def _redacted_value(self, name: str, value: Any, path: str) -> Any:
        if _matches(name, self._globs) or _matches(path, self._globs):
            return redact(value, name, extra_keys=("*",))
        return self._redacted(value, f"{path}.") if isinstance(value, Mapping) else value


def _replace(steps: dict[str, int], renamed: Mapping[str, int]) -> None:
    steps.clear()
    steps.update(renamed)


def _matches(name: str, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)


def _keep(metrics: list[Metrics], is_kept: Callable[[str], bool]) -> None:
    """Leave the other metrics out, in place; a record that has none left goes."""
    kept = []
    for record in metrics:
        values = record.values()
        chosen = {name: value for name, value in values.items() if is_kept(name)}
        if chosen:
            kept.append(record if len(chosen) == len(values) else record.with_values(chosen))
    metrics[:] = kept
