"""Examples with features that are computed of the labels' own columns and of joined features."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Protocol

import pyarrow as pa
import pytest

from features.on_demand import OnDemandView
from features.view import Entity, FeatureView
from headrace import Col, Labels, Schema, Table
from headrace.errors import BoundaryError, DataError, LeakageError
from headrace.promise import call_of, promised_schemas
from headrace.testing import check_operator
from operators.build import build
from operators.compute_features import compute_features

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


class LateTrain(Schema, Protocol):
    """This is a train to judge before it leaves."""

    train: Annotated[str, Col(role="entity")]
    station: Annotated[str | None, Col(known_at="decided_at")]
    leaves_at: Annotated[datetime | None, Col(known_at="decided_at")]
    decided_at: Annotated[datetime, Col(role="decision_time")]
    arrived_at: Annotated[datetime, Col(role="known_time")]
    cars: Annotated[int | None, Col(role="feature", known_at="decided_at")]
    length: Annotated[float, Col(unit="m", known_at="decided_at")]
    delay: Annotated[float | None, Col(unit="min", known_at="arrived_at")]
    crew: int
    late: Annotated[int, Col(role="label", known_at="arrived_at")]


class Snowfall(Schema, Protocol):
    """This is what a station reported."""

    station: str
    event_time: datetime
    known_time: datetime
    snow: float | None
    wind: float | None


class Snow(Schema, Protocol):
    """This is the weather at a station."""

    snow: Annotated[float, Col(unit="cm")]
    wind: Annotated[float, Col(unit="m/s")]


class Asked(Schema, Protocol):
    """This is what the request has to say."""

    cars: float
    leaves_at: datetime
    now: Annotated[datetime, Col(role="decision_time")]


class Load(Schema, Protocol):
    """This is what is computed."""

    snow_a_car: Annotated[float, Col(unit="cm", description="Snow for each car.")]
    hours_left: Annotated[float, Col(unit="h")]


def as_reported(rows: pa.Table) -> pa.Table:
    return rows


def load_of(values: dict[str, list[Any]]) -> dict[str, list[Any]]:
    cars = zip(values["snow"], values["cars"], strict=True)
    times = zip(values["leaves_at"], values["now"], strict=True)
    return {
        "snow_a_car": [None if s is None or not c else s / c for s, c in cars],
        "hours_left": [None if t is None else (t - now).total_seconds() / 3600 for t, now in times],
    }


STATION = Entity(name="station", column="station")
station_snow = FeatureView(
    name="station_snow",
    entities=(STATION,),
    source=Snowfall,
    features=Snow,
    compute=as_reported,
    owner="rail",
    description="Snow at a station.",
)


def load(**changes: Any) -> OnDemandView:
    given: dict[str, Any] = {
        "name": "load",
        "request": Asked,
        "views": {"station_snow": ["snow"]},
        "features": Load,
        "compute": load_of,
        "owner": "rail",
        "description": "Snow on a train.",
    }
    return OnDemandView(**(given | changes))


def hours(*values: float) -> list[datetime]:
    return [NOON + timedelta(hours=v) for v in values]


def trains(**columns: list[Any]) -> Labels[Any]:
    given: dict[str, list[Any]] = {
        "train": ["t1", "t2", "t3", "t4"],
        "station": ["A", "A", "B", "A"],
        "leaves_at": [*hours(7, 3.5, 6), None],
        "decided_at": hours(5, 1, 5, 5),
        "arrived_at": hours(9, 5, 9, 9),
        "cars": [4, 5, 6, None],
        "length": [1.0, 2.0, 1.5, 1.2],
        "delay": [0.0, 20.0, 0.0, 20.0],
        "crew": [1, 2, 3, 4],
        "late": [0, 1, 1, 0],
    }
    made: Labels[Any] = Labels[LateTrain].of(pa.table(given | columns))
    return made


def reports() -> Table[Any]:
    source = {
        "station": ["A", "A", "A"],
        "event_time": hours(0, 0, 3),
        "known_time": hours(0.5, 2, 4),
        "snow": [1.0, 2.0, 3.0],
        "wind": [5.0, 6.0, 7.0],
    }
    return compute_features(Table.of(source), view=station_snow)


def findings(*arguments: Any, **parameters: Any) -> list[tuple[str, str, str, str | None]]:
    call = call_of(build, build.signature.bind(arguments, parameters))
    assert build.options.check is not None
    return [(f.rule, f.problem, f.remedy, f.input) for f in build.options.check(call)]


def test_features_are_computed_of_the_labels_and_of_what_was_known_at_the_decision():
    examples = build(trains(), [reports()], on_demand=[load()])

    assert examples.arrow().select(["cars", "snow", "snow_a_car", "hours_left"]).to_pydict() == {
        "cars": [4, 5, 6, None],
        "snow": [3.0, 1.0, None, 3.0],
        "snow_a_car": [0.75, 0.2, None, None],
        "hours_left": [2.0, 2.5, 1.0, None],
    }


def test_the_plan_promises_the_schema_that_comes_out():
    labels, views = trains(), [reports()]
    call = call_of(build, build.signature.bind((labels, views), {"on_demand": [load()]}))

    promised = promised_schemas(build, call)["result"]

    assert promised is not None
    assert build(labels, views, on_demand=[load()]).schema == promised
    assert [
        (c.name, c.role, c.source, c.known_at, c.unit, c.nullable) for c in promised.columns[-2:]
    ] == [
        ("snow_a_car", "feature", "load", "decided_at", "cm", True),
        ("hours_left", "feature", "load", "decided_at", "h", True),
    ]


def test_inputs_that_are_needed_for_it_only_need_not_be_features():
    examples = build(trains(), [reports()], on_demand=[load()], select=["load:snow_a_car"])

    assert examples.arrow().column_names == [
        "train", "decided_at", "arrived_at", "late", "cars", "snow_a_car",
    ]  # fmt: skip
    assert examples.arrow()["snow_a_car"].to_pylist() == [0.75, 0.2, None, None]


def test_what_is_not_selected_is_not_computed():
    def fails(values: dict[str, list[Any]]) -> dict[str, list[Any]]:
        raise AssertionError("was called")

    fails.__qualname__ = "fails"
    examples = build(
        trains(), [reports()], on_demand=[load(compute=fails)], select=["station_snow:wind"]
    )

    assert examples.arrow().column_names[-1] == "wind"


def test_a_name_that_would_occur_twice_is_written_with_its_view():
    class Again(Schema, Protocol):
        """This has a name of the request's and one of a view's."""

        wind: float

    def wind_of(values: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {"wind": [2 * s if s is not None else None for s in values["snow"]]}

    wind_of.__qualname__ = "wind_of"
    twice = load(name="gusts", request=None, features=Again, compute=wind_of)

    examples = build(trains(), [reports()], on_demand=[twice])

    assert examples.arrow().column_names[-3:] == ["snow", "station_snow__wind", "gusts__wind"]
    assert examples.arrow()["gusts__wind"].to_pylist() == [6.0, 2.0, None, 6.0]


def test_a_view_of_the_request_alone_needs_no_other_view():
    class Days(Schema, Protocol):
        """This is a day."""

        weekday: int

    def weekday_of(values: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {"weekday": [None if t is None else t.weekday() for t in values["leaves_at"]]}

    class Leaving(Schema, Protocol):
        """This is when it leaves."""

        leaves_at: datetime

    weekday_of.__qualname__ = "weekday_of"
    days = load(request=Leaving, views=(), features=Days, compute=weekday_of)

    assert build(trains(), [], on_demand=[days]).arrow()["weekday"].to_pylist() == [2, 2, 2, None]


def test_the_operator_keeps_its_contract_without_and_with_on_demand_views():
    check_operator(build, trains(), [reports()])

    first = build(trains(), [reports()], on_demand=[load()])

    assert build(trains(), [reports()], on_demand=[load()]).digest == first.digest


class Sent(Schema, Protocol):
    """This is a request for which the labels do not have everything."""

    lenght: float


class InFeet(Schema, Protocol):
    """This takes a length in another unit."""

    length: Annotated[float, Col(unit="ft")]


class AsText(Schema, Protocol):
    """This takes a number as text."""

    cars: str


class TheLabel(Schema, Protocol):
    """This takes the label."""

    late: int


class TheOutcome(Schema, Protocol):
    """This takes what is known later."""

    delay: float


class TheCrew(Schema, Protocol):
    """This takes what does not say when it is known."""

    crew: int


class SnowInMetres(Schema, Protocol):
    """This is what the view should have."""

    snow: Annotated[int, Col(unit="m")]


def copied(values: dict[str, list[Any]]) -> dict[str, list[Any]]:
    raise AssertionError("a plan computes nothing")


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        pytest.param(
            {"request": Sent},
            [
                (
                    "unknown column",
                    "On-demand view 'load' takes 'lenght' from the request, which the labels do "
                    "not have. Did you mean 'length'?",
                    "Keep the column when labelling, known at the decision, or leave the view out.",
                    "labels",
                )
            ],
            id="a request value that the labels lack",
        ),
        pytest.param(
            {"request": InFeet},
            [
                (
                    "unit",
                    "On-demand view 'load' takes 'length' from the request, in 'ft', but it is in "
                    "'m' in the labels.",
                    "Convert it in the function, and declare the unit that it is in.",
                    "labels",
                )
            ],
            id="another unit",
        ),
        pytest.param(
            {"request": AsText},
            [
                (
                    "type",
                    "On-demand view 'load' takes 'cars' from the request, as string, but it is int "
                    "in the labels.",
                    "Give it the same type on both sides.",
                    "labels",
                )
            ],
            id="another type",
        ),
        pytest.param(
            {"request": TheLabel},
            [
                (
                    "leak",
                    "On-demand view 'load' takes 'late' from the request, which is the label.",
                    "Leave it out of the view.",
                    "labels",
                )
            ],
            id="the label",
        ),
        pytest.param(
            {"request": TheOutcome},
            [
                (
                    "leak",
                    "On-demand view 'load' takes 'delay' from the request, which is known at "
                    "'arrived_at', not at the decision ('decided_at').",
                    'Declare `known_at="decided_at"` if it is known by then; else leave it out of '
                    "the view.",
                    "labels",
                )
            ],
            id="what is known later",
        ),
        pytest.param(
            {"request": TheCrew},
            [
                (
                    "leak",
                    "On-demand view 'load' takes 'crew' from the request, which does not say when "
                    "it is known.",
                    'Declare `known_at="decided_at"` if it is known by then; else leave it out of '
                    "the view.",
                    "labels",
                )
            ],
            id="what does not say when it is known",
        ),
        pytest.param(
            {"request": None, "views": ("station_snw:snow",)},
            [
                (
                    "unknown view",
                    "On-demand view 'load' needs 'station_snw:snow', but view 'station_snw' is not "
                    "given. Did you mean 'station_snow'?",
                    "Give it among the features; `select` can leave its columns out of the "
                    "examples.",
                    "features",
                )
            ],
            id="a view that is not given",
        ),
        pytest.param(
            {"request": None, "views": ("station_snow:snw",)},
            [
                (
                    "unknown column",
                    "On-demand view 'load' needs 'station_snow:snw', which that view does not have."
                    " Did you mean 'snow'?",
                    "Name a feature of the view.",
                    "features",
                )
            ],
            id="a column that the view lacks",
        ),
        pytest.param(
            {"request": None, "views": {"station_snow": SnowInMetres}},
            [
                (
                    "type",
                    "On-demand view 'load' needs 'station_snow:snow', as int, but it is float in "
                    "the view.",
                    "Give it the same type on both sides.",
                    "features",
                ),
                (
                    "unit",
                    "On-demand view 'load' needs 'station_snow:snow', in 'm', but it is in 'cm' in "
                    "the view.",
                    "Convert it in the function, and declare the unit that it is in.",
                    "features",
                ),
            ],
            id="another type and unit than the view's",
        ),
        pytest.param(
            {"name": "station_snow"},
            [
                (
                    "duplicate view",
                    "There are a feature view and an on-demand view 'station_snow'.",
                    "Rename one of them: they share one name space.",
                    "features",
                )
            ],
            id="the name of a feature view",
        ),
    ],
)
def test_the_plan_finds_what_an_on_demand_view_lacks(changes, found):
    name = changes.get("name")
    views = {"views": ("other:snow",)} if name else {}
    given = load(**({"request": None, "compute": copied} | views | changes))

    seen = findings(trains(), [reports()], on_demand=[given])

    assert [f for f in seen if "other" not in f[1]] == found


def test_an_on_demand_view_is_not_computed_from_another():
    class Left(Schema, Protocol):
        """This is computed of what is computed."""

        left: float

    second = load(name="second", request=None, views=("load:snow_a_car",), features=Left)

    assert findings(trains(), [reports()], on_demand=[load(), second]) == [
        (
            "unknown view",
            "On-demand view 'second' needs 'load:snow_a_car', but 'load' is an on-demand view too; "
            "none is computed from another.",
            "Call the other's function in this one's, on the inputs of both.",
            "features",
        )
    ]


def test_one_given_twice_and_one_named_like_the_label_are_found():
    class Late(Schema, Protocol):
        """This is named like the label."""

        late: float

    named_so = load(name="named_so", request=None, features=Late)

    assert [
        (f[0], f[1]) for f in findings(trains(), [reports()], on_demand=[load(), load(), named_so])
    ] == [
        ("duplicate view", "On-demand view 'load' is given twice."),
        (
            "leak",
            "On-demand view 'named_so' computes a feature by the name of the label, 'late'.",
        ),
    ]


def test_select_and_trusted_know_on_demand_features():
    assert findings(
        trains(), [reports()], on_demand=[load()], select=["load:snow"], trusted=["load:hours_left"]
    ) == [
        (
            "unknown column",
            "Parameter 'select' names 'load:snow'. View 'load' has no column 'snow'. Known: "
            "'hours_left', 'snow_a_car'.",
            'Write "view:column", with a view that is given to `features`.',
            "features",
        )
    ]


def test_what_the_plan_could_not_check_is_refused_at_the_run():
    with pytest.raises(LeakageError, match="'delay' from the request, which is known at"):
        build(trains(), [reports()], on_demand=[load(request=TheOutcome)])
    with pytest.raises(BoundaryError, match="in 'ft', but it is in 'm'"):
        build(trains(), [reports()], on_demand=[load(request=InFeet)])


def test_an_on_demand_feature_that_tells_the_label_is_taken_for_a_leak():
    class Told(Schema, Protocol):
        """This tells."""

        told: float

    def told_of(values: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {"told": [None if x is None else float(x > 4) for x in values["cars"]]}

    class Cars(Schema, Protocol):
        """This is a number of cars."""

        cars: int

    told_of.__qualname__ = "told_of"
    tells = load(request=Cars, views=(), features=Told, compute=told_of)
    many = {
        "train": [f"t{n}" for n in range(60)],
        "station": ["A"] * 60,
        "leaves_at": hours(*[7] * 60),
        "decided_at": hours(*[5] * 60),
        "arrived_at": hours(*[9] * 60),
        "cars": [4 + n % 2 for n in range(60)],
        "length": [1.0] * 60,
        "delay": [0.0] * 60,
        "crew": [1] * 60,
        "late": [n % 2 for n in range(60)],
    }
    with pytest.raises(LeakageError) as error:
        build(Labels[LateTrain].of(pa.table(many)), [], on_demand=[tells], trusted=["cars"])

    assert "feature 'told' of view 'load' separates label 'late'" in error.value.problem
    assert error.value.remedy.endswith("list it: trusted=['load:told'].")


def test_an_error_of_the_function_names_view_row_and_line():
    def divides(values: dict[str, list[Any]]) -> dict[str, list[Any]]:
        ratios = [s / c for s, c in zip(values["snow"], values["cars"], strict=True)]
        return {"snow_a_car": ratios, "hours_left": ratios}

    divides.__qualname__ = "divides"
    with pytest.raises(DataError) as error:
        build(trains(), [reports()], on_demand=[load(compute=divides)])

    line = divides.__code__.co_firstlineno + 1
    assert error.value.problem == (
        "On-demand view 'load' could not be computed in row 2: `divides` raised TypeError: "
        "unsupported operand type(s) for /: 'NoneType' and 'float', in "
        f"operators/test_build_on_demand.py, line {line}."
    )


def test_views_can_be_given_by_their_name_in_the_catalogue():
    from features.flight_calendar import flight_calendar

    bound = build.signature.bind((trains(), []), {"on_demand": ["flight_calendar"]})

    assert bound.parameters["on_demand"] == [flight_calendar]
