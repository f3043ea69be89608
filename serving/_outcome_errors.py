"""This module says why outcomes are refused: a constructor for each case, as text for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from headrace.clock import from_us
from headrace.errors import did_you_mean
from serving._request_errors import RequestError
from serving._request_text import quoted, short, shown
from serving.outcome_kinds import OutcomeKind

_NONE_RECORDED = "no outcome of the request was recorded"


def unknown_outcome(index: int, name: str, kinds: Iterable[str]) -> RequestError:
    """Return the error for an outcome that the endpoint does not take."""
    known = [kind for kind in kinds if kind]
    hint = did_you_mean(name, known) if known else ""
    said = f"The endpoint takes no outcome {quoted(name)}.{hint}"
    if not name:
        said = f"The endpoint takes no outcome without a name.{hint}"
    return RequestError(
        "unknown_field",
        said,
        remedy="send 'name' as the endpoint declares it."
        if known
        else "leave 'name' out; the endpoint takes the outcome without a name.",
        field=f"outcomes[{index}].name",
        expected="the name of an outcome of this endpoint",
        got=shown(name),
    )


def unfit_value(index: int, kind: OutcomeKind, value: float | None) -> RequestError:
    """Return the error for a value that the declaration of its outcome does not allow."""
    called = f"outcome '{kind.name}'" if kind.name else "outcome"
    return RequestError(
        "out_of_range",
        f"The field 'outcomes[{index}].value' must be {kind.expected} for the {called}, got "
        f"{value!r}; {_NONE_RECORDED}.",
        remedy="send what the outcome is declared as, or null where it will never be known.",
        field=f"outcomes[{index}].value",
        expected=kind.expected,
        got=repr(value),
    )


def known_before_the_first(decision: str, known_us: int, first_us: int) -> RequestError:
    """Return the error for a correction that is said to be known before what it corrects."""
    known, first = from_us(known_us).isoformat(), from_us(first_us).isoformat()
    return RequestError(
        "out_of_range",
        f"The outcome of decision {quoted(decision)} cannot have been corrected at {known}: it "
        f"became known at {first}; {_NONE_RECORDED}.",
        remedy="give the moment when the correction was known, or leave 'known_at' out for now.",
        field="known_at",
        expected=f"a moment from {first} on",
        got=known,
    )


def no_window(index: int, kind: OutcomeKind) -> RequestError:
    """Return the error for an entity's outcome that says not how far back it reaches."""
    called = f"'{kind.name}'" if kind.name else "without a name"
    return RequestError(
        "not_allowed",
        f"The outcome {called} has no attribution window, so no decision can be found by the "
        "entity.",
        remedy="send the decision's 'id', or deploy the endpoint with "
        "OutcomeKind(window_hours=...).",
        field=f"outcomes[{index}].entity",
        expected="the id of a decision",
        got="an entity",
    )


def no_decision_about(
    index: int,
    entity: Mapping[str, str | int],
    kind: OutcomeKind,
    known_us: int,
    *,
    columns: Iterable[str],
    kept: int,
) -> RequestError:
    """Return the error for an entity that nothing was decided about within the window.

    Args:
        index: Place in the body.
        entity: Whom the outcome is about.
        kind: The outcome.
        known_us: When it was known.
        columns: The columns that entities of recent decisions have.
        kept: How many recent decisions were looked at.
    """
    known = list(columns)
    strange = [name for name in entity if name not in known]
    hint = did_you_mean(strange[0], known) if strange and known else ""
    return RequestError(
        "unknown_decision",
        f"Nothing was decided about {_said(entity)} in the {kind.window_hours:g} hours before "
        f"{from_us(known_us).isoformat()}, among the last {kept:,} decisions; "
        f"{_NONE_RECORDED}.{hint}",
        remedy="correct the entity or 'known_at', or send the decision's 'id'.",
        field=f"outcomes[{index}].entity",
        expected="an entity that was decided about within the window",
        got=_said(entity),
    )


def ambiguous_entity(
    index: int, entity: Mapping[str, str | int], ids: Sequence[str], at_us: int
) -> RequestError:
    """Return the error for an entity that several decisions were made about at one moment."""
    named = " and ".join(quoted(each) for each in ids[:2])
    more = "" if len(ids) == 2 else f" and {len(ids) - 2:,} more"
    return RequestError(
        "outcome_conflict",
        f"The last decisions about {_said(entity)} are {named}{more}, all of "
        f"{from_us(at_us).isoformat()}, so the outcome cannot be given to one; {_NONE_RECORDED}.",
        remedy="name more columns of the entity, or send the decision's 'id'.",
        field=f"outcomes[{index}].entity",
        expected="an entity with one last decision",
        got=f"{len(ids):,} decisions",
    )


def _said(entity: Mapping[str, str | int]) -> str:
    return " and ".join(f"{short(name)} {short(repr(value))}" for name, value in entity.items())
