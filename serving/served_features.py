"""This operator reads from an endpoint's decision log which features its models were given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from headrace import Report, Table, operator
from headrace.calls import Finding, PlannedCall
from headrace.errors import HeadraceError, ParameterError
from headrace.grants import External


def served_reads(parameters: Mapping[str, Any]) -> Sequence[External]:
    """Return what an operator reads that reads an endpoint's decisions."""
    from serving._endpoint_documents import looked_up_by
    from serving._served_rows import guarded

    endpoint = parameters["endpoint"]
    log = External(name=f"decisions:{endpoint}", fingerprint=lambda: None)
    try:
        return [log, *guarded(looked_up_by(endpoint).lookups)]
    except HeadraceError:  # the flow may make the endpoint before this runs
        return [log]


def _check(call: PlannedCall) -> list[Finding]:
    return [
        Finding(problem=error.problem, remedy=error.remedy, rule="time")
        for error in naive_times(call.parameters, ("since", "until"))
    ]


@operator(reads=served_reads, check=_check, always=True, named_by="endpoint")
def served_features(
    after: Report | None = None,
    *,
    endpoint: str,
    sample: Annotated[int, Field(ge=1)] | None = 10_000,
    seed: int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Table[Any]:
    """Read what an endpoint looked up for its decisions, as its models were given it.

    Args:
        after: What has to happen first, such as the report of `replay`.
        endpoint: Name of the endpoint.
        sample: How many decisions to read; None for all.
        seed: Which ones.
        since: The first moment of decisions, aware; None for the beginning.
        until: The last moment, likewise; None for now.

    Returns:
        A row a decision, by time: `decision`, its id; `decided_at`; the entity's keys as
        "entity.key", and each feature that the endpoint looks up as "view:feature", a number or a
        text. `not_looked_up` lists, as JSON, those that the client gave itself, and those that
        came from another version of the view or were no input yet.

    Raises:
        UnknownNameError: There is no such endpoint.
        ParameterError: A time has no zone.
        GrantError: The flow is not granted the decisions, or what is sensitive among them.
    """
    from headrace.settings import settings
    from serving._endpoint_documents import looked_up_by
    from serving._served_rows import read_served, remember_served, require_served
    from serving.hosted import decisions_folder

    for error in naive_times({"since": since, "until": until}, ("since", "until")):
        raise error
    looked_up = looked_up_by(endpoint)
    require_served(endpoint, looked_up.lookups)
    rows, schema = read_served(
        decisions_folder(settings(), endpoint),
        endpoint,
        looked_up,
        sample=sample,
        seed=seed or 0,
        between=(since, until),
    )
    remember_served(looked_up.lookups, rows.num_rows)
    return Table.of(rows, schema=schema)


def naive_times(parameters: Mapping[str, Any], names: Iterable[str]) -> list[ParameterError]:
    """Return what is wrong with those times among some parameters that have no zone."""
    return [
        ParameterError(
            f"The argument '{name}' is {parameters[name].isoformat()}, a time without a zone.",
            remedy="Say the zone, for example with tzinfo=UTC.",
        )
        for name in names
        if parameters[name] is not None and parameters[name].tzinfo is None
    ]
