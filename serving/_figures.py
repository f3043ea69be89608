"""This module says which of an evaluation's figures come first, and shows them as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from serving._markdown import figure, interval, table

# what people ask for first; order and probabilities for a class, both sizes of error for a value
_HEADLINES = {"classification": ("auc", "log_loss"), "estimation": ("rmse", "mae")}
_MOST = 2


def value_of(metric: Any) -> float | None:
    """Return the value of a metric that may have an interval; None where it is undefined."""
    value = metric.get("value") if isinstance(metric, Mapping) else metric
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)


def headlines(document: Mapping[str, Any], *, first: str | None = None) -> list[str]:
    """Return the names of the one or two metrics that come first, those that are defined.

    Args:
        document: The evaluation's.
        first: The metric that the model was selected by.
    """
    metrics = document.get("metrics") or {}
    wanted = [first, *_HEADLINES.get(document.get("task", ""), ()), *metrics]
    named = [name for name in dict.fromkeys(wanted) if name is not None]
    return [name for name in named if value_of(metrics.get(name)) is not None][:_MOST]


def figures_table(document: Mapping[str, Any], names: Sequence[str] | None = None) -> str:
    """Return metrics with their intervals beside the answer without features, as Markdown.

    Args:
        document: The evaluation's.
        names: Which metrics; all that are defined by default.
    """
    metrics = document.get("metrics") or {}
    baseline, differences = document.get("baseline") or {}, document.get("differences") or {}
    confidence = document.get("confidence")
    share = "" if confidence is None else f" ({confidence:.0%})"
    head = [str(document.get("on", "test")), "value", f"interval{share}", "baseline"]
    rows = [
        [name, figure(value_of(metrics[name])), interval(metrics[name])]
        + [figure(value_of(baseline.get(name)))]
        + ([_over(differences[name])] if name in differences else [""] if differences else [])
        for name in (metrics if names is None else names)
        if value_of(metrics[name]) is not None
    ]
    return table([*head, "over baseline"] if differences else head, rows)


def _over(difference: Any) -> str:
    value = value_of(difference)
    return "" if value is None else f"{value:+.4g} ({interval(difference)})"
