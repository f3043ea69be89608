"""A plain call runs the body at once, with exactly what it declared."""

from __future__ import annotations

from typing import Annotated, Any, Protocol, TypeVar

import pandas as pd
import pytest

from headrace import (
    Col,
    Labels,
    Model,
    Partitions,
    Report,
    Schema,
    SelectedModel,
    Table,
    TestSet,
    TrainSet,
    operator,
)
from headrace.errors import BoundaryError, DefinitionError
from headrace.models import ModelCard
from headrace.schemas import Column
from headrace.symbols import Symbol

S = TypeVar("S", bound=Schema)


class Delays(Schema, Protocol):
    """A delay."""

    delay: Annotated[float, Col(unit="min")]


D = TypeVar("D", bound=Delays)


class Late(Delays, Protocol):
    """A delay with its label."""

    label: Annotated[int, Col(role="label")]


@operator()
def seen(rows: Table[Delays]) -> Report:
    """Report the columns that the body sees."""
    return Report.of(
        {"columns": list(rows.frame().columns), "dtype": str(rows.frame().delay.dtype)}
    )


@operator()
def carried(rows: Table[D]) -> Table[D]:
    """Give back every column."""
    return rows


@operator()
def labelled(rows: Table[Delays], *, above: float = 15.0) -> Labels[Late]:
    """Label, and leave scratch behind."""
    frame = rows.frame()
    return Labels.of(frame.assign(scratch=0, label=(frame.delay > above).astype("int8")))


@operator()
def stacked(parts: list[Table[S]]) -> Table[S]:
    """Stack."""
    return Table.of(pd.concat([p.frame() for p in parts]))


@operator()
def apart(rows: Table[S]) -> tuple[TrainSet[S], TestSet[S]]:
    """Part."""
    return TrainSet.of(rows.frame().head(1)), TestSet.of(rows.frame().tail(1))


@operator()
def joined(parts: Partitions[Table[Delays]]) -> Report:
    """Report the columns of each partition."""
    return Report.of({name: list(t.frame().columns) for name, t in parts.items.items()})


ROWS = Table.of({"more": ["a", "b"], "delay": [3, 30]})


def test_a_body_sees_exactly_the_columns_it_declared_in_their_types():
    assert seen(ROWS).document == {"columns": ["delay"], "dtype": "float64"}


def test_a_type_variable_carries_all_columns_through_and_widens_the_declared_ones():
    back = carried(ROWS)

    assert back.schema is not None
    assert [(c.name, c.dtype, c.unit) for c in back.schema.columns] == [
        ("more", "string", None),
        ("delay", "float", "min"),
    ]
    assert list(back.frame()["delay"]) == [3.0, 30.0]


def test_a_body_may_make_fractions_of_integers_that_it_declared_as_floats():
    @operator()
    def halved(rows: Table[D]) -> Table[D]:
        """Halve the delay."""
        return Table.of(rows.frame().assign(delay=rows.frame()["delay"] / 2))

    assert list(halved(ROWS).frame()["delay"]) == [1.5, 15.0]


def test_an_output_is_held_to_its_schema_which_gives_it_units_and_roles():
    labels = labelled(ROWS)

    assert labels.frame().to_dict("list") == {"delay": [3.0, 30.0], "label": [0, 1]}
    assert labels.schema is not None
    assert labels.schema.name == "Late"
    assert labels.schema.column("delay").unit == "min"


def test_lists_tuples_and_partitions_are_taken_apart_and_held_each():
    train, test = apart(stacked([ROWS, ROWS]))

    assert (train.kind, test.kind, train.rows) == ("TrainSet", "TestSet", 1)
    assert stacked(Partitions.of({"a": ROWS, "b": ROWS})).rows == 4  # type: ignore[arg-type]
    assert joined(Partitions.of({"a": ROWS})).document == {"a": ["delay"]}


def test_the_selected_model_is_a_model_and_a_model_is_not_the_selected_one():
    @operator()
    def any_model(model: Model) -> Report:
        """Take any."""
        return Report.of({"kind": model.kind})

    @operator()
    def chosen_model(model: SelectedModel) -> Report:
        """Take the chosen."""
        return Report.of({"kind": model.kind})

    card = ModelCard(task="estimation", flavor="sklearn", features=(), label="delay")
    model = Model.of({"m": b"1"}, card=card)

    assert any_model(SelectedModel.chosen(model)).document == {"kind": "SelectedModel"}
    with pytest.raises(BoundaryError) as refused:
        chosen_model(model)  # type: ignore[arg-type]
    assert str(refused.value) == (
        "Input 'model' of operator 'chosen_model' must be SelectedModel, got Model.\n"
        "  Fix: Pass an artifact of the kind that the operator declares."
    )


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: seen(3), "Input 'rows' of operator 'seen' must be Table[Delays], got int."),
        (lambda: seen(TestSet.of({"delay": [1]})), "Input 'rows' of operator 'seen' must be Table["
         "Delays], got TestSet."),
        (lambda: seen([ROWS]), "Input 'rows' of operator 'seen' must be Table[Delays], got list."),
        (lambda: stacked(ROWS), "Input 'parts' of operator 'stacked' must be list[Table], got "
         "Table."),
        (lambda: stacked([ROWS, None]), "Input 'parts' of operator 'stacked' must be list[Table], "
         "got NoneType."),
        (lambda: seen(Table.of({"dely": [1.0]})), "Input 'rows' of operator 'seen' does not fit "
         "schema 'Delays': column 'delay' is missing. Did you mean 'dely'?"),
    ],
)  # fmt: skip
def test_what_does_not_fit_an_input_is_refused(call: Any, said: str):
    with pytest.raises(BoundaryError) as refused:
        call()

    assert refused.value.problem == said


def test_a_planned_artifact_has_nothing_to_run_on():
    planned = Table.symbolic(Symbol(node="flights", slot="result", kind="Table"))

    with pytest.raises(DefinitionError) as refused:
        seen(planned)

    assert str(refused.value) == (
        "Input 'rows' of operator 'seen' is <Table to be made by flights>, which has no data "
        "outside the plan that it belongs to.\n  Fix: Run the flow and pass what it returned."
    )


def test_what_a_body_returns_is_held_to_its_promise():
    @operator()
    def table() -> Table[Delays]:
        """Return a report."""
        return Report.of({})  # type: ignore[return-value]

    @operator()
    def two() -> tuple[Report, Report]:
        """Return one."""
        return Report.of({})  # type: ignore[return-value]

    @operator()
    def nothing() -> None:
        """Return something."""
        return Report.of({})  # type: ignore[return-value]

    @operator()
    def short() -> Table[Delays]:
        """Leave a column out."""
        return Table.of({"x": [1]})

    @operator(adds=[Column(name="hour", dtype="int")])
    def more(rows: Table[D]) -> Table[D]:
        """Promise a column and forget it."""
        return rows

    @operator()
    def parts() -> Partitions[Table[Delays]]:
        """Return reports."""
        return Partitions.of({"a": Report.of({})})  # type: ignore[return-value,dict-item]

    said = []
    for call in (table, two, nothing, short, lambda: more(ROWS), parts):
        with pytest.raises((DefinitionError, BoundaryError)) as refused:
            call()
        said.append(refused.value.problem)

    assert said == [
        "Operator 'table' declares output 'result' as Table[Delays] but returned Report.",
        "Operator 'two' declares 2 outputs but returned 1.",
        "Operator 'nothing' declares 0 outputs but returned 1.",
        "Output 'result' of operator 'short' does not fit schema 'Delays': column 'delay' is "
        "missing. Known: 'x'.",
        "Output 'result' of operator 'more' does not fit schema 'inferred': column 'hour' is "
        "missing. Known: 'delay', 'more'.",
        "Operator 'parts' declares output 'result' as Table[Delays] but returned Report.",
    ]


def test_an_operator_called_in_an_operator_is_a_plain_call():
    @operator()
    def outer(rows: Table[Delays]) -> Labels[Late]:
        """Call another."""
        return labelled(rows, above=1.0)

    assert list(outer(ROWS).frame()["label"]) == [1, 1]
