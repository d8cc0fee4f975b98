"""The kit for plugin authors: drive a sink by hand, the way a lane does."""

from unitrack.testing.driver import SinkDriver

__all__ = ["SinkDriver"]
