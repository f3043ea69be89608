"""This module replays later rows as live requests, each thing at the moment it became known."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import Field

from features.on_demand import OnDemandView
from features.on_demand_names import AnyViewOrName
from features.view import FeatureView
from headrace import Labels, Report, Table, operator
from headrace.calls import Finding, PlannedCall
from headrace.clock import VirtualClock, from_us
from headrace.content import document_digest
from headrace.errors import DefinitionError, did_you_mean
from headrace.recording import say
from headrace.schemas import TableSchema
from headrace.settings import settings
from serving._replay_events import Steps, decisions_of, facts_of, outcomes_of
from serving.outcome_kinds import kinds_of, require_declared
from serving.routing import Route

if TYPE_CHECKING:
    from serving.endpoints import Endpoints


def _check(call: PlannedCall) -> Sequence[Finding]:
    """Find the columns that the views are looked up by and the decisions lack."""
    schema, views = call.schema("decisions"), call.parameters.get("views")
    if schema is None or not views:
        return []
    keys = [(v.name, key) for v in views if isinstance(v, FeatureView) for key in v.keys]
    asked = [
        (view.name, column.name)
        for view in views
        if isinstance(view, OnDemandView)
        for column in view.request_columns
        if column.role != "decision_time" and column.name not in schema
    ]
    found = [
        Finding(
            problem=f"The decisions to replay have no column '{name}', of which on-demand view "
            f"'{view}' is computed.{did_you_mean(name, schema.names)}",
            remedy="Replay rows that have all values that a request would give.",
            rule="replay request",
            input="decisions",
        )
        for view, name in asked
    ]
    return found + [
        Finding(
            problem=f"The decisions to replay have no column '{key}', by which view '{view}' is "
            f"looked up.{did_you_mean(key, schema.names)}",
            remedy="Replay rows that identify what their features are about.",
            rule="replay keys",
            input="decisions",
        )
        for view, key in keys
        if key not in schema
    ]


@operator(effect=True, check=_check)
def replay(
    decisions: Table[Any],
    labels: Labels[Any],
    view_rows: list[Table[Any]],
    deployed: Report,
    *,
    endpoint: str,
    views: Sequence[AnyViewOrName],
    since: date,
    until: date | None = None,
    timezone: Annotated[str, Field(min_length=1)] = "UTC",
    outcome: str = "",
) -> Report:
    """Ask an endpoint for decisions as if it were then, and tell it the outcomes as they came.

    Everything happens at its own time under a virtual clock: features reach the online store when
    they became known and never before, requests come at their decision time, outcomes when they
    were known. A replay that was done changes nothing; one that was interrupted goes on, and
    answers that were logged are not made again.

    Args:
        decisions: Rows to decide on: one column of role entity, one of role decision_time, the
            columns that views are looked up by, and the request's own features.
        labels: Their outcomes. Rows without one are asked for too; theirs never comes.
        view_rows: Rows of the views, in the order of `views`; on-demand views have none.
        deployed: What `deploy` reported of the endpoint; its clock is "replayed".
        endpoint: Name of the endpoint.
        views: The views.
        since: First day.
        until: First day after the last; None goes to the end of the rows.
        timezone: Where days begin, as an IANA name.
        outcome: Name that the endpoint has for the outcome; "" for the one without a name.

    Returns:
        decisions, repeated, outcomes, facts, missing (by view), as_of (the moment up to which
        everything is known), changed, passed.

    Raises:
        DefinitionError: The endpoint's clock is live, or rows and views do not pair up.
        ParameterError: The endpoint takes no such outcome.
        DataError: There is nothing to replay, or the lane refuses a request.
        ServiceError: The lane does not answer.
    """
    from serving.endpoints import Endpoints

    paired = _paired(views, view_rows)
    endpoints = Endpoints()
    spec = endpoints.spec(endpoint)
    if spec.clock != "replayed":
        raise DefinitionError(
            f"The endpoint '{endpoint}' runs on the live clock, which no replay may set.",
            remedy='Deploy an endpoint for replays: deploy(..., clock="replayed", space="replay").',
        )
    require_declared(outcome, list(kinds_of(spec.outcomes).values()), whose="The replay")
    digests = [decisions.digest, labels.digest, *(rows.digest for rows in view_rows)]
    period = [since.isoformat(), None if until is None else until.isoformat(), timezone]
    named = [outcome] if outcome else []  # a replay of before outcomes had names has its mark
    mark = document_digest([endpoint, deployed.document["proposed"], digests, period, *named])[:10]
    done = settings().home / "serving" / "replays" / endpoint / f"{mark}.json"
    document = _read(done)
    if document is not None:
        told = f"{document['told']} It was done before; nothing was asked again."
        return Report.of(document | {"changed": False, "told": told})
    route = endpoints.route(endpoint)
    asked = asked_of(route, spec.on_demand)
    steps = _steps(decisions, labels, paired, asked, (since, until, timezone))
    document = _delivered(
        steps, paired, endpoint=endpoint, space=spec.space, mark=mark, outcome=outcome
    )
    _write(done, document)
    return Report.of(document | {"changed": True})


def _paired(
    views: Sequence[Any], rows: Sequence[Table[Any]]
) -> list[tuple[FeatureView, Table[Any]]]:
    looked_up = [view for view in views if not isinstance(view, OnDemandView)]
    if len(looked_up) != len(rows):
        raise DefinitionError(
            f"There are {len(looked_up)} views and the rows of {len(rows)}.",
            remedy="Give the rows of every view, in the order of the views; on-demand views have "
            "none.",
        )
    return list(zip(looked_up, rows, strict=True))


def _steps(
    decisions: Table[Any],
    labels: Labels[Any],
    paired: Sequence[tuple[FeatureView, Table[Any]]],
    own: Sequence[str],
    period: tuple[date, date | None, str],
) -> Steps:
    keys = dict.fromkeys(column for view, _ in paired for column in view.keys)
    since, until, timezone = period
    asked = decisions_of(
        decisions.arrow(),
        _schema(decisions),
        keys=list(keys),
        own=own,
        since=_midnight(since, timezone),
        until=None if until is None else _midnight(until, timezone),
    )
    told = outcomes_of(labels.arrow(), _schema(labels), {each.unit for each in asked})
    facts = facts_of(
        [(view, rows.arrow()) for view, rows in paired],
        after_us=asked[0].at_us,
        until_us=asked[-1].at_us,
    )
    return Steps(facts=facts, decisions=asked, outcomes=told)


def _delivered(
    steps: Steps,
    paired: Sequence[tuple[FeatureView, Table[Any]]],
    *,
    endpoint: str,
    space: str,
    mark: str,
    outcome: str,
) -> dict[str, Any]:
    from features.online import OnlineStore, online_file
    from headrace.clock import using_clock
    from serving._replay_run import Delivery
    from serving._replay_sender import Sender
    from serving.endpoints import Endpoints

    endpoints = Endpoints()

    def address() -> str | None:
        lane = endpoints.lane(endpoint)
        return None if lane is None else lane.url

    begins = from_us(steps.decisions[0].at_us)
    clock = VirtualClock(begins)
    sender = Sender(address)
    with OnlineStore(online_file(), space) as store:
        say(f"filling the online store as of {begins:%Y-%m-%d %H:%M} UTC")
        with using_clock(clock):
            store.begin_again([(view, rows.arrow()) for view, rows in paired], begins)
        try:
            counts = Delivery(
                steps,
                endpoint=endpoint,
                mark=mark,
                outcome=outcome,
                store=store,
                sender=sender,
                clock=clock,
                say=say,
            ).run()
        finally:
            sender.close()
    _wait_for_evidence(endpoints, endpoint)
    told = (
        f"Replayed from {begins:%Y-%m-%d}: {counts.decisions:,} decisions, {counts.facts:,} facts "
        f"pushed, {counts.outcomes:,} outcomes, each at its own time."
    )
    return {
        "passed": True,
        "endpoint": endpoint,
        "mark": mark,
        "since": begins.isoformat(),
        "as_of": from_us(steps.ends_us).isoformat(),
        **asdict(counts),
        "told": told,
    }


def _wait_for_evidence(endpoints: Endpoints, endpoint: str) -> None:
    """Wait until a verdict rests on everything that was delivered."""
    from serving.rollout.guarded import live_guardrails
    from serving.rollout.standing import rule_of
    from serving.shadowing import wait_for_counts, wait_for_shadow

    route, rule = endpoints.route(endpoint), rule_of(endpoints, endpoint)
    wait_for_shadow(route, say=say)
    if rule is not None and live_guardrails(rule):
        wait_for_counts(endpoints.database, route)


def asked_of(route: Route, on_demand: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what the models of a route take from a request, themselves or by what is computed.

    Args:
        route: What the endpoint answers with.
        on_demand: What it computes of requests, as its spec has it.
    """
    from serving.bundles import card_of

    refs = [ref for ref in (route.champion, route.challenger) if ref is not None]
    features = [feature for ref in refs for feature in card_of(ref).features]
    sources = {feature.source for feature in features}
    own = {feature.name for feature in features if feature.source is None}
    for call in on_demand:
        if call["view"] in sources:
            own |= {
                argument["column"]
                for argument in call["arguments"]
                if argument["view"] is None and not argument["is_moment"]
            }
    return sorted(own)


def _schema(table: Table[Any] | Labels[Any]) -> TableSchema:
    if table.schema is None:
        raise DefinitionError(
            "The rows to replay have no schema, so nothing says when they were decided.",
            remedy="Give them one: `Table[Flights].of(...)`.",
        )
    return table.schema


def _midnight(day: date, timezone: str) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(timezone)).astimezone(UTC)


def _read(path: Path) -> dict[str, Any] | None:
    """Return what a replay that was done has reported; one that cannot be read is done again."""
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document if document.keys() >= {"as_of", "told", "decisions"} else None


def _write(path: Path, document: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".half")
    half.write_text(json.dumps(document, indent=1), encoding="utf-8")
    half.replace(path)
