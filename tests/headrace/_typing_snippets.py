"""Snippets for mypy: a line with `# refused:` must be an error that says so, any other must not."""

from __future__ import annotations

from typing import Annotated, Any, Protocol, TypeVar

from headrace import (
    Col,
    Evaluation,
    Labels,
    Model,
    Partitions,
    Report,
    Schema,
    SelectedModel,
    Table,
    TestSet,
    TrainSet,
    ValidationSet,
    flow,
    map_over,
    operator,
    when,
)

S = TypeVar("S", bound=Schema)


class Delays(Schema, Protocol):
    """A delay."""

    delay: Annotated[float, Col(unit="min")]


class Flights(Delays, Protocol):
    """More columns."""

    carrier: str


class Apart(Schema, Protocol):
    """More columns too, by another road."""

    delay: Annotated[float, Col(unit="min")]
    origin: str


class Carriers(Schema, Protocol):
    """No delay."""

    carrier: str


class Days(Schema, Protocol):
    """A delay of another type."""

    delay: str


@operator()
def read(*, month: int = 1) -> Table[Flights]: ...  # type: ignore[empty-body]


@operator()
def carriers() -> Table[Carriers]: ...  # type: ignore[empty-body]


@operator()
def days() -> Table[Days]: ...  # type: ignore[empty-body]


@operator()
def apart() -> Table[Apart]: ...  # type: ignore[empty-body]


@operator()
def anything() -> Table[Any]: ...  # type: ignore[empty-body]


@operator()
def label(rows: Table[Delays], *, above: float = 15.0) -> Labels[Delays]: ...  # type: ignore[empty-body]


@operator()
def tidied(rows: Table[S]) -> Table[S]: ...  # type: ignore[empty-body]


@operator()
def parted(rows: Labels[S]) -> tuple[TrainSet[S], ValidationSet[S], TestSet[S]]: ...  # type: ignore[empty-body]


@operator()
def fit(train: TrainSet[S], validation: ValidationSet[S] | None = None) -> Model: ...  # type: ignore[empty-body]


@operator()
def choose(models: list[Model], rows: ValidationSet[S]) -> SelectedModel: ...  # type: ignore[empty-body]


@operator()
def test(model: SelectedModel, rows: TestSet[S]) -> Evaluation: ...  # type: ignore[empty-body]


@operator()
def checked(rows: Table[Delays]) -> Report: ...  # type: ignore[empty-body]


@operator()
def by_day(rows: Table[S]) -> Partitions[Table[S]]: ...  # type: ignore[empty-body]


@flow
def whole(month: int = 1) -> Evaluation:
    """Read, label, fit, choose and test."""
    table = read(month=month)
    train, validation, held_out = parted(label(table))
    chosen = choose([fit(train), fit(train, validation)], validation)
    with when(checked(table)):
        fit(train)
    return test(chosen, held_out)


@flow(grants=["file:*"])
def named(name: str) -> Table[Flights]:
    """Read."""
    return read(month=len(name))


train, validation, held_out = parted(label(read()))
model = fit(train)

label(read())
label(apart())
label(anything())
label(tidied(read()))
label(rows=read(), above=3)
choose([model, choose([model], validation)], validation)
whole.plan(month=2)
whole.plan(2)
named.plan("x")
reports: list[Report] = map_over(checked, [read(), read()])
parts: Partitions[Report] = map_over(checked, by_day(read()))
evaluation: Evaluation = whole()

label(carriers())  # refused: "Table[Carriers]"; expected "Table[Delays]"
label(days())  # refused: "Table[Days]"; expected "Table[Delays]"
label(tidied(carriers()))  # refused: expected "Table[Delays]"
label(label(read()))  # refused: "Labels[Delays]"; expected "Table[Delays]"
label(read(), abov=3)  # refused: Unexpected keyword argument "abov"
label(read(), above="x")  # refused: expected "float"
label(read(), 3.0)  # refused: Too many positional arguments
label()  # refused: Missing positional argument "rows"
label("flights.csv")  # refused: expected "Table[Delays]"
fit(held_out)  # refused: expected "TrainSet
fit(train, held_out)  # refused: expected "ValidationSet
choose([model], held_out)  # refused: expected "ValidationSet
choose(model, validation)  # refused: expected "list[Model]"
test(model, held_out)  # refused: "Model"; expected "SelectedModel"
test(choose([model], validation), train)  # refused: expected "TestSet
whole.plan(month="x")  # refused: expected "int"
whole.plan(mont=1)  # refused: Unexpected keyword argument "mont"
named.plan()  # refused: Missing positional argument "name"
named.run(3)  # refused: expected "str"
with when(read()):  # refused: expected "Report"
    pass
len(read())  # refused: expected "Sized"
for _row in read():  # refused: has no attribute "__iter__"
    pass
read()["delay"]  # refused: is not indexable
shape = read().shape  # refused: has no attribute "shape"
operator(whole)  # refused: expected "None"
