"""This module plans a small operator's output by trying it: on no rows and on synthetic rows.

Columns may depend on the data (`get_dummies`, `pivot_table`), so both tries must agree; if they
differ or one fails, the answer is "unknown", never a refusal.
"""

from __future__ import annotations

import contextlib
import functools
import io
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from headrace.artifacts import Tabular, kind_named
from headrace.conform import arrow_type
from headrace.invoke import invoke
from headrace.operation import PlannedCall
from headrace.schemas import Column, TableSchema
from headrace.signature import Bound

if TYPE_CHECKING:
    import pyarrow as pa

    from headrace.operation import Operator

_ROWS = 5
_memo: dict[tuple[Any, ...], dict[str, TableSchema | None]] = {}


def inferred_outputs(
    operator: Operator[..., Any], call: PlannedCall
) -> dict[str, TableSchema | None]:
    """Return the output schemas that the body shows on no rows and on synthetic rows.

    Args:
        operator: A small pure operator that opted in.
        call: The planned call; every tabular input needs a known schema.

    Returns:
        Output name to schema, None where the two tries differ or fail. A unit and a role survive
        only on a column of an input whose type is unchanged.
    """
    schemas = {name: call.schema(name) for name in call.inputs}
    if any(schema is None for schema in schemas.values()):
        return {}
    key = (operator.body, repr(sorted(call.parameters.items())), repr(schemas))
    if key not in _memo:
        empty, some = (_tried(operator, call, schemas, rows) for rows in (0, _ROWS))
        _memo[key] = {
            slot.name: _agreed(empty.get(slot.name), some.get(slot.name), schemas)
            for slot in operator.signature.outputs
        }
    return dict(_memo[key])


def _tried(
    operator: Operator[..., Any],
    call: PlannedCall,
    schemas: dict[str, TableSchema | None],
    rows: int,
) -> dict[str, TableSchema]:
    inputs = {}
    for slot in operator.signature.inputs:
        schema = schemas.get(slot.name)
        if schema is not None:
            kind = kind_named(call.inputs[slot.name][0].kind)
            inputs[slot.name] = kind.of(_synthetic(schema, rows), schema=schema)  # type: ignore[attr-defined]
    try:
        with _no_files(), contextlib.redirect_stdout(io.StringIO()):
            made = invoke(operator, Bound(inputs=inputs, parameters=call.parameters), promised={})
    except Exception:  # the body is the user's and met made-up rows: unknown, not refused
        return {}
    values = (made,) if operator.signature.single else made
    return {
        slot.name: value.schema
        for slot, value in zip(operator.signature.outputs, values, strict=True)
        if isinstance(value, Tabular) and value.schema is not None
    }


def _agreed(
    empty: TableSchema | None, some: TableSchema | None, inputs: dict[str, TableSchema | None]
) -> TableSchema | None:
    if empty is None or some is None or empty.names != some.names:
        return None
    columns = []
    for column in some.columns:
        given = next(
            (s.column(column.name) for s in inputs.values() if s and column.name in s), None
        )
        if given is not None and given.dtype == column.dtype:
            columns.append(given)
        elif empty.column(column.name).dtype == column.dtype:
            columns.append(column)
        else:
            return None
    return TableSchema(name="inferred", columns=tuple(columns))


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
    return made[column.dtype]


_trying: ContextVar[bool] = ContextVar("headrace_trying", default=False)


def _refuse_files(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("open", "os.listdir", "socket.connect") and _trying.get():
        raise PermissionError("an operator whose output is inferred may not read files")


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
