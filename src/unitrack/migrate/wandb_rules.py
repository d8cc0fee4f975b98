"""Calls of W&B, and of trackio, which has the same ones."""

from __future__ import annotations

import libcst as cst

from unitrack.migrate.call import Call, LeftAlone, Renamed, Rule, source_of

CURRENT = "unitrack.current_run()"

_TRACKIO_INIT = ["project", "name", "group"]
"""Those behind them have another order in each version."""
_OPTION = "it is an option of the sink wandb"
_SUMMARIES = ("last", "min", "max", "mean", "first")
_NOT_NEEDED = "it has no use here"
_DROPPED = {
    "entity": _OPTION,
    "dir": "runs lie where `tracking.root` says",
    "settings": _OPTION,
    **dict.fromkeys(("space_id", "server_url", "dataset_id", "bucket_id"), "it is an option of the sink trackio"),
    **dict.fromkeys(("auto_log_gpu", "auto_log_cpu"), "set `tracking.log_system_metrics`"),
    "reinit": "several runs may be open at once; a notebook finishes the one before",
    "allow_val_change": "params may always change",
    "save_code": "call `log_code`",
    "sync_tensorboard": "calls of `SummaryWriter` are rewritten themselves; the sink tensorboard writes its files",
    "anonymous": _NOT_NEEDED,
    "force": _NOT_NEEDED,
    "magic": _NOT_NEEDED,
    "embed": _NOT_NEEDED,
}


def init(call: Call, receiver: str) -> cst.BaseExpression:
    """`wandb.init`, whose arguments have another order in each version."""
    if any(argument.keyword is None and not argument.star for argument in call.node.args):
        raise LeftAlone("give its arguments by name: their order differs between versions")
    call.bind(())
    return _init(call)


def init_of_trackio(call: Call, receiver: str) -> cst.BaseExpression:
    """`trackio.init`."""
    call.bind(_TRACKIO_INIT)
    return _init(call)


def _init(call: Call) -> cst.BaseExpression:
    call.drop(_DROPPED)
    config: str | None = None
    mode = call.literal("mode")
    if mode == "disabled":
        config = '{"tracking": {"mode": "disabled"}}'
    elif mode is not None:
        call.remark("mode=", _OPTION)
    resume: cst.BaseExpression | str | None = None
    if "resume" in call.given:
        given = call.literal("resume")
        if given not in (None, True, "allow", "must", "never", "auto"):
            raise LeftAlone(f"`resume={given!r}` has no counterpart")
        resume = None if given is None else repr("allow" if given is True else given).replace("'", '"')
    return call.becomes(
        "unitrack.start_run",
        [
            (None, call.take("name")),
            ("project", call.take("project")),
            ("params", call.take("config")),
            ("group", call.take("group")),
            ("job_type", call.take("job_type")),
            ("tags", call.take("tags")),
            ("description", call.take("notes")),
            ("run_id", call.take("id")),
            ("resume", resume),
            ("config", config),
        ],
    )


def _log(call: Call, receiver: str) -> cst.BaseExpression:
    """`log`. A row that is completed by later calls has no counterpart."""
    call.bind(("data", "step", "commit", "sync"))
    call.drop({"sync": ""})
    if "commit" in call.given and call.literal("commit") is not True:
        raise LeftAlone("a row that later calls complete, `commit=False`: give each call the same `step=`")
    data = call.take("data") or call.take("metrics")  # trackio's name
    return call.becomes(f"{receiver}.log", [(None, data), ("step", call.take("step"))])


def _finish(call: Call, receiver: str) -> cst.BaseExpression:
    """`finish`. Only a code that is a literal tells how the run ended."""
    call.bind(("exit_code", "quiet"))
    call.drop({"quiet": ""})
    if "exit_code" in call.given:
        code = call.literal("exit_code")
        if not isinstance(code, int | None):
            raise LeftAlone("whether its exit code means success is not known")
        return call.becomes(f"{receiver}.finish", [(None, '"failed"' if code else None)])
    return call.becomes(f"{receiver}.finish", [])


def _save(call: Call, receiver: str) -> cst.BaseExpression:
    call.bind(("glob_str", "base_path", "policy"))
    call.drop({"policy": "the file is logged as it is now"})
    path = call.take("glob_str")
    if path is None or any(character in source_of(path) for character in "*?["):
        raise LeftAlone("it names files by a glob: log each, or a folder with `log_artifacts`")
    return call.becomes(f"{receiver}.log_artifact", [(None, path)])


def _log_artifact(call: Call, receiver: str) -> cst.BaseExpression:
    call.bind(("artifact_or_path", "name", "type", "aliases", "tags"))
    if "name" not in call.given:
        raise LeftAlone("an `Artifact` is built in several calls: log its files with `log_artifact(path, name=)`")
    call.drop({"type": ""})
    return call.becomes(
        f"{receiver}.log_artifact",
        [(None, call.take("artifact_or_path")), ("name", call.take("name")), ("aliases", call.take("aliases"))],
    )


def _table(call: Call, receiver: str) -> cst.BaseExpression:
    call.bind(("columns", "data"))  # the order of what follows is not the same everywhere
    call.drop({"allow_mixed_types": "", "log_mode": ""})
    frame, rows = call.take("dataframe"), call.take("data")
    data = rows if frame is None else frame
    return call.becomes("unitrack.Table", [(None, "[]" if data is None else data), ("columns", call.take("columns"))])


def _histogram(call: Call, receiver: str) -> cst.BaseExpression:
    call.bind(("sequence", "np_histogram", "num_bins"))
    sequence, pair = call.take("sequence"), call.take("np_histogram")
    return call.becomes(
        "unitrack.Histogram", [(None, pair if sequence is None else sequence), ("bins", call.take("num_bins"))]
    )


def _define_metric(call: Call, receiver: str) -> cst.BaseExpression:
    call.bind(("name", "step_metric", "step_sync", "hidden", "summary", "goal", "overwrite"))
    call.drop({"step_sync": "", "overwrite": ""})
    summary = call.take("summary")
    if summary is not None and source_of(summary).strip("\"'") not in _SUMMARIES:
        raise LeftAlone(f"its summary is one of {', '.join(_SUMMARIES)}")
    return call.becomes(
        f"{receiver}.define_metric",
        [(None, call.take("name")), ("step_metric", call.take("step_metric")), ("summary", summary)],
    )


def _nothing(call: Call, receiver: str) -> None:
    """A call that is not needed any more."""
    call.remark("", "each backend has its own login")


_WATCH = Renamed(
    "{}.watch", "models criterion log log_freq idx log_graph", "models log=log every=log_freq", drop="criterion idx"
)
_OF_A_RUN: dict[str, Rule] = {
    "log": _log,
    "finish": _finish,
    "watch": _WATCH,
    "unwatch": Renamed("{}.unwatch", "models", ""),
    "define_metric": _define_metric,
    "alert": Renamed("{}.alert", "title text level wait_duration", "title text=text", drop="level wait_duration"),
    "save": _save,
    "log_artifact": _log_artifact,
    "log_code": Renamed("{}.log_code", "root name include_fn exclude_fn", "root=root"),
}
METHODS: dict[str, Rule] = _OF_A_RUN
"""Of a run."""
ATTRIBUTES = {"id": "id", "name": "name", "project": "project", "config": "config", "summary": "summary", "dir": "path"}
"""Of a run, and what they are called here."""

FUNCTIONS: dict[str, Rule] = {
    "init": init,
    "login": _nothing,
    "setup": _nothing,
    "Image": Renamed(
        "unitrack.Image",
        "data_or_path mode caption grouping classes boxes masks",
        ("data_or_path caption=caption boxes=boxes masks=masks"),
    ),
    "Audio": Renamed(
        "unitrack.Audio", "data_or_path sample_rate caption", "data_or_path sample_rate=sample_rate caption=caption"
    ),
    "Video": Renamed(
        "unitrack.Video",
        "data_or_path caption fps format",
        "data_or_path fps=fps caption=caption",
        drop="format",
        added={"fps": "4"},  # W&B's own
    ),
    "Html": Renamed("unitrack.Html", "data inject", "data", drop="inject"),
    "Histogram": _histogram,
    "Table": _table,
}
VALUES = {"run": CURRENT, "config": f"{CURRENT}.config", "summary": f"{CURRENT}.summary"}
"""Names of the module, and what takes their place."""


MEDIA_OF_TRACKIO: dict[str, Rule] = {
    "Image": Renamed("unitrack.Image", "value caption", "value caption=caption"),
    "Audio": Renamed("unitrack.Audio", "value caption sample_rate", "value sample_rate=sample_rate caption=caption"),
    "Video": Renamed("unitrack.Video", "value caption fps", "value fps=fps caption=caption"),
}
"""Which have arguments of another name or order than W&B's."""


def of_current(method: str) -> Rule:
    """Return the rule of a module's function that calls the current run's method."""
    rule = _OF_A_RUN[method]
    receiver = CURRENT if method == "finish" else "unitrack"
    return lambda call, _: rule(call, receiver)


FUNCTIONS |= {method: of_current(method) for method in _OF_A_RUN}
