"""This module labels decisions by what came of them, once that had time to become known.

Decisions carry their outcome, or observations are joined to them:

    labels, report = label_by_outcome(
        flights, landings, outcome="arrival_delay", above=15.0, window_hours=10.0
    )
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import AwareDatetime, Field

from headrace import Labels, Report, Schema, Table, operator
from headrace.calls import Finding, PlannedCall
from headrace.errors import DataError, DefinitionError, LeakageError
from headrace.schemas import TableSchema
from operators._label_schema import decision_findings, findings, labels_schema
from operators._observation_findings import observation_findings, parameter_findings
from operators._observed_fates import fates_by_observation
from operators._outcome_asked import Asked, Attribution, OnMissing, ShortWindow, Touch
from operators._outcome_fates import fates_of_rows
from operators._outcome_labels import (
    counts_of,
    joined_counts,
    labels_by_observation,
    labels_of_rows,
    require_some,
    with_reasons_known,
)
from operators._outcome_lag import watch_window

if TYPE_CHECKING:
    import pyarrow as pa

S = TypeVar("S", bound=Schema)
T = TypeVar("T", bound=Schema)

_NO_KEY = ("missing role", "unknown column")  # without them it is not known what to join by


def _all_findings(
    asked: Asked, schema: TableSchema, observed: TableSchema | None, *, joins: bool
) -> Iterator[Finding]:
    """Yield everything that is wrong, what is wrong with the parameters first."""
    yield from parameter_findings(asked, joins=joins)
    if not joins:
        yield from findings(schema, asked.outcome, asked.reason_column)
        return
    wrong = list(decision_findings(schema, asked.reason_column))
    yield from wrong
    if observed is not None and not any(f.rule in _NO_KEY for f in wrong):
        yield from observation_findings(schema, observed, asked)


def _check(call: PlannedCall) -> list[Finding]:
    asked, joins = Asked.of(call.parameters), bool(call.inputs.get("observations"))
    schema = call.schema("table")
    if schema is None:
        return list(parameter_findings(asked, joins=joins))
    return list(_all_findings(asked, schema, call.schema("observations"), joins=joins))


def _produces(call: PlannedCall) -> dict[str, TableSchema | None]:
    asked, joins = Asked.of(call.parameters), bool(call.inputs.get("observations"))
    schema, observed = call.schema("table"), call.schema("observations")
    if schema is None or (joins and observed is None) or _check(call):
        return {"labels": None}
    return {"labels": _made(schema, observed, asked)}


def _made(schema: TableSchema, observed: TableSchema | None, asked: Asked) -> TableSchema:
    column = None if observed is None else observed.column(asked.outcome)
    return labels_schema(schema, asked.outcome, asked.above, observed=column)


@operator(check=_check, produces=_produces)
def label_by_outcome(
    table: Table[S],
    observations: Table[T] | None = None,
    *,
    outcome: str,
    window_hours: Annotated[float, Field(gt=0)],
    above: float | None = None,
    as_of: AwareDatetime | None = None,
    reason_column: str | None = None,
    by: str | None = None,
    observation_id: str | None = None,
    attribution: Attribution = "last",
    touch: Touch = "last",
    on_missing: OnMissing = "censor",
    short_window: ShortWindow | None = None,
) -> tuple[Labels[Any], Report]:
    """Label each mature decision 1 when its outcome is above a limit, else 0.

    A row is mature when its window has passed; labelling whatever is already known would favour
    outcomes that are known early. A row without an outcome is never labelled 0 unless one says so:
    it is immature while its window is open, and censored afterwards. Nothing is left out without
    being counted.

    An observation belongs to a decision when it is about the same entity, happened at or after the
    decision and within its window, and was first known, with an outcome, within it too. Of several
    versions of an observation the one known last holds, also when the correction came after the
    window: it repairs a label that was there in time, and makes none.

    Args:
        table: Decisions, one row each, with a column of role decision_time. Without observations
            they carry their outcomes: each is known from its `known_at` column, or else the one of
            role known_time.
        observations: What was observed of the entities, any number for each, with a column of role
            event_time and the outcome's known time. They are joined by the decisions' entity: to
            the column of that name, or else the one of role entity. Null outcomes say that there
            will be none. None where decisions carry their outcomes.
        outcome: Column of the outcome, numeric; null where there is none (yet).
        window_hours: Hours from the decision within which the outcome must become known.
        above: Limit in the unit of `outcome`; the limit itself is labelled 0. None labels with
            the outcome's value, for an estimation.
        as_of: The moment up to which one knows what happened; observations known later do not
            exist. None takes decisions with outcomes as complete, so that every window has passed,
            and observations as known up to the last moment that they tell of.
        reason_column: Column of the decisions that says why an outcome never came, for the counts.
        by: Column of the decisions that observations are joined by; None for their entity.
        observation_id: Column that identifies an observation, of which there may be several
            versions. None takes rows about one entity and one event time as versions.
        attribution: Which of several observations of a decision is its outcome, by event time.
        touch: "last" gives an observation to the latest decision at or before it, and of several
            at one moment to the last row; "all" gives it to every decision whose window holds it.
        on_missing: What a mature decision without an outcome in time is: "censor" leaves it out,
            "negative" labels it 0, where nothing observed means that nothing happened ("no
            click"). It needs `above`; what was observed without an outcome is always left out.
        short_window: What to do where the window joins fewer than 95% of the outcomes that become
            known in the end: "refuse", or "warn" in the report and the log. None refuses with
            observations, and does not look without.

    Returns:
        The labels: entity, decision time and what is known at the decision, `label_known_at` and
        `label`; and the report: how many were labelled, immature and censored, and why; with
        observations what each of these was used for (`observations`), how many labels are
        corrections (`corrected`) or fill what is missing (`filled`); and in `lag` how long outcomes
        take and what of them the window joins.

    Raises:
        DefinitionError: The outcome's column, a time or the entity is missing or unfit.
        LeakageError: A feature holds the outcome or is known only after the decision, or an
            observation is known before it happened.
        DataError: The table is empty, no row is mature, an outcome has no known time or one
            before its decision, all labels are the same, or the window is too short.
    """
    asked = Asked(
        outcome=outcome,
        window_hours=window_hours,
        above=above,
        as_of=as_of,
        reason_column=reason_column,
        by=by,
        observation_id=observation_id,
        attribution=attribution,
        touch=touch,
        on_missing=on_missing,
    )
    schema = _required_schema(table, "table to label", "its decision time is not known")
    observed = None
    if observations is not None:
        observed = _required_schema(observations, "observations", "their times are not known")
    _refuse_unfit(asked, schema, observed)
    rows = _required_rows(table)
    joined: dict[str, Any] = {}
    if observations is None or observed is None:
        fates = fates_of_rows(rows, schema, asked)
        labels = labels_of_rows(rows, schema, asked, fates)
    else:
        found = fates_by_observation(rows, schema, observations.arrow(), observed, asked)
        labels = labels_by_observation(rows, schema, observed.column(outcome), asked, found)
        fates, as_of, joined = found.fates, found.as_of, joined_counts(found, asked)
        rows = with_reasons_known(rows, schema, reason_column, found.as_of)
        short_window = short_window or "refuse"
    counts = counts_of(rows, fates, asked)
    lag = {} if short_window is None else watch_window(fates, asked, as_of, short_window)
    require_some(labels, counts, asked)
    document = {
        "passed": True,
        "outcome": outcome,
        "above": above,
        "window_hours": window_hours,
        "as_of": None if as_of is None else as_of.astimezone(UTC).isoformat(),
        **counts,
        **joined,
        **lag,
    }
    if above is not None:
        document["positive_share"] = float(labels["label"].to_numpy().mean())
    return Labels.of(labels, schema=_made(schema, observed, asked)), Report.of(document)


def _refuse_unfit(asked: Asked, schema: TableSchema, observed: TableSchema | None) -> None:
    for finding in _all_findings(asked, schema, observed, joins=observed is not None):
        kind = LeakageError if finding.rule == "leak" else DefinitionError
        raise kind(finding.problem, remedy=finding.remedy)


def _required_rows(table: Table[Any]) -> pa.Table:
    rows = table.arrow()
    if not rows.num_rows:
        raise DataError(
            "The table to label has no rows.", remedy="Check what was read or filtered before."
        )
    return rows


def _required_schema(table: Table[Any], what: str, so: str) -> TableSchema:
    if table.schema is None:
        raise DefinitionError(
            f"The {what} {'have' if what == 'observations' else 'has'} no schema, so {so}.",
            remedy="Give it one: `Table[Flights].of(...)`.",
        )
    return table.schema
