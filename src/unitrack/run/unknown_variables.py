"""The warning about unknown environment variables UNITRACK_..., which are most likely typos."""

from __future__ import annotations

from collections.abc import Mapping

from unitrack.config import Settings
from unitrack.config.environment import CONFIG_VARIABLE, VARIABLES, in_variable, sink_options
from unitrack.errors import warn_caller
from unitrack.names import nearest
from unitrack.plugins.registry import OFFICIAL, Plugins
from unitrack.run.launcher import RANK_VARIABLES, RUN_ID_VARIABLES
from unitrack.run.trial_run import VARIABLE as TRIAL_VARIABLE

_PREFIX = "UNITRACK_"
_TEST_VARIABLES = ("UNITRACK_FAULTS", "UNITRACK_FIGURES")
_EXEC_VARIABLE = "UNITRACK_EXEC_RUN"  # set for the command of `unitrack exec`
_CAPTURE_VARIABLE = "UNITRACK_CAPTURE"  # set by `unitrack capture` for the script that it runs
_RERUN_VARIABLE = "UNITRACK_RERUN"  # set for the program that `unitrack rerun` starts
_KNOWN = {
    *VARIABLES,
    CONFIG_VARIABLE,
    *RANK_VARIABLES,
    *RUN_ID_VARIABLES,
    *_TEST_VARIABLES,
    _CAPTURE_VARIABLE,
    _EXEC_VARIABLE,
    _RERUN_VARIABLE,
    TRIAL_VARIABLE,
}

_warned: set[str] = set()


def warn_of_unknown(environ: Mapping[str, str], settings: Settings, plugins: Plugins) -> None:
    """Warn of each unknown variable UNITRACK_..., once per process, and suggest the most similar known one."""
    candidates = {name for name in environ if name.startswith(_PREFIX)} - _KNOWN - _warned
    if not candidates:
        return
    names = {*plugins.backends, *OFFICIAL, *(sink.name for sink in settings.sinks)}
    sinks = {in_variable(name) for name in names}
    of_sinks = {one.variable: one for one in sink_options(environ)}
    for variable in sorted(candidates):
        option = of_sinks.get(variable)
        if option is not None and option.sink in sinks:
            continue
        _warned.add(variable)
        known = [f"{_PREFIX}{sink}__{option.option.upper()}" for sink in sinks] if option else sorted(_KNOWN)
        close = nearest(variable, known)
        hint = f"did you mean {close}?" if close else "see docs/reference/configuration.md for those that do"
        warn_caller(f"the environment variable {variable} sets nothing in unitrack: {hint}")
