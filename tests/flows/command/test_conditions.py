"""What `headrace runs search` is asked for is read as it is meant, or refused with an example."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from flows._command._conditions import (
    metric_condition,
    metric_name,
    moment,
    parameter_pairs,
    states,
    tag_pairs,
)
from headrace.errors import HeadraceError
from headrace.lineage.search import MetricCondition, MetricName

GRAMMAR = (
    "write METRIC or NODE.METRIC, then one of > >= < <= = != and a number, in quotes so that a "
    'shell leaves it alone: --metric "auc>0.75" or --metric "evaluate.auc>=0.75".'
)


@pytest.mark.parametrize(
    ("text", "node", "name", "comparison", "bound"),
    [
        pytest.param("auc>0.75", None, "auc", ">", 0.75, id="bare"),
        pytest.param(" log_loss <= 4e-1 ", None, "log_loss", "<=", 0.4, id="with blanks"),
        pytest.param("evaluate.auc>=1", "evaluate", "auc", ">=", 1.0, id="of a node"),
        pytest.param("a/b:x#2.auc!=-1", "a/b:x#2", "auc", "!=", -1.0, id="of a node in a subflow"),
        pytest.param("count[2013-01].late=3", "count[2013-01]", "late", "=", 3.0, id="partition"),
    ],
)
def test_a_condition_names_a_metric_a_comparison_and_a_number(
    text: str, node: str | None, name: str, comparison: Any, bound: float
) -> None:
    assert metric_condition(text) == MetricCondition(
        metric=MetricName(name=name, node=node), comparison=comparison, bound=bound
    )


def test_tags_and_parameters_are_pairs() -> None:
    assert tag_pairs(["baseline", "for=", "why=a=b"]) == {
        "baseline": None,
        "for": "",
        "why": "a=b",
    }
    assert parameter_pairs(["month=2", "pot.litres=2.5", 'by={"a": {"b": 1}}', "day=mon"]) == {
        "month": 2,
        "pot.litres": 2.5,
        "by": {"a": {"b": 1}},
        "day": "mon",
    }


@pytest.mark.parametrize(
    ("text", "end_of_day", "expected"),
    [
        pytest.param("2013-03-01", False, "2013-03-01T00:00+00:00", id="the day's beginning"),
        pytest.param("2013-02-28", True, "2013-03-01T00:00+00:00", id="the day's end"),
        pytest.param("2013-03-01T06:30", True, "2013-03-01T06:30+00:00", id="a moment, in UTC"),
        pytest.param("2013-03-01T06:30-05:00", False, "2013-03-01T11:30+00:00", id="with a zone"),
    ],
)
def test_a_date_is_a_moment_in_utc(text: str, end_of_day: bool, expected: str) -> None:
    found = moment(text, option="--since", end_of_day=end_of_day)

    assert found == datetime.fromisoformat(expected)
    assert found is not None
    assert found.astimezone(UTC).isoformat(timespec="minutes") == expected


@pytest.mark.parametrize(
    ("read", "said"),
    [
        pytest.param(
            lambda: metric_condition("auc>0,7"),
            f"The condition 'auc>0,7' compares with '0,7', which is no number.\n  Fix: {GRAMMAR}",
            id="no number",
        ),
        pytest.param(
            lambda: metric_condition("auc>nan"),
            f"The condition 'auc>nan' compares with 'nan', which is no number.\n  Fix: {GRAMMAR}",
            id="not a number",
        ),
        pytest.param(
            lambda: metric_condition("auc"),
            f"The condition 'auc' compares no metric with a number.\n  Fix: {GRAMMAR}",
            id="a shell has eaten the rest",
        ),
        pytest.param(
            lambda: metric_name("auc>1"),
            "'auc>1' is no name of a metric.\n"
            "  Fix: write METRIC or NODE.METRIC, such as auc or evaluate.auc.",
            id="no metric",
        ),
        pytest.param(
            lambda: moment("yesterday", option="--since"),
            "`--since yesterday` is no date.\n"
            "  Fix: write a date or a moment, in UTC: `--since 2013-03-01` or "
            "`--since 2013-03-01T06:30`.",
            id="no date",
        ),
        pytest.param(
            lambda: states(["fail"]),
            "There is no state of runs 'fail'. Did you mean 'failed'?\n  Fix: name one of these.",
            id="no state",
        ),
        pytest.param(
            lambda: parameter_pairs(["cups"]),
            "The parameter 'cups' is not of the form name=value.\n"
            "  Fix: Write it as in `-p month=2`.",
            id="no value",
        ),
        pytest.param(
            lambda: tag_pairs(["=x"]),
            "The tag '=x' has no name.\n  Fix: write name, or name=value.",
            id="a tag without a name",
        ),
        pytest.param(
            lambda: tag_pairs(["a=1", "a"]),
            "The tag 'a' is given twice.\n  Fix: give it once.",
            id="a tag twice",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_with_an_example(
    read: Callable[[], object], said: str
) -> None:
    with pytest.raises(HeadraceError) as caught:
        read()

    assert str(caught.value) == said
