"""This module asks rules what they say of rows, and names the row that a rule fell over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from headrace.errors import DataError, HeadraceError, did_you_mean, line_that_raised
from headrace.labels.schema import LabelSchema
from headrace.schemas import TableSchema
from operators._label_rules_checks import visible
from operators._labeling_rule import LabelingRule, Row

if TYPE_CHECKING:
    import pyarrow as pa

OnError = Literal["refuse", "abstain"]
_SHOWN_COLUMNS = 4
_SHOWN_LENGTH = 60
_HIDDEN = ("personal", "secret")


@dataclass(frozen=True, kw_only=True)
class Said:
    """This is what a rule said: an answer a row, None where it abstained.

    Attributes:
        answers: As written, one a row.
        errors: In how many rows it raised; it abstained there.
        first_error: What it raised first; empty where it never did.
    """

    answers: list[str | None] = field(default_factory=list)
    errors: int = 0
    first_error: str = ""


def said_of(
    rows: pa.Table,
    table: TableSchema,
    rule: LabelingRule,
    schema: LabelSchema,
    *,
    entities: Sequence[str],
    on_error: OnError,
) -> Said:
    """Return what a rule says of each row.

    Raises:
        DataError: It raised and is not to abstain there, or gave what is no answer.
    """
    columns = rule.columns or visible(table)
    names = [name for name in rows.column_names if name in columns]
    answers: list[str | None] = []
    errors, first = 0, ""
    for number, values in enumerate(rows.select(names).to_pylist()):
        where = f"row {number:,} (entity '{entities[number]}')"
        try:
            answer = rule.fn(Row(values))
        except Exception as error:  # a rule is the user's code, which may raise anything
            if on_error == "refuse":
                raise _raised(rule, error, where, values, table) from error
            errors, first = errors + 1, first or f"{_shown_error(error)} in {where}"
            answers.append(None)
            continue
        answers.append(None if answer is None else _read(rule, answer, schema, where))
    return Said(answers=answers, errors=errors, first_error=first)


def _read(rule: LabelingRule, answer: Any, schema: LabelSchema, where: str) -> str:
    try:
        written = schema.read(answer)
    except HeadraceError as error:
        raise DataError(
            f"Rule '{rule.name}' answers for {where}: {error.problem}", remedy=error.remedy
        ) from error
    if rule.choices is not None and written not in {schema.read(c) for c in rule.choices}:
        raise DataError(
            f"Rule '{rule.name}' answers {written!r} for {where}, but says that it only answers "
            f"{', '.join(rule.choices)}.",
            remedy="Add the answer to the rule's choices, or correct the rule.",
        )
    return written


def _raised(
    rule: LabelingRule, error: Exception, where: str, values: dict[str, Any], table: TableSchema
) -> DataError:
    at = line_that_raised(error, rule.fn)
    asked = error.args[0] if isinstance(error, KeyError) and error.args else None
    hint = ""
    if isinstance(asked, str) and asked not in values:
        hint = f" It sees no column '{asked}'.{did_you_mean(asked, values)}"
    return DataError(
        f"Rule '{rule.name}' raised {_shown_error(error)} in {where}{f', {at}' if at else ''}; "
        f"it saw {_excerpt(values, table)}.{hint}",
        remedy="Correct the rule (a null is None there), or let it abstain where it raises: "
        'on_error="abstain".',
    )


def _shown_error(error: Exception) -> str:
    return f"{type(error).__name__}: {_short(str(error))}"


def _excerpt(values: dict[str, Any], table: TableSchema) -> str:
    """Return the first values, but none that not everybody may see."""
    shown = [
        f"{name}={'…' if table.column(name).sensitivity in _HIDDEN else _short(repr(value))}"
        for name, value in list(values.items())[:_SHOWN_COLUMNS]
    ]
    more = len(values) - len(shown)
    return (", ".join(shown) + (f" and {more} more" if more else "")) or "no column"


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_LENGTH else f"{text[: _SHOWN_LENGTH - 1]}…"
