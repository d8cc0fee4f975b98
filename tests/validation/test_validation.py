"""The checks between a log call and the journal."""

from __future__ import annotations

import decimal
import fractions
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unitrack
from unitrack.config.settings import Safeguards
from unitrack.errors import ArtifactNotFoundError, InvalidTypeError, InvalidValueError, UnitrackError
from unitrack.hookspecs import Validators
from unitrack.validation import (
    ValidationChain,
    check_artifact_name,
    check_name,
    check_source_file,
    check_step,
    to_float,
)

HUGE = pytest.param(10**5000, id="huge")
"""More digits than Python converts to a string."""

NUMPY_NUMBERS = [np.dtype(code).type for code in np.typecodes["AllInteger"] + np.typecodes["Float"]]


@pytest.mark.parametrize(
    "value",
    [
        1,
        -7,
        2**53 + 1,
        2.5,
        -0.0,
        decimal.Decimal("0.1"),
        fractions.Fraction(1, 3),
        np.array(3),
        np.array(2.5, dtype=np.float32),
        np.float64(1e-300),
        type("MyFloat", (float,), {})(4.5),
        type("MyInt", (int,), {})(4),
        type("Scalar", (), {"__float__": lambda self: 6.5})(),
    ],
)
def test_numbers_of_all_sorts_become_floats(value: Any) -> None:
    """What is one real number is taken, exactly as float() takes it."""
    number = to_float("m", value)
    assert type(number) is float
    assert number == float(value)


@pytest.mark.parametrize("kind", NUMPY_NUMBERS)
def test_numpy_scalars_and_0d_arrays_of_all_dtypes_are_taken(kind: type) -> None:
    """Every integer and float type of NumPy, as a scalar and as an array without dimensions."""
    for value in (kind(3), np.array(3, dtype=kind)):
        assert to_float("m", value) == 3.0
        assert type(to_float("m", value)) is float


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (True, "bool"),
        (np.bool_(True), "bool"),
        (np.array(False), "bool"),
        ("1.0", "str '1.0'"),
        (b"1", "bytes"),
        (np.str_("3"), "str"),
        (np.array("3"), "str"),
        (None, "NoneType"),
        (1 + 2j, "complex"),
        (np.complex64(1), "complex"),
        ([1.0], "list"),
        ((1,), "tuple"),
        ({"a": 1}, "dict"),
        (np.zeros((2, 3)), r"shape \(2, 3\)"),
        (np.zeros(1), r"shape \(1,\)"),
        (np.zeros((0,)), r"shape \(0,\)"),
        (np.array(None, dtype=object), "NoneType"),
        (np.datetime64("2020-01-01"), "date"),
        (object(), "object"),
        (lambda: 1, "function"),
    ],
)
def test_what_is_no_single_number_is_a_type_error(value: Any, says: str) -> None:
    """The message names the metric and what was given."""
    with pytest.raises(InvalidTypeError, match=says) as caught:
        to_float("val/acc", value)
    assert "'val/acc'" in str(caught.value)
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, UnitrackError)


@pytest.mark.parametrize("value", [10**400, -(10**400), HUGE, fractions.Fraction(10**400)])
def test_integers_beyond_float64_are_a_value_error(value: Any) -> None:
    """Not an OverflowError from somewhere, and no message of thousands of digits."""
    with pytest.raises(InvalidValueError, match="too large") as caught:
        to_float("m", value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("step", [0, 1, 2**63 - 1, 5.0, np.int8(5), np.uint64(5), np.float32(5), np.array(5), True + 4])
def test_steps_that_are_whole_numbers_are_taken(step: Any) -> None:
    """As int, whatever they came as."""
    assert check_step(step) == int(step)
    assert type(check_step(step)) is int


@pytest.mark.parametrize(
    "step", [True, False, np.bool_(True), np.array(True), "1", None, 1j, [1], object(), np.arange(2)]
)
def test_steps_that_are_no_numbers_are_type_errors(step: Any) -> None:
    """A bool is no step."""
    with pytest.raises(InvalidTypeError, match="step must be an integer"):
        check_step(step)


@pytest.mark.parametrize(
    "step", [-1, -1.0, 0.5, math.nan, math.inf, 2**63, 1e300, np.float64(1.5), np.int64(-3), HUGE, np.uint64(2**63)]
)
def test_steps_out_of_range_are_value_errors(step: Any) -> None:
    """Fractional, negative, or more than int64."""
    with pytest.raises(InvalidValueError, match="step"):
        check_step(step)


@pytest.mark.parametrize("name", ["a", "train/loss", "ünï", "日本", "a b", "a.b", "🙂", "x" * 1000, "%s", "\u2028"])
def test_names_of_all_scripts_are_taken(name: str) -> None:
    """Sinks map what their backend doesn't take."""
    assert check_name(name, "metric", 1000) == name


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("", InvalidValueError),
        ("x" * 1001, InvalidValueError),
        ("a\nb", InvalidValueError),
        ("a\0b", InvalidValueError),
        ("\ud800", InvalidValueError),
        (5, InvalidTypeError),
        (None, InvalidTypeError),
        (b"x", InvalidTypeError),
    ],
)
def test_names_that_nothing_can_hold_are_refused(name: Any, error: type[Exception]) -> None:
    """Empty, too long, control characters, broken Unicode, no string."""
    with pytest.raises(error, match="metric name"):
        check_name(name, "metric", 1000)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_policies_for_values_that_are_not_finite(value: float) -> None:
    """`raise` is the default, `warn` keeps and warns once a metric, `drop` leaves out, `keep` keeps."""
    with pytest.raises(ValueError, match=r"Metric 'loss' is NaN or Inf .* at step 7"):
        ValidationChain(Safeguards()).metrics({"loss": value}, 7)
    warned = ValidationChain(Safeguards(non_finite="warn"))
    with pytest.warns(UserWarning, match="'loss' is (nan|inf|-inf) at step 7"):
        accepted, failure = warned.metrics({"loss": value, "acc": 1}, 7)
    assert failure is None
    assert str(accepted["loss"]) == str(value)
    assert warned.metrics({"loss": value}, 8)[0].keys() == {"loss"}  # and a warning here would be an error
    assert ValidationChain(Safeguards(non_finite="drop")).metrics({"loss": value, "acc": 1}, 7) == ({"acc": 1.0}, None)
    assert str(ValidationChain(Safeguards(non_finite="keep")).metrics({"loss": value}, 7)[0]["loss"]) == str(value)


def test_one_bad_metric_rejects_its_call_or_not() -> None:
    """`reject` logs nothing of the call; `keep_rest` logs the good ones and tells of the first bad one."""
    metrics = {"a": 1, "b": "x", "c": math.nan, "d": 4}
    with pytest.raises(InvalidTypeError, match="'b'"):
        ValidationChain(Safeguards()).metrics(metrics, 0)
    accepted, failure = ValidationChain(Safeguards(on_invalid="keep_rest")).metrics(metrics, 0)
    assert accepted == {"a": 1.0, "d": 4.0}
    assert "'b'" in str(failure)


def test_too_many_metrics_in_a_call_are_refused() -> None:
    """With both numbers and the key that sets the limit."""
    chain = ValidationChain(Safeguards(max_metrics_per_call=3))
    chain.metrics(dict.fromkeys("abc", 1), 0)
    with pytest.raises(InvalidValueError, match=r"4 metrics .* 3 are allowed \(safeguards.max_metrics_per_call\)"):
        chain.metrics(dict.fromkeys("abcd", 1), 0)


@pytest.mark.parametrize("metrics", [None, [("a", 1)], 5, "loss", {"a"}])
def test_metrics_must_be_a_mapping(metrics: Any) -> None:
    """Anything else is named."""
    with pytest.raises(InvalidTypeError, match="mapping"):
        ValidationChain(Safeguards()).metrics(metrics, 0)


def test_third_parties_change_and_refuse_values() -> None:
    """What a validator returns goes on to the next; what it raises names the culprit and stays its own kind."""

    def halve(name: str, value: float, step: int) -> float:
        return value / 2

    def below_ten(name: str, value: float, step: int) -> float:
        if value >= 10:
            raise ValueError(f"{value} at {step} is too big")
        if value == 9:
            raise TypeError("nine is no number")
        return value

    chain = ValidationChain(Safeguards(), [Validators(metric=(halve,)), Validators(metric=(below_ten,))])
    assert chain.metrics({"a": 8}, 1) == ({"a": 4.0}, None)
    with pytest.raises(InvalidValueError, match=r"metric 'a': 10.0 at 1 is too big"):
        chain.metrics({"a": 20}, 1)
    with pytest.raises(InvalidTypeError, match="nine"):
        chain.metrics({"a": 18}, 1)


def test_third_parties_see_params_by_dotted_name_and_artifacts_by_file(root: Path) -> None:
    """Leaves only; a refusal names the leaf."""
    seen: list[Any] = []

    def param(name: str, value: Any) -> Any:
        seen.append((name, value))
        if value == "bad":
            raise ValueError("no bad ones")
        return "changed" if value == "x" else value

    def artifact(path: Path, name: str) -> None:
        seen.append((path.read_text(), name))
        raise ValueError("not this one")

    chain = ValidationChain(Safeguards(), [Validators(param=(param,), artifact=(artifact,))])
    assert chain.params({"a": {"b": "x", "c": {}}, "d": [1]}) == {"a": {"b": "changed", "c": {}}, "d": [1]}
    assert seen == [("a.b", "x"), ("a.c", {}), ("d", [1])]
    with pytest.raises(InvalidValueError, match=r"param 'e\.f': no bad ones"):
        chain.params({"e": {"f": "bad"}})
    (root / "file").write_text("content")
    with pytest.raises(InvalidValueError, match="artifact 'a/file': not this one"):
        chain.artifact(root / "file", "a/file")
    assert seen[-1] == ("content", "a/file")


def test_large_params_are_refused_with_both_sizes() -> None:
    """And with what to do instead."""
    chain = ValidationChain(Safeguards(max_param_bytes=100))
    chain.params({"a": "x" * 98})
    with pytest.raises(InvalidValueError, match=r"param 'b\.c' has 102 bytes, 100 are allowed .*log_text"):
        chain.params({"b": {"c": "x" * 100}})


@pytest.mark.parametrize("params", [None, 5, "lr=1", [1], [("a", 1)]])
def test_params_must_have_names(params: Any) -> None:
    """A list of values is no set of params."""
    with pytest.raises(InvalidTypeError, match="params"):
        ValidationChain(Safeguards()).params(params)


def test_params_that_contain_themselves_are_a_clear_error() -> None:
    """Not a RecursionError."""
    loop: dict[str, Any] = {}
    loop["self"] = loop
    with pytest.raises(InvalidValueError, match="contain themselves"):
        ValidationChain(Safeguards()).params(loop)


@pytest.mark.parametrize("value", ["\ud800", HUGE, "a\0b", {"k\ud800": 1}, ["\udfff"]])
def test_params_that_json_can_not_hold_are_taken_or_refused_clearly(value: Any) -> None:
    """Never an error from the depth of an encoder."""
    import msgspec

    try:
        plain = ValidationChain(Safeguards()).params({"a": value})
    except InvalidValueError:
        return
    msgspec.json.encode(plain)


def test_tags_become_strings_without_secrets() -> None:
    """A tag is a string in every backend."""
    chain = ValidationChain(Safeguards())
    assert chain.tags({"a": 1, "b": True, "api_key": "x", "url": "https://u:pw@h"}) == {
        "a": "1",
        "b": "True",
        "api_key": "[redacted]",
        "url": "https://[redacted]@h",
    }
    assert chain.tags(["mlp", "baseline"]) == {"mlp": "", "baseline": ""}
    for bad in (None, "a", [1], {1: "a"}):
        with pytest.raises(InvalidTypeError):
            chain.tags(bad)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/etc/passwd", "\\x", "C:\\x", "c:x", "..", "", " ", "/", "a\0b", "..\\..\\x", "a/.."]
)
def test_artifact_names_that_leave_the_run_are_refused(name: str) -> None:
    """On every operating system's notation."""
    with pytest.raises(InvalidValueError, match="artifact path"):
        check_artifact_name(name)


@pytest.mark.parametrize("name", ["a" * 241, "ü" * 121, "d/" + "b" * 256 + "/c", "a/" * 2049 + "b"])
def test_artifact_names_that_no_file_system_takes_are_refused(name: str) -> None:
    """240 bytes a part, and 2048 in all: refused in the call, not retried for ever in a sink."""
    with pytest.raises(InvalidValueError, match="too long"):
        check_artifact_name(name)


def test_artifact_names_of_broken_unicode_are_refused() -> None:
    """A file name that is no UTF-8 can't be written in the journal."""
    with pytest.raises(InvalidValueError, match="broken Unicode"):
        check_artifact_name(os.fsdecode(b"caf\xe9.txt"))


@pytest.mark.parametrize(
    "name", ["a", "ü" * 120, "a/b.c", "ü/ß", "...", "..a", "a..b", "a b", ".hidden", "a//b", "./a", "a/./b"]
)
def test_artifact_names_that_stay_inside_are_taken(name: str) -> None:
    """Normalised to one spelling."""
    assert check_artifact_name(name) == os.path.normpath(name)


def test_artifacts_too_large_are_refused_with_both_sizes(root: Path) -> None:
    """A file and a folder alike; the limit itself is allowed."""
    (root / "file").write_bytes(b"x" * 3_000_000)
    (root / "folder" / "deep").mkdir(parents=True)
    (root / "folder" / "deep" / "a").write_bytes(b"x" * 2_000_000)
    (root / "folder" / "b").write_bytes(b"x" * 1_000_000)
    for name in ("file", "folder"):
        assert check_source_file(root / name, 3_000_000) == 3_000_000
        with pytest.raises(
            InvalidValueError, match=r"too large: .* has 2\.9MB, 1\.9MB are allowed .*max_artifact_byte"
        ):
            check_source_file(root / name, 2_000_000)


def test_artifacts_that_are_missing_say_where_they_were_looked_for(root: Path) -> None:
    """It is a FileNotFoundError."""
    (root / "dangling").symlink_to("nowhere")
    for name in ("model.pt", "dangling"):
        with pytest.raises(ArtifactNotFoundError, match=f"{name}.*{root}") as caught:
            check_source_file(Path(name), 1)
        assert isinstance(caught.value, FileNotFoundError)


def test_artifacts_that_are_no_files_are_refused(root: Path) -> None:
    """A named pipe would block for ever."""
    os.mkfifo(root / "pipe")
    with pytest.raises(InvalidValueError, match="neither a file nor a folder"):
        check_source_file(root / "pipe", 1)
    (root / "folder").mkdir()
    os.mkfifo(root / "folder" / "pipe")
    with pytest.raises(InvalidValueError, match="no regular file"):
        check_source_file(root / "folder", 1)


def test_symbolic_links_out_of_a_folder_are_refused(root: Path) -> None:
    """A folder is what it holds, not what it points at; links inside it are fine."""
    (root / "secret").write_text("s")
    folder = root / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a").write_text("a")
    (folder / "inside").symlink_to("sub/a")
    assert check_source_file(folder, 100) >= 1
    (folder / "sub" / "out").symlink_to(root / "secret")
    with pytest.raises(InvalidValueError, match="'out', which leads out"):
        check_source_file(folder, 100)
    (folder / "sub" / "out").unlink()
    (folder / "up").symlink_to("..", target_is_directory=True)
    with pytest.raises(InvalidValueError, match="'up', which leads out"):
        check_source_file(folder, 100)


RunMaker = Callable[..., unitrack.Run]


def test_bounded_history_drops_or_raises(root: Path) -> None:
    """Exactly `max_points_per_metric` points are kept of each metric, on the fast path and the slow one."""
    config = {"safeguards": {"max_points_per_metric": 3}}
    with unitrack.start_run("a", config=config, delivery="inline", root=root) as run:
        for step in range(3):
            run.log_metrics({"a": step}, step=step)
        with pytest.warns(UserWarning, match="'a' has 3 points"):
            run.log_metrics({"a": 3, "b": 1}, step=3)
        run.log_metrics({"a": 4.0, "b": np.float32(2)}, step=4)
    from unitrack.local.source import LocalSource
    from unitrack.records import Metrics

    logged = [
        (r.step, dict(r.metrics)) for r in LocalSource(str(run.path)).records(run.path.name) if isinstance(r, Metrics)
    ]
    assert logged == [(0, {"a": 0}), (1, {"a": 1}), (2, {"a": 2}), (3, {"b": 1}), (4, {"b": 2})]
    config = {"safeguards": {"max_points_per_metric": 2, "on_full_history": "raise"}}
    with unitrack.start_run("b", config=config, delivery="inline", root=root) as run:
        run.log_metrics({"a": 1})
        run.log_metrics({"a": np.float32(2)})
        for value in (3.0, np.float32(3)):
            with pytest.raises(InvalidValueError, match="2 points"):
                run.log_metrics({"a": value})
