"""Calls of MLflow's fluent interface."""

from __future__ import annotations

from collections.abc import Sequence

import libcst as cst

from unitrack.migrate.call import Call, LeftAlone, Renamed, Rule, source_of

FLAVORS = ("sklearn", "pytorch", "xgboost", "lightgbm", "catboost", "keras", "tensorflow", "transformers")
"""Those whose models `log_model` takes as they are."""
_MODELS = ("model", "sk_model", "pytorch_model", "xgb_model", "lgb_model", "cb_model", "transformers_model")
"""What they call the argument."""
_ENDS = {"FINISHED": None, "FAILED": '"failed"', "KILLED": '"killed"'}


def start_run(call: Call, receiver: str) -> cst.BaseExpression:
    """`mlflow.start_run`. The receiver is the project as text, which `set_experiment` has set; "" if none has."""
    call.bind(("run_id", "experiment_id", "run_name", "nested", "parent_run_id", "tags", "description"))
    call.drop({"log_system_metrics": "set `tracking.log_system_metrics`"})
    run_id, parent = call.take("run_id"), call.take("parent_run_id")
    nested = call.literal("nested") if "nested" in call.given else False
    return call.becomes(
        "unitrack.start_run",
        [
            (None, call.take("run_name")),
            ("project", receiver or None),
            ("run_id", run_id),
            ("resume", '"must"' if run_id is not None else None),
            ("parent", parent if parent is not None else "unitrack.current_run()" if nested else None),
            ("tags", call.take("tags")),
            ("description", call.take("description")),
        ],
    )


def _set_tag(call: Call, receiver: str) -> cst.BaseExpression:
    call.bind(("key", "value", "synchronous"))
    call.drop({"synchronous": ""})
    key, value = call.take("key"), call.take("value")
    if key is None or value is None:
        raise LeftAlone("it lacks an argument")
    return call.becomes("unitrack.set_tags", [(None, f"{{{source_of(key)}: {source_of(value)}}}")])


def _end_run(call: Call, receiver: str) -> cst.BaseExpression:
    call.bind(("status",))
    status = None
    if "status" in call.given:
        given = call.literal("status")
        if given not in _ENDS:
            raise LeftAlone("how the run ends is not known")
        status = _ENDS[given]
    return call.becomes("unitrack.current_run().finish", [(None, status)])


def _log_artifact(call: Call, receiver: str) -> cst.BaseExpression:
    """MLflow takes `artifact_path` for a folder always, unitrack where it ends in "/"."""
    call.bind(("local_path", "artifact_path", "run_id"))
    path = call.take("local_path")
    folder = call.take("artifact_path")
    if isinstance(folder, cst.SimpleString) and not str(folder.evaluated_value).endswith("/"):
        folder = folder.with_changes(value=f"{folder.value[:-1]}/{folder.value[-1]}")
    return call.becomes("unitrack.log_artifact", [(None, path), (None, folder)])


def _log_image(call: Call, receiver: str) -> cst.BaseExpression:
    call.bind(("image", "artifact_file", "key", "step", "timestamp", "synchronous"))
    call.drop({"timestamp": "", "synchronous": ""})
    image, file, key = call.take("image"), call.take("artifact_file"), call.take("key")
    return call.becomes(
        "unitrack.log_image", [(None, image), (None, key if file is None else file), ("step", call.take("step"))]
    )


def log_model(call: Call, receiver: str) -> cst.BaseExpression:
    """`log_model` of a flavor. What only MLflow's own format holds is left to it."""
    model = _first(
        call, ("sk_model", "pytorch_model", "xgb_model", "lgb_model", "cb_model", "model", "transformers_model")
    )
    name = call.take("name") or call.take("artifact_path")
    registered = call.take("registered_model_name")
    if registered is not None:
        call.remark("registered_model_name=", "a version of the artifact of this name is registered as a model")
        name = registered
    call.drop({"signature": "`input_example=` gives the model its signature", "pip_requirements": "it has no use here"})
    return call.becomes(
        "unitrack.log_model",
        [
            (None, model),
            (None, name),
            ("aliases", "[]" if registered is not None else None),
            ("input_example", call.take("input_example")),
        ],
    )


def _first(call: Call, names: Sequence[str]) -> cst.BaseExpression:
    call.bind(("model", "artifact_path"))
    found = next((value for name in names if (value := call.take(name)) is not None), None)
    if found is None:
        raise LeftAlone("it names no model")
    return found


def _configured(what: str) -> Rule:
    def drop(call: Call, receiver: str) -> None:
        call.remark("", what)

    return drop


def _autolog_of(framework: str) -> Rule:
    def autolog(call: Call, receiver: str) -> cst.BaseExpression:
        call.bind(())
        call.drop({"silent": "", "exclusive": ""})
        if not framework:
            call.remark("", "`unitrack.autolog()` turns on the frameworks that are imported when it is called")
        found = call.take("log_models")
        return call.becomes(
            "unitrack.autolog",
            [(None, repr(framework).replace("'", '"') if framework else None), ("log_models", found)],
        )

    return autolog


FUNCTIONS: dict[str, Rule] = {
    "autolog": _autolog_of(""),
    "start_run": start_run,
    "end_run": _end_run,
    "active_run": Renamed("unitrack.current_run", "", ""),
    "log_metric": Renamed(
        "unitrack.log_metric", "key value step synchronous", "key value step=step", drop="synchronous"
    ),
    "log_metrics": Renamed("unitrack.log_metrics", "metrics step synchronous", "metrics step=step", drop="synchronous"),
    "log_param": Renamed("unitrack.log_param", "key value synchronous", "key value", drop="synchronous"),
    "log_params": Renamed("unitrack.log_params", "params synchronous", "params", drop="synchronous"),
    "set_tag": _set_tag,
    "set_tags": Renamed("unitrack.set_tags", "tags synchronous", "tags", drop="synchronous"),
    "log_artifact": _log_artifact,
    "log_artifacts": Renamed(
        "unitrack.log_artifacts", "local_dir artifact_path", "local_dir artifact_path=artifact_path"
    ),
    "log_text": Renamed("unitrack.log_text", "text artifact_file", "text artifact_file"),
    "log_dict": Renamed("unitrack.log_dict", "dictionary artifact_file", "dictionary artifact_file"),
    "log_figure": Renamed("unitrack.log_figure", "figure artifact_file", "figure artifact_file", drop="save_kwargs"),
    "log_image": _log_image,
    "log_table": Renamed("unitrack.log_table", "data artifact_file", "data artifact_file"),
    "set_tracking_uri": _configured("it is an option of the sink mlflow: `{mlflow: {tracking_uri: ...}}`"),
    "enable_system_metrics_logging": _configured("set `tracking.log_system_metrics: true`"),
}
FUNCTIONS |= {
    f"{framework}.autolog": _autolog_of(framework) for framework in ("sklearn", "xgboost", "lightgbm", "keras")
}
FUNCTIONS |= dict.fromkeys((f"{flavor}.log_model" for flavor in FLAVORS), log_model)
LOGGING = {name for name in FUNCTIONS if name.endswith("log_model") or name.startswith(("log_", "set_tag"))}
"""Those for which MLflow starts a run where there is none."""
ATTRIBUTES = {"info.run_id": "id", "info.run_name": "name"}
"""Of the run that `start_run` returns."""
