"""This module finds past runs by what is known of them: words, tags, parameters, time, metrics.

What an index can answer is asked of the database: flow, time, tags, and the metrics, which lie with
few artifacts. What no index can answer, words and parameters, is looked for in Python, newest run
first and no further than the limit: there case is folded in every script, and `30` is `30.0`.
"""

from __future__ import annotations

import json
import math
import operator
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, Select, select

from headrace.errors import UnknownNameError
from headrace.lineage import tables
from headrace.lineage.closure import chunks
from headrace.lineage.records import RunRecord

if TYPE_CHECKING:
    from headrace.lineage.lineage import Lineage

_run, _tag = tables.run, tables.run_tag
_artifact, _edge, _invocation = tables.artifact, tables.edge, tables.invocation

Comparison = Literal[">", ">=", "<", "<=", "=", "!="]
_HOLDS: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    "!=": operator.ne,
}
_MISSING = object()


@dataclass(frozen=True, kw_only=True)
class MetricName:
    """This names a figure that a run recorded.

    Args:
        name: The figure, such as `auc`.
        node: The node that made it: an evaluation, a model or a report. None takes the evaluations
            of the run, whichever node made them.
    """

    name: str
    node: str | None = None

    def __str__(self) -> str:
        return self.name if self.node is None else f"{self.node}.{self.name}"


@dataclass(frozen=True, kw_only=True)
class MetricCondition:
    """This holds for a run if one of the figures of this name compares so with a number."""

    metric: MetricName
    comparison: Comparison
    bound: float


@dataclass(frozen=True, kw_only=True)
class RunSearch:
    """These are conditions on runs, all of which must hold; none of them finds every run.

    Args:
        words: Each is in the flow, the id, the message, the actor, a tag or a parameter; case does
            not count.
        flow: The flow.
        states: Any of these states.
        tags: Name to value; None takes any value.
        parameters: Name to value, JSON-like; dots in a name reach into nested values.
        since: Started then or later, aware.
        before: Started earlier than then, aware.
        actor: Who started it.
        origin: How it was started.
        metrics: Conditions on recorded figures.
        sort_by: The runs that have this figure, the highest first; None sorts the newest first.
        lowest_first: The lowest figure first.
        limit: How many.
    """

    words: tuple[str, ...] = ()
    flow: str | None = None
    states: tuple[str, ...] = ()
    tags: Mapping[str, str | None] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    since: datetime | None = None
    before: datetime | None = None
    actor: str | None = None
    origin: str | None = None
    metrics: tuple[MetricCondition, ...] = ()
    sort_by: MetricName | None = None
    lowest_first: bool = False
    limit: int = 20


@dataclass(frozen=True, kw_only=True)
class FoundRun:
    """This is a run that was found.

    Args:
        run: The run.
        tags: Its tags.
        metrics: The figures that the search names, by node and name: `evaluate.auc`.
    """

    run: RunRecord
    tags: Mapping[str, str]
    metrics: Mapping[str, float]


def search_runs(lineage: Lineage, wanted: RunSearch) -> list[FoundRun]:
    """Return the runs for which every condition holds.

    Args:
        lineage: Where to look.
        wanted: The conditions.

    Raises:
        UnknownNameError: No run has this flow, tag, actor or origin, or none recorded this metric.
    """
    with lineage.database.reading() as connection:
        figures = {name: _figures(connection, name, wanted) for name in _named(wanted)}
        chosen = _sorted(list(_matching(connection, wanted, figures)), wanted, figures)
        if not chosen:
            _refuse_unknown(connection, wanted)
        runs = {
            row.id: RunRecord(**row._mapping)
            for some in chunks(chosen)
            for row in connection.execute(select(_run).where(_run.c.id.in_(some)))
        }
    tags = lineage.tags(chosen)
    return [
        FoundRun(
            run=runs[run_id],
            tags=tags.get(run_id, {}),
            metrics={
                f"{node}.{name.name}": value
                for name, by_run in figures.items()
                for node, value in by_run.get(run_id, ())
            },
        )
        for run_id in chosen
    ]


def metrics_of(lineage: Lineage, run_id: str) -> dict[str, dict[str, float]]:
    """Return what the evaluations of a run measured: node to metric to value."""
    query = (
        select(_invocation.c.node, _artifact.c.summary)
        .join_from(_invocation, _edge, _edge.c.earlier == _invocation.c.id)
        .join(_artifact, (_artifact.c.digest == _edge.c.later) & (_artifact.c.kind == _edge.c.kind))
        .where(_invocation.c.run_id == run_id, _MADE, _artifact.c.kind == "Evaluation")
        .order_by(_invocation.c.started_at, _invocation.c.node)
    )
    with lineage.database.reading() as connection:
        found = {row.node: row.summary.get("metrics", {}) for row in connection.execute(query)}
    return {
        node: {name: float(v) for name, v in metrics.items() if _is_number(v)}
        for node, metrics in found.items()
    }


_MADE = _edge.c.sort.in_(("output", "repeat"))


def _named(wanted: RunSearch) -> list[MetricName]:
    names = [condition.metric for condition in wanted.metrics]
    return list(dict.fromkeys(names + ([wanted.sort_by] if wanted.sort_by else [])))


def figures_query(metric: MetricName, wanted: RunSearch) -> Select[Any]:
    """Return the question for a figure: run, node, the metric, and the entry of the same name."""
    in_metrics = _artifact.c.summary[("metrics", metric.name)]
    at_top = _artifact.c.summary[metric.name]
    query = (
        select(_invocation.c.run_id, _invocation.c.node, in_metrics, at_top)
        .join_from(_artifact, _edge, _edge.c.later == _artifact.c.digest)
        .join(_invocation, _invocation.c.id == _edge.c.earlier)
        .join(_run, _run.c.id == _invocation.c.run_id)
        .where(_edge.c.kind == _artifact.c.kind, _MADE, *_conditions(wanted))
    )
    if metric.node is None:
        query = query.where(_edge.c.kind == "Evaluation")  # said of the edges, few are followed
    else:
        query = query.where(_invocation.c.node == metric.node)
    return query


def _figures(
    connection: Connection, metric: MetricName, wanted: RunSearch
) -> dict[str, list[tuple[str, float]]]:
    """Return run id to node and value; a model, report or evaluation is recorded with few."""
    found: defaultdict[str, list[tuple[str, float]]] = defaultdict(list)
    for run_id, node, inside, top in connection.execute(figures_query(metric, wanted)):
        value = inside if metric.node is None or _is_number(inside) else top
        if _is_number(value):
            found[run_id].append((node, float(value)))
    return dict(found)


def _is_number(value: Any) -> bool:
    # a flag counts as 1 or 0: SQLite hands it over so, whatever the document says
    return isinstance(value, int | float) and math.isfinite(value)


def _conditions(wanted: RunSearch) -> list[ColumnElement[bool]]:
    """Return what the database can answer by its indexes."""
    found: list[ColumnElement[bool]] = []
    if wanted.flow is not None:
        found.append(_run.c.flow == wanted.flow)
    if wanted.states:
        found.append(_run.c.state.in_(wanted.states))
    if wanted.since is not None:
        found.append(_run.c.started_at >= wanted.since)
    if wanted.before is not None:
        found.append(_run.c.started_at < wanted.before)
    if wanted.actor is not None:
        found.append(_run.c.actor == wanted.actor)
    if wanted.origin is not None:
        found.append(_run.c.origin == wanted.origin)
    for name, value in wanted.tags.items():
        tagged = select(_tag.c.run_id).where(_tag.c.name == name)
        found.append(
            _run.c.id.in_(tagged if value is None else tagged.where(_tag.c.value == value))
        )
    return found


def _matching(
    connection: Connection,
    wanted: RunSearch,
    figures: Mapping[MetricName, Mapping[str, list[tuple[str, float]]]],
) -> Iterator[str]:
    """Yield the ids of the runs, newest first; no more than are wanted."""
    columns = [_run.c.id, _run.c.flow, _run.c.message, _run.c.actor]
    columns += [_run.c.parameters] if wanted.words or wanted.parameters else []
    query = select(*columns).where(*_conditions(wanted))
    query = query.order_by(_run.c.started_at.desc(), _run.c.id.desc())
    tags = _tag_texts(connection) if wanted.words else {}
    words = [word.casefold() for word in wanted.words]
    left = math.inf if wanted.sort_by else wanted.limit
    for row in connection.execute(query):
        if left <= 0:
            return
        if wanted.sort_by and row.id not in figures[wanted.sort_by]:
            continue
        if (
            all(_has_figure(row.id, each, figures) for each in wanted.metrics)
            and all(_has_value(row.parameters, *each) for each in wanted.parameters.items())
            and (not words or _has_words(row, words, tags.get(row.id, "")))
        ):
            left -= 1
            yield row.id


def _tag_texts(connection: Connection) -> dict[str, str]:
    texts: defaultdict[str, str] = defaultdict(str)
    for run_id, name, value in connection.execute(select(_tag.c.run_id, _tag.c.name, _tag.c.value)):
        texts[run_id] += f"{name}={value}\n"
    return texts


def _has_words(row: Row[Any], words: list[str], tags: str) -> bool:
    parameters = (f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in row.parameters.items())
    text = "\n".join((row.flow, f"run:{row.id}", row.message, row.actor, tags, *parameters))
    folded = text.casefold()
    return all(word in folded for word in words)


def _has_value(parameters: Any, name: str, value: Any) -> bool:
    found = parameters
    for part in name.split("."):
        found = found.get(part, _MISSING) if isinstance(found, dict) else _MISSING
    if isinstance(found, bool) or isinstance(value, bool):
        return found is value
    return bool(found == value) or (isinstance(found, str) and found == str(value))


def _has_figure(
    run_id: str,
    condition: MetricCondition,
    figures: Mapping[MetricName, Mapping[str, list[tuple[str, float]]]],
) -> bool:
    holds = _HOLDS[condition.comparison]
    values = figures[condition.metric].get(run_id, ())
    return any(holds(value, condition.bound) for _, value in values)


def _sorted(
    ids: list[str],
    wanted: RunSearch,
    figures: Mapping[MetricName, Mapping[str, list[tuple[str, float]]]],
) -> list[str]:
    if wanted.sort_by is None:
        return ids
    by_run = figures[wanted.sort_by]
    best = min if wanted.lowest_first else max

    def value(run_id: str) -> float:
        return best(figure for _, figure in by_run[run_id])

    return sorted(ids, key=value, reverse=not wanted.lowest_first)[: wanted.limit]


def _refuse_unknown(connection: Connection, wanted: RunSearch) -> None:
    """Say which name of a search that finds nothing is in no run at all."""
    columns = {"flow": _run.c.flow, "actor": _run.c.actor, "origin": _run.c.origin}
    known = "name one that `headrace runs` shows."
    for what, column in columns.items():
        name = getattr(wanted, what)
        names = () if name is None else connection.scalars(select(column).distinct()).all()
        if name is not None and name not in names:
            raise UnknownNameError.of(
                f"run with the {what}", name, filter(None, names), remedy=known
            )
    for name in wanted.tags:
        names = connection.scalars(select(_tag.c.name).distinct()).all()
        if name not in names:
            raise UnknownNameError.of("run with the tag", name, names, remedy=known)
    for metric in _named(wanted):
        if metric.node is None:
            _refuse_unknown_metric(connection, metric.name)


def _refuse_unknown_metric(connection: Connection, name: str) -> None:
    query = select(_artifact.c.summary).where(_artifact.c.kind == "Evaluation")
    summaries = connection.scalars(query)
    known = {metric for summary in summaries for metric in summary.get("metrics", {})}
    if name not in known:
        raise UnknownNameError.of(
            "evaluation with the metric",
            name,
            known,
            remedy="name a metric of an evaluation, or <node>.<name> for a figure of a model or "
            "report.",
        )
