"""Params and tags: types, sizes, and values that are logged again."""

from __future__ import annotations

from typing import Any

import pytest

from unitrack.testing.conformance.base import BackendTests
from unitrack.testing.trial import Trial

PARAMS: dict[str, Any] = {
    "text": "adam",
    "empty text": "",
    "integer": 3,
    "large integer": 2**63 - 1,
    "negative integer": -7,
    "float": 1e-3,
    "integral float": 1.0,
    "small float": 5e-324,
    "true": True,
    "false": False,
    "none": None,
    "text like an integer": "3",
    "text like a float": "1e-3",
    "text like a bool": "true",
    "text like Python": "True",
    "text like none": "None",
    "text like null": "null",
    "text like nan": "nan",
    "text like a list": "[1, 2]",
    "list": [1, 2.5, "three", None, True],
    "empty list": [],
    "list of lists": [[1, 2], [3]],
    "list of mappings": [{"a": 1}, {"b": [2]}],
    "mapping": {"depth": 4, "sizes": [1, 2]},
    "deep mapping": {"a": {"b": {"c": {"d": 1}}}},
    "empty mapping": {},
    "10 KB": "x" * 10_240,
    "10 KB of unicode": "损" * 3_413,
    "10 KB of a list": list(range(2500)),
}


class ParamConformance(BackendTests):
    """Params come back with their types, and with the newest value of each."""

    @pytest.mark.parametrize("value", PARAMS.values(), ids=PARAMS)
    def test_param(self, trial: Trial, value: Any) -> None:
        """The value and its type come back."""
        trial.params({"param": value})
        trial.end()
        self.check(trial)

    def test_all_params_in_one_call(self, trial: Trial) -> None:
        """All values in one call, on the first level and nested."""
        trial.params({**PARAMS, "nested": PARAMS})
        trial.end()
        self.check(trial)

    def test_many_params(self, trial: Trial) -> None:
        """250 params in one call."""
        trial.params({f"p{number}": number for number in range(250)})
        trial.end()
        self.check(trial)

    @pytest.mark.parametrize(
        "value", [3, 1.5, "text", None, True, [1, 2], "y" * 10_240], ids=lambda value: str(value)[:9]
    )
    def test_the_same_value_again(self, trial: Trial, value: Any) -> None:
        """A value that is logged again changes nothing: in the same batch, in a later one, and after a restart."""
        trial.params({"param": value})
        trial.params({"param": value})
        trial.deliver()
        trial.params({"param": value})
        trial.deliver()
        trial.crash()
        trial.params({"param": value, "other": 1})
        trial.end()
        self.check(trial)

    @pytest.mark.parametrize("before", [1, "one", None, [1], "x" * 10_240], ids=lambda value: str(value)[:9])
    @pytest.mark.parametrize("after", [2, "two", "z" * 10_240, True], ids=lambda value: str(value)[:9])
    def test_a_changed_value(self, trial: Trial, before: Any, after: Any) -> None:
        """A changed value is read back; other params of the same call arrive too."""
        trial.params({"param": before, "kept": 1})
        trial.deliver()
        trial.params({"param": after, "added": 2})
        trial.end()
        self.check(trial)

    def test_changed_there_and_back(self, trial: Trial) -> None:
        """A value that changes and changes back is read back as the last one."""
        for value in (1, 2, 1):
            trial.params({"param": value})
            trial.deliver()
        trial.end()
        self.check(trial)

    def test_tags_replace_each_other(self, trial: Trial) -> None:
        """A later value of a tag replaces the earlier one, in one batch and across batches; other tags stay."""
        trial.tags({"stage": "train", "team": "vision"})
        trial.tags({"stage": "eval"})
        trial.deliver()
        trial.tags({"stage": "done", "new": "1"})
        trial.end()
        self.check(trial)

    @pytest.mark.parametrize(
        "value", ["", "x", "true", "1", "null", "a,b=c;d", "x" * 5000], ids=lambda value: value[:9]
    )
    def test_tag_value(self, trial: Trial, value: str) -> None:
        """The value of a tag stays the same text, also if it looks like something else."""
        trial.tags({"tag": value})
        trial.end()
        self.check(trial)

    def test_many_tags(self, trial: Trial) -> None:
        """150 tags in one call."""
        trial.tags({f"tag {number}": str(number) for number in range(150)})
        trial.end()
        self.check(trial)
