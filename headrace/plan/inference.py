"""This module plans a small operator's output by trying it: on no rows and on synthetic rows.

Columns may depend on the data (`get_dummies`, `pivot_table`), so both tries must agree; if they
differ or one fails, the answer is "unknown", never a refusal.
"""

from __future__ import annotations

import contextlib
import functools
import io
import sys
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import replace
from types import FrameType
from typing import TYPE_CHECKING, Any

from headrace.artifacts import Tabular, kind_named
from headrace.calls import PlannedCall
from headrace.conform import arrow_type, inferred_schema
from headrace.invoke import invoke
from headrace.schemas import Column, TableSchema
from headrace.signature import Bound

if TYPE_CHECKING:
    import pyarrow as pa

    from headrace.operation import Operator

_ROWS = 5
_NULL_ROW = 2  # neither first nor last, so that taking some rows is told from dropping nulls
_memo: dict[tuple[Any, ...], dict[str, TableSchema | None]] = {}


def inferred_outputs(
    operator: Operator[..., Any], call: PlannedCall
) -> dict[str, TableSchema | None]:
    """Return the output schemas that the body shows on no rows and on synthetic rows.

    Args:
        operator: A small pure operator that opted in.
        call: The planned call; every tabular input needs a known schema.

    Returns:
        Output name to schema, None where the two tries differ or fail. Unit, role and the like
        survive only on a column of an input whose values the body left alone.
    """
    schemas = {name: call.schema(name) for name in call.inputs}
    known = {name: schema for name, schema in schemas.items() if schema is not None}
    if len(known) < len(schemas):
        return {}
    key = (operator.body, repr(sorted(call.parameters.items())), repr(schemas))
    if key not in _memo:
        rows = {name: _synthetic(schema, _ROWS) for name, schema in known.items()}
        some = _tried(operator, call, rows)
        empty = _tried(operator, call, {name: made.slice(0, 0) for name, made in rows.items()})
        given = {
            column.name: (column, rows[name].column(column.name))
            for name, schema in known.items()
            for column in schema.columns
        }
        _memo[key] = {
            slot.name: _agreed(empty.get(slot.name), some.get(slot.name), given)
            for slot in operator.signature.outputs
        }
    return dict(_memo[key])


def forget() -> None:
    """Forget what was tried, as a new process would."""
    _memo.clear()


def _tried(
    operator: Operator[..., Any], call: PlannedCall, made_up: Mapping[str, pa.Table]
) -> dict[str, pa.Table]:
    inputs = {
        name: kind_named(call.inputs[name][0].kind).of(rows, schema=call.schema(name))  # type: ignore[attr-defined]
        for name, rows in made_up.items()
    }
    try:
        with _no_files(), contextlib.redirect_stdout(io.StringIO()):
            made = invoke(operator, Bound(inputs=inputs, parameters=call.parameters), promised={})
    except Exception:  # the body is the user's and met made-up rows: unknown, not refused
        return {}
    values = (made,) if operator.signature.single else made
    return {
        slot.name: value.arrow()
        for slot, value in zip(operator.signature.outputs, values, strict=True)
        if isinstance(value, Tabular)
    }


def _agreed(
    empty: pa.Table | None, some: pa.Table | None, given: Mapping[str, tuple[Column, pa.Array]]
) -> TableSchema | None:

    if empty is None or some is None or empty.column_names != some.column_names:
        return None
    found = inferred_schema(some)
    if found is None:
        return None
    columns = []
    for column in found.columns:
        if not _same_type(
            empty.schema.field(column.name).type, some.schema.field(column.name).type
        ):
            return None
        columns.append(_seen(column, some.column(column.name), given.get(column.name)))
    return TableSchema(name="inferred", columns=tuple(columns))


def _same_type(empty: pa.DataType, some: pa.DataType) -> bool:
    import pyarrow.types as is_

    # pandas makes nulls of an empty column of text, and floats of integers with a null
    widened = is_.is_integer(empty) and is_.is_floating(some)
    return bool(empty == some or is_.is_null(empty) or widened)


_PANDAS_WITH_NULLS = {True: "float", False: None}  # what pandas makes of integers with nulls


def _seen(column: Column, made: pa.ChunkedArray, given: tuple[Column, pa.Array] | None) -> Column:
    """Return a column as declared upstream where the body left its values alone."""
    if given is None or column.dtype not in (given[0].dtype, _PANDAS_WITH_NULLS[given[0].nullable]):
        return column
    declared, values = given
    untouched = set(made.to_pylist()) <= {*values.to_pylist(), None}
    if not untouched:
        return column
    rid_of_nulls = made.null_count == 0 and len(made) in (len(values), len(values.drop_null()))
    return replace(declared, nullable=declared.nullable and not rid_of_nulls)


def _synthetic(schema: TableSchema, rows: int) -> pa.Table:
    import pyarrow as pa

    return pa.table(
        {c.name: pa.array(_values(c, rows), type=arrow_type(c)) for c in schema.columns}
    )


def _values(column: Column, rows: int) -> list[Any]:
    import datetime as dt

    start = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)
    made: dict[str, list[Any]] = {
        "bool": [i % 2 == 0 for i in range(rows)],
        "int": list(range(1, rows + 1)),
        "float": [i + 0.5 for i in range(rows)],
        "string": [f"{column.name} {i}" for i in range(rows)],
        "category": [(column.categories or ("a", "b"))[i % 2 - 1] for i in range(rows)],
        "timestamp": [start + dt.timedelta(hours=i) for i in range(rows)],
        "date": [(start + dt.timedelta(days=i)).date() for i in range(rows)],
    }
    values = made[column.dtype]
    if column.nullable and rows > _NULL_ROW:
        values[_NULL_ROW] = None
    return values


_trying: ContextVar[bool] = ContextVar("headrace_trying", default=False)


def _refuse_files(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("open", "os.listdir", "socket.connect") and _trying.get() and not _importing():
        raise PermissionError("an operator whose output is inferred may not read files")


def _importing() -> bool:
    """Return whether a module is being imported, which opens files of code."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


@functools.cache
def _watch_files() -> None:
    # An audit hook stays for the life of the process, so it is added once and asks the context.
    sys.addaudithook(_refuse_files)


@contextlib.contextmanager
def _no_files() -> Iterator[None]:
    """Let the block open no files: planning reads no user data."""
    _watch_files()
    token = _trying.set(True)
    try:
        yield
    finally:
        _trying.reset(token)
