"""This module says which observations can be joined to which decisions, from schemas alone."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.calls import Finding
from headrace.schemas import Column, TableSchema
from operators._label_schema import unfit_outcome, unknown_column
from operators._outcome_asked import Asked

_TEXT = {"string", "category"}
# what only observations have, with what each says where nothing is joined
_OF_OBSERVATIONS = {
    "attribution": "last",
    "touch": "last",
    "on_missing": "censor",
    "by": None,
    "observation_id": None,
}


def parameter_findings(asked: Asked, *, joins: bool) -> Iterator[Finding]:
    """Yield which parameters contradict each other or speak of observations not given.

    Args:
        asked: The parameters of the call.
        joins: Whether observations are given.
    """
    given = [n for n, default in _OF_OBSERVATIONS.items() if getattr(asked, n) != default]
    if given and not joins:
        yield Finding(
            problem=f"'{given[0]}' says how observations are joined, and none are given.",
            remedy=f"Give `observations`, or leave out '{given[0]}'.",
            rule="no observations",
        )
    elif asked.fills and asked.above is None:
        yield Finding(
            problem="What is missing is to count as negative, but labels are the outcome's value, "
            "and what is missing has none.",
            remedy='Give `above`, or on_missing="censor".',
            rule="no limit",
        )


def observation_findings(
    decisions: TableSchema, observations: TableSchema, asked: Asked
) -> Iterator[Finding]:
    """Yield what is wrong with joining observations to decisions whose own schema is sound.

    Args:
        decisions: The schema of the decisions.
        observations: The schema of the observations.
        asked: How they are to be joined.
    """
    outcome, by = asked.outcome, asked.by
    for name, what in ((outcome, "outcome"), (asked.observation_id, "id of an observation")):
        if name is not None and name not in observations:
            yield unknown_column(observations, name, what, where="observations")
            return
    if by is not None and by not in decisions:
        yield unknown_column(decisions, by, "entity to join by", where="table")
        return
    events = observations.with_role("event_time")
    if len(events) != 1:
        yield Finding(
            problem=f"Schema '{observations.name}' has {len(events)} columns with role "
            "'event_time'; observations need exactly one, to know which window they lie in.",
            remedy='Give one column `Col(role="event_time")`.',
            rule="missing role",
            input="observations",
        )
    yield from unfit_outcome(observations, outcome, where="observations")
    yield from _key_findings(decisions, observations, by)
    yield from _unit_findings(decisions, observations, outcome)


def decision_key(decisions: TableSchema, by: str | None) -> Column:
    """Return the column of decisions that says whom they are about."""
    return decisions.the("entity") if by is None else decisions.column(by)


def observation_key(observations: TableSchema, name: str) -> Column | None:
    """Return the column that is joined to the decisions' `name`, None where there is none.

    It is the one of that name, or else the one entity.
    """
    if name in observations:
        return observations.column(name)
    entities = observations.with_role("entity")
    return entities[0] if len(entities) == 1 else None


def _key_findings(
    decisions: TableSchema, observations: TableSchema, by: str | None
) -> Iterator[Finding]:
    ours = decision_key(decisions, by)
    theirs = observation_key(observations, ours.name)
    if theirs is None:
        entities = len(observations.with_role("entity"))
        yield Finding(
            problem=f"Schema '{observations.name}' has no column '{ours.name}' and {entities} "
            "columns with role 'entity', so it is not known whom its rows are about.",
            remedy=f"Name a column '{ours.name}', or give one column "
            '`Col(role="entity")`; `by` names another column of the decisions.',
            rule="missing role",
            input="observations",
        )
        return
    said = f"Decisions say whom they are about with '{ours.name}', observations with '"
    if ours.dtype != theirs.dtype and not {ours.dtype, theirs.dtype} <= _TEXT:
        yield Finding(
            problem=f"{said}{theirs.name}', but one is {ours.dtype} and the other {theirs.dtype}.",
            remedy="Give both the same type.",
            rule="wrong type",
            input="observations",
        )
    elif ours.unit != theirs.unit:
        yield Finding(
            problem=f"{said}{theirs.name}', but one is in {ours.unit or 'no unit'} and the other "
            f"in {theirs.unit or 'no unit'}.",
            remedy="Bring both to one unit.",
            rule="unit",
            input="observations",
        )


def _unit_findings(
    decisions: TableSchema, observations: TableSchema, outcome: str
) -> Iterator[Finding]:
    if outcome not in decisions:
        return
    ours, theirs = decisions.column(outcome).unit, observations.column(outcome).unit
    if ours != theirs:
        yield Finding(
            problem=f"'{outcome}' is in {ours or 'no unit'} in '{decisions.name}' and in "
            f"{theirs or 'no unit'} in '{observations.name}'.",
            remedy="Bring both to one unit, or give them different names.",
            rule="unit",
            input="observations",
        )
