"""What a user can set, where it may be set, and what holds when it is set twice.

`resolve` merges the call, the environment and one file into `Settings`, and says of each value where it came from.
Importing this package costs next to nothing: YAML and TOML are loaded when there is a file to read.
"""

from unitrack.config.experiment import ExperimentConfig
from unitrack.config.resolving import Resolved, resolve
from unitrack.config.settings import Safeguards, Settings
from unitrack.config.sinks import SinkSettings

__all__ = ["ExperimentConfig", "Resolved", "Safeguards", "Settings", "SinkSettings", "resolve"]
