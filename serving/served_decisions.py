"""This operator reads an endpoint's decisions: what was used, who answered, what came of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from headrace import Report, Table, operator
from headrace.calls import Finding, PlannedCall
from serving.served_features import naive_times, served_reads


def _check(call: PlannedCall) -> list[Finding]:
    return [
        Finding(problem=error.problem, remedy=error.remedy, rule="time")
        for error in naive_times(call.parameters, ("since", "until", "as_of"))
    ]


@operator(reads=served_reads, check=_check, always=True, named_by="endpoint")
def served_decisions(
    after: Report | None = None,
    *,
    endpoint: str,
    since: datetime | None = None,
    until: datetime | None = None,
    as_of: datetime | None = None,
) -> Table[Any]:
    """Read an endpoint's decisions with the features as they were used, and their outcomes.

    Args:
        after: What has to happen first, such as the report of `replay`.
        endpoint: Name of the endpoint.
        since: The first moment of decisions, aware; None for the beginning.
        until: The last moment, likewise; None for the end.
        as_of: The moment whose knowledge is used, aware: later outcomes and corrections are not
            read, nor later decisions. None takes the last moment of which the log knows anything,
            so that a log to which nothing came gives the same table.

    Returns:
        A row a decision, by time: `id`, `decided_at`, `as_of`; the entity's columns as
        "entity.key"; `model` that answered, `assigned` that was to answer, `propensity` of that
        and `propensities` of all (JSON), `arms` that had a chance; `score`, `generation`,
        `experiment`, `fallback`, `unit`, `client`, `batch`, `rank`, `overridden` and `missing`
        (JSON); `outcome` with `outcome.told_at`, `outcome.valued_at` and `outcome.known_at`, of a
        named one "outcome:name"; and each feature under its name, or "feature.name" where that is
        one of these. Nulls are as they were served.

    Raises:
        UnknownNameError: There is no such endpoint.
        ParameterError: A time has no zone.
        GrantError: The flow is not granted the decisions, or what is sensitive among them.
    """
    from headrace.settings import settings
    from serving._endpoint_documents import looked_up_by
    from serving._served_decisions import read_decisions
    from serving._served_rows import remember_served, require_served
    from serving.hosted import decisions_folder

    times = {"since": since, "until": until, "as_of": as_of}
    for error in naive_times(times, times):
        raise error
    looked_up = looked_up_by(endpoint)
    require_served(endpoint, looked_up.lookups)
    rows, schema = read_decisions(
        decisions_folder(settings(), endpoint),
        endpoint,
        looked_up,
        between=(since, until),
        as_of=as_of,
    )
    remember_served(looked_up.lookups, rows.num_rows)
    return Table.of(rows, schema=schema)
