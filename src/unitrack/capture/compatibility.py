"""What the drop-in modules can do: of each public name of an SDK whether it works, works partly or raises, and why."""

from __future__ import annotations

import importlib
from typing import Literal

import msgspec

from unitrack.capture.mlflow.public_names import MLFLOW

Verdict = Literal["works", "partly", "raises"]


class Support(msgspec.Struct, frozen=True):
    """One name of an SDK in the drop-in module."""

    name: str
    verdict: Verdict
    note: str = ""


def _names(text: str) -> list[str]:
    return text.split()


WANDB = _names("""
AlertLevel Artifact ArtifactTTL Audio Classes CommError Config Error EvalTable Graph Histogram Html Image JoinedTable
Molecule Object3D Plotly Run Settings Table UsageError Video agent alert api attach box3d config controller
define_metric ensure_configured finish init join link_model log log_artifact log_model login mark_preempting
pin_config_keys plot_table require restore run sagemaker_auth save setup summary sweep teardown termerror termlog
termsetup termwarn unwatch use_artifact use_model visualize watch Api
catboost data_types errors gym keras lightgbm plot sacred sklearn tensorboard tensorflow util xgboost
""")
"""The public names of `wandb` 0.31 and its modules that scripts use; not the modules of which it is built."""

WANDB_RUN = _names("""
alert config config_static define_metric dir disabled display entity finish finish_artifact group id job_type
link_artifact link_model log log_artifact log_code log_model mark_preempting name notes offline path pin_config_keys
project project_url restore resumed save settings start_time starting_step status step sweep_id sweep_url sync_dir tags
to_html unwatch upsert_artifact url use_artifact use_model watch write_logs
""")
"""The public names of `wandb.Run` 0.31."""

SUMMARY_WRITER = _names("""
add_audio add_custom_scalars add_custom_scalars_marginchart add_custom_scalars_multilinechart add_embedding add_figure
add_graph add_histogram add_histogram_raw add_hparams add_image add_image_with_boxes add_images add_mesh add_onnx_graph
add_pr_curve add_pr_curve_raw add_scalar add_scalars add_tensor add_text add_video close flush get_logdir
""")
"""The public methods of torch's `SummaryWriter`."""

_PARTLY = {
    "wandb": {
        "Artifact": "files, folders, references and tables; `add` of other media raises",
        "EvalTable": "as `Table`",
        "Graph": "taken, counted in the report, not kept",
        "Html": "the page as it is, without W&B's style sheet",
        "Image": "captions, boxes and masks; `grouping` and `classes` change nothing",
        "Molecule": "taken, counted in the report, not kept",
        "Object3D": "taken, counted in the report, not kept",
        "Plotly": "a figure of plotly, not one of matplotlib",
        "Settings": "settings of `init` count, others change nothing",
        "Table": "of a medium in a cell the caption; foreign keys and joins are missing",
        "Video": "of a batch the first one",
        "alert": "`level` and `wait_duration` change nothing",
        "box3d": "taken, not kept",
        "config": "before `init` it raises",
        "data_types": "the media of this table",
        "define_metric": "`step_metric` and `summary`; other arguments change nothing",
        "ensure_configured": "does nothing: unitrack has a configuration of its own",
        "errors": "the errors of this table",
        "init": '`entity`, `dir`, `mode` but "disabled" change nothing; `resume_from` and `fork_from` raise',
        "link_model": "logged; there is no registry to link it to",
        "log": "text, booleans and short lists are counted, not kept",
        "log_artifact": "without the type, tags and metadata of the artifact",
        "mark_preempting": "does nothing",
        "pin_config_keys": "does nothing",
        "plot": "the table behind each chart",
        "plot_table": "the table behind it",
        "visualize": "the table behind it",
        "require": "does nothing",
        "setup": "does nothing: there is no service",
        "summary": "numbers become points, other values tags; media have no entry; before `init` it raises",
        "use_artifact": "what runs under the same root have logged",
        "use_model": "what runs under the same root have logged",
        "util": "`generate_id` alone",
        "watch": "gradients and parameters of torch modules; no graph",
    },
    "wandb.Run": {
        "alert": "`level` and `wait_duration` change nothing",
        "config_static": "a dict",
        "define_metric": "`step_metric` and `summary`; other arguments change nothing",
        "display": "shows nothing",
        "finish_artifact": "as `log_artifact`",
        "link_artifact": "counted, not kept",
        "link_model": "logged; there is no registry to link it to",
        "log": "text, booleans and short lists are counted, not kept",
        "log_artifact": "without the type and tags of the artifact",
        "log_code": "unitrack's choice of source files; `include_fn` and `exclude_fn` change nothing",
        "mark_preempting": "does nothing",
        "name": "a change is the tag `wandb.name`",
        "notes": "a change is not told to backends",
        "offline": "always True",
        "pin_config_keys": "does nothing",
        "project_url": "always None",
        "settings": "those that `init` was given",
        "status": "nothing is ever pending",
        "sweep_id": "always None",
        "sweep_url": "always None",
        "to_html": "the name alone",
        "upsert_artifact": "as `log_artifact`",
        "url": "always None",
        "use_artifact": "what runs under the same root have logged",
        "use_model": "what runs under the same root have logged",
        "watch": "gradients and parameters of torch modules; no graph",
        "write_logs": "counted, not kept",
    },
    "mlflow": {
        "ActiveRun": "`info` and `data` of what this process has logged",
        "MlflowClient": "the methods that log, for runs of this process",
        "autolog": "counted; unitrack has callbacks for frameworks",
        "create_experiment": "the id is the name",
        "disable_system_metrics_logging": "does nothing; unitrack's configuration does it",
        "enable_system_metrics_logging": "does nothing; unitrack's configuration does it",
        "flush_artifact_async_logging": "does nothing: what a call has returned for is safe",
        "flush_async_logging": "does nothing: what a call has returned for is safe",
        "get_artifact_uri": "where unitrack's local sink keeps it",
        "get_run": "runs of this process",
        "get_tracking_uri": "what was set",
        "log_input": "frames, arrays and paths, not MLflow's datasets",
        "set_tracking_uri": "changes nothing: sinks are configured in unitrack",
        "start_run": "`run_id` of this process; `log_system_metrics` changes nothing",
    },
    "SummaryWriter": {
        "add_images": "each image of the batch is one",
        "add_video": "the first of the batch",
        "flush": "does nothing: what a call has returned for is safe",
        **dict.fromkeys(
            [name for name in SUMMARY_WRITER if name.startswith(("add_custom", "add_pr", "add_onnx"))]
            + ["add_embedding", "add_graph", "add_mesh", "add_tensor"],
            "counted, not kept",
        ),
    },
}
_RAISES = {"wandb.Run": {"restore": "there is no server that a file could come from"}}


def wandb_support() -> list[Support]:
    """Return what `unitrack.capture.wandb` makes of each name of `wandb`."""
    from unitrack.capture.wandb.unavailable import reason_of  # noqa: PLC0415  # only for the table

    found = []
    for name in WANDB:
        reason = reason_of(name)
        note = _PARTLY["wandb"].get(name, "")
        verdict: Verdict = "raises" if reason is not None else "partly" if note else "works"
        found.append(Support(name, verdict, reason or note))
    return found


def wandb_run_support() -> list[Support]:
    """Return what `unitrack.capture.wandb.Run` makes of each name of `wandb.Run`."""
    return _of_class("wandb.Run", WANDB_RUN)


def _of_class(kind: str, names: list[str]) -> list[Support]:
    raising, partly = _RAISES.get(kind, {}), _PARTLY.get(kind, {})
    found = []
    for name in names:
        verdict: Verdict = "raises" if name in raising else "partly" if name in partly else "works"
        found.append(Support(name, verdict, raising.get(name) or partly.get(name, "")))
    return found


def mlflow_support() -> list[Support]:
    """Return what `unitrack.capture.mlflow` makes of each name of `mlflow`."""
    own = vars(importlib.import_module("unitrack.capture.mlflow"))
    found = []
    for name in MLFLOW:
        note = _PARTLY["mlflow"].get(name, "")
        if name in own:
            found.append(Support(name, "partly" if note else "works", note))
        else:
            found.append(Support(name, "raises", "the module only logs; `unitrack.runs(...)` reads runs"))
    return found


def tables() -> dict[str, list[Support]]:
    """Return all tables, by what the names belong to."""
    return {
        "wandb": wandb_support(),
        "wandb.Run": wandb_run_support(),
        "mlflow": mlflow_support(),
        "SummaryWriter": _of_class("SummaryWriter", SUMMARY_WRITER),
    }


def counts(rows: list[Support]) -> dict[Verdict, int]:
    """Return how many names have each verdict."""
    verdicts: tuple[Verdict, ...] = ("works", "partly", "raises")
    return {verdict: sum(row.verdict == verdict for row in rows) for verdict in verdicts}
