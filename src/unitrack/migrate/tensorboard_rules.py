"""Calls of `SummaryWriter`, that of torch and that of tensorboardX."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import libcst as cst

from unitrack.migrate.call import Call, LeftAlone, Renamed, Rule, source_of

WRITERS = (
    "torch.utils.tensorboard.SummaryWriter",
    "torch.utils.tensorboard.writer.SummaryWriter",
    "tensorboardX.SummaryWriter",
)
_AT = "global_step walltime"
_NOT_IN_F_STRING = re.compile(r"[\"'\\\n{}:!#]")
"""Text that can't stand in the braces of an f-string, in Python 3.11."""
_LAYOUTS = ("CHW", "HWC", "HW")


def writer(call: Call, receiver: str) -> cst.BaseExpression:
    """`SummaryWriter`: the run is called as the last folder of its `log_dir`."""
    call.bind(("log_dir", "comment", "purge_step", "max_queue", "flush_secs", "filename_suffix"))
    call.drop(
        {
            "max_queue": "",
            "flush_secs": "",
            "filename_suffix": "",
            "comment": "give the run a name",
            "purge_step": "`start_run(run_id=, resume=)` goes on with a run",
        }
    )
    folder = call.take("log_dir") or call.take("logdir")
    if isinstance(folder, cst.SimpleString):
        name = PurePosixPath(str(folder.evaluated_value)).name
        quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return call.becomes("unitrack.start_run", [(None, quoted if name else None)])
    if folder is not None:
        call.remark(source_of(folder), "it is the name of the run now; runs lie where `tracking.root` says")
    is_text = isinstance(folder, cst.FormattedString) or (
        isinstance(folder, cst.Call)
        and isinstance(folder.func, cst.Attribute)
        and isinstance(folder.func.value, cst.SimpleString)
    )
    return call.becomes(
        "unitrack.start_run",
        [(None, folder if folder is None or is_text else f"str({source_of(folder)})")],
    )


def _add_scalars(call: Call, receiver: str) -> cst.BaseExpression:
    call.bind(("main_tag", "tag_scalar_dict", *_AT.split()))
    call.drop({"walltime": ""})
    tag, values = call.take("main_tag"), call.take("tag_scalar_dict")
    if tag is None or values is None:
        raise LeftAlone("it lacks an argument")
    key = next(one for one in ("name", "key", "part", "one_of_them") if one not in re.findall(r"\w+", source_of(tag)))
    named = f"{{{_joined(tag, f'/{{{key}}}')}: value for {key}, value in {source_of(values)}.items()}}"
    return call.becomes(f"{receiver}.log_metrics", [(None, named), ("step", call.take("global_step"))])


def _joined(tag: cst.BaseExpression, end: str) -> str:
    """Return an f-string of a tag and an end. Raises `LeftAlone` for a tag that can't stand in one."""
    if isinstance(tag, cst.SimpleString):
        text = str(tag.evaluated_value).replace("\\", "\\\\").replace('"', '\\"').replace("{", "{{").replace("}", "}}")
        return f'f"{text}{end}"'
    code = source_of(tag)
    if _NOT_IN_F_STRING.search(code):
        raise LeftAlone("its tag is put together in the call: give it a name before")
    return f'f"{{{code}}}{end}"'


def _add_image(call: Call, receiver: str) -> cst.BaseExpression:
    call.bind(("tag", "img_tensor", *_AT.split(), "dataformats"))
    call.drop({"walltime": ""})
    if "dataformats" in call.given and call.literal("dataformats") not in _LAYOUTS:
        raise LeftAlone("only images of the layouts CHW, HWC and HW are taken")
    tag, image = call.take("tag"), call.take("img_tensor")
    return call.becomes(f"{receiver}.log_image", [(None, image), (None, tag), ("step", call.take("global_step"))])


def _add_text(call: Call, receiver: str) -> cst.BaseExpression:
    call.bind(("tag", "text_string", *_AT.split()))
    call.drop({"walltime": ""})
    tag, text, step = call.take("tag"), call.take("text_string"), call.take("global_step")
    if tag is None:
        raise LeftAlone("it lacks an argument")
    if step is None:
        end = ".md"
    elif isinstance(step, cst.Integer):
        end = f"-{step.value}.md"
    else:
        end = f"-{{{source_of(step)}}}.md"
        if _NOT_IN_F_STRING.search(end[2:-4]):
            raise LeftAlone("its step is computed in the call: give it a name before")
    name = _joined(tag, end)
    return call.becomes(f"{receiver}.log_text", [(None, text), (None, name if "{" in name else name[1:])])


def _add_embedding(call: Call, receiver: str) -> cst.BaseExpression:
    call.bind(("mat", "metadata", "label_img", "global_step", "tag", "metadata_header"))
    if "label_img" in call.given:
        raise LeftAlone("pictures of the samples have no counterpart")
    vectors, tag = call.take("mat"), call.take("tag")
    return call.becomes(
        f"{receiver}.log_embedding",
        [
            (None, vectors),
            (None, '"default"' if tag is None else tag),
            ("step", call.take("global_step")),
            ("labels", call.take("metadata")),
            ("columns", call.take("metadata_header")),
        ],
    )


METHODS: dict[str, Rule] = {
    "add_scalar": Renamed(
        "{}.log_metric",
        f"tag scalar_value {_AT} new_style",
        "tag scalar_value step=global_step",
        drop="walltime new_style double_precision display_name summary_description",
    ),
    "add_scalars": _add_scalars,
    "add_histogram": Renamed(
        "{}.log_histogram",
        "tag values global_step bins walltime max_bins",
        "values tag step=global_step",
        drop="walltime bins max_bins",
    ),
    "add_image": _add_image,
    "add_figure": Renamed(
        "{}.log_figure", "tag figure global_step close walltime", "figure tag step=global_step", drop="close walltime"
    ),
    "add_text": _add_text,
    "add_audio": Renamed(
        "{}.log_audio",
        "tag snd_tensor global_step sample_rate walltime",
        "snd_tensor tag step=global_step sample_rate=sample_rate",
        drop="walltime",
    ),
    "add_pr_curve": Renamed(
        "{}.log_pr_curve",
        "tag labels predictions global_step num_thresholds weights walltime",
        "labels predictions tag step=global_step thresholds=num_thresholds",
        drop="walltime",
    ),
    "add_embedding": _add_embedding,
    "add_graph": Renamed(
        "{}.log_graph",
        "model input_to_model verbose use_strict_trace",
        "model example=input_to_model",
        drop="verbose use_strict_trace",
    ),
    "add_hparams": Renamed(
        "{}.log_hparams",
        "hparam_dict metric_dict hparam_domain_discrete run_name global_step",
        "hparam_dict metric_dict",
        drop="hparam_domain_discrete run_name global_step",
    ),
    "flush": Renamed("{}.flush", "", ""),
    "close": Renamed("{}.finish", "", ""),
}
ATTRIBUTES = {"log_dir": "path", "logdir": "path"}
