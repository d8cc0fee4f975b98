"""The run, which training code logs to. A log call validates, appends one line to the journal, and returns."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from unitrack.config import Settings
from unitrack.delivery.report import DeliveryReport
from unitrack.environment.code import SOURCES
from unitrack.errors import InvalidTypeError, InvalidValueError, JournalError
from unitrack.hookspecs import Link
from unitrack.records import EndStatus, RunStart
from unitrack.run.links import links_of
from unitrack.run.mappings import RunConfig, RunSummary
from unitrack.run.parts import Parts, settings_for_others, worker_parts
from unitrack.runfolder.run_folder import RunFolder
from unitrack.validation import check_step
from unitrack.validation.arguments import as_flag, as_names, as_path, as_text

if TYPE_CHECKING:
    from unitrack.artifacts.finding import FoundArtifact
    from unitrack.run.checkpoint_log import Checkpoint


class Run:
    """One run, delivered to all its sinks. Made by `unitrack.start_run`; threads may share it.

    Use it as a context manager, or call `finish()`. An exception that leaves the `with` block ends the run as
    "failed", Ctrl-C and SIGTERM as "killed". `str(run)` is its id.

    Names of files are paths among the run's artifacts: relative, with "/", without "..". The methods that log a file
    raise `InvalidValueError` for a name that leaves the run or content that is larger than
    `safeguards.max_artifact_bytes`, and `JournalError` if the disk is full. A `step` is added to the name
    ("roc-7.png"), so that a series is kept. A name without a suffix of the medium gets one: the ".weight" of
    "layer1.0.weight" is part of the name.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    # -- identity -----------------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The run's id: letters, digits and hyphens, unique."""
        return self._parts.recorder.start.run_id

    @property
    def name(self) -> str:
        """The run's name, which several runs may share."""
        return self._parts.recorder.start.name

    @property
    def project(self) -> str:
        """The project that the run belongs to."""
        return self._parts.recorder.start.project

    @property
    def path(self) -> Path:
        """The run folder, absolute."""
        return self._parts.recorder.folder.path

    @property
    def has_ended(self) -> bool:
        """Whether the run has been finished by this process."""
        return self._parts.ending.report is not None

    @property
    def config(self) -> RunConfig:
        """The params of the run, as a mapping: `run.config["lr"]`, `run.config.update(...)`.

        They are those that this process has logged and, of a run that was resumed, those of earlier sessions, as far as
        the run folder holds them.
        """
        return RunConfig(self._parts.params.own, self.log_params)

    @property
    def summary(self) -> RunSummary:
        """Values for the whole run, as a mapping: `run.summary["best"] = 0.97`."""
        return RunSummary(self._parts.metrics.summary, self._parts.metrics.log_summary)

    def links(self) -> dict[str, Link]:
        """Return the link to the run in each backend that has opened it so far: id, location, URL, how to open it."""
        return links_of(self._parts.recorder.folder, self._parts.settings.sinks)

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<Run {self.name!r} {self.id} in {self.path}>"

    def _repr_html_(self) -> str:
        from unitrack.run.representation import html_of  # noqa: PLC0415  # html costs 1 ms

        return html_of(self._parts)

    # -- metrics, params, tags ----------------------------------------------------------------------------------------

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log one number per name at a step.

        `metrics`: ints, floats, NumPy scalars, 0-d arrays and tensors, taken as float64. `step`: 0 ... 2**63 - 1, in
        any order; without it, one more than the highest so far. Raises `InvalidTypeError` (a `TypeError`) for a value
        that is not a number, `InvalidValueError` (a `ValueError`) for NaN, infinity, steps and names that can't be
        accepted, and `JournalError` (an `OSError`) if the disk is full. Everything logged before is safe.

        A scalar on a device (a GPU, JAX) is read in another thread. Its record is in the journal only after that, and
        an error of the value is raised by the next call, or by `flush()` or `finish()`.
        """
        self._parts.metrics.log(metrics, step)

    def log_metric(self, name: str, value: Any, step: int | None = None) -> None:
        """Log one metric; see `log_metrics`."""
        self._parts.metrics.log({as_text(name, "log_metric: name"): value}, step)

    def log(self, values: Mapping[str, Any], step: int | None = None) -> None:
        """Log numbers and media together at a step.

        `values`: numbers as for `log_metrics`; `unitrack.Image`, `Audio`, `Video`, `Histogram`, `Table`, `Html` and
        `Figure`, lists of them ("name/0", "name/1"), figures and PIL images as they are; mappings of these, whose names
        become "outer.inner". The numbers are one record. Raises the errors of `log_metrics` and of the media's methods.
        """
        from unitrack.run.media_values import split  # noqa: PLC0415  # dataclasses cost 4 ms

        try:
            numbers, media = split(values)
        except RecursionError:
            raise InvalidValueError("log: the values are nested too deeply, or contain themselves") from None
        metrics = self._parts.metrics
        at = check_step(metrics.next_step if step is None else step)
        if numbers or not media:
            metrics.log(numbers, at)
        for name, one in media:
            one.log_to(self._parts.files, name, at)
        metrics.reach(at)

    def define_metric(self, name: str, *, step_metric: str | None = None, summary: str | None = None) -> None:
        """Define how backends show a metric: its x-axis, and the value that summarizes it for the whole run.

        `name`: a metric, or a glob such as "val/*". `step_metric`: the metric on the x-axis, such as "epoch", where a
        backend can show one (W&B). `summary`: "last" (the default), "min", "max", "mean" or "first"; W&B shows it, and
        `unitrack.runs` reads it. The tag `unitrack.metric.<name>` stores both. Raises `InvalidValueError` for another
        summary.
        """
        self._parts.params.define_metric(name, step_metric, summary)
        self._parts.metrics.raise_late_failure()

    def warn_of_non_finite(self) -> None:
        """Keep metrics that are NaN or infinite with a warning from now on, in place of an error.

        For code that logs what a framework reports, whose gradients may overflow by design: every integration calls it.
        Where the configuration sets `safeguards.non_finite`, that holds, and this does nothing.
        """
        self._parts.metrics.warn_of_non_finite()

    def log_params(self, params: Any) -> None:
        """Log hyperparameters: a mapping (nested or not), a dataclass, a pydantic model, an argparse namespace.

        Logging the same value again does nothing. A new value replaces the old one in backends that can do that; the
        local files keep both. Values under keys such as `password` or `api_key`, and values that look like a
        credential, are redacted. Raises `InvalidTypeError` for an object without named values, `InvalidValueError` for
        bad names and values that are too large.
        """
        self._parts.params.log(params)
        self._parts.metrics.raise_late_failure()

    def log_param(self, name: str, value: Any) -> None:
        """Log one hyperparameter; see `log_params`."""
        self.log_params({as_text(name, "log_param: name"): value})

    def log_hparams(self, params: Any, metrics: Mapping[str, Any] = {}) -> None:
        """Log hyperparameters, and the numbers by which runs with other ones are compared.

        `params`: as for `log_params`. `metrics`: numbers by name, which become values of `summary`. TensorBoard's
        HParams dashboard, MLflow's and W&B's tables of runs show both side by side. Raises as `log_params` does, and
        `InvalidTypeError` for a value of `metrics` that is not a number.
        """
        self.log_params(params)
        self.summary.update(metrics)

    def log_environment(self) -> None:
        """Log the environment: what it takes to run this program again.

        Params are the Python version, the platform, the commit, whether it has changes, and the versions of the
        installed packages. `environment/environment.json` among the artifacts has all of it: also the machine with its
        GPUs, the command line, the scheduler's job, and where packages come from. `environment/code.patch` has the
        changes since the last commit. The repository keeps the exact tree as `refs/unitrack/<run id>`, except for
        ignored and large files; your index, branches and stash stay as they are. Secrets are redacted.

        What may be different a moment later is taken in this call, in about 20 ms. A courier takes the rest.
        """
        self._parts.environment.log()

    def set_tags(self, tags: Mapping[str, Any] | Sequence[str]) -> None:
        """Set tags: names and values, or names alone. Values become strings; a later one replaces an earlier one."""
        self._parts.params.set_tags(tags)
        self._parts.metrics.raise_late_failure()

    def alert(self, name: str, text: str = "", *, when: str | None = None) -> None:
        """Raise an alert now or, with `when`, each time that a condition becomes true.

        `when` is written in the language of queries, over metrics: "mean(loss, 100) > 2 * min(loss)", "nan(loss)",
        "stalled(10m)"; docs/how-to/alerts.md has all of it. A courier checks it, so it costs training nothing. An alert
        is an `AlertWarning` here, the tag `unitrack.alert.<name>` in every backend, and goes to `alerts.command` and to
        plugins that notify. Raises `QueryError`, a `ValueError`, which shows the place of a mistake in `when`.
        """
        self._parts.alerts.alert(name, text, when)
        self._parts.metrics.raise_late_failure()

    # -- files and media ----------------------------------------------------------------------------------------------

    def log_artifact(
        self,
        path: str | os.PathLike[str] | None = None,
        artifact_path: str | None = None,
        *,
        name: str | None = None,
        aliases: Sequence[str] = (),
        overwrite: bool = False,
        reference: str | os.PathLike[str] | None = None,
        checksum: str = "",
        size: int | None = None,
    ) -> None:
        """Log a file or a folder as it is now; the run keeps a copy.

        `artifact_path`: a folder among the artifacts ("plots/", or a name without suffix), or the whole name
        ("weights/best.pt"). Raises `ArtifactNotFoundError` (a `FileNotFoundError`), `InvalidValueError` for one that is
        larger than `safeguards.max_artifact_bytes` or whose path leaves the run, `JournalError` if the disk is full.
        Of a folder, run folders, virtual environments, `.git` and `__pycache__` in it are left out. Files in a folder
        whose own names are not UTF-8, hold a backslash or have more than 240 bytes are left out; one warning names
        them.

        With `name` it is a version of the artifact of this name in the run's project: v0, v1 and so on, or the same
        version again if it has the same content. `aliases` are names of this version, such as "best", which move to it
        from an earlier one; "latest" always does. `overwrite` replaces the content of the version that this run has
        logged so before, in place of a new version. `reference` is a URI, or a path, of data that stays where it is,
        given in place of `path`; `checksum` ("sha256:...") and `size` in bytes say what it is. Raises
        `InvalidValueError` as well for a file that is written meanwhile, for a folder without files, and if
        `artifacts.quota_bytes` would be exceeded.
        """
        aliases = as_names(aliases, "log_artifact: aliases")
        overwrite = as_flag(overwrite, "log_artifact: overwrite")
        checksum = as_text(checksum, "log_artifact: checksum")
        if name is not None:
            self._parts.artifacts.log(
                path,
                artifact_path,
                name,
                aliases=aliases,
                overwrite=overwrite,
                reference=reference,
                checksum=checksum,
                size=size,
            )
            return
        if aliases or overwrite or reference is not None or checksum or size is not None:
            raise InvalidValueError(
                "log_artifact: aliases, overwrite, reference, checksum and size are for an artifact with versions: "
                'give its `name=` as well, such as name="model"'
            )
        self._parts.files.log_artifact(as_path(path, "log_artifact: path"), artifact_path)

    def use_artifact(self, artifact: str, *, project: str | None = None) -> FoundArtifact:
        """Return a version of a named artifact, and note that this run uses it.

        `artifact`: "model:v3", "model:best", or "model" for the latest one. `project`: another one than the run's.
        It has `path`, `version`, `digest`, `files` and more; see `docs/how-to/artifacts.md`. What was logged before, by
        any run under the same root, counts, delivered or not. Raises `NotFoundError`, which names similar versions and
        aliases, and `SourceError` if the content can't be read.
        """
        return self._parts.artifacts.use(artifact, project)

    def log_artifacts(self, folder: str | os.PathLike[str], artifact_path: str | None = None) -> None:
        """Log each file below a folder, under `artifact_path` if given; see `log_artifact` for the files left out.

        A file whose name can't be that of an artifact is left out as well; one warning names these files.
        """
        self._parts.files.log_artifacts(folder, artifact_path)

    def log_code(
        self,
        root: str | os.PathLike[str] = ".",
        name: str = "code",
        *,
        include: Sequence[str] = SOURCES,
        exclude: Sequence[str] = (),
    ) -> None:
        """Log the source files below `root` as the folder `name`; in W&B it is an artifact of the type code as well.

        `include`, `exclude`: globs, compared with the path below `root` and with the file's name. Left out are the
        files that `log_artifact` leaves out and, in a git repository, the files that git ignores. Raises
        `ArtifactNotFoundError` if there is no such folder or no file matches, and `InvalidValueError` if the files are
        larger than `safeguards.max_artifact_bytes` in total.
        """
        self._parts.files.log_code(root, name, include=include, exclude=exclude)

    def log_dataset(self, data: Any, name: str | None = None, *, context: str = "training", source: str = "") -> None:
        """Log which dataset the run uses: its SHA-256, its schema and its rows. The data itself stays where it is.

        `data`: the path of a file (the schema of CSV, Parquet and `.npy` is read) or of a folder, a frame of pandas,
        polars or pyarrow, or a NumPy array. `name`: that of the dataset; for a path, the default is that of the file.
        `context`: what it is used for. `source`: where data in memory is from, such as a URI. MLflow shows it among the
        run's inputs, W&B as an artifact that the run uses.

        A courier reads files, and another thread reads what is in memory and has more than 1 MiB; `finish` waits for
        it. Do not change it before. Raises `ArtifactNotFoundError` (a `FileNotFoundError`), `InvalidTypeError` for
        other objects, and `InvalidValueError` for a name that can't be that of a file.
        """
        self._parts.datasets.log(data, name, context, source)

    def log_text(self, text: str, name: str) -> None:
        """Log a text as the file `name`. Parts that look like a credential are redacted."""
        self._parts.files.log_text(text, name)

    def log_dict(self, content: Any, name: str) -> None:
        """Log nested data as the file `name`: YAML if it ends in .yaml or .yml, else JSON. Secrets are redacted."""
        self._parts.files.log_dict(content, name)

    def log_figure(self, figure: Any, name: str, step: int | None = None) -> None:
        """Log a matplotlib or plotly figure; the suffix is the format. Does nothing with `save_plots: false`."""
        self._parts.files.log_figure(figure, name, step)

    def log_image(
        self,
        image: Any,
        name: str,
        step: int | None = None,
        *,
        caption: str | None = None,
        boxes: Mapping[str, Any] | None = None,
        masks: Mapping[str, Any] | None = None,
    ) -> None:
        """Log an image: a path, a PIL image, or an array of shape (H, W), (H, W, C) or (C, H, W) with C in 1, 3, 4,
        uint8 or float in 0 ... 1. Does nothing with `save_plots: false`.

        `boxes` and `masks` are those of `wandb.Image`, by the name of their group: `{"predicted": {"box_data": [{
        "position": {"minX":, "maxX":, "minY":, "maxY":}, "class_id": 1}], "class_labels": {1: "car"}}}` and
        `{"predicted": {"mask_data": integers in 0 ... 255 of shape (H, W), "class_labels": {1: "car"}}}`. Every backend
        keeps them, W&B shows them.
        """
        self._parts.files.log_image(image, name, step, caption=caption, boxes=boxes, masks=masks)

    def log_histogram(self, values: Any, name: str, step: int | None = None, *, bins: int = 64) -> None:
        """Log a histogram of samples, or of the pair (counts, edges) that `numpy.histogram` returns, as JSON."""
        self._parts.files.log_histogram(values, name, step, bins=bins)

    def log_table(
        self, table: Any, name: str, step: int | None = None, *, columns: Sequence[str] | None = None
    ) -> None:
        """Log a pandas or polars frame, a list of dicts, a dict of columns, or rows with `columns`, as JSON.

        Secrets are redacted: columns with a secret name, and parts of texts that look like a credential.
        """
        self._parts.files.log_table(table, name, step, columns=columns)

    def log_pr_curve(
        self, labels: Any, predictions: Any, name: str, step: int | None = None, *, thresholds: int = 127
    ) -> None:
        """Log the precision-recall curve of a binary classifier.

        `labels`: 0 or 1 for each sample, `predictions`: its probability in 0 ... 1; arrays, tensors or sequences of
        one length. `thresholds`: how many, from 0 to 1 at equal distances. TensorBoard draws the curve, MLflow and W&B
        show it as a table. Raises `InvalidTypeError` for values that are not numbers, and `InvalidValueError` for
        other labels, probabilities, lengths and thresholds.
        """
        self._parts.charts.log_pr_curve(labels, predictions, name, step, thresholds)

    def log_embedding(
        self,
        vectors: Any,
        name: str,
        step: int | None = None,
        *,
        labels: Any = None,
        columns: Sequence[str] | None = None,
    ) -> None:
        """Log vectors for TensorBoard's projector; MLflow and W&B, which projects as well, get them as a table.

        `vectors`: finite numbers of shape (samples, dimensions). `labels`: a text or number for each sample, or a
        table as for `log_table`, whose rows may need `columns`. Raises `InvalidTypeError` for values that are not
        numbers, and `InvalidValueError` for another shape and for labels that are not as many.
        """
        self._parts.charts.log_embedding(vectors, name, step, labels, columns)

    def log_audio(
        self,
        sound: Any,
        name: str,
        step: int | None = None,
        *,
        sample_rate: int = 44_100,
        caption: str | None = None,
    ) -> None:
        """Log a sound: a path, or an array of shape (samples,), (samples, channels) or (channels, samples), float in
        -1 ... 1 or int16. The shorter axis is that of the channels, at most 64. `sample_rate`: of an array, in Hz.
        """
        self._parts.files.log_audio(sound, name, step, sample_rate=sample_rate, caption=caption)

    def log_video(
        self, video: Any, name: str, step: int | None = None, *, fps: float = 10.0, caption: str | None = None
    ) -> None:
        """Log a video: a path, or frames of shape (T, H, W, C) or (T, C, H, W) as an animated GIF of `fps` frames/s."""
        self._parts.files.log_video(video, name, step, fps=fps, caption=caption)

    def log_html(self, html: str | os.PathLike[str], name: str, step: int | None = None) -> None:
        """Log an HTML page: its text, or the path (a `pathlib.Path`) of its file."""
        self._parts.files.log_html(html, name, step)

    def log_model(
        self,
        model: Any,
        name: str = "model",
        *,
        aliases: Sequence[str] | None = None,
        overwrite: bool = False,
        input_example: Any = None,
    ) -> None:
        """Log a model below the folder `name`: a path, or an object that `unitrack.media.models` can save.

        With `aliases`, or `aliases=[]`, it is a version of the artifact `name`, as with `log_artifact`, and in MLflow
        one of a registered model. `input_example`, an array or a tensor, gives the model its signature. A torch module
        is then exported as a program, which `mlflow.pytorch.load_model` loads, and not saved as its state dict. Does
        nothing with `artifacts.save_model: false`. Raises `InvalidValueError` if the model refuses the example.
        """
        aliases = None if aliases is None else as_names(aliases, "log_model: aliases")
        overwrite = as_flag(overwrite, "log_model: overwrite")
        self._parts.artifacts.log_model(model, name, aliases=aliases, overwrite=overwrite, input_example=input_example)

    def log_graph(self, model: Any, example: Any = None, name: str = "graph") -> None:
        """Log the layers of a torch module: types, parameter counts and, with an example, the shapes of their output.

        `example`: a tensor, a tuple of arguments, or a mapping of them by name, where the model is. The model is called
        with it once, in evaluation mode and without gradients. `name`.json holds the layers, `name`.txt the same as a
        table; TensorBoard draws them as a graph. Raises `InvalidTypeError` for other models, and `InvalidValueError` if
        the model refuses the example.
        """
        self._parts.models.log_graph(model, example, name)

    def watch(
        self,
        model: Any,
        *,
        log: Literal["gradients", "parameters", "all"] = "gradients",
        every: int = 1000,
        bins: int = 64,
        norms: bool = False,
    ) -> None:
        """Log histograms of a torch module's gradients or parameters while it is trained.

        A pass of the module in training with gradients counts; the first and then every `every`-th is sampled, at the
        step of the next log call without one. Gradients are taken as `backward` leaves them, before clipping. The pass
        makes copies, on their device; another thread makes the histograms "gradients/<parameter>" and
        "parameters/<parameter>" with `bins` bins, of the finite values. `norms` adds their 2-norms as metrics:
        "gradient_norm/<parameter>" and "gradient_norm_total". A second model's names begin with "model1.". Samples
        are skipped while copies of 64 MiB wait for their histograms; a warning at the end counts them. Raises
        `InvalidTypeError` for other models, and `InvalidValueError`.
        """
        self._parts.models.watch(model, log, every, bins, norms=norms)

    def unwatch(self, model: Any = None) -> None:
        """End `watch` of a model, or of all."""
        self._parts.models.unwatch(model)

    # -- checkpoints of training --------------------------------------------------------------------------------------

    def log_checkpoint(
        self,
        state: Any,
        step: int,
        *,
        keep: str = "all",
        metric: str | float | None = None,
        mode: Literal["min", "max"] = "min",
        name: str = "checkpoint",
        aliases: Sequence[str] = (),
    ) -> None:
        """Save the state of training as a version of the artifact `name`.

        `state`: a mapping of tensors, arrays, numbers and texts, nested or not; an object with `state_dict()`; or the
        path of a file or folder that is saved already. It becomes a `.pt` file that `torch.load(weights_only=True)`
        takes, an `.npz` file, or JSON. `keep`: "all", "last:2", or "best:3" by `metric`, the name of a metric, whose
        last value counts, or a number; `mode` says which is best. The newest one and those with an alias always stay.
        The others are removed from this machine once every sink has them; other backends keep theirs. Raises
        `InvalidTypeError`, which names the place, for a value that can't be saved safely, and as `log_artifact`.
        """
        aliases = as_names(aliases, "log_checkpoint: aliases")
        metric = as_text(metric, "log_checkpoint: metric") if isinstance(metric, str) else metric
        self._parts.checkpoints.log(state, step, keep=keep, metric=metric, mode=mode, name=name, aliases=aliases)

    def latest_checkpoint(self, name: str = "checkpoint") -> Checkpoint | None:
        """Return the checkpoint that this run has saved last, in an earlier session of it as well; None without one.

        It has `path`, `step`, `metric`, `artifact`, and `load()`, which returns the state.
        """
        return self._parts.checkpoints.latest(name)

    def state_dict(self, *, generators: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the state that a checkpoint of training needs to continue this run: JSON values, about 15 kB.

        It holds `run_id`; `step`, the step of the next call without one; and `rng`, the states of the random number
        generators: `random`, NumPy's global one and torch's, on the CPU and on CUDA devices, where they are in use.
        `generators`: others by name, each a `random.Random`, a NumPy `Generator` or `RandomState`, or a
        `torch.Generator`. Raises `InvalidTypeError` for anything else.
        """
        from unitrack.run.checkpoints import rng_part  # noqa: PLC0415  # base64 and random cost 2 ms

        state = {"run_id": self.id, "step": self._parts.metrics.next_step}
        return state | rng_part(self._parts.recorder.rank, generators)

    def load_state_dict(self, state: Mapping[str, Any], *, generators: Mapping[str, Any] | None = None) -> None:
        """Continue at the step of a checkpoint, even if the log is already beyond it, with its random numbers.

        Calls without a step continue at the state's `step`. A metric that is logged again at an earlier step goes back
        to that step: its points from there on are superseded, so that no backend shows two curves; the local files keep
        them.

        Random number generators are set to the state's, and `generators` to those that `state_dict` got under these
        names. One warning names what can't be set: a library that is not imported yet, or a CUDA device that is not
        there. Another rank's random numbers are left alone.

        Raises `InvalidTypeError` if the state is not a mapping, and `InvalidValueError` for a damaged state and for the
        state of another run: start this one with `run_id=state["run_id"]` and `resume="must"`.
        """
        if not isinstance(state, Mapping):
            raise InvalidTypeError(f"the state must be what state_dict() gave, got {type(state).__name__}")
        if state.get("run_id") != self.id:
            raise InvalidValueError(
                f"the state is of run {state.get('run_id')!r}, this is {self.id!r}; "
                "pass run_id=state['run_id'] and resume='must' to start_run"
            )
        from unitrack.run.checkpoints import restore_rng  # noqa: PLC0415  # base64 and random cost 2 ms

        self._parts.recorder.check_open()
        step = check_step(state.get("step"))
        restore_rng(state, self._parts.recorder.rank, generators)
        self._parts.metrics.restore(step)

    # -- waiting, and the end -----------------------------------------------------------------------------------------

    def flush(self, timeout: float | None = None) -> DeliveryReport:
        """Wait until every sink has accepted everything logged so far, and return the report.

        It waits at most `timeout` seconds; the default is `tracking.finish_timeout` of the configuration. Raises
        `DeliveryError` with `on_sink_error: raise`.
        """
        return self._parts.ending.flush(timeout)

    def finish(
        self, status: EndStatus = "finished", timeout: float | None = None, *, wait: bool = True
    ) -> DeliveryReport:
        """End the run, wait for delivery at most `timeout` seconds, and return the report.

        Records that are pending then are not lost: couriers go on, and `unitrack sync` delivers what they leave. A
        second call returns the report of the first one. With `wait=False` the report is as of now, and couriers deliver
        while the process goes on, with the next run of a sweep, say. Raises `DeliveryError` with `on_sink_error: raise`
        if a sink is in trouble, and `InvalidValueError` for an unknown status, which leaves the run open.

        A rank or a worker ends only its own part: the run goes on until its owner ends it, and the report is empty.
        """
        report = self._parts.ending.finish(status, timeout, wait=wait)
        self._parts.checkpoints.prune()
        return report

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
            self.finish()
            return
        try:
            self.finish("killed" if issubclass(kind, KeyboardInterrupt) else "failed")
        except (InvalidTypeError, InvalidValueError, JournalError) as late:  # the original error is raised
            if error is not None:
                error.add_note(str(late))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the run for a worker, which logs into a journal of its own and never ends the run."""
        recorder = self._parts.recorder
        return rejoin, (
            recorder.start,
            str(recorder.folder.path),
            settings_for_others(self._parts.settings),
            recorder.rank,
        )


def rejoin(start: RunStart, folder: str, settings: Settings, rank: int, params: Mapping[str, Any] | None = None) -> Run:
    """Return the handle of another process's run: the result of unpickling a `Run` in a worker.

    `params`: those that the run has already, for `Run.config`.
    """
    parts = worker_parts(start, RunFolder(Path(folder)), settings, rank)
    parts.params.remember(params or {})
    return Run(parts)
