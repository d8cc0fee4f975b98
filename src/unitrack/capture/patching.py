"""Patches of an SDK's methods: the original is always called, with what it was called with, and its result returned.

What is done beside it can neither raise into the program nor be entered twice: calls that an SDK makes of its own
patched methods are not captured again.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any

from unitrack.capture.report import Report

Before = Callable[..., Any]
"""Called with the arguments of the call before it is made; what it returns goes to `After`."""
After = Callable[..., None]
"""Called with what `Before` returned (None without one), the result, and the arguments of the call."""


class _Here(threading.local):
    """In which SDKs' patched methods the calling thread is."""

    def __init__(self) -> None:
        self.inside: set[str] = set()


_here = _Here()


class Patches:
    """The patches of one SDK."""

    def __init__(self, sdk: str, report: Report) -> None:
        self.sdk = sdk
        self._report = report
        self._originals: list[tuple[Any, str, Any]] = []
        self.is_quiet = False
        """Whether a method that is not there is no trouble."""

    def after(self, owner: Any, method: str, forward: After, *, before: Before | None = None) -> bool:
        """Call `forward` after each call of a class's method that returned; return whether there is such a method.

        An SDK without the method makes a warning: it is another version than those that are known.
        """
        original = inspect.getattr_static(owner, method, None)
        if not callable(original):
            if not self.is_quiet:
                name = getattr(owner, "__qualname__", str(owner))
                self._report.trouble(f"{self.sdk}: {name}.{method}", "this version of the SDK has no such method")
            return False
        if hasattr(original, "unitrack_original"):
            return True
        sdk, report, what = self.sdk, self._report, f"{self.sdk}: {method}"

        @functools.wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            inside = _here.inside
            if sdk in inside:
                return original(*args, **kwargs)
            inside.add(sdk)
            try:
                note = None
                if before is not None:
                    try:
                        note = before(*args, **kwargs)
                    except Exception as error:
                        report.trouble(what, error)
                result = original(*args, **kwargs)
                try:
                    forward(note, result, *args, **kwargs)
                except Exception as error:
                    report.trouble(what, error)
                return result
            finally:
                inside.discard(sdk)

        call.unitrack_original = original  # type: ignore[attr-defined]
        setattr(owner, method, call)
        self._originals.append((owner, method, original))
        return True

    def count(self, owner: Any, methods: tuple[str, ...], name: str) -> None:
        """Count calls of methods as not captured, where the SDK has them; `name` is that of their owner."""
        self.is_quiet = True
        try:
            for method in methods:
                self.after(owner, method, functools.partial(_count, self._report, f"{name}.{method}"))
        finally:
            self.is_quiet = False

    def undo(self) -> None:
        """Put the original methods back."""
        while self._originals:
            owner, method, original = self._originals.pop()
            setattr(owner, method, original)


def _count(report: Report, name: str, note: Any, result: Any, /, *args: Any, **kwargs: Any) -> None:
    report.miss(name)
