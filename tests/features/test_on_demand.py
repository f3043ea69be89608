"""What an on-demand view must be, what its function is given, and what it may compute."""

from __future__ import annotations

import functools
import pickle
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, Protocol

import pyarrow as pa
import pytest

from features._on_demand_rows import on_demand_columns
from features.flight_calendar import HOLIDAYS, days_to_holiday, flight_calendar
from features.on_demand import Needed, OnDemandView
from headrace import Col, Schema
from headrace.errors import DataError, DefinitionError
from headrace.schemas import Column

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


class Order(Schema, Protocol):
    """This is what a request says of an order."""

    amount: Annotated[float, Col(unit="EUR")]
    ordered_at: datetime
    decided_at: Annotated[datetime, Col(role="decision_time")]


class Spent(Schema, Protocol):
    """This is what the view must have."""

    mean: Annotated[float | None, Col(unit="EUR")]


class Ratio(Schema, Protocol):
    """This is what is computed."""

    ratio: float
    hours: Annotated[int, Col(unit="h")]
    size: Literal["small", "large"]
    is_new: bool


def ratio_of(values: dict[str, list[Any]]) -> dict[str, list[Any]]:
    rows = list(zip(values["amount"], values["mean"], strict=True))
    waited = zip(values["decided_at"], values["ordered_at"], strict=True)
    return {
        "ratio": [None if a is None or not m else a / m for a, m in rows],
        "hours": [None if o is None else (d - o).seconds // 3600 for d, o in waited],
        "size": [None if a is None else "large" if a > 10 else "small" for a, _ in rows],
        "is_new": [m is None for _, m in rows],
    }


def view(**changes: Any) -> OnDemandView:
    given: dict[str, Any] = {
        "name": "order_ratio",
        "request": Order,
        "views": {"customer": Spent},
        "features": Ratio,
        "compute": ratio_of,
        "owner": "shop",
        "description": "An order against what its customer spends.",
    }
    return OnDemandView(**(given | changes))


def computed(of: OnDemandView, **inputs: list[Any]) -> dict[str, list[Any]]:
    rows = len(next(iter(inputs.values())))
    columns = {name: pa.chunked_array([pa.array(values)]) for name, values in inputs.items()}
    return {n: c.to_pylist() for n, c in on_demand_columns(of, columns, rows).items()}


def one_number(function: Any, sensitivity: Any = "internal", dtype: Any = "float") -> OnDemandView:
    """A view of one feature, `y`, of one value of the request, `x`."""
    return view(
        views=(),
        request=type_of_request(),
        features=(Column(name="y", dtype=dtype, sensitivity=sensitivity),),
        compute=function,
    )


def type_of_request() -> Any:
    class Number(Schema, Protocol):
        """This is one number."""

        x: float

    return Number


def test_a_view_says_what_it_takes_and_computes():
    made = view()

    assert [(c.name, c.dtype, c.nullable, c.role) for c in made.request_columns] == [
        ("amount", "float", True, None),
        ("ordered_at", "timestamp", True, None),
        ("decided_at", "timestamp", True, "decision_time"),
    ]
    assert made.needs == (Needed(view="customer", column="mean", dtype="float", unit="EUR"),)
    assert [(c.name, c.role, c.nullable, c.source) for c in made.columns] == [
        ("ratio", "feature", True, "order_ratio"),
        ("hours", "feature", True, "order_ratio"),
        ("size", "feature", True, "order_ratio"),
        ("is_new", "feature", True, "order_ratio"),
    ]
    assert [(a.name, a.view, a.is_moment) for a in made.arguments] == [
        ("amount", None, False),
        ("ordered_at", None, False),
        ("decided_at", None, True),
        ("mean", "customer", False),
    ]


def test_views_can_be_named_in_three_ways():
    by_reference = view(views=("customer:mean",))
    by_list = view(views={"customer": ["mean"]})

    assert by_reference.needs == by_list.needs == (Needed(view="customer", column="mean"),)


def test_equal_views_are_equal_and_survive_pickling():
    made = view()

    assert pickle.loads(pickle.dumps(made)) == made == view()  # noqa: S301  our own bytes
    assert made.definition()["views"] == [
        {"view": "customer", "column": "mean", "dtype": "float", "unit": "EUR"}
    ]


def test_a_name_that_two_views_have_is_given_with_its_view():
    made = view(views=("customer:mean", "shop:mean", "shop:size_m2"), request=None)

    assert [a.name for a in made.arguments] == ["customer__mean", "shop__mean", "size_m2"]


def local(values: dict[str, list[Any]]) -> dict[str, list[Any]]:
    return values


async def later(values: dict[str, list[Any]]) -> dict[str, list[Any]]:
    return values


class Labelled(Schema, Protocol):
    """This takes a label from the request."""

    paid: Annotated[int, Col(role="label")]


class Moment(Schema, Protocol):
    """This is no number."""

    next_order: datetime


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param(
            {"name": "Order"},
            "On-demand view 'Order' has a name that is not lower-case letters, digits and "
            "underscores.\n  Fix: Name it like 'airport_weather'.",
            id="a name that no file could have",
        ),
        pytest.param(
            {"request": None, "views": ()},
            "On-demand view 'order_ratio' is computed from nothing.\n"
            "  Fix: Give `request`, `views` or both.",
            id="no input",
        ),
        pytest.param(
            {"views": ["customer.mean"]},
            "On-demand view 'order_ratio' needs 'customer.mean', which names no feature.\n"
            '  Fix: Write "view:column".',
            id="a reference that is none",
        ),
        pytest.param(
            {"views": {"customer": "mean"}},
            "On-demand view 'order_ratio' names 'mean' as columns of view 'customer'.\n"
            '  Fix: Give a list of columns, as in {"airport_weather": ["wind_speed"]}, or a schema '
            "class.",
            id="a text for a list",
        ),
        pytest.param(
            {"views": ("customer:mean", "customer:mean")},
            "On-demand view 'order_ratio' needs 'customer:mean' twice.\n"
            "  Fix: Name each feature once.",
            id="a feature twice",
        ),
        pytest.param(
            {"views": ("customer:amount",)},
            "On-demand view 'order_ratio' has two inputs 'amount': of the request, and of view "
            "'customer'.\n  Fix: Rename the one of the request.",
            id="one name for two inputs",
        ),
        pytest.param(
            {"views": ("order_ratio:ratio",)},
            "On-demand view 'order_ratio' needs a feature of itself.\n"
            "  Fix: Compute it from the request and from other views.",
            id="a circle",
        ),
        pytest.param(
            {"request": Labelled},
            "On-demand view 'order_ratio' takes 'paid' with role 'label' from the request.\n"
            '  Fix: Leave the role out; only "decision_time" means something here.',
            id="a label in the request",
        ),
        pytest.param(
            {"features": Moment},
            "On-demand view 'order_ratio' computes 'next_order' as timestamp, which no model "
            "takes.\n  Fix: Compute a number of it, such as the hours between two instants.",
            id="an instant that no model takes",
        ),
        pytest.param(
            {"compute": functools.partial(local)},
            "On-demand view 'order_ratio' computes with functools.partial("
            f"{local!r}), which is not a function of a module.\n"
            "  Fix: Write `def compute(values): ...` at the top level of the view's file: its code "
            "is checked where an endpoint runs it, and other processes find it by name.",
            id="no function of a module",
        ),
        pytest.param(
            {"compute": later},
            "On-demand view 'order_ratio' computes with later, which does not return its values "
            "when it is called.\n  Fix: Write an ordinary function that returns a dict of lists.",
            id="an async function",
        ),
        pytest.param(
            {"owner": " "},
            "On-demand view 'order_ratio' has no owner.\n"
            "  Fix: Say who answers for it and what it is, for those who search.",
            id="nobody answers for it",
        ),
        pytest.param(
            {"replaced_by": "other"},
            "On-demand view 'order_ratio' is active, but 'other' replaces it.\n"
            '  Fix: Say stage="deprecated", or leave `replaced_by` out.',
            id="replaced but active",
        ),
    ],
)
def test_a_view_that_contradicts_itself_is_refused(changes, message):
    with pytest.raises(DefinitionError) as error:
        view(**changes)

    assert str(error.value) == message


def test_nulls_are_none_and_instants_are_datetimes_in_utc():
    found = computed(
        view(),
        amount=[5.0, None, float("nan")],
        mean=[10.0, 2.0, None],
        ordered_at=pa.array([NOON, None, NOON], pa.timestamp("us", tz="America/New_York")),
        decided_at=pa.array([NOON] * 3, pa.timestamp("us", tz="UTC")),
    )

    assert found == {
        "ratio": [0.5, None, None],
        "hours": [0, None, 0],
        "size": ["small", None, None],
        "is_new": [False, False, True],
    }


@pytest.mark.parametrize(
    ("made", "message"),
    [
        pytest.param(
            lambda x: {"y": ["far", *x[1:]]},
            "On-demand view 'order_ratio' computed 'y' as 'far' (str) in row 0; it should be float "
            "or null.\n  Fix: Return float or null for every row, or declare what it is.",
            id="a wrong type",
        ),
        pytest.param(
            lambda x: {"y": [*x[:2], True]},
            "On-demand view 'order_ratio' computed 'y' as True (bool) in row 2; it should be "
            "float or null.\n  Fix: Return float or null for every row, or declare what it is.",
            id="a truth value is no number",
        ),
        pytest.param(
            lambda x: {"y": [*x[:1], float("inf"), *x[2:]]},
            "On-demand view 'order_ratio' computed 'y' as inf (float) in row 1, which no log and "
            "no model can hold; it should be float or null.\n"
            "  Fix: Return float or null for every row, or declare what it is.",
            id="infinity",
        ),
        pytest.param(
            lambda x: {"y": x[:2]},
            "On-demand view 'order_ratio' computed 2 values of 'y' for 3 rows.\n"
            "  Fix: Return one value a row, in the order of the rows; None where it is not known.",
            id="too few values",
        ),
        pytest.param(
            lambda x: {"y": tuple(x)},
            "On-demand view 'order_ratio' computed 'y' as tuple, not as a list.\n"
            "  Fix: Return a list; `.tolist()` makes one of an array.",
            id="no list",
        ),
        pytest.param(
            lambda x: {"yy": x},
            "On-demand view 'order_ratio' did not compute 'y': `function` returned no list of that "
            "name. Did you mean 'yy'?\n"
            "  Fix: Return a list for each feature that the view declares.",
            id="a missing column",
        ),
        pytest.param(
            lambda x: {"y": x, "z": x},
            "On-demand view 'order_ratio' computed 'z', which it does not declare. Known: 'y'.\n"
            "  Fix: Declare it among the features, or leave it out of what is returned.",
            id="one column too many",
        ),
        pytest.param(
            lambda x: None,
            "On-demand view 'order_ratio' computed nothing that has columns: `function` returned "
            "None.\n  Fix: Return a dict with a list for each feature.",
            id="nothing",
        ),
    ],
)
def test_what_is_computed_is_held_to_the_schema(made, message):
    def function(values: dict[str, list[Any]]) -> Any:
        return made(values["x"])

    function.__qualname__ = "function"
    with pytest.raises(DataError) as error:
        computed(one_number(function), x=[1.0, 2.0, 3.0])

    assert str(error.value) == message


def test_a_value_that_is_personal_is_not_shown():
    def function(values: dict[str, list[Any]]) -> Any:
        return {"y": ["Ann", "Bob"]}

    function.__qualname__ = "function"
    with pytest.raises(DataError) as error:
        computed(one_number(function, "personal"), x=[1.0, 2.0])

    assert error.value.problem == (
        "On-demand view 'order_ratio' computed 'y' as str in row 0; it should be float or null."
    )


def test_numbers_of_numpy_are_refused_with_the_way_out():
    import numpy as np

    def function(values: dict[str, list[Any]]) -> Any:
        return {"y": list(np.array([1, 2]))}

    function.__qualname__ = "function"
    with pytest.raises(DataError) as error:
        computed(one_number(function, dtype="int"), x=[1.0, 2.0])

    assert error.value.remedy == ("Return plain Python values; `.tolist()` makes them of an array.")


@pytest.mark.parametrize("bad", [0, 1, 70_000, 131_071, 199_999])
def test_a_function_that_raises_is_blamed_on_its_first_row_and_line(bad):
    def function(values: dict[str, list[Any]]) -> Any:
        return {"y": [1 / x for x in values["x"]]}

    function.__qualname__ = "function"
    numbers = [1.0] * 200_000
    numbers[bad] = 0.0
    with pytest.raises(DataError) as error:
        computed(one_number(function), x=numbers)

    line = function.__code__.co_firstlineno + 1
    assert str(error.value) == (
        f"On-demand view 'order_ratio' could not be computed in row {bad:,}: `function` raised "
        f"ZeroDivisionError: float division by zero, in features/test_on_demand.py, line {line}.\n"
        "  Fix: Correct the function: it has to treat every value that it may be given, None among "
        "them."
    )


def test_a_function_that_looks_at_other_rows_is_refused():
    def function(values: dict[str, list[Any]]) -> Any:
        mean = sum(values["x"]) / len(values["x"])
        return {"y": [x - mean for x in values["x"]]}

    function.__qualname__ = "function"
    with pytest.raises(DataError) as error:
        computed(one_number(function), x=[1.0, 2.0, 6.0])

    assert str(error.value) == (
        "On-demand view 'order_ratio' computes another 'y' of row 0 alone than among other rows, "
        "so an endpoint would not compute what a model was trained on.\n"
        "  Fix: Let a row's result depend on that row only: no totals over the lists, no chance, "
        "no "
        "clock; for the present moment take a request column with the role 'decision_time'."
    )


def test_a_function_may_change_its_lists():
    def function(values: dict[str, list[Any]]) -> Any:
        values["x"].reverse()
        return {"y": values.pop("x")[::-1]}

    function.__qualname__ = "function"

    assert computed(one_number(function), x=[1.0, 2.0, 3.0]) == {"y": [1.0, 2.0, 3.0]}


def test_a_category_is_one_of_those_that_are_declared():
    def function(values: dict[str, list[Any]]) -> Any:
        return {"size": ["huge" for _ in values["x"]]}

    function.__qualname__ = "function"
    sizes = (Column(name="size", dtype="category", categories=("small", "large")),)
    with pytest.raises(DataError) as error:
        computed(view(views=(), request=type_of_request(), features=sizes, compute=function), x=[1])

    assert error.value.problem == (
        "On-demand view 'order_ratio' computed 'size' as 'huge' (str) in row 0, which is not among "
        "its categories ('small', 'large'); it should be category or null."
    )


@pytest.mark.parametrize(
    ("day", "days"),
    [
        pytest.param(date(2013, 7, 4), 0, id="on it"),
        pytest.param(date(2013, 11, 27), -1, id="before Thanksgiving"),
        pytest.param(date(2013, 12, 30), -2, id="New Year is nearer than Christmas"),
        pytest.param(date(2013, 9, 5), 3, id="after Labor Day"),
        pytest.param(date(2013, 5, 27), 0, id="Memorial Day is the last Monday of May"),
        pytest.param(date(1990, 7, 4), None, id="before the years that are known"),
    ],
)
def test_days_are_counted_to_the_nearest_holiday(day, days):
    assert days_to_holiday(day) == days
    assert sorted(HOLIDAYS) == HOLIDAYS


def test_the_bundled_view_tells_the_hour_of_the_week_in_new_york():
    found = computed(
        flight_calendar,
        scheduled_departure=pa.array(
            [datetime(2013, 7, 1, 4, tzinfo=UTC), datetime(2013, 12, 2, 4, tzinfo=UTC), None],
            pa.timestamp("us", tz="UTC"),
        ),
    )

    assert found == {"hour_of_week": [0, 167, None], "days_to_holiday": [-3, 3, None]}
