"""What an output will hold is known before the body runs, as far as it is declared."""

from __future__ import annotations

from typing import Annotated, Any, Protocol, TypeVar

import pytest

from headrace import Col, Model, Partitions, Report, Schema, Table, TestSet, TrainSet, operator
from headrace.calls import PlannedCall
from headrace.operation import Operator
from headrace.promise import call_of, promised_schemas, symbol_of
from headrace.schemas import Column, TableSchema, schema_of
from headrace.symbols import Symbol

S = TypeVar("S", bound=Schema)


class Rows(Schema, Protocol):
    """Rows."""

    a: Annotated[str, Col(role="entity")]
    b: Annotated[float, Col(unit="min")]
    c: int


class Made(Schema, Protocol):
    """What is made."""

    d: int


D = Column(name="d", dtype="int")


def _doubled(call: PlannedCall) -> TableSchema | None:
    schema = call.schema("rows")
    return schema and schema.adding([Column(name=call.parameters["name"], dtype="int")])


def _both(call: PlannedCall) -> dict[str, TableSchema | None]:
    return {"test_set": None}


@operator()
def declared(rows: Table[S]) -> Table[Made]: ...


@operator()
def unknown(rows: Table[S]) -> Table[Any]: ...


@operator()
def carried(rows: Table[S]) -> Table[S]: ...


@operator(keeps=["b", "a"], renames={"b": "delay"}, adds=[D])
def transformed(rows: Table[S]) -> Table[S]: ...


@operator(keeps=[])
def emptied(rows: Table[S]) -> Table[S]: ...


@operator(drops=["a", "b"])
def dropped(rows: Table[S]) -> Table[Any]: ...


@operator(adds=[D])
def added(rows: Table[Rows]) -> Table[Rows]: ...


@operator(produces=_doubled)
def produced(rows: Table[S], *, name: str = "made") -> Table[Any]: ...


@operator(produces=_both)
def split(rows: Table[S]) -> tuple[TrainSet[S], TestSet[S]]: ...


@operator()
def fitted(rows: Table[S], train: TrainSet[S] | None = None) -> Model: ...


@operator()
def nothing(rows: Table[S]) -> None: ...


@operator()
def parted(rows: Table[S]) -> Partitions[Table[S]]: ...


def _promised(one: Operator[..., Any], schema: TableSchema | None, **parameters: Any) -> Any:
    symbol = Symbol(node="n", slot="result", kind="Table", schema=schema)
    call = PlannedCall(operator=one.name, parameters=parameters, inputs={"rows": (symbol,)})
    found = promised_schemas(one, call)
    return {name: made and made.names for name, made in found.items()}


@pytest.mark.parametrize(
    ("one", "names"),
    [
        (declared, {"result": ("d",)}),
        (unknown, {"result": None}),
        (carried, {"result": ("a", "b", "c")}),
        (transformed, {"result": ("delay", "a", "d")}),
        (emptied, {"result": ()}),
        (dropped, {"result": ("c",)}),
        (added, {"result": ("a", "b", "c", "d")}),
        (split, {"train_set": ("a", "b", "c"), "test_set": None}),
        (fitted, {"result": None}),
        (nothing, {}),
        (parted, {"result": ("a", "b", "c")}),
    ],
)
def test_an_output_is_promised(one: Operator[..., Any], names: dict[str, Any]):
    assert _promised(one, schema_of(Rows)) == names


def test_a_function_of_the_call_decides_first():
    assert _promised(produced, schema_of(Rows), name="e") == {"result": ("a", "b", "c", "e")}


@pytest.mark.parametrize("one", [carried, transformed, dropped])
def test_nothing_is_promised_from_what_is_not_known(one: Operator[..., Any]):
    assert _promised(one, None) == {"result": None}


def test_a_model_knows_the_columns_it_is_fitted_on():
    train = Symbol(node="t", slot="result", kind="TrainSet", schema=schema_of(Made))
    call = PlannedCall(operator="fitted", parameters={}, inputs={"train": (train,)})

    assert promised_schemas(fitted, call) == {"result": schema_of(Made)}


def test_a_call_on_real_artifacts_looks_as_the_plan_would_see_it():
    rows = Table[Made].of({"d": [1]})
    parts = Partitions.of({"x": rows, "y": rows})

    call = call_of(carried, carried.signature.bind((rows,), {}))

    assert call.schema("rows") == schema_of(Made)
    assert call.schema("more") is None
    assert symbol_of(parts).partitioned
    assert symbol_of(parts).schema == schema_of(Made)
    assert symbol_of(Partitions.of({"x": rows, "r": Report.of({})})).schema is None
