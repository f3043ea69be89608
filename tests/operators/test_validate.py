"""These tests specify suites: what each check judges, what is refused, and what a report says."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any, Protocol

import pytest

from headrace import Col, Report, Schema, Table
from headrace.calls import PlannedCall
from headrace.errors import DataQualityError, DefinitionError, ParameterError
from headrace.schemas import schema_of
from headrace.symbols import Symbol
from operators.validate import (
    Check,
    Suite,
    between,
    distinct_between,
    in_set,
    length_between,
    matches,
    mean_between,
    not_null,
    null_share,
    ordered,
    quality_html,
    report_quality,
    row_count,
    unique,
    validate,
)


class Trips(Schema, Protocol):
    trip: Annotated[str, Col(role="entity")]
    miles: float | None
    began: datetime
    ended: datetime | None
    day: date


def _of(**columns: list[Any]) -> Table[Any]:
    return Table.of(columns)


def _passes(table: Table[Any], check: Check) -> bool:
    from operators._validate_sql import judge

    (result,) = judge(table.arrow(), Suite(name="one", checks=(check,)))
    return result.passed


NOON, ONE = datetime(2013, 1, 1, 12, tzinfo=UTC), datetime(2013, 1, 1, 13, tzinfo=UTC)
NAN = float("nan")
CASES = [
    pytest.param({"a": [1, 2]}, not_null("a"), True, id="no null"),
    pytest.param({"a": [1, None]}, not_null("a"), False, id="a null"),
    pytest.param({"a": [1.0, NAN]}, not_null("a"), False, id="NaN counts as null"),
    pytest.param({"a": [1, 2, 3, None]}, not_null("a", mostly=0.75), True, id="just enough"),
    pytest.param({"a": [1, 2, None]}, null_share("a", at_most=0.3), False, id="too many nulls"),
    pytest.param({"a": [1, 2, None]}, null_share("a", at_most=0.34), True, id="few nulls"),
    pytest.param({"a": [0, 6]}, between("a", 0, 6), True, id="bounds are included"),
    pytest.param({"a": [0, 7]}, between("a", 0, 6), False, id="above"),
    pytest.param({"a": [-0.5]}, between("a", 0, None), False, id="below, open above"),
    pytest.param({"a": [None, 1.0]}, between("a", 0, 6), True, id="nulls are not judged"),
    pytest.param({"a": [1.0, NAN]}, between("a", 0, 6), True, id="NaN is not judged"),
    pytest.param({"a": [NOON]}, between("a", NOON, ONE), True, id="instants"),
    pytest.param({"a": [ONE]}, between("a", None, NOON), False, id="a later instant"),
    pytest.param({"a": [date(2013, 1, 2)]}, between("a", date(2013, 1, 3)), False, id="dates"),
    pytest.param({"a": [1, 1, 1, 9]}, between("a", 0, 6, mostly=0.75), True, id="mostly"),
    pytest.param({"a": ["x", None]}, in_set("a", ["x", "y"]), True, id="in the set"),
    pytest.param({"a": ["x", "it's"]}, in_set("a", ["it's"]), False, id="not in the set"),
    pytest.param({"a": [True, False]}, in_set("a", [True]), False, id="booleans"),
    pytest.param({"a": [1.5, 2.0]}, in_set("a", [1.5, 2]), True, id="numbers"),
    pytest.param({"a": ["N1", "N22"]}, matches("a", r"N\d+"), True, id="a pattern"),
    pytest.param({"a": ["N1x"]}, matches("a", r"N\d+"), False, id="the whole text counts"),
    pytest.param({"a": ["n1"]}, matches("a", r"(?i)N\d+"), True, id="flags"),
    pytest.param({"a": ["é", "abc"]}, length_between("a", 1, 3), True, id="characters, not bytes"),
    pytest.param({"a": ["abcd"]}, length_between("a", None, 3), False, id="too long"),
    pytest.param({"a": [1, 2, None, None]}, unique("a"), True, id="nulls are no repeats"),
    pytest.param({"a": [1, 1]}, unique("a"), False, id="a repeat"),
    pytest.param({"a": [1, 1], "b": [1, 2]}, unique("a", "b"), True, id="unique together"),
    pytest.param({"a": [1, 1], "b": [2, 2]}, unique("a", "b"), False, id="repeated together"),
    pytest.param({"a": [1, 1], "b": [None, None]}, unique("a", "b"), True, id="left out"),
    pytest.param({"a": [1]}, row_count(1, 1), True, id="rows"),
    pytest.param({"a": [1]}, row_count(2), False, id="too few rows"),
    pytest.param(
        {"a": [1, 2, None]}, mean_between("a", 1.5, 1.5), True, id="mean of what is there"
    ),
    pytest.param({"a": [1, 2]}, mean_between("a", 2), False, id="mean too low"),
    pytest.param({"a": [1, 1, 2]}, distinct_between("a", 2, 2), True, id="two values"),
    pytest.param({"a": [1, 1]}, distinct_between("a", 2), False, id="one value"),
    pytest.param({"a": [1, 2], "b": [1, 3]}, ordered("a", "b"), True, id="ordered"),
    pytest.param({"a": [1], "b": [1]}, ordered("a", "b", strictly=True), False, id="strictly"),
    pytest.param({"a": [9], "b": [None]}, ordered("a", "b"), True, id="nothing to compare"),
]


@pytest.mark.parametrize(("columns", "check", "passes"), CASES)
def test_a_check_judges(columns: dict[str, list[Any]], check: Check, passes: bool):
    assert _passes(_of(**columns), check) is passes


def test_a_mean_of_nothing_fails():
    import pyarrow as pa

    nothing = Table[Any].of(pa.table({"a": pa.array([], pa.float64())}))

    assert not _passes(nothing, mean_between("a", 0, 1))
    assert _passes(nothing, between("a", 0, 1))


def test_odd_column_names_are_names_and_not_code():
    table = _of(**{'a"; DROP TABLE given; --': [1], "select": [2]})

    assert _passes(table, ordered('a"; DROP TABLE given; --', "select"))


def test_a_table_that_passes_comes_back_unchanged_with_its_report():
    trips = _trips(miles=[1.0, None])
    suite = Suite(name="trips", checks=(unique("trip"), null_share("miles", at_most=0.5)))

    same, report = validate(trips, suite=suite)

    assert same.digest == trips.digest
    assert same.schema == trips.schema
    assert report.passed
    assert report.document == {
        "passed": True,
        "suite": "trips",
        "rows": 2,
        "checks": [
            {
                "says": "'trip' is unique",
                "kind": "unique",
                "columns": ["trip"],
                "passed": True,
                "of": 2,
                "wrong": 0,
                "examples": [],
            },
            {
                "says": "'miles' is not null in at least 50% of the rows",
                "kind": "not_null",
                "columns": ["miles"],
                "passed": True,
                "of": 2,
                "wrong": 1,
                "examples": [],
            },
        ],
    }


@pytest.mark.slow  # the first to import great-expectations
def test_a_table_that_fails_is_refused_with_what_failed_where_and_the_full_report():
    trips = _trips(trip=["a", "a"], miles=[1.0, -5.0])
    suite = Suite(
        name="trips",
        checks=(
            unique("trip"),
            between("miles", 0, 6000),
            row_count(3),
            mean_between("miles", 0),
            ordered("began", "ended"),
        ),
    )

    with pytest.raises(DataQualityError) as refused:
        validate(trips, suite=suite)

    assert str(refused.value) == (
        "The table fails 4 of 5 checks of suite 'trips':\n"
        "  - 'trip' is unique: 1 of 2 repeat an earlier one, such as 'a'.\n"
        "  - 'miles' is between 0 and 6,000: 1 of 2 are not, such as -5.0 in row 1.\n"
        "  - the number of rows is at least 3: it is 2.\n"
        "  - the mean of 'miles' is at least 0: it is -2.\n"
        "  Fix: Correct the data where it is made; if it is right, change the check."
    )
    report = refused.value.report
    assert [c["passed"] for c in report["checks"]] == [False, False, False, False, True]
    assert report["great_expectations"]["agrees"]
    failed = [r["expectation"] for r in report["great_expectations"]["results"]]
    assert failed == [
        "expect_column_values_to_be_unique",
        "expect_column_values_to_be_between",
        "expect_table_row_count_to_be_between",
        "expect_column_mean_to_be_between",
    ]


def test_a_report_never_refuses_and_can_steer():
    suite = Suite(name="trips", checks=(between("miles", 0), matches("trip", "[a-z]")))

    report = report_quality(_trips(miles=[1.0, -5.0]), suite=suite)

    assert not report.passed
    assert report.document["great_expectations"]["agrees"]
    assert len(report.document["great_expectations"]["results"]) == 2


def test_the_page_of_a_report_loads_nothing_and_escapes_what_the_data_says():
    suite = Suite(name="<script>", checks=(in_set("trip", ["<b>"]),))

    page = quality_html(report_quality(_trips(), suite=suite))

    assert "http" not in page
    assert "<script" not in page
    assert "&lt;b&gt;" in page
    assert "failed 1 of 1 checks" in page


def test_the_page_shows_a_report_without_a_second_opinion_too():
    _, report = validate(_trips(), suite=Suite(name="trips", checks=(row_count(1),)))

    page = quality_html(Report.of(report.document))

    assert "passed all 1 checks" in page


PLANNED = [
    pytest.param(
        (), "Suite 'trips' has no checks, so any table would pass it.", id="an empty suite"
    ),
    pytest.param(
        (not_null("mile"),),
        "Suite 'trips' checks that 'mile' is not null, but there is no column 'mile'. "
        "Did you mean 'miles'?",
        id="an unknown column",
    ),
    pytest.param(
        (row_count(1), row_count(1)),
        "Suite 'trips' checks twice that the number of rows is at least 1.",
        id="a check twice",
    ),
    pytest.param(
        (mean_between("trip", 0, 1),),
        "Suite 'trips' checks that the mean of 'trip' is between 0 and 1, but 'trip' is string.",
        id="the mean of a text",
    ),
    pytest.param(
        (between("began", 0, 1),),
        "Suite 'trips' checks that 'began' is between 0 and 1, but 'began' is timestamp and 0 "
        "is not.",
        id="a number as an instant's bound",
    ),
    pytest.param(
        (in_set("trip", [1, 2]),),
        "Suite 'trips' checks that 'trip' is one of 1, 2, but 'trip' is string and 1 is not.",
        id="numbers for a text",
    ),
    pytest.param(
        (ordered("trip", "began"),),
        "Suite 'trips' checks that 'trip' is before 'began' or equal, but 'trip' is string and "
        "'began' is timestamp.",
        id="two types compared",
    ),
]


@pytest.mark.parametrize(("checks", "problem"), PLANNED)
def test_a_suite_that_cannot_hold_is_found_in_the_plan_and_at_the_run(
    checks: tuple[Check, ...], problem: str
):
    suite = Suite(name="trips", checks=checks)
    symbol = Symbol(node="read", slot="result", kind="Table", schema=schema_of(Trips))
    call = PlannedCall(
        operator="validate", parameters={"suite": suite}, inputs={"table": (symbol,)}
    )

    findings = validate.options.check(call)
    with pytest.raises(DefinitionError) as refused:
        validate(_trips(), suite=suite)

    assert [f.problem for f in findings] == [problem]
    assert refused.value.problem == problem


MALFORMED = [
    pytest.param(
        lambda: between("a", 2, 1), "`between` allows nothing: 2 is above 1", id="swapped"
    ),
    pytest.param(lambda: between("a"), "`between` has no bounds", id="no bounds"),
    pytest.param(
        lambda: between("a", 0.0, NAN), "`between` has a bound that is no number", id="NaN bound"
    ),
    pytest.param(
        lambda: between("a", datetime(2013, 1, 1)),
        "`between` has a bound without a time zone",
        id="naive bound",
    ),
    pytest.param(lambda: between("a", 0, NOON), "`between` has bounds of two types", id="mixed"),
    pytest.param(lambda: in_set("a", []), "`in_set` allows no value", id="empty set"),
    pytest.param(lambda: in_set("a", [1, "x"]), "`in_set` allows values of two types", id="types"),
    pytest.param(lambda: not_null("a", mostly=0), "`not_null` has mostly=0", id="share of zero"),
    pytest.param(lambda: not_null("a", mostly=1.1), "`not_null` has mostly=1.1", id="over one"),
    pytest.param(unique, "`unique` takes 1 columns, got 0", id="no column"),
    pytest.param(lambda: unique("a", "a"), "`unique` names column 'a' twice", id="same column"),
    pytest.param(row_count, "`row_count` has no bounds", id="any number of rows"),
    pytest.param(lambda: matches("a", ""), "`matches` has no pattern", id="no pattern"),
]


@pytest.mark.parametrize(("make", "wrong"), MALFORMED)
def test_a_check_that_makes_no_sense_is_refused_where_it_is_written(make: Any, wrong: str):
    with pytest.raises(ParameterError) as refused:
        make()

    assert refused.value.problem == f"The check {wrong}."


@pytest.mark.parametrize("pattern", ["[a-", r"(?=x)y", r"(a)\1"])
def test_a_pattern_that_cannot_be_read_is_refused_where_it_is_written(pattern: str):
    with pytest.raises(ParameterError) as refused:
        matches("a", pattern)

    assert refused.value.problem.startswith(
        f"The check `matches` cannot read the pattern /{pattern}/: "
    )


def test_a_suite_survives_the_way_of_parameters_through_json():
    from pydantic import TypeAdapter

    suite = Suite(name="trips", checks=(between("miles", 0, 6.5), in_set("trip", ["a"])))
    adapter = TypeAdapter(Suite)

    assert adapter.validate_json(adapter.dump_json(suite)) == suite


def _trips(**changes: list[Any]) -> Table[Trips]:
    columns: dict[str, list[Any]] = {
        "trip": ["a", "b"],
        "miles": [1.0, 2.0],
        "began": [NOON, NOON],
        "ended": [ONE, None],
        "day": [date(2013, 1, 1)] * 2,
    }
    return Table[Trips].of({**columns, **changes})
