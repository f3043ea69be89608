"""This module finds what is wrong with a planned split."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.calls import Finding, PlannedCall
from headrace.errors import LeakageError, ParameterError, did_you_mean
from headrace.schemas import Role
from operators._split_bounds import require_order
from operators._split_rules import refuse_time, require_shares


def times_are_known(call: PlannedCall) -> Sequence[Finding]:
    """Find what `split_by_time` lacks: the role columns, and boundaries in order."""
    found = []
    schema = call.schema("examples")
    roles: tuple[tuple[Role, str], ...] = (
        ("decision_time", "time of the decision"),
        ("known_time", "time at which the label was known"),
    )
    for role, what in roles:
        count = 1 if schema is None else len(schema.with_role(role))
        if schema is not None and count != 1:
            found.append(
                Finding(
                    problem=f"Split by time needs the {what}, but schema '{schema.name}' has "
                    f"{count or 'no'} column{'s' if count > 1 else ''} with role '{role}'.",
                    remedy=f'Give exactly one column `Col(role="{role}")`.',
                    rule="time",
                    input="examples",
                )
            )
    values = call.parameters
    boundaries = ("validation_from", "test_from", "until", "gap_hours")
    if any(name not in values for name in boundaries):
        return found  # a wrong or missing parameter is reported by the plan itself
    try:
        require_order(*(values[name] for name in boundaries))
    except ParameterError as error:
        found.append(Finding(problem=error.problem, remedy=error.remedy, rule="parameter"))
    return found


def group_is_known(call: PlannedCall) -> Sequence[Finding]:
    """Find an unknown group column and shares that are none."""
    found = _share_findings(call)
    schema, group = call.schema("examples"), call.parameters.get("group")
    if schema is not None and group is not None and group not in schema:
        found.append(
            Finding(
                problem=f"The examples have no column '{group}' to group by."
                f"{did_you_mean(group, schema.names)}",
                remedy="Name a column of the examples.",
                rule="unknown column",
                input="examples",
            )
        )
    return found


def there_is_no_time(call: PlannedCall) -> Sequence[Finding]:
    """Find a time, which forbids a random split, and shares that are none."""
    found = _share_findings(call)
    schema = call.schema("examples")
    if schema is not None:
        try:
            refuse_time(schema)
        except LeakageError as error:
            found.append(
                Finding(problem=error.problem, remedy=error.remedy, rule="leak", input="examples")
            )
    return found


def _share_findings(call: PlannedCall) -> list[Finding]:
    try:
        require_shares(call.parameters.get("shares", (1.0,)))
    except ParameterError as error:
        return [Finding(problem=error.problem, remedy=error.remedy, rule="parameter")]
    return []
