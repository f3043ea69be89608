"""This module says what is wrong with a batch that is no JSON: one constructor for each fault."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from headrace.errors import did_you_mean
from serving._request_errors import RequestError
from serving._request_text import NOTHING, quoted, short, shown

ARROW = "application/vnd.apache.arrow.stream"
FLOATS = "application/octet-stream"


def unsupported_batch(got: str) -> RequestError:
    """Build the error for a batch of a media type that no lane reads."""
    expected = f"application/json, {FLOATS} or {ARROW}"
    return RequestError(
        "unsupported_media_type",
        f"A batch must be {expected}, got {quoted(got)}.",
        remedy="send one of them, and say which in the header 'content-type'.",
        field="content-type",
        expected=expected,
        got=shown(got),
    )


def unknown_parameter(name: str, known: Collection[str]) -> RequestError:
    """Build the error for a parameter of the address that a batch has not."""
    expected = ", ".join(f"'{each}'" for each in known)
    return RequestError(
        "unknown_field",
        f"The address has the unknown parameter {quoted(name)}.{did_you_mean(name, known)}",
        remedy="correct the name or leave it out.",
        field=f"query.{short(name)}",
        expected=f"one of {expected}",
        got=shown(name),
    )


def layout_missing(layout: str, about: str) -> RequestError:
    """Build the error for a matrix that does not say which columns it has."""
    return RequestError(
        "missing_field",
        "The parameter 'layout' is missing: nothing else tells which feature each column is.",
        remedy=f"order the columns as GET {about} says under 'matrix', and give its 'layout'.",
        field="query.layout",
        expected=f"'{layout}'",
        got=NOTHING,
    )


def wrong_layout(layout: str, got: str, model: str, about: str) -> RequestError:
    """Build the error for a matrix in the layout of another model than the one that answers."""
    return RequestError(
        "wrong_layout",
        f"The matrix has the layout {quoted(got)}, but model '{model}' answers, which takes "
        f"'{layout}': other columns, another order or other categories.",
        remedy=f"read GET {about} again, order columns and codes as 'matrix' says, and send it "
        "with that layout.",
        field="query.layout",
        expected=f"'{layout}'",
        got=shown(got),
    )


def wrong_size(size: int, width: int) -> RequestError:
    """Build the error for a body that is no whole number of rows."""
    expected = f"rows x {width} features x 4 bytes"
    return RequestError(
        "out_of_range",
        f"The body has {size:,} bytes, which is no whole number of rows: {expected} are "
        f"{4 * width:,} bytes a row, and {size % (4 * width):,} are left over."
        if size
        else f"The body is empty: expected {expected}, {4 * width:,} bytes a row.",
        remedy="send little-endian 32-bit floats, row after row, every feature of the layout.",
        field="body",
        expected=expected,
        got=f"{size:,} bytes",
    )


def too_many_rows(rows: int, most: int) -> RequestError:
    """Build the error for a batch with more rows than are decided at once."""
    return RequestError(
        "too_large",
        f"The batch has {rows:,} rows; at most {most:,} are decided at once.",
        remedy="send it in several batches.",
        field="body",
        expected=f"at most {most:,} rows",
        got=f"{rows:,} rows",
    )


def bad_cell(row: int, feature: str, value: object, expected: str) -> RequestError:
    """Build the error for a number of a matrix that its feature cannot be."""
    return RequestError(
        "out_of_range",
        f"Row {row:,} has {value!r} as feature '{feature}', which must be {expected}.",
        remedy="send NaN where a value isn't known, and a category as its code in the layout.",
        field=f"rows[{row}].{feature}",
        expected=expected,
        got=f"{value!r} (number)",
    )


def not_arrow(problem: str) -> RequestError:
    """Build the error for a body that is no table of Arrow."""
    return RequestError(
        "not_arrow",
        f"The body isn't an Arrow IPC stream: {short(problem)}",
        remedy="write the table with `pyarrow.ipc.new_stream`, schema first.",
        field="body",
        expected="an Arrow IPC stream",
        got="something else",
    )


def unknown_column(name: str, known: Iterable[str]) -> RequestError:
    """Build the error for a column of a table that is no input, no key, and no id."""
    return RequestError(
        "unknown_field",
        f"The table has the column {quoted(name)}, which is no input and no key of the endpoint."
        f"{did_you_mean(name, known)}",
        remedy="correct the name or leave it out.",
        field=f"columns.{short(name)}",
        expected="the name of an input, of a key, 'id' or 'at'",
        got=shown(name),
    )


def twice(name: str) -> RequestError:
    """Build the error for a column that a table has twice."""
    return RequestError(
        "not_allowed",
        f"The table has the column {quoted(name)} twice.",
        remedy="send each column once.",
        field=f"columns.{short(name)}",
        expected="once",
        got="twice",
    )


def id_twice(identity: str) -> RequestError:
    """Build the error for an id that two rows of a table have."""
    return RequestError(
        "not_allowed",
        f"The id {quoted(identity)} is another row's too.",
        remedy="give every row an id of its own.",
        field="id",
        expected="an id that no other row has",
        got=shown(identity),
    )


def wrong_column(name: str, expected: str, got: str) -> RequestError:
    """Build the error for a column of another type than the input that it is."""
    return RequestError(
        "wrong_type",
        f"The column {quoted(name)} must be {expected}, got {short(got)}.",
        remedy="cast it, with nulls where a value isn't known.",
        field=f"columns.{short(name)}",
        expected=expected,
        got=short(got),
    )


def not_explained(model: str, why: str) -> RequestError:
    """Build the error for a decision that cannot be explained any more, or not yet."""
    return RequestError(
        "not_explained",
        f"The decision was made by {model} and cannot be explained here: {why}",
        remedy="send the request without 'explain': the decision itself is logged.",
        field="explain",
        expected="a decision of a model that the endpoint serves now",
        got=f"one of {model}",
    )
