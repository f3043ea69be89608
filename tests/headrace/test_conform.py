"""At the border of an operator data is projected, widened, or refused with every reason."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.conform import arrow_type, as_arrow, conform, inferred_schema
from headrace.errors import BoundaryError
from headrace.schemas import Column, TableSchema

UTC = dt.UTC
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "int": st.integers(-(2**53), 2**53),
    "float": st.floats(allow_nan=False),
    "string": st.text(max_size=5),
    "category": st.sampled_from(["a", "b"]),
    "timestamp": st.datetimes(
        dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1), timezones=st.just(UTC)
    ),
    "date": st.dates(),
}


@st.composite
def tables(draw: st.DrawFn) -> tuple[TableSchema, pa.Table]:
    """Draw a schema and a table that fits it, with a column more than declared."""
    rows = draw(st.integers(0, 4))
    made, arrays = [], {}
    for number, dtype in enumerate(draw(st.lists(st.sampled_from(sorted(VALUES)), max_size=5))):
        column = Column(name=f"c{number}", dtype=dtype, nullable=draw(st.booleans()))  # type: ignore[arg-type]
        value = VALUES[dtype] | st.none() if column.nullable else VALUES[dtype]
        values = draw(st.lists(value, min_size=rows, max_size=rows))
        made.append(column)
        arrays[column.name] = pa.array(values, type=arrow_type(column))
    arrays["more"] = pa.array(range(rows), type=pa.int64())
    return TableSchema(name="Drawn", columns=tuple(made)), pa.table(arrays)


@given(tables())
def test_more_columns_than_declared_always_fit_and_are_left_out(drawn: Any):
    schema, table = drawn

    fitted = conform(table, schema, where="It")

    assert tuple(fitted.column_names) == schema.names
    assert fitted.num_rows == table.num_rows


@given(tables())
def test_holding_data_to_a_schema_twice_changes_nothing(drawn: Any):
    schema, table = drawn

    once = conform(table, schema, where="It")

    assert conform(once, schema, where="It").equals(once)
    assert inferred_schema(once) is not None


@given(tables())
def test_what_went_through_pandas_still_fits(drawn: Any):
    schema, table = drawn

    fitted = conform(as_arrow(table.to_pandas()), schema, where="It")

    assert tuple(fitted.column_names) == schema.names
    assert [fitted.column(c.name).type for c in schema.columns] == [
        arrow_type(c) for c in schema.columns
    ]


def _one(dtype: Any, values: Any, *, kind: Any = None, **more: Any) -> pa.Table:
    schema = TableSchema(name="One", columns=(Column(name="x", dtype=dtype, **more),))
    return conform(pa.table({"x": pa.array(values, type=kind)}), schema, where="The table")


@pytest.mark.parametrize(
    ("dtype", "values", "kind", "fitted"),
    [
        pytest.param("float", [1, 2], pa.int32(), [1.0, 2.0], id="integers are floats"),
        pytest.param("int", [1.0, 2.0], None, [1, 2], id="whole floats are integers"),
        pytest.param("string", ["a"], pa.large_string(), ["a"], id="large text is text"),
        pytest.param("string", ["a"], pa.dictionary(pa.int8(), pa.string()), ["a"], id="a category"
                     " is text"),
        pytest.param("category", ["a"], None, ["a"], id="text is a category"),
        pytest.param("timestamp", [0], pa.timestamp("ns", "America/New_York"),
                     [dt.datetime(1970, 1, 1, tzinfo=UTC)], id="an instant of another zone"),
        pytest.param("timestamp", [], pa.float64(), [], id="no rows are of any type"),
    ],
)  # fmt: skip
def test_types_are_widened(dtype: str, values: list[Any], kind: Any, fitted: list[Any]):
    table = _one(dtype, values, kind=kind)

    assert table.column("x").to_pylist() == fitted
    assert table.column("x").type == arrow_type(Column(name="x", dtype=dtype))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("dtype", "values", "kind", "said"),
    [
        pytest.param("int", ["a"], None, "column 'x' is int but holds string, such as 'a'.",
                     id="text for integers"),
        pytest.param("int", [1.5], None, "column 'x' is int, but Float value 1.500000 was "
                     "truncated converting to int64.", id="a fraction for an integer"),
        pytest.param("float", [2**53 + 1], None, "column 'x' is float, but Integer value "
                     "9007199254740993 not in range: -9007199254740992 to 9007199254740992.",
                     id="an integer no float holds"),
        pytest.param("bool", [0, 1], None, "column 'x' is bool but holds int64, such as 0.",
                     id="numbers for truth"),
        pytest.param("string", [1], None, "column 'x' is string but holds int64, such as 1.",
                     id="numbers for text"),
        pytest.param("timestamp", [0], pa.timestamp("us"), "column 'x' holds times without a time "
                     "zone.", id="naive times"),
        pytest.param("int", [1, None, None], None, "column 'x' holds 2 nulls, the first in row 1, "
                     "but is not nullable.", id="nulls"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(dtype: str, values: list[Any], kind: Any, said: str):
    with pytest.raises(BoundaryError) as refused:
        _one(dtype, values, kind=kind)

    assert str(refused.value) == (
        f"The table does not fit schema 'One': {said}\n"
        "  Fix: Correct the data, or declare the schema as the data is."
    )


def test_a_category_that_is_not_declared_is_named_with_the_nearest():
    with pytest.raises(BoundaryError) as refused:
        _one("category", ["landed", "canceled"], categories=("landed", "cancelled"))

    assert refused.value.problem == (
        "The table does not fit schema 'One': column 'x' holds 'canceled', which is not among its "
        "categories. Did you mean 'cancelled'?"
    )


def test_every_problem_is_named_at_once():
    schema = TableSchema(
        name="Two",
        columns=(Column(name="delay", dtype="float"), Column(name="seats", dtype="int")),
    )

    with pytest.raises(BoundaryError) as refused:
        conform(pa.table({"dealy": [1.0], "seats": [None]}), schema, where="It")

    assert refused.value.problem == (
        "It does not fit schema 'Two': "
        "\n  - column 'delay' is missing. Did you mean 'dealy'?"
        "\n  - column 'seats' holds 1 nulls, the first in row 0, but is not nullable."
    )


def test_a_column_that_occurs_twice_is_refused():
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"])
    schema = TableSchema(name="One", columns=(Column(name="x", dtype="int"),))

    with pytest.raises(BoundaryError, match="column 'x' occurs twice"):
        conform(table, schema, where="It")


def test_a_schema_without_columns_keeps_the_number_of_rows():
    empty = TableSchema(name="Rows", columns=())

    assert conform(pa.table({"x": [1, 2, 3]}), empty, where="It").num_rows == 3


def test_a_pandas_nan_is_a_null_and_the_index_is_dropped():
    table = as_arrow(pd.DataFrame({"x": [1.0, float("nan")]}, index=["a", "b"]))

    assert table.column_names == ["x"]
    assert table.column("x").null_count == 1


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param([1, 2], "The data is of type list, not a table.", id="a list"),
        pytest.param(
            pd.DataFrame({"x": [1, "a"]}), "The data cannot be read as a table: ", id="mixed types"
        ),
    ],
)
def test_what_is_no_table_is_refused(data: Any, said: str):
    with pytest.raises(BoundaryError) as refused:
        as_arrow(data)

    assert refused.value.problem.startswith(said)
