"""One log call, every tracker."""

from unitrack.hookspecs import hookimpl

__all__ = ["hookimpl"]
__version__ = "0.1.0"
