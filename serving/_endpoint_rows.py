"""This module reads and writes the rows of endpoints, inside a transaction of the caller's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, Select, func, insert, select, update

from headrace.clock import current_clock
from headrace.errors import UnknownNameError
from headrace.settings import settings
from serving import _endpoint_tables as tables
from serving._endpoint_records import Change, Consent, Judgement, Lane, Replica
from serving._endpoint_spec import EndpointSpec, plain
from serving.routing import Route

_endpoint, _change, _pair = tables.endpoint, tables.change, tables.pair
_verdict, _lane = tables.verdict, tables.lane

# A sum, and no newest number: among PostgreSQL's writers a later number may be seen earlier.
REVISION = select(func.coalesce(func.sum(_endpoint.c.generation), 0))


def names(connection: Connection) -> list[str]:
    """Return the names of all endpoints, in their order."""
    return list(connection.scalars(select(_endpoint.c.name).order_by(_endpoint.c.name)))


def row_or_none(connection: Connection, name: str) -> Row[Any] | None:
    """Return the row of an endpoint; None when there is no such endpoint."""
    return connection.execute(select(_endpoint).where(_endpoint.c.name == name)).one_or_none()


def row_of(connection: Connection, name: str) -> Row[Any]:
    """Return the row of an endpoint.

    Raises:
        UnknownNameError: There is no such endpoint.
    """
    row = row_or_none(connection, name)
    if row is None:
        raise UnknownNameError.of(
            "endpoint",
            name,
            names(connection),
            remedy="List the endpoints with `headrace endpoint list`; a flow that serves a model "
            "makes one.",
        )
    return row


def route_of(row: Row[Any]) -> Route:
    """Return the route that a row of an endpoint holds."""
    return Route.from_json({**row._mapping, "endpoint": row.name})


def spec_of(row: Row[Any]) -> EndpointSpec:
    """Return the spec that a row of an endpoint holds."""
    return EndpointSpec.from_json(row.spec)


def lane_of(connection: Connection, name: str) -> Lane | None:
    """Return how the lane was last seen.

    Raises:
        UnknownNameError: There is no such endpoint.
    """
    row = connection.execute(select(_lane).where(_lane.c.endpoint == name)).one_or_none()
    if row is None:
        row_of(connection, name)
        return None
    values = dict(row._mapping)
    del values["endpoint"]
    replicas = tuple(Replica(**each) for each in values.pop("replicas") or ())
    return Lane(**values, replicas=replicas)


def changes(connection: Connection, name: str, last: int | None = None) -> list[Change]:
    """Return the changes of an endpoint, oldest first; of many, the `last` ones only."""
    of = select(_change).where(_change.c.endpoint == name)
    newest_first = of.order_by(_change.c.generation.desc()).limit(last)
    return _changes(connection, newest_first)[::-1]


def change_to(connection: Connection, name: str, generation: int) -> Change:
    """Return the change with which a generation of an endpoint began."""
    query = select(_change).where(_change.c.endpoint == name, _change.c.generation == generation)
    return _changes(connection, query)[0]


def judgements(
    connection: Connection, name: str, experiment: str | None, last: int | None = None
) -> list[Judgement]:
    """Return what the rule said of an experiment, or of all with None; the newest first."""
    query = select(_verdict).where(_verdict.c.endpoint == name)
    if experiment is not None:
        query = query.where(_verdict.c.experiment == experiment)
    newest = query.order_by(_verdict.c.number.desc()).limit(last)
    return [_judgement(row) for row in connection.execute(newest)]


def judgement(connection: Connection, number: int) -> Judgement | None:
    """Return one judgement; None when there is none of that number."""
    query = select(_verdict).where(_verdict.c.number == number)
    row = connection.execute(query).one_or_none()
    return None if row is None else _judgement(row)


def newest_verdicts(connection: Connection) -> dict[str, int]:
    """Return the number of the newest verdict of each endpoint that has one."""
    newest = select(_verdict.c.endpoint, func.max(_verdict.c.number)).group_by(_verdict.c.endpoint)
    return {row[0]: int(row[1]) for row in connection.execute(newest)}


def consents(connection: Connection, name: str, experiment: str) -> list[Consent]:
    """Return what people said to an experiment's promotion, oldest first."""
    of = tables.consent
    query = (
        select(of).where(of.c.endpoint == name, of.c.experiment == experiment).order_by(of.c.number)
    )
    return [
        Consent(
            experiment=row.experiment,
            rule=row.rule,
            approved=row.approved,
            actor=row.actor,
            at=row.at,
            reason=row.reason,
        )
        for row in connection.execute(query)
    ]


def tried(connection: Connection, name: str) -> set[tuple[str, str | None]]:
    """Return the pairs that were declared or compared at an endpoint."""
    query = select(_pair.c.champion, _pair.c.challenger).where(_pair.c.endpoint == name)
    return {(row.champion, row.challenger or None) for row in connection.execute(query)}


def remember_pair(connection: Connection, name: str, champion: str, challenger: str | None) -> None:
    """Remember that a pair was declared or compared, if it is not known yet."""
    if (champion, challenger) not in tried(connection, name):
        values = {"endpoint": name, "champion": champion, "challenger": challenger or ""}
        connection.execute(insert(_pair).values(**values))


def write_change(
    connection: Connection,
    action: str,
    before: Route | None,
    after: Route,
    *,
    reason: str,
    spec: EndpointSpec | None = None,
    trace: Mapping[str, Any] | None = None,
) -> None:
    """Make `after` the route, put the change into the history and remember its pair.

    Args:
        connection: A transaction in which `before` was read, and nobody else writes.
        action: What was done.
        before: The route so far; None for a new endpoint.
        after: The route from now on.
        reason: Why, in words.
        spec: The new spec; None when it is as before.
        trace: What the change rests on.
    """
    values = after.to_json()
    name = values.pop("endpoint")
    if spec is not None:
        values["spec"] = spec.to_json()
    if before is None:
        connection.execute(insert(_endpoint).values(name=name, **values))
    else:
        connection.execute(update(_endpoint).where(_endpoint.c.name == name).values(**values))
    entry = {
        "endpoint": name,
        "generation": after.generation,
        "action": action,
        "reason": reason,
        "before": None if before is None else before.to_json(),
        "after": after.to_json(),
        "spec": values.get("spec"),
        "trace": None if trace is None else plain("trace", trace),
    }
    connection.execute(insert(_change).values(**entry, **signed()))
    for rival in after.rivals:
        remember_pair(connection, name, after.champion, rival.model)


def signed() -> dict[str, Any]:
    """Return who writes a record, and when."""
    return {"actor": settings().actor, "at": current_clock().now()}


def _judgement(row: Row[Any]) -> Judgement:
    return Judgement(
        number=row.number,
        endpoint=row.endpoint,
        experiment=row.experiment,
        at=row.at,
        actor=row.actor,
        trace=row.trace,
    )


def _changes(connection: Connection, query: Select[Any]) -> list[Change]:
    return [
        Change(
            generation=row.generation,
            action=row.action,
            actor=row.actor,
            at=row.at,
            reason=row.reason,
            before=None if row.before is None else Route.from_json(row.before),
            after=Route.from_json(row.after),
            spec=None if row.spec is None else EndpointSpec.from_json(row.spec),
            trace=row.trace,
        )
        for row in connection.execute(query)
    ]
