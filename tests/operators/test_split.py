from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Annotated, Any, Protocol

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace import Col, Examples, Schema
from headrace.errors import DataError, LeakageError, ParameterError, UnknownNameError
from headrace.promise import call_of, promised_schemas
from operators.split import split_at_random, split_by_group, split_by_time

START = datetime(2024, 5, 1, tzinfo=UTC)


class Trip(Schema, Protocol):
    """This is a trip with its outcome."""

    trip: Annotated[int, Col(role="entity")]
    driver: str | None
    decided_at: Annotated[datetime, Col(role="decision_time")]
    label_known_at: Annotated[datetime, Col(role="known_time")]
    late: Annotated[int, Col(role="label")]


class Flower(Schema, Protocol):
    """This has no time."""

    flower: Annotated[int, Col(role="entity")]
    species: Annotated[str, Col(role="label")]


def trips(decided: list[float], known: list[float] | None = None, **columns: Any) -> Examples[Any]:
    """Trips decided and known so many days after the start, late and on time by turns."""
    count = len(decided)
    given = {
        "trip": list(range(count)),
        "driver": pa.array(["d"] * count, pa.string()),
        "decided_at": [START + timedelta(days=d) for d in decided],
        "label_known_at": [START + timedelta(days=d) for d in known or [d + 0.1 for d in decided]],
        "late": [i % 2 for i in range(count)],
    }
    made: Examples[Any] = Examples[Trip].of(given | columns)
    return made


def flowers(count: int) -> Examples[Any]:
    made: Examples[Any] = Examples[Flower].of(
        {"flower": list(range(count)), "species": ["iris", "rose"] * (count // 2)}
    )
    return made


def ids(rows: Any) -> list[int]:
    listed: list[int] = rows.arrow().column(0).to_pylist()
    return listed


def findings(operator: Any, examples: Examples[Any], **parameters: Any) -> list[tuple[str, str]]:
    call = call_of(operator, operator.signature.bind((examples,), parameters))
    return [(f.rule, f.problem) for f in operator.options.check(call)]


def test_rows_are_dealt_by_the_time_of_the_decision_in_their_order():
    examples = trips([9, 0, 5, 1, 6, 8], late=[0, 0, 0, 1, 1, 1])

    train, validation, test, report = split_by_time(
        examples, validation_from=date(2024, 5, 6), test_from=date(2024, 5, 9)
    )

    assert (ids(train), ids(validation), ids(test)) == ([1, 3], [2, 4], [0, 5])
    assert report.document == {
        "passed": True,
        "rows": {"train": 2, "validation": 2, "test": 2},
        "purged": {"train": 0, "validation": 0},
        "after_until": 0,
        "validation_from": "2024-05-06T00:00:00+00:00",
        "test_from": "2024-05-09T00:00:00+00:00",
        "until": None,
        "gap_hours": 0.0,
    }


def test_a_row_whose_label_is_known_after_the_next_set_begins_is_purged():
    examples = trips(
        decided=[0, 1, 2, 5, 6, 7, 8, 9], known=[0.5, 1.5, 5.01, 5.5, 7.9, 8.01, 8.5, 9.5]
    )

    train, validation, _, report = split_by_time(
        examples, validation_from=date(2024, 5, 6), test_from=date(2024, 5, 9)
    )

    assert ids(train) == [0, 1]
    assert ids(validation) == [3, 4]
    assert report.document["purged"] == {"train": 1, "validation": 1}


def test_the_gap_purges_labels_known_so_many_hours_before():
    examples = trips(decided=[0, 1, 2, 5, 6, 8, 9], known=[0.5, 1.5, 4.6, 5.5, 6.5, 8.5, 9.5])
    boundaries: Any = {"validation_from": date(2024, 5, 6), "test_from": date(2024, 5, 9)}

    without, _, _, _ = split_by_time(examples, **boundaries)
    with_gap, _, _, _ = split_by_time(examples, **boundaries, gap_hours=12)

    assert ids(without) == [0, 1, 2]
    assert ids(with_gap) == [0, 1]


def test_rows_from_until_on_are_in_no_set():
    examples = trips([0, 1, 5, 6, 8, 8.5, 9, 9.5])

    _, _, test, report = split_by_time(
        examples,
        validation_from=date(2024, 5, 6),
        test_from=date(2024, 5, 9),
        until=date(2024, 5, 10),
    )

    assert ids(test) == [4, 5]
    assert report.document["after_until"] == 2


def test_a_boundary_may_be_a_moment_in_any_zone():
    kolkata = timezone(timedelta(hours=5, minutes=30))
    examples = trips([0, 1, 5, 6, 8, 9], known=[0.5, 1.0001, 5.5, 6.5, 8.5, 9.5])

    train, _, _, report = split_by_time(
        examples,
        validation_from=datetime(2024, 5, 2, 5, 31, tzinfo=kolkata),
        test_from=date(2024, 5, 9),
    )

    assert ids(train) == [0, 1]
    assert report.document["validation_from"] == "2024-05-02T00:01:00+00:00"


@settings(max_examples=80, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 15)), min_size=6, max_size=30),
    gap=st.integers(0, 30),
)
def test_no_label_of_an_earlier_set_was_unknown_when_the_next_began(rows, gap):
    decided = [float(d) for d, _ in rows] + [0.0, 0.0, 20.0, 20.0, 35.0, 35.0, 40.0]
    known = [float(d + w) for d, w in rows] + [0.5, 0.5, 20.5, 20.5, 35.5, 35.5, 40.5]
    examples = trips(decided, known, late=[*(0 for _ in rows), 0, 1, 0, 1, 0, 1, 0])
    bounds = [START + timedelta(days=15), START + timedelta(days=30)]

    train, validation, test, report = split_by_time(
        examples, validation_from=bounds[0], test_from=bounds[1], gap_hours=gap
    )

    for rows_of_set, next_begins in ((train, bounds[0]), (validation, bounds[1])):
        latest = max(rows_of_set.arrow()["label_known_at"].to_pylist())
        assert latest <= next_begins - timedelta(hours=gap)
    assert min(validation.arrow()["decided_at"].to_pylist()) >= bounds[0]
    assert min(test.arrow()["decided_at"].to_pylist()) >= bounds[1]
    purged = sum(report.document["purged"].values())
    assert train.rows + validation.rows + test.rows + purged == examples.rows


def test_all_columns_are_carried_through():
    examples = trips([0, 1, 5, 6, 8, 9])
    parameters: Any = {"validation_from": date(2024, 5, 6), "test_from": date(2024, 5, 9)}
    bound = split_by_time.signature.bind((examples,), parameters)

    promised = promised_schemas(split_by_time, call_of(split_by_time, bound))
    train, _, _, _ = split_by_time(examples, **parameters)

    assert promised["train_set"] == promised["test_set"] == examples.schema
    assert train.schema == examples.schema


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        pytest.param(
            {"validation_from": date(2024, 5, 9), "test_from": date(2024, 5, 6)},
            "The boundaries are out of order: validation_from is 2024-05-09 and test_from is "
            "2024-05-06.",
            id="out of order",
        ),
        pytest.param(
            {
                "validation_from": date(2024, 5, 6),
                "test_from": date(2024, 5, 9),
                "until": date(2024, 5, 9),
            },
            "The boundaries are out of order: test_from is 2024-05-09 and until is 2024-05-09.",
            id="nothing to test on",
        ),
        pytest.param(
            {"validation_from": datetime(2024, 5, 6), "test_from": date(2024, 5, 9)},
            "The boundary validation_from is 2024-05-06T00:00:00, which has no time zone.",
            id="naive",
        ),
        pytest.param(
            {
                "validation_from": date(2024, 5, 6),
                "test_from": date(2024, 5, 9),
                "gap_hours": -1.0,
            },
            "The gap is -1 hours.",
            id="a negative gap",
        ),
    ],
)
def test_wrong_boundaries_are_found_by_the_plan_and_refused_at_the_run(parameters, problem):
    examples = trips([0, 1, 5, 6, 8, 9])

    assert findings(split_by_time, examples, **parameters) == [("parameter", problem)]
    with pytest.raises(ParameterError) as error:
        split_by_time(examples, **parameters)
    assert error.value.problem == problem


def test_a_boundary_outside_the_data_is_refused_with_its_range():
    with pytest.raises(DataError) as error:
        split_by_time(
            trips([0, 1, 5]), validation_from=date(2023, 5, 6), test_from=date(2024, 5, 9)
        )

    assert str(error.value) == (
        "The boundary validation_from is 2023-05-06T00:00:00+00:00, outside the data: its "
        "decisions run from 2024-05-01T00:00:00+00:00 to 2024-05-06T00:00:00+00:00.\n"
        "  Fix: Choose a boundary between the two."
    )


def test_a_set_that_would_be_empty_is_refused():
    examples = trips([0, 1, 2, 8, 9])

    with pytest.raises(DataError) as error:
        split_by_time(examples, validation_from=date(2024, 5, 6), test_from=date(2024, 5, 7))

    assert str(error.value) == (
        "The validation set is empty after the split; the sets have train: 3, validation: 0, "
        "test: 2 rows.\n"
        "  Fix: Move the boundaries or shares, shorten the gap, or bring more data."
    )


def test_a_set_with_one_class_is_refused():
    examples = trips([0, 1, 5, 6, 8, 9], late=[0, 1, 0, 1, 1, 1])

    with pytest.raises(DataError) as error:
        split_by_time(examples, validation_from=date(2024, 5, 6), test_from=date(2024, 5, 9))

    assert str(error.value) == (
        "The test set has one class only: 'late' is 1 in all of its 2 rows.\n"
        "  Fix: Move the boundaries or shares, or bring data with both outcomes."
    )


def test_no_examples_are_refused():
    with pytest.raises(DataError) as error:
        split_by_time(trips([]), validation_from=date(2024, 5, 6), test_from=date(2024, 5, 9))

    assert str(error.value) == (
        "There are no examples to split: the table is empty.\n"
        "  Fix: Look at what made the examples: a filter or a join may have dropped all rows."
    )


def test_data_without_a_decision_time_is_found_by_the_plan():
    parameters: Any = {"validation_from": date(2024, 5, 6), "test_from": date(2024, 5, 9)}

    assert findings(split_by_time, flowers(4), **parameters) == [
        (
            "time",
            "Split by time needs the time of the decision, but schema 'Flower' has no column with "
            "role 'decision_time'.",
        ),
        (
            "time",
            "Split by time needs the time at which the label was known, but schema 'Flower' has no "
            "column with role 'known_time'.",
        ),
    ]


def of_drivers(drivers: list[str | None]) -> Examples[Any]:
    return trips([0.0] * len(drivers), driver=pa.array(drivers, pa.string()))


def test_all_rows_of_a_group_lie_in_one_set_and_shares_are_nearly_met():
    examples = of_drivers([f"d{i // 4}" for i in range(400)])

    train, validation, test, report = split_by_group(examples, group="driver", seed=3)

    drivers = [set(s.arrow()["driver"].to_pylist()) for s in (train, validation, test)]
    assert sum(len(d) for d in drivers) == len(set.union(*drivers)) == 100
    assert report.document == {
        "passed": True,
        "rows": {"train": 240, "validation": 80, "test": 80},
        "group": "driver",
        "groups": {"train": 60, "validation": 20, "test": 20},
    }
    assert ids(train) == sorted(ids(train))


def test_the_groups_of_a_set_depend_on_the_seed_and_not_on_the_order_of_rows():
    drivers = [f"d{i // 4}" for i in range(400)]
    forth, back = of_drivers(drivers), of_drivers(drivers[::-1])

    def tested(examples: Examples[Any], seed: int) -> set[str]:
        return set(
            split_by_group(examples, group="driver", seed=seed)[2].arrow()["driver"].to_pylist()
        )

    assert tested(forth, 1) == tested(back, 1)
    assert tested(forth, 1) != tested(forth, 2)


def test_an_unknown_group_is_found_by_the_plan_and_refused_at_the_run():
    examples = of_drivers(["a", "b", "c"])

    assert findings(split_by_group, examples, group="drivr") == [
        (
            "unknown column",
            "The examples have no column 'drivr' to group by. Did you mean 'driver'?",
        )
    ]
    with pytest.raises(UnknownNameError) as error:
        split_by_group(examples, group="drivr")
    assert error.value.problem == "Schema 'Trip' has no column 'drivr'. Did you mean 'driver'?"


def test_rows_without_a_group_are_refused():
    with pytest.raises(DataError) as error:
        split_by_group(of_drivers(["a", None, "c"]), group="driver")

    assert str(error.value) == (
        "The group column 'driver' holds 1 nulls, the first in row 1: it is unknown which rows "
        "belong together.\n  Fix: Drop these rows, or give each a group of its own."
    )


def test_a_random_split_meets_its_shares_and_loses_no_row():
    train, validation, test, report = split_at_random(flowers(100), seed=5)
    again = split_at_random(flowers(100), seed=5)
    other = split_at_random(flowers(100), seed=6)

    assert report.document["rows"] == {"train": 60, "validation": 20, "test": 20}
    assert sorted(ids(train) + ids(validation) + ids(test)) == list(range(100))
    assert ids(again[0]) == ids(train) == sorted(ids(train))
    assert ids(other[0]) != ids(train)


def test_a_random_split_of_data_with_a_time_is_found_by_the_plan_and_refused_at_the_run():
    problem = (
        "The data has a time ('decided_at', role 'decision_time'); split at random, a model would "
        "be fitted on rows from after those that it is tested on."
    )

    assert findings(split_at_random, trips([0, 1, 2])) == [("leak", problem)]
    with pytest.raises(LeakageError) as error:
        split_at_random(trips([0, 1, 2]))
    assert str(error.value) == f"{problem}\n  Fix: Use split_by_time, or split_by_group."


@pytest.mark.parametrize("shares", [(0.5, 0.5, 0.5), (1.2, -0.1, -0.1), (1.0, 0.0, 0.0)])
def test_shares_that_are_none_are_found_by_the_plan_and_refused_at_the_run(shares):
    listed = ", ".join(f"{s:g}" for s in shares)
    problem = f"The shares are {listed}, which sum to {sum(shares):g}."

    assert findings(split_at_random, flowers(10), shares=shares) == [("parameter", problem)]
    with pytest.raises(ParameterError) as error:
        split_at_random(flowers(10), shares=shares)
    assert error.value.problem == problem
