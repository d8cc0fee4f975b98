"""What the calls of a `SummaryWriter` become: the same for torch's, tensorboardX's and the drop-in one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from unitrack.capture.captured_run import CapturedRun, as_number, is_number
from unitrack.capture.session import session
from unitrack.records import EndStatus
from unitrack.run import media_values

SDK = "tensorboard"


class TensorBoardCalls:
    """Forwards the calls of the writers of one log directory: one run. It starts with the first thing that is logged.

    Names and arguments are those of `torch.utils.tensorboard.SummaryWriter`. Without a step, TensorBoard has step 0.
    """

    def __init__(self, log_dir: str) -> None:
        self._key = os.path.abspath(log_dir)
        self._name = os.path.basename(self._key)
        self._run_id: str | None = None
        self._sessions = 0

    def _captured(self) -> CapturedRun | None:
        found = session.find(SDK, self._key)
        if found is None:  # not started, or closed and used again
            found = session.open(SDK, self._key, self._run_id, name=self._name)
            self._run_id = None if found is None else found.run.id
        return found

    def add_scalar(self, tag: str, scalar_value: Any, global_step: Any = None, *args: Any, **kwargs: Any) -> None:
        """Log a point."""
        if (captured := self._captured()) is not None:
            captured.metrics("add_scalar", {tag: _scalar(scalar_value)}, _step(global_step))

    def add_scalars(
        self, main_tag: str, tag_scalar_dict: Mapping[str, Any], global_step: Any = None, *args: Any, **kwargs: Any
    ) -> None:
        """Log points as "main/tag". TensorBoard keeps each in a folder of its own, as a run."""
        if (captured := self._captured()) is not None:
            values = {f"{main_tag}/{tag}": _scalar(value) for tag, value in tag_scalar_dict.items()}
            captured.metrics("add_scalars", values, _step(global_step))

    def add_histogram(self, tag: str, values: Any, global_step: Any = None, *args: Any, **kwargs: Any) -> None:
        """Log a histogram."""
        self._medium("add_histogram", tag, media_values.Histogram(_array(values).ravel()), global_step)

    def add_histogram_raw(
        self,
        tag: str,
        min: Any,
        max: Any,
        num: Any,
        sum: Any,
        sum_squares: Any,
        bucket_limits: Sequence[float],
        bucket_counts: Sequence[float],
        global_step: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Log a histogram whose buckets are counted."""
        limits = [float(limit) for limit in bucket_limits]
        first = float(min) if float(min) < limits[0] else limits[0] - 1.0
        histogram = media_values.Histogram(([float(count) for count in bucket_counts], [first, *limits]))
        self._medium("add_histogram_raw", tag, histogram, global_step)

    def add_image(
        self, tag: str, img_tensor: Any, global_step: Any = None, walltime: Any = None, dataformats: str = "CHW"
    ) -> None:
        """Log an image."""
        self._medium("add_image", tag, media_values.Image(_image(img_tensor, dataformats)), global_step)

    def add_images(
        self, tag: str, img_tensor: Any, global_step: Any = None, walltime: Any = None, dataformats: str = "NCHW"
    ) -> None:
        """Log each image of a batch, as "tag/0", "tag/1"."""
        if isinstance(img_tensor, list):
            images = [_image(one, dataformats.replace("N", "")) for one in img_tensor]
        else:
            array = _array(img_tensor)
            axis = dataformats.upper().index("N")
            inner = dataformats.upper().replace("N", "")
            images = [_image(array.take(number, axis), inner) for number in range(array.shape[axis])]
        for number, image in enumerate(images):
            self._medium("add_images", f"{tag}/{number}", media_values.Image(image), global_step)

    def add_image_with_boxes(
        self,
        tag: str,
        img_tensor: Any,
        box_tensor: Any,
        global_step: Any = None,
        walltime: Any = None,
        rescale: Any = 1,
        dataformats: str = "CHW",
        labels: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Log an image with its boxes."""
        image = _image(img_tensor, dataformats)
        height, width = image.shape[:2]
        boxes = [
            {
                "position": {"minX": box[0] / width, "minY": box[1] / height, "maxX": box[2] / width,
                             "maxY": box[3] / height},
                "class_id": number,
            }
            for number, box in enumerate(_array(box_tensor).reshape(-1, 4).tolist())
        ]  # fmt: skip
        names = dict(enumerate(labels)) if labels is not None else {number: str(number) for number in range(len(boxes))}
        group = {"boxes": {"box_data": boxes, "class_labels": names}} if boxes else None
        self._medium("add_image_with_boxes", tag, media_values.Image(image, boxes=group), global_step)

    def add_figure(self, tag: str, figure: Any, global_step: Any = None, *args: Any, **kwargs: Any) -> None:
        """Log a figure, or each of a list."""
        figures = figure if isinstance(figure, list) else [figure]
        for number, one in enumerate(figures):
            name = tag if len(figures) == 1 else f"{tag}/{number}"
            self._medium("add_figure", name, media_values.Figure(one), global_step)

    def add_video(
        self, tag: str, vid_tensor: Any, global_step: Any = None, fps: float = 4, *args: Any, **kwargs: Any
    ) -> None:
        """Log the first video of a batch of shape (N, T, C, H, W)."""
        array = _array(vid_tensor)
        if len(array) > 1:
            session.report.reduce("add_video of a batch", "its first video")
        self._medium("add_video", tag, media_values.Video(array[0], float(fps)), global_step)

    def add_audio(
        self, tag: str, snd_tensor: Any, global_step: Any = None, sample_rate: int = 44_100, *args: Any, **kwargs: Any
    ) -> None:
        """Log a sound."""
        sound = _array(snd_tensor).astype("float64").clip(-1, 1)
        self._medium("add_audio", tag, media_values.Audio(sound.squeeze(), sample_rate), global_step)

    def add_text(self, tag: str, text_string: str, global_step: Any = None, *args: Any, **kwargs: Any) -> None:
        """Log a text as a file: "tag-7.md" for step 7."""
        if (captured := self._captured()) is not None:
            name = f"{tag}.md" if global_step is None else f"{tag}-{_step(global_step)}.md"
            captured.do("add_text", captured.run.log_text, str(text_string), name)

    def add_hparams(
        self, hparam_dict: Mapping[str, Any], metric_dict: Mapping[str, Any], *args: Any, **kwargs: Any
    ) -> None:
        """Log params and metrics: of the run itself at the first call, of a run of their own in it at later ones.

        TensorBoard keeps each call in a folder of its own. `args`: discrete domains, the name and the step; or, with
        tensorboardX, the name and the step.
        """
        captured = self._captured()
        if captured is None:
            return
        given = [one for one in args if not isinstance(one, Mapping) and one is not None]
        names = [one for one in given if isinstance(one, str)]
        name = kwargs.get("run_name") or kwargs.get("name") or (names[0] if names else None)
        step = _step(kwargs.get("global_step", next((one for one in given if not isinstance(one, str)), None)))
        self._sessions += 1
        inner: CapturedRun | None = captured
        if self._sessions > 1:
            inner = session.open(
                SDK, os.path.join(self._key, name or f"hparams-{self._sessions}"), name=name, parent=captured.run.id
            )
        if inner is None:
            return
        inner.params("add_hparams", dict(hparam_dict))
        inner.metrics("add_hparams", {tag: _scalar(value) for tag, value in metric_dict.items()}, step)
        if inner is not captured:
            inner.finish()

    def close(self, status: EndStatus = "finished") -> None:
        """End the run."""
        if (captured := session.find(SDK, self._key)) is not None:
            captured.finish(status)

    def _medium(self, call: str, tag: str, medium: media_values.Media, step: Any) -> None:
        if (captured := self._captured()) is not None:
            captured.do(call, captured.run.log, {tag: medium}, _step(step))


def _step(step: Any) -> int:
    return 0 if step is None else int(step)


def _scalar(value: Any) -> Any:
    if is_number(value):
        return as_number(value)
    return float(_array(value).squeeze())


def _array(value: Any) -> Any:
    import numpy as np  # noqa: PLC0415  # TensorBoard needs it, scalars do not

    return np.asarray(value.detach().cpu().numpy() if hasattr(value, "detach") else value)


def _image(value: Any, formats: str) -> Any:
    """Return an image of shape (H, W, C), as floats in 0 ... 1 or uint8, from one in another order of axes."""
    array, formats = _array(value), formats.upper()
    if "C" in formats:
        array = array.transpose([formats.index(axis) for axis in "HWC"])
    elif formats == "WH":
        array = array.T
    return array.clip(0, 1) if array.dtype.kind == "f" else array.astype("uint8")
