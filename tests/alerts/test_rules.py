"""Alert rules, parsed and checked over records."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytest

from unitrack.alerts.evaluation import Evaluator, replay
from unitrack.alerts.rules import ALERT_PREFIX, RULE_PREFIX, Rule
from unitrack.errors import QueryError
from unitrack.records import AnyRecord, Metrics, RunEnd, RunStart, Tags

START = 1_000_000


def points(values: Iterable[float], name: str = "loss", every: int = 1000, first: int = 0) -> list[AnyRecord]:
    numbered = enumerate(values, first)
    return [
        Metrics(seq=0, time=START + step * every, step=step, metrics={}).with_values({name: value})
        for step, value in numbered
    ]


def fired(when: str, records: Iterable[AnyRecord]) -> list[int | None]:
    """The steps at which a rule is raised."""
    return [firing.step for firing in replay(records, [Rule.parse("r", when)])]


@pytest.mark.parametrize(
    ("when", "values", "steps"),
    [
        ("loss > 2", [1, 3, 4, 1, 5], [1, 4]),
        ("loss > 2 and loss < 4", [1, 3, 4, 3], [1, 3]),
        ("not loss < 2", [1, 3], [1]),
        ("mean(loss, 2) > 2", [1, 9, 1], [1]),
        ("mean(loss, 3) > 2", [9, 9], []),
        ("mean(loss, 2) > 2 * min(loss)", [4, 1, 1, 3, 5], [1, 4]),
        ("loss > 3 * median(loss, 3)", [1, 1, 1, 9], [3]),
        ("max(loss) - min(loss) >= 4", [1, 2, 5], [2]),
        ("std(loss, 2) == 0", [1, 2, 2], [2]),
        ("count(loss) >= 3", [1, 1, 1, 1], [2]),
        ("first(loss) < last(loss)", [1, 1, 2], [2]),
        ("nan(loss)", [1, math.nan, math.nan, 1, math.inf], [1, 4]),
        ("loss > -loss / 0", [1, 2], []),
        ("none > 1", [5], []),
        ("metrics.loss > 2", [3], [0]),
    ],
)
def test_a_rule_is_raised_when_it_becomes_true(when: str, values: list[float], steps: list[int]) -> None:
    assert fired(when, points(values)) == steps


def test_names_with_other_characters() -> None:
    assert fired('metrics."val/loss" > 1', points([2], "val/loss")) == [0]
    assert fired('mean("val/loss", 1) > 1', points([2], "val/loss")) == [0]
    assert fired("eval.loss > 1", points([2], "eval.loss")) == [0]


def test_stalled_is_raised_after_its_time_and_again_after_the_next_silence() -> None:
    records = [*points([1, 1]), *points([1], first=60), *points([1], first=130)]
    rule = Rule.parse("s", "stalled(30s)")
    assert [(firing.time - START) // 1000 for firing in replay(records, [rule])] == [31, 90]
    ended = [*records, RunEnd(seq=0, time=START + 131_000, status="finished")]
    assert len(list(replay(ended, [rule]))) == 2
    late = [*records, RunEnd(seq=0, time=START + 200_000, status="failed")]
    assert len(list(replay(late, [rule]))) == 3


def test_system_metrics_are_no_sign_of_training() -> None:
    records = [*points([1]), *points([1] * 100, "system/cpu_percent", first=1)]
    assert len(list(replay(records, [Rule.parse("s", "stalled(30s)")]))) == 1
    silent = [*points([1]), *points([1] * 100, "acc", first=1)]
    assert [firing.step for firing in replay(silent, [Rule.parse("s", "stalled(30s, loss)")])] == [31]


def test_the_text_names_the_rule_and_the_values() -> None:
    [firing] = replay(points([4, 1, 9]), [Rule.parse("r", "loss > 2 * min(loss) and nan(acc) or loss > 8")])
    assert firing.text == "loss > 2 * min(loss) and nan(acc) or loss > 8: loss = 9, min(loss) = 1"


def test_rules_in_tags_hold_from_there_on_and_later_ones_replace_earlier_ones() -> None:
    start = RunStart(seq=0, time=START, run_id="a", name="a", project="", tags={f"{RULE_PREFIX}r": "loss > 1"})
    changed = Tags(seq=1, time=START, tags={f"{RULE_PREFIX}r": "loss > 5", f"{RULE_PREFIX}bad": "loss >", "x": "y"})
    records = [start, *points([2, 2]), changed, *points([2, 6], first=2)]
    assert [(firing.rule, firing.step) for firing in replay(records)] == [("r", 0), ("r", 3)]
    assert list(replay(records, [Rule.parse("other", "loss > 100")])) == []
    assert not RULE_PREFIX.startswith(ALERT_PREFIX)


def test_only_the_points_that_rules_look_at_are_kept() -> None:
    evaluator = Evaluator([Rule.parse("r", "mean(loss, 5) > 1e9")])
    for record in [*points(range(1000)), *points(range(1000), "other")]:
        evaluator.add(record)
    assert sorted(evaluator._series) == ["loss"]  # the point of the test
    assert len(evaluator._series["loss"]._recent) == 5


@pytest.mark.parametrize(
    ("when", "problem", "place"),
    [
        ("mean(loss, 0) > 1", "the window is a number of points", 11),
        ("mean(loss, 1.5) > 1", "the window is a number of points", 11),
        ("mean(3) > 1", "mean() takes a metric, such as mean(loss)", 5),
        ("median(loss) > 1", "median() needs a window", 0),
        ("stalled(loss)", "stalled() takes a duration first, such as 10m", 8),
        ("stalled(10m, 5)", "stalled() takes a metric, such as stalled(10m, loss)", 13),
        ("loss", "this is no condition", 0),
        ("men(loss) > 1", "did you mean mean?", 0),
        ("__import__('os') > 1", "unknown function '__import__'", 0),
        ("loss > (1", "the bracket is never closed", 7),
    ],
)
def test_a_mistake_is_shown_at_its_place(when: str, problem: str, place: int) -> None:
    with pytest.raises(QueryError) as caught:
        Rule.parse("r", when)
    text = str(caught.value)
    assert problem in text
    assert text.splitlines()[-1].index("^") - 2 == place
