"""Environment variables that look like unitrack's and are not: a typing error, most likely."""

from __future__ import annotations

from collections.abc import Mapping

from unitrack.config import Settings
from unitrack.config.environment import CONFIG_VARIABLE, VARIABLES, in_variable, sink_options
from unitrack.launcher import RANK_VARIABLES, RUN_ID_VARIABLES
from unitrack.plugins import OFFICIAL, Plugins
from unitrack.warning import warn_caller

_PREFIX = "UNITRACK_"
_OF_TESTS = ("UNITRACK_FAULTS", "UNITRACK_FIGURES")
_KNOWN = {*VARIABLES, CONFIG_VARIABLE, *RANK_VARIABLES, *RUN_ID_VARIABLES, *_OF_TESTS}

_warned: set[str] = set()


def warn_of_unknown(environ: Mapping[str, str], settings: Settings, plugins: Plugins) -> None:
    """Warn once a process of each variable UNITRACK_... that means nothing, naming the nearest that does."""
    candidates = {name for name in environ if name.startswith(_PREFIX)} - _KNOWN - _warned
    if not candidates:
        return
    from unitrack.spelling import nearest

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
        hint = f"did you mean {close}?" if close else "see docs/configuration.md for those that do"
        warn_caller(f"the environment variable {variable} sets nothing in unitrack: {hint}")
