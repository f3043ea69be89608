"""Windows: what an author writes, what it is called, what is refused."""

from __future__ import annotations

import pickle
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Protocol

import pyarrow as pa
import pytest

from features.view import Entity, FeatureView
from features.windows import (
    Windows,
    count,
    distinct,
    last,
    max_of,
    mean,
    min_of,
    rate,
    sum_of,
)
from headrace import Col, Schema
from headrace.errors import (
    DataError,
    DefinitionError,
    HeadraceError,
    LeakageError,
    UnknownNameError,
)

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
CARRIER = Entity(name="carrier", column="carrier")


class Landing(Schema, Protocol):
    """This is a flight that landed."""

    flight: str
    registration: str | None
    carrier: str | None
    departed_at: Annotated[datetime, Col(role="event_time")]
    landed_at: Annotated[datetime | None, Col(role="known_time")]
    corrected_at: datetime | None
    arrival_delay: Annotated[float | None, Col(unit="min", sensitivity="public")]
    fuel: Annotated[int | None, Col(unit="kg", known_at="corrected_at")]
    cancelled: bool | None
    origin: Annotated[str, Col(sensitivity="personal")]
    outcome: Literal["landed", "diverted"] | None


def record(*aggregates: Any, **changes: Any) -> FeatureView:
    windows = {k: changes.pop(k) for k in ("row_id", "event_time", "known_time") if k in changes}
    given: dict[str, Any] = {
        "name": "airline_record",
        "entities": (CARRIER,),
        "source": Landing,
        "compute": Windows(aggregates=aggregates, **windows),
        "owner": "flights",
        "description": "How an airline did lately.",
    }
    return FeatureView(**(given | changes))


def landing(flight: str, delay: float | None = 0.0, *, at: int = 0, **more: Any) -> dict[str, Any]:
    """Return a flight that departed hours after noon and landed an hour later."""
    return {
        "flight": flight,
        "registration": "N1",
        "carrier": "UA",
        "departed_at": NOON + at * HOUR,
        "landed_at": NOON + (at + 1) * HOUR,
        "corrected_at": None,
        "arrival_delay": delay,
        "fuel": None,
        "cancelled": None,
        "origin": "EWR",
        "outcome": None,
    } | more


def rows(view: FeatureView, *landings: dict[str, Any]) -> list[dict[str, Any]]:
    made = view.rows(pa.Table.from_pylist(list(landings)))
    assert made["event_time"].equals(made["known_time"])
    hours = [(at - NOON) / HOUR for at in made["known_time"].to_pylist()]
    kept = made.drop_columns(["event_time", "known_time"]).to_pylist()
    return [{"hour": hour} | row for hour, row in zip(hours, kept, strict=True)]


def test_a_feature_changes_when_a_row_becomes_known_and_when_it_leaves_the_window():
    view = record(count(over=6 * HOUR), mean("arrival_delay", over=6 * HOUR))

    made = rows(view, landing("a", 10.0, at=0), landing("b", 20.0, at=2))

    assert made == [
        {"hour": 1, "carrier": "UA", "count_6h": 1, "mean_arrival_delay_6h": 10.0},
        {"hour": 3, "carrier": "UA", "count_6h": 2, "mean_arrival_delay_6h": 15.0},
        {"hour": 6, "carrier": "UA", "count_6h": 1, "mean_arrival_delay_6h": 20.0},
        {"hour": 8, "carrier": "UA", "count_6h": 0, "mean_arrival_delay_6h": None},
    ]


def test_columns_are_named_and_described_after_what_they_hold():
    view = record(
        count(over=(HOUR, DAY, timedelta(minutes=90))),
        mean("arrival_delay", over=WEEK, description="Mean delay."),
        rate("arrival_delay", above=15, over=WEEK),
        rate("arrival_delay", below=-2.5, over=WEEK),
        rate("cancelled", over=WEEK),
        rate("outcome", equals="diverted", over=WEEK),
        last("origin"),
        last("outcome", over=WEEK),
        distinct("origin", over=WEEK, name="airports"),
        sum_of("fuel", over=WEEK, unit="t"),
        min_of("fuel"),
        max_of("arrival_delay", over=(HOUR, WEEK), name="worst"),
    )

    assert [(c.name, c.dtype, c.unit, c.sensitivity) for c in view.columns] == [
        ("count_1h", "int", None, "internal"),
        ("count_1d", "int", None, "internal"),
        ("count_90min", "int", None, "internal"),
        ("mean_arrival_delay_7d", "float", "min", "public"),
        ("rate_arrival_delay_above_15_7d", "float", None, "public"),
        ("rate_arrival_delay_below_minus_2_5_7d", "float", None, "public"),
        ("rate_cancelled_7d", "float", None, "internal"),
        ("rate_outcome_is_diverted_7d", "float", None, "internal"),
        ("last_origin", "string", None, "personal"),
        ("last_outcome_7d", "category", None, "internal"),
        ("airports", "int", None, "personal"),
        ("sum_fuel_7d", "int", "t", "internal"),
        ("min_fuel", "int", "kg", "internal"),
        ("worst_1h", "float", "min", "public"),
        ("worst_7d", "float", "min", "public"),
    ]
    assert view.columns[3].description == "Mean delay."
    assert view.columns[4].description == (
        "Share of rows with arrival_delay above 15 over 7 d, as known."
    )
    assert view.schema.column("last_outcome_7d").categories == ("landed", "diverted")


def test_a_correction_counts_from_when_it_is_known_and_may_move_a_row_to_another_entity():
    view = record(sum_of("arrival_delay", over=DAY), row_id="flight")
    corrected = landing("a", 7.0, landed_at=NOON + 5 * HOUR)
    moved = landing("a", 7.0, landed_at=NOON + 9 * HOUR, carrier="DL")

    made = rows(view, corrected, moved, landing("a", 30.0))

    assert [(r["carrier"], r["hour"], r["sum_arrival_delay_1d"]) for r in made] == [
        ("DL", 9, 7.0),
        ("DL", 24, 0.0),
        ("UA", 1, 30.0),
        ("UA", 5, 7.0),
        ("UA", 9, 0.0),
    ]


def test_a_row_without_an_id_stands_for_itself_though_another_says_the_same():
    made = rows(record(count(over=DAY)), landing("a"), landing("a"))

    assert [r["count_1d"] for r in made] == [2, 0]


def test_what_becomes_known_after_its_window_never_counts():
    made = rows(record(count(over=DAY)), landing("a", landed_at=NOON + 24 * HOUR))

    assert made == []


def test_rows_that_are_about_nobody_or_never_known_are_left_out():
    made = rows(record(count(over=DAY)), landing("a", carrier=None), landing("b", landed_at=None))

    assert made == []


def test_a_view_without_an_entity_is_about_all_rows():
    view = record(count(over=DAY), entities=())

    made = rows(view, landing("a"), landing("b", carrier="DL", at=1))

    assert [r["count_1d"] for r in made] == [1, 2, 1, 0]


def test_infinities_leave_a_window_again():
    view = record(sum_of("arrival_delay", over=6 * HOUR), mean("arrival_delay", over=6 * HOUR))

    made = rows(
        view,
        landing("a", float("inf"), at=0),
        landing("b", 1.0, at=1),
        landing("c", float("-inf"), at=2),
    )

    assert [r["sum_arrival_delay_6h"] for r in made] == [
        float("inf"),
        float("inf"),
        None,  # of both signs there is no sum
        float("-inf"),
        float("-inf"),
        0.0,
    ]


def test_integers_are_summed_exactly_or_refused():
    view = record(sum_of("fuel", over=DAY), known_time="corrected_at")
    large = {"fuel": 2**62, "corrected_at": NOON + HOUR}

    fits = rows(view, landing("a", **large), landing("b", **large | {"fuel": 2**61 + 1}))
    with pytest.raises(DataError) as caught:
        rows(view, landing("a", **large), landing("b", **large))

    assert fits[0]["sum_fuel_1d"] == 2**62 + 2**61 + 1
    assert str(caught.value) == (
        "A sum of 'fuel' in view 'airline_record' does not fit into 64 bits.\n"
        "  Fix: Make the column a float in the source."
    )


def test_windows_are_values_that_pickle_and_name_how_far_they_reach():
    windows = Windows(aggregates=[count(over=DAY), last("origin", over=WEEK)])  # type: ignore[arg-type]

    assert pickle.loads(pickle.dumps(windows)) == windows  # noqa: S301  our own
    assert windows.longest == WEEK
    assert replace(windows, aggregates=(last("origin"),)).longest is None


def test_another_window_is_another_version_of_the_view(tmp_path):
    from features._published import version_of

    weekly, daily = record(count(over=WEEK, name="n")), record(count(over=DAY, name="n"))

    assert version_of(weekly) == version_of(record(count(over=WEEK, name="n")))
    assert version_of(weekly) != version_of(daily)


@pytest.mark.parametrize(
    ("aggregates", "kind", "said"),
    [
        pytest.param(
            (mean("arival_delay", over=DAY),),
            UnknownNameError,
            "There is no column in the source 'Landing' called 'arival_delay'. Did you mean "
            "'arrival_delay'?\n  Fix: Name a column that the view's source has.",
            id="an unknown column",
        ),
        pytest.param(
            (mean("origin", over=DAY),),
            DefinitionError,
            "The window 'mean_origin' aggregates 'origin' of 'Landing', which is string; it should "
            "be a number.\n  Fix: Use count, distinct or last for it, or another column.",
            id="the mean of a text",
        ),
        pytest.param(
            (rate("arrival_delay", over=DAY),),
            DefinitionError,
            "The window 'rate_arrival_delay' aggregates 'arrival_delay' of 'Landing', which is "
            "float or null; it should be a bool, or a comparison such as above=15.\n"
            "  Fix: Use count, distinct or last for it, or another column.",
            id="the rate of a number",
        ),
        pytest.param(
            (rate("origin", above=3, over=DAY),),
            DefinitionError,
            "The window 'rate_origin_above_3' aggregates 'origin' of 'Landing', which is string; "
            "it should be a number to be above 3.\n"
            "  Fix: Use count, distinct or last for it, or another column.",
            id="a text above a number",
        ),
        pytest.param(
            (rate("origin", equals=3, over=DAY),),
            DefinitionError,
            "The window 'rate_origin_is_3' aggregates 'origin' of 'Landing', which is string; it "
            "should be of the type of 3.\n"
            "  Fix: Use count, distinct or last for it, or another column.",
            id="a text equal to a number",
        ),
        pytest.param(
            (count(over=DAY), count(over=24 * HOUR)),
            DefinitionError,
            "Two windows are called 'count_1d'.\n"
            "  Fix: Leave one of them out, or give it a name: name='count_1d_2'.",
            id="a name twice",
        ),
    ],
)
def test_what_a_source_cannot_give_is_refused_where_it_is_defined(aggregates, kind, said):
    with pytest.raises(kind) as caught:
        record(*aggregates)

    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("define", "said"),
    [
        pytest.param(
            lambda: count(over=timedelta(0)),
            "The aggregate 'count' has the window 0:00:00.\n  Fix: Use a span of more than zero "
            "and at most a hundred years, such as timedelta(days=7), or None for all that is "
            "known.",
            id="an empty window",
        ),
        pytest.param(
            lambda: count(over=DAY, name="flights per day"),
            "The aggregate 'count' is to be called 'flights per day'.\n  Fix: Use letters, digits "
            "and underscores, such as 'mean_delay_week'.",
            id="a name that cannot be one",
        ),
        pytest.param(
            lambda: rate("arrival_delay", above=1, below=2, over=DAY),
            "The rate of 'arrival_delay' has 2 comparisons, above and below.\n  Fix: Use one; make "
            "a bool column in the source for what is more.",
            id="two comparisons",
        ),
        pytest.param(
            lambda: Windows(aggregates=()),
            "Windows have no aggregates.\n  Fix: Give a tuple of aggregates: "
            'aggregates=(mean("delay", over=WEEK),).',
            id="no aggregates",
        ),
        pytest.param(
            lambda: record(count(over=DAY), event_time="origin"),
            "The event time of windows over 'Landing' is 'origin', which is string.\n"
            "  Fix: Name a column that is an instant.",
            id="a time that is none",
        ),
        pytest.param(
            lambda: record(count(over=DAY), row_id="arrival_delay"),
            "The row id of windows over 'Landing' is 'arrival_delay', which is float.\n"
            "  Fix: Name a column that is a text or an integer.",
            id="a row id that is none",
        ),
    ],
)
def test_what_cannot_work_is_refused_where_it_is_written(define, said):
    with pytest.raises(HeadraceError) as caught:
        define()

    assert str(caught.value) == said


def test_a_row_known_before_it_happened_is_a_leak():
    with pytest.raises(LeakageError) as caught:
        rows(record(count(over=DAY)), landing("a"), landing("b", landed_at=NOON - HOUR))

    assert str(caught.value) == (
        "1 rows of the source of view 'airline_record' claim to be known before they happened, the "
        "first in row 1 (carrier 'UA'): 'landed_at' is 2024-05-01T11:00:00+00:00 but 'departed_at' "
        "is 2024-05-01T12:00:00+00:00.\n"
        "  Fix: Set 'landed_at' to the moment from which the row could be used."
    )


def test_a_value_known_later_than_its_row_is_a_leak():
    late = landing("b", fuel=900, corrected_at=NOON + 9 * HOUR)

    with pytest.raises(LeakageError) as caught:
        rows(record(mean("fuel", over=DAY)), landing("a"), late)

    assert str(caught.value) == (
        "1 values of 'fuel' would be used before they were known, the first in row 1: it is known "
        "at 'corrected_at', 2024-05-01T21:00:00+00:00, but its row at 'landed_at', "
        "2024-05-01T13:00:00+00:00.\n"
        "  Fix: Give the windows the later time: known_time='corrected_at'."
    )


def test_a_row_without_its_id_is_refused():
    view = record(count(over=DAY), row_id="registration")

    with pytest.raises(DataError) as caught:
        rows(view, landing("a"), landing("b", registration=None))

    assert str(caught.value) == (
        "1 rows of the source of view 'airline_record' have no 'registration', the first in "
        "row 1.\n"
        "  Fix: Give every row its id, or leave row_id out of the windows."
    )


def test_a_busy_entity_costs_no_more_than_many_quiet_ones():
    """Twice the rows of one entity cost about twice, where every pair of rows would cost four."""
    import time

    view = record(
        count(over=90 * DAY), mean("arrival_delay", over=90 * DAY), last("origin", over=90 * DAY)
    )

    def seconds(many: int) -> float:
        at = pa.array(range(many), pa.int64()).cast(pa.timestamp("us", tz="UTC"))
        table = pa.table(
            {
                "flight": pa.repeat("a", many),
                "registration": pa.repeat("N1", many),
                "carrier": pa.repeat("UA", many),
                "departed_at": at,
                "landed_at": at,
                "corrected_at": pa.nulls(many, at.type),
                "arrival_delay": pa.repeat(0.1, many),
                "fuel": pa.nulls(many, pa.int64()),
                "cancelled": pa.nulls(many, pa.bool_()),
                "origin": pa.repeat("EWR", many),
                "outcome": pa.nulls(many, pa.string()),
            }
        )
        begun = time.process_time()
        made = view.compute.rows(table, view)  # type: ignore[union-attr]
        assert made.num_rows == 2 * many
        assert made["mean_arrival_delay_90d"][many - 1].as_py() == pytest.approx(0.1)
        return time.process_time() - begun

    seconds(20_000)

    assert seconds(160_000) < 24 * max(seconds(20_000), 0.01)  # 8 times the rows; 64 if quadratic
