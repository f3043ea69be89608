"""An operator's type hints say what it takes and makes; a call that does not fit is refused."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Callable, Sequence
from typing import Any, Literal, Optional, Protocol, TypeVar

import pytest
from pydantic import BaseModel, Field

from headrace import (
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
    operator,
)
from headrace.artifacts import Artifact, Document, Tabular
from headrace.errors import DefinitionError, ParameterError
from headrace.signature import Signature
from headrace.slots import Slot, slot_of

S = TypeVar("S", bound=Schema)


class Rows(Schema, Protocol):
    """Rows."""

    x: int


class Other(Schema, Protocol):
    """Other rows."""

    y: int


B = TypeVar("B", bound=Rows)
F = TypeVar("F")


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (Table, {"kinds": ("Table",)}),
        (Table[Any], {"kinds": ("Table",)}),
        (Table[S], {"kinds": ("Table",), "variable": "S"}),
        (Table[F], {"kinds": ("Table",), "variable": "F"}),  # type: ignore[type-var]
        (Table[B], {"kinds": ("Table",), "variable": "B", "schema": "Rows"}),
        (Table[Rows], {"kinds": ("Table",), "schema": "Rows"}),
        (Table[Rows] | None, {"kinds": ("Table",), "schema": "Rows", "optional": True}),
        (Optional[Model], {"kinds": ("Model", "SelectedModel"), "optional": True}),  # noqa: UP045
        (SelectedModel, {"kinds": ("SelectedModel",)}),
        (TrainSet[S] | ValidationSet[S], {"kinds": ("TrainSet", "ValidationSet"), "variable": "S"}),
        (list[Model], {"kinds": ("Model", "SelectedModel"), "many": True}),
        (Sequence[Table[Rows]], {"kinds": ("Table",), "schema": "Rows", "many": True}),
        (list[Table] | None, {"kinds": ("Table",), "many": True, "optional": True}),
        (Partitions[Table[Rows]], {"kinds": ("Table",), "schema": "Rows", "partitioned": True}),
        (Document, {"kinds": ("Evaluation", "Report")}),
    ],
)
def test_a_hint_is_read_as_a_slot(hint: Any, expected: dict[str, Any]):
    slot = slot_of("x", hint)

    assert slot is not None
    found = {f: getattr(slot, f) for f in Slot.__dataclass_fields__}
    found["schema"] = slot.schema and slot.schema.name
    blank = {"schema": None, "variable": None}
    rest = dict.fromkeys(("many", "partitioned", "optional"), False)
    assert found == {"name": "x", **blank, **rest, **expected}


def test_any_tabular_and_any_artifact_take_all_kinds_of_it():
    tabular, anything = slot_of("x", Tabular), slot_of("x", Artifact)

    assert tabular is not None
    assert anything is not None
    assert {"Table", "TestSet", "Predictions"} <= set(tabular.kinds)
    assert {"Table", "Model", "SelectedModel", "Report"} <= set(anything.kinds)
    assert "Partitions" not in anything.kinds


@pytest.mark.parametrize(
    "hint", [int, str | None, list[int], dict[str, float], Literal["a"], Callable[[int], int]]
)
def test_a_plain_hint_is_no_slot(hint: Any):
    assert slot_of("x", hint) is None


@pytest.mark.parametrize(
    "hint",
    [
        Table | int,
        Table[Rows] | Labels[Other],
        Table | list[Table],
        dict[str, Table],
        tuple[Table, ...],
        list[list[Table]],
        list[Table | None],
        list[Partitions[Table]],
    ],
)
def test_artifacts_in_a_form_no_plan_can_follow_are_refused(hint: Any):
    with pytest.raises(DefinitionError) as refused:
        slot_of("x", hint)

    assert refused.value.problem == (
        f"Argument 'x' has type {hint!r}, which holds artifacts in a way that no plan can follow."
    )


def _outputs(hint: Any) -> list[str]:
    def body() -> Any:
        """Make."""

    body.__annotations__ = {"return": hint}
    return [f"{s.name}: {s.type_name()}" for s in Signature.of(body, "made").outputs]


@pytest.mark.parametrize(
    ("hint", "outputs"),
    [
        (None, []),
        (Table[Rows], ["result: Table[Rows]"]),
        (Model, ["result: Model"]),
        (Partitions[Table[Rows]], ["result: Partitions[Table[Rows]]"]),
        (tuple[TrainSet[Rows], TestSet[Rows]], ["train_set: TrainSet[Rows]", "test_set: "
                                                "TestSet[Rows]"]),
        (tuple[Table[Rows], Report, Table[Other]], ["table_1: Table[Rows]", "report: Report",
                                                    "table_3: Table[Other]"]),
    ],
)  # fmt: skip
def test_outputs_are_named_after_their_kinds(hint: Any, outputs: list[str]):
    assert _outputs(hint) == outputs


@pytest.mark.parametrize(
    "hint",
    [int, list[Table], Table | None, Table | Labels, Tabular, tuple[Table, ...], tuple[Table, int]],
)
def test_an_output_that_is_no_artifact_of_one_kind_is_refused(hint: Any):
    with pytest.raises(DefinitionError) as refused:
        _outputs(hint)

    assert refused.value.remedy.startswith(("Return one artifact", "Declare one artifact"))


def _refused(body: Callable[..., Any]) -> str:
    with pytest.raises(DefinitionError) as refused:
        _ = operator()(body).signature
    return str(refused.value)


def test_a_signature_nobody_can_read_is_refused():
    def untyped(x, *, y: int = 1) -> Report: ...
    def many(*x: int) -> Report: ...
    def more(**x: int) -> Report: ...
    def nameless(x: int, /) -> Report: ...
    def silent(x: int): ...
    def unresolved(x: Nowhere) -> Report: ...  # type: ignore[name-defined]  # noqa: F821
    def hidden(x: Table = Table.of({"x": [1]})) -> Report: ...  # noqa: B008

    assert _refused(untyped) == (
        "Argument 'x' of operator 'untyped' has no type hint.\n  Fix: Give every argument a type."
    )
    assert _refused(many).startswith("Operator 'many' takes '*x: 'int'', whose types nobody knows.")
    assert _refused(more).startswith("Operator 'more' takes '**x: 'int'', whose types nobody know")
    assert _refused(nameless).startswith(
        "Argument 'x' of operator 'nameless' cannot be passed by name."
    )
    assert _refused(silent) == (
        "Operator 'silent' does not say what it returns.\n"
        "  Fix: Give it a return type, such as `-> Table[Flights]`."
    )
    assert _refused(unresolved).startswith(
        "Operator 'unresolved' has a type hint that cannot be resolved: name 'Nowhere' is not"
    )
    assert _refused(hidden).startswith("Input 'x' of operator 'hidden' has an artifact as its def")


def test_what_is_no_plain_function_is_no_operator():
    async def later() -> Report: ...
    def one_by_one() -> Report:
        yield Report.of({})  # type: ignore[misc]

    assert _refused(later).startswith("Operator 'later' is asynchronous, so that calling it does")
    assert _refused(one_by_one).startswith("Operator 'one_by_one' is a generator, so that calling")
    assert _refused(Report).startswith("Operator 'Report' is of type type, not a function.")
    with pytest.raises(DefinitionError) as refused:
        operator(later)  # type: ignore[arg-type]
    assert str(refused.value) == (
        "`@operator` at 'later' lacks its brackets.\n  Fix: Write `@operator()`."
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"effect": True, "infer": True}, "is an effect and asks for `infer`."),
        ({"keeps": [], "produces": lambda call: None}, "has both `produces` and keeps/adds/drop"),
        ({"retries": -1}, "has negative retries, cpu or gpu."),
        ({"timeout": 0}, "has a timeout of 0 seconds."),
        ({"infer": True, "reads": lambda p: []}, "reads external data and asks for `infer`."),
        ({"memory": "much"}, "'much' is no size of memory."),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, Any], said: str):
    def body() -> Report: ...

    with pytest.raises(DefinitionError) as refused:
        operator(**options)(body)

    assert said in refused.value.problem


class Size(enum.Enum):
    """A size."""

    SMALL = "small"


class Settings(BaseModel):
    """Settings."""

    depth: int = Field(3, ge=1)


@operator()
def takes(
    rows: Table[Rows],
    model: Model | None = None,
    *,
    above: float = 15,
    day: dt.date = dt.date(2013, 1, 1),
    size: Size = Size.SMALL,
    settings: Settings = Settings(depth=2),  # noqa: B008
    names: tuple[str, ...] = (),
    anything: Any = None,
) -> Evaluation:
    """Take much."""
    return Evaluation.of({"above": above})


ROWS = Table[Rows].of({"x": [1]})


def test_arguments_are_sorted_into_inputs_and_values_in_their_types():
    bound = takes.signature.bind((ROWS,), {"names": ["a"], "size": "small", "day": "2013-02-03"})

    assert bound.inputs == {"rows": ROWS}
    assert bound.parameters == {
        "above": 15.0,
        "day": dt.date(2013, 2, 3),
        "size": Size.SMALL,
        "settings": Settings(depth=2),
        "names": ("a",),
        "anything": None,
    }
    assert isinstance(bound.parameters["above"], float)


@pytest.mark.parametrize(
    ("args", "kwargs", "said"),
    [
        ((), {}, "Operator 'takes' needs input 'rows' (Table[Rows]), which is not given."),
        ((ROWS, None, 3), {}, "Operator 'takes' takes 2 positional arguments but got 3."),
        ((ROWS,), {"rows": ROWS}, "Argument 'rows' of operator 'takes' is given twice."),
        ((ROWS,), {"abov": 1}, "Operator 'takes' has no argument 'abov'. Did you mean 'above'?"),
        ((ROWS,), {"above": "15"}, "Operator 'takes' got a wrong parameter 'above': Input should "
         "be a number, not text, got '15'."),
        ((ROWS,), {"above": None}, "Operator 'takes' got a wrong parameter 'above': Input should "
         "be a valid number, got None."),
        ((ROWS,), {"settings": {"depth": 0}}, "Operator 'takes' got a wrong parameter "
         "'settings.depth': Input should be greater than or equal to 1, got 0."),
        ((ROWS,), {"anything": {"a": [ROWS]}}, "Parameter 'anything' of operator 'takes' got a "
         "Table; it takes a plain value."),
        ((ROWS,), {"above": ROWS, "abov": 1, "day": 3.5}, "Operator 'takes' has no argument "
         "'abov'. Did you mean 'above'? (and 2 more)"),
    ],
)  # fmt: skip
def test_a_call_that_does_not_fit_is_refused(args: Any, kwargs: Any, said: str):
    with pytest.raises(ParameterError) as refused:
        takes(*args, **kwargs)

    assert refused.value.problem == said
