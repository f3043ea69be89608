from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Protocol

import numpy as np
import pyarrow as pa
import pytest

from features.view import Entity, FeatureView
from headrace import Col, Labels, Schema, Table
from headrace.errors import BoundaryError, DataError, LeakageError
from headrace.promise import call_of, promised_schemas
from operators.build import build
from operators.compute_features import compute_features

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


class LateTrain(Schema, Protocol):
    """This is a train to judge two hours before it leaves."""

    train: Annotated[str, Col(role="entity")]
    station: Annotated[str | None, Col(known_at="decided_at")]
    decided_at: Annotated[datetime, Col(role="decision_time")]
    arrived_at: Annotated[datetime, Col(role="known_time")]
    cars: Annotated[int, Col(role="feature", known_at="decided_at")]
    delay: Annotated[float | None, Col(unit="min", known_at="arrived_at")]
    late: Annotated[int, Col(role="label", known_at="arrived_at")]


class Leaky(LateTrain, Protocol):
    """This takes the delay itself for a feature."""

    delay: Annotated[float | None, Col(role="feature", unit="min", known_at="arrived_at")]


class Vague(LateTrain, Protocol):
    """This does not say when a feature is known."""

    crew: Annotated[int, Col(role="feature")]


class Snowfall(Schema, Protocol):
    """This is what a station reported."""

    station: str
    event_time: datetime
    known_time: datetime
    snow: float | None
    cars: float | None


class Snow(Schema, Protocol):
    """This is the snow at a station."""

    snow: Annotated[float, Col(unit="cm")]


class Stock(Schema, Protocol):
    """This is what stands at a station; its column is named like one of the request."""

    cars: Annotated[float, Col()]
    snow: Annotated[float, Col(unit="cm", description="Snow on the roofs.")]


def as_reported(rows: pa.Table) -> pa.Table:
    return rows


STATION = Entity(name="station", column="station")
station_snow = FeatureView(
    name="station_snow",
    entities=(STATION,),
    source=Snowfall,
    features=Snow,
    compute=as_reported,
    owner="rail",
    description="Snow at a station.",
    ttl=timedelta(hours=12),
)
rolling_stock = FeatureView(
    name="rolling_stock",
    entities=(STATION,),
    source=Snowfall,
    features=Stock,
    compute=as_reported,
    owner="rail",
    description="Stock at a station.",
)


def hours(*values: float) -> list[datetime]:
    return [NOON + timedelta(hours=v) for v in values]


def trains(schema: Any = LateTrain, **columns: list[Any]) -> Labels[Any]:
    given: dict[str, list[Any]] = {
        "train": ["t1", "t2", "t3", "t4"],
        "station": ["A", "A", "B", None],
        "decided_at": hours(5, 1, 5, 5),
        "arrived_at": hours(9, 5, 9, 9),
        "cars": [4, 5, 6, 7],
        "delay": [0.0, 20.0, 0.0, 20.0],
        "late": [0, 1, 0, 1],
        "crew": [2, 2, 2, 2],
    }
    kinds = {"station": pa.string()}
    table = pa.table({n: pa.array(v, kinds.get(n)) for n, v in (given | columns).items()})
    made: Labels[Any] = Labels[schema].of(table)
    return made


def reports(view: FeatureView = station_snow) -> Table[Any]:
    source = {
        "station": ["A", "A", "A"],
        "event_time": hours(0, 0, 3),
        "known_time": hours(0.5, 2, 4),
        "snow": [1.0, 2.0, 3.0],
        "cars": [10.0, 20.0, 30.0],
    }
    return compute_features(Table.of(source), view=view)


def findings(*arguments: Any, **parameters: Any) -> list[tuple[str, str, str | None]]:
    call = call_of(build, build.signature.bind(arguments, parameters))
    assert build.options.check is not None
    return [(f.rule, f.problem, f.input) for f in build.options.check(call)]


def test_every_row_gets_its_features_as_known_at_its_decision_in_its_order():
    examples = build(trains(), [reports()])

    assert examples.arrow().to_pydict() == {
        "train": ["t1", "t2", "t3", "t4"],
        "decided_at": hours(5, 1, 5, 5),
        "arrived_at": hours(9, 5, 9, 9),
        "late": [0, 1, 0, 1],
        "cars": [4, 5, 6, 7],
        "snow": [3.0, 1.0, None, None],
    }


def test_the_plan_promises_the_schema_that_comes_out():
    labels, view = trains(), reports()
    call = call_of(build, build.signature.bind((labels, [view]), {}))

    promised = promised_schemas(build, call)["result"]

    assert promised is not None
    assert build(labels, [view]).schema == promised
    assert [(c.name, c.role, c.source, c.known_at) for c in promised.columns] == [
        ("train", "entity", None, None),
        ("decided_at", "decision_time", None, None),
        ("arrived_at", "known_time", None, None),
        ("late", "label", None, "arrived_at"),
        ("cars", "feature", None, "decided_at"),
        ("snow", "feature", "station_snow", "decided_at"),
    ]
    assert promised.column("snow").nullable
    assert promised.column("snow").unit == "cm"


def test_a_name_that_would_occur_twice_is_written_with_its_view():
    examples = build(trains(), [reports(), reports(rolling_stock)])

    assert examples.arrow().column_names[4:] == [
        "cars",
        "station_snow__snow",
        "rolling_stock__cars",
        "rolling_stock__snow",
    ]
    assert examples.arrow()["rolling_stock__cars"].to_pylist() == [30.0, 10.0, None, None]


def test_only_selected_features_are_taken():
    examples = build(trains(), [reports(), reports(rolling_stock)], select=["rolling_stock:snow"])

    assert examples.arrow().column_names[4:] == ["cars", "snow"]
    assert examples.schema is not None
    assert examples.schema.column("snow").source == "rolling_stock"


def test_a_value_older_than_its_views_ttl_is_null():
    late = trains(decided_at=hours(16, 15, 14, 16), arrived_at=hours(20, 20, 20, 20))

    snow = build(late, [reports()]).arrow()["snow"].to_pylist()

    assert snow == [None, 3.0, None, None]


def test_inputs_are_not_changed():
    labels, view = trains(), reports()
    before = (labels.digest, view.digest)

    build(labels, [view])

    assert (
        Labels.of(labels.arrow(), schema=labels.schema).digest,
        Table.of(view.arrow(), schema=view.schema).digest,
    ) == before


def test_a_correct_call_has_no_findings():
    assert findings(trains(), [reports(), reports(rolling_stock)]) == []


def test_a_feature_known_only_after_the_decision_is_found_by_the_plan():
    assert findings(trains(Leaky), [reports()]) == [
        (
            "leak",
            "Feature 'delay' of schema 'Leaky' is known at 'arrived_at', which is not the "
            "decision time 'decided_at'.",
            "labels",
        )
    ]


def test_a_feature_that_does_not_say_when_it_is_known_is_found_by_the_plan():
    assert findings(trains(Vague), [reports()]) == [
        ("leak", "Feature 'crew' of schema 'Vague' does not say when it is known.", "labels")
    ]


def test_what_the_plan_could_not_check_is_refused_at_the_run():
    with pytest.raises(LeakageError) as error:
        build(trains(Leaky), [reports()])

    assert str(error.value) == (
        "Feature 'delay' of schema 'Leaky' is known at 'arrived_at', which is not the decision "
        "time 'decided_at'.\n"
        '  Fix: Declare `Col(role="feature", known_at="decided_at")` if it is known by then; else '
        "take the role away, or bring it in by a feature view."
    )


def test_labels_without_roles_are_found():
    bare = Labels.of({"train": ["t1"], "late": [1]})

    assert findings(bare, [reports()]) == [
        (
            "entity",
            "The labels need the id of a row, but schema 'inferred' has no column with role "
            "'entity'.",
            "labels",
        ),
        (
            "time",
            "The labels need the time of the decision, but schema 'inferred' has no column with "
            "role 'decision_time'.",
            "labels",
        ),
        (
            "time",
            "The labels need the time at which the label was known, but schema 'inferred' has no "
            "column with role 'known_time'.",
            "labels",
        ),
        (
            "label",
            "The labels need the label, but schema 'inferred' has no column with role 'label'.",
            "labels",
        ),
        (
            "entity",
            "View 'station_snow' is joined on 'station', which the labels do not have. "
            "Did you mean 'train'?",
            "features",
        ),
    ]


def test_a_table_that_is_no_view_is_found():
    bare = Table.of({"station": ["A"], "snow": [1.0]})

    assert [problem for _, problem, _ in findings(trains(), [bare])] == [
        "View 'inferred' has no column with role 'event_time', the moment that a row is about.",
        "View 'inferred' has no column with role 'known_time', the moment from which a row could "
        "be used.",
        "View 'inferred' has no feature.",
        "View 'inferred' has no column with role 'entity' to join on.",
    ]


def test_a_key_of_another_type_is_found():
    numbered = FeatureView(
        name="by_number",
        entities=(Entity(name="station", column="station", dtype="int"),),
        source=Snowfall,
        features=Snow,
        compute=as_reported,
        owner="rail",
        description="Snow by station number.",
    )
    rows = reports().arrow().set_column(0, "station", pa.array([1, 2, 3])).drop(["expires_at"])

    assert findings(trains(), [Table.of(rows, schema=numbered.schema)]) == [
        (
            "entity",
            "View 'by_number' is joined on 'station', which is int in the view but string in the "
            "labels.",
            "features",
        )
    ]


def test_a_label_among_the_features_is_found():
    view = reports().schema
    assert view is not None
    renamed = view.renaming({"snow": "late"})
    rows = reports().arrow().rename_columns({"snow": "late"})

    assert findings(trains(), [Table.of(rows, schema=renamed)]) == [
        ("leak", "View 'station_snow' offers the label 'late' as a feature.", "features")
    ]


def test_a_view_that_is_given_twice_is_found():
    assert findings(trains(), [reports(), reports()]) == [
        ("duplicate view", "View 'station_snow' is given 2 times.", "features")
    ]


@pytest.mark.parametrize(
    ("select", "rule", "problem"),
    [
        pytest.param(
            "station_snw:snow",
            "unknown view",
            "Parameter 'select' names 'station_snw:snow'. There is no view 'station_snw' among "
            "the features. Did you mean 'station_snow'?",
            id="unknown view",
        ),
        pytest.param(
            "station_snow:snwo",
            "unknown column",
            "Parameter 'select' names 'station_snow:snwo'. View 'station_snow' has no column "
            "'snwo'. Did you mean 'snow'?",
            id="unknown column",
        ),
        pytest.param(
            "snow",
            "unknown view",
            "Parameter 'select' names 'snow'. There is no feature 'snow'. Known: "
            "'station_snow:snow'.",
            id="no view",
        ),
    ],
)
def test_an_unknown_feature_to_select_is_told_the_nearest(select, rule, problem):
    assert findings(trains(), [reports()], select=[select]) == [(rule, problem, "features")]


def test_a_label_known_before_its_decision_is_refused():
    with pytest.raises(LeakageError) as error:
        build(trains(arrived_at=hours(9, 1, 9, 9)), [reports()])

    assert str(error.value) == (
        "1 labels were known when their decision was made, the first in row 1: 'arrived_at' is "
        "2024-05-01T13:00:00+00:00 and 'decided_at' is 2024-05-01T13:00:00+00:00.\n"
        "  Fix: Correct the times; a decision about what is known already is none."
    )


def test_view_rows_known_before_they_happened_are_refused():
    rows = reports().arrow()
    early = rows.set_column(2, "known_time", rows["event_time"]).set_column(
        1, "event_time", pa.array(hours(0, 1, 3), pa.timestamp("us", tz="UTC"))
    )

    with pytest.raises(LeakageError) as error:
        build(trains(), [Table.of(early, schema=station_snow.schema)])

    assert str(error.value) == (
        "1 rows of view 'station_snow' claim to be known before they happened, the first in row 1 "
        "(station 'A'): 'known_time' is 2024-05-01T12:00:00+00:00 but 'event_time' is "
        "2024-05-01T13:00:00+00:00.\n"
        "  Fix: Set 'known_time' to the moment from which the value could be used."
    )


def test_no_labelled_rows_are_refused():
    labels = trains()
    empty = Labels.of(labels.arrow().slice(0, 0), schema=labels.schema)

    with pytest.raises(DataError) as error:
        build(empty, [reports()])

    assert str(error.value) == (
        "There are no labelled rows to build examples from.\n"
        "  Fix: Look at what made the labels: a filter or the maturity may have dropped all."
    )


def test_an_unknown_view_is_refused_at_the_run_too():
    with pytest.raises(BoundaryError) as error:
        build(trains(), [reports()], select=["station_snw:snow"])

    assert str(error.value) == (
        "Parameter 'select' names 'station_snw:snow'. There is no view 'station_snw' among the "
        "features. Did you mean 'station_snow'?\n"
        '  Fix: Write "view:column", with a view that is given to `features`.'
    )


def many(leak: bool, *, by_null: bool = False) -> tuple[Labels[Any], Table[Any]]:
    """Four hundred trains of as many stations, with snow that tells the label, or doesn't."""
    random = np.random.default_rng(7)
    late = random.integers(0, 2, 400)
    told = late + random.normal(0, 0.1, 400)
    snow = told if leak else random.permutation(told)
    stations = [f"s{i}" for i in range(400)]
    labels = trains(
        train=[f"t{i}" for i in range(400)],
        station=stations,
        decided_at=hours(5) * 400,
        arrived_at=hours(9) * 400,
        cars=random.integers(1, 9, 400).tolist(),
        delay=[0.0] * 400,
        late=late.tolist(),
        crew=[2] * 400,
    )
    source = pa.table(
        {
            "station": stations,
            "event_time": hours(0) * 400,
            "known_time": hours(0) * 400,
            "snow": pa.array(np.ones(400) if by_null else snow, mask=(late == 1) & by_null),
            "cars": [1.0] * 400,
        }
    )
    return labels, compute_features(Table.of(source), view=station_snow)


def test_a_feature_that_alone_separates_the_label_is_taken_for_a_leak():
    with pytest.raises(LeakageError) as error:
        build(*_listed(many(leak=True)))

    assert str(error.value) == (
        "There is a leak in the data: feature 'snow' of view 'station_snow' separates label 'late' "
        "almost perfectly; it alone tells it with an AUC of 1.000.\n"
        "  Fix: Look at when its values are known and correct the known time, or leave it out; if "
        "it is right, list it: trusted=['station_snow:snow']."
    )


def test_a_feature_that_is_null_just_for_one_class_is_taken_for_a_leak():
    with pytest.raises(LeakageError) as error:
        build(*_listed(many(leak=False, by_null=True)))

    assert error.value.problem == (
        "There is a leak in the data: feature 'snow' of view 'station_snow' separates label 'late' "
        "almost perfectly; whether it is null tells it with an AUC of 1.000."
    )


def test_a_trusted_feature_may_separate_the_label():
    examples = build(*_listed(many(leak=True)), trusted=["station_snow:snow"])

    assert examples.rows == 400


def test_a_feature_that_tells_nothing_is_no_leak():
    assert build(*_listed(many(leak=False))).rows == 400


def test_a_trusted_feature_must_exist():
    assert findings(trains(), [reports()], trusted=["cars", "station_snow:snwo"]) == [
        (
            "unknown column",
            "Parameter 'trusted' names 'station_snow:snwo'. View 'station_snow' has no column "
            "'snwo'. Did you mean 'snow'?",
            "features",
        )
    ]


def _listed(inputs: tuple[Labels[Any], Table[Any]]) -> tuple[Labels[Any], list[Table[Any]]]:
    return inputs[0], [inputs[1]]
