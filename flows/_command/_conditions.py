"""This module reads what `headrace runs search` is asked for, and says what it cannot read."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, get_args

from headrace.errors import ParameterError, UnknownNameError

if TYPE_CHECKING:
    from headrace.lineage.search import MetricCondition, MetricName

_METRIC = r"(?:(?P<node>\S+)\.)?(?P<name>\w+)"
_CONDITION = re.compile(rf"\s*{_METRIC}\s*(?P<comparison>>=|<=|!=|>|<|=)\s*(?P<bound>.*?)\s*")
_GRAMMAR = (
    "write METRIC or NODE.METRIC, then one of > >= < <= = != and a number, in quotes so that a "
    'shell leaves it alone: --metric "auc>0.75" or --metric "evaluate.auc>=0.75".'
)


def metric_condition(text: str) -> MetricCondition:
    """Read a condition such as "auc>0.75" or "evaluate.log_loss <= 0.4".

    Raises:
        ParameterError: It is put in another way; the message has the grammar.
    """
    from headrace.lineage.search import MetricCondition

    read = _CONDITION.fullmatch(text)
    if read is None:
        raise ParameterError(
            f"The condition '{text}' compares no metric with a number.", remedy=_GRAMMAR
        )
    try:
        bound = float(read["bound"])
    except ValueError:
        bound = math.nan
    if not math.isfinite(bound):
        raise ParameterError(
            f"The condition '{text}' compares with '{read['bound']}', which is no number.",
            remedy=_GRAMMAR,
        )
    return MetricCondition(
        metric=metric_name(text[: read.start("comparison")].strip()),
        comparison=read["comparison"],  # type: ignore[arg-type]  # the pattern allows no other
        bound=bound,
    )


def metric_name(text: str) -> MetricName:
    """Read a metric such as "auc" or "evaluate.auc".

    Raises:
        ParameterError: It is no such name.
    """
    from headrace.lineage.search import MetricName

    read = re.fullmatch(_METRIC, text)
    if read is None:
        raise ParameterError(
            f"'{text}' is no name of a metric.",
            remedy="write METRIC or NODE.METRIC, such as auc or evaluate.auc.",
        )
    return MetricName(name=read["name"], node=read["node"])


def tag_pairs(texts: Sequence[str]) -> dict[str, str | None]:
    """Read tags such as "baseline" or "for=autumn"; a bare name has None.

    Raises:
        ParameterError: A name is missing, or given twice.
    """
    found: dict[str, str | None] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name.strip():
            raise ParameterError(
                f"The tag '{text}' has no name.", remedy="write name, or name=value."
            )
        if name in found:
            raise ParameterError(f"The tag '{name}' is given twice.", remedy="give it once.")
        found[name] = value if equals else None
    return found


def parameter_pairs(texts: Sequence[str]) -> dict[str, Any]:
    """Read parameters such as "month=2" or "pot.litres=3": name, dots and all, to value.

    Raises:
        ParameterError: A text has no "=", or one name is given twice.
    """
    from flows._command._parameters import read_parameters

    read_parameters(texts)
    pairs = (text.partition("=") for text in texts)
    return {name: read_parameters([f"value={value}"])["value"] for name, _, value in pairs}


def moment(text: str | None, *, option: str, end_of_day: bool = False) -> datetime | None:
    """Read a date or a moment; without a zone it is UTC.

    Args:
        text: Such as "2013-03-01" or "2013-03-01T06:30"; None gives None.
        option: The option it was given to, for the message.
        end_of_day: A date alone means its end.

    Raises:
        ParameterError: It is no date.
    """
    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        pass
    else:
        return datetime.combine(day + timedelta(days=end_of_day), time(), tzinfo=UTC)
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ParameterError(
            f"`{option} {text}` is no date.",
            remedy=f"write a date or a moment, in UTC: `{option} 2013-03-01` or "
            f"`{option} 2013-03-01T06:30`.",
        ) from error
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def states(names: Sequence[str]) -> tuple[str, ...]:
    """Return the states, which must be states of runs.

    Raises:
        UnknownNameError: One is none.
    """
    from headrace.lineage.records import RunState

    known = get_args(RunState)
    for name in names:
        if name not in known:
            raise UnknownNameError.of("state of runs", name, known, remedy="name one of these.")
    return tuple(names)
