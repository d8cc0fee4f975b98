"""What is captured, as `unitrack.capture` and the environment say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import unitrack
from unitrack import ConfigError
from unitrack.capture.children import VARIABLE, capturing_environment
from unitrack.capture.sdks import SDKS
from unitrack.capture.session import Choice
from unitrack.capture.starting import make_choice


def test_without_names_everything_is_captured() -> None:
    everything = tuple(SDKS)
    assert make_choice((), (), None) == Choice(everything)
    assert make_choice((), "wandb", "local") == Choice(everything, ("wandb",), ["local"])
    assert make_choice(["mlflow"], ["wandb"], ["local", "sql"]) == Choice(
        ("mlflow", "wandb"), ("wandb",), ["local", "sql"]
    )


@pytest.mark.parametrize(
    ("sdks", "replace", "message"),
    [
        (["neptune"], (), "can't capture 'neptune': there is no such SDK here; choose from wandb"),
        ((), ["trackio"], "can't replace 'trackio': only wandb, mlflow, tensorboard"),
    ],
)
def test_a_wrong_name_is_refused(sdks: list[str], replace: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        unitrack.capture(*sdks, replace=replace)
    assert VARIABLE not in os.environ


def test_the_environment_of_children_keeps_the_path_that_is_there() -> None:
    choice = Choice(("wandb",), ("wandb",), ["local"])
    first = capturing_environment(choice, {"PYTHONPATH": os.pathsep.join(("/a", "/b"))})
    site, *others = first["PYTHONPATH"].split(os.pathsep)
    assert (Path(site, "sitecustomize.py").is_file(), others) == (True, ["/a", "/b"])
    assert capturing_environment(choice, first) == first


def test_an_environment_that_cannot_be_read_captures_nothing_and_says_so(tmp_path: Path) -> None:
    site = capturing_environment(Choice(("wandb",)), {})["PYTHONPATH"]
    search = os.pathsep.join((site, str(tmp_path), os.environ.get("PYTHONPATH", "")))
    (tmp_path / "trackio.py").write_text("value = 7\n")
    for value in ('{"sdks": ["neptune"]}', "no JSON"):
        environ = os.environ | {VARIABLE: value, "PYTHONPATH": search}
        done = subprocess.run(
            [sys.executable, "-c", "import trackio; print(trackio.value)"],
            env=environ, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (0, "7\n")
        assert f"nothing is captured: {VARIABLE} can't be read" in done.stderr


@pytest.mark.parametrize("options", [["-m", "unitrack", "--version"], ["-m", "unitrack.delivery.courier"]])
def test_processes_of_unitrack_are_not_captured(options: list[str]) -> None:
    """Their sinks call the SDKs themselves."""
    code = "import runpy, sys; print(type(sys.meta_path[0]).__name__)"
    site = capturing_environment(Choice(("wandb",)), os.environ)
    plain = subprocess.run([sys.executable, "-c", code], env=os.environ | site, capture_output=True, text=True)
    assert plain.stdout == "_First\n"
    show = os.environ | site | {"PYTHONSTARTUP": "", "PYTHONVERBOSE": ""}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *options], env=show, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip
    assert "sitecustomize" in done.stderr
    assert "unitrack.capture" not in done.stderr


def test_a_call_of_unitracks_own_plugins_is_told_from_one_of_the_script() -> None:
    from unitrack.capture.within import is_called_by_unitrack

    assert not is_called_by_unitrack()
    inside = {"__name__": "unitrack_wandb.session", "ask": is_called_by_unitrack}
    exec("def call(): return ask()", inside)
    assert inside["call"]()  # type: ignore[operator]
