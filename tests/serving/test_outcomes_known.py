"""Whatever was told in whatever order, what was known at a moment is read as it was then."""

from __future__ import annotations

from typing import Any

import duckdb
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from serving._outcome_state import Told, fate_of, present_of
from serving._outcomes_known import known_outcomes

_CONNECTION = duckdb.connect()
TELLINGS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.sampled_from(["", "paid"]),
        st.sampled_from([0.0, 1.0, None]),
        st.integers(0, 5),
        st.booleans(),
    ),
    max_size=12,
)


def logged(tellings: list[Any]) -> list[dict[str, Any]]:
    """What a lane would have logged of these, in this order."""
    states: dict[tuple[str, str], list[Told]] = {}
    records: list[dict[str, Any]] = []
    for now, (name, outcome, value, known, corrects) in enumerate(tellings):
        state = states.setdefault((name, outcome), [])
        fate = fate_of(state, value, known, corrects=corrects, now=now)
        if fate in ("first", "correction"):
            state.append(Told(value, known, corrects))
            records.append(
                {"id": name, "name": outcome, "value": value, "known_at": known,
                 "corrects": corrects, "logged": now, "segment": "lane-1", "place": now}
            )  # fmt: skip
    return records


def read(records: list[dict[str, Any]], as_of: int) -> dict[tuple[str, str], tuple[Any, ...]]:
    schema = pa.schema(
        {"id": pa.string(), "name": pa.string(), "value": pa.float64(),
         "known_at": pa.timestamp("us", tz="UTC"), "corrects": pa.bool_(),
         "logged": pa.timestamp("us", tz="UTC"), "segment": pa.string(), "place": pa.int64()}
    )  # fmt: skip
    table = pa.Table.from_pylist(records, schema=schema)
    with _CONNECTION.cursor() as cursor:
        cursor.register("outcome_history", table)
        rows = cursor.execute(
            "SELECT id, name, value, first_us, value_us, known_us, corrected "  # noqa: S608
            f"FROM ({known_outcomes(cursor)})",
            {"as_of": as_of},
        ).fetchall()
    return {(name, outcome): tuple(rest) for name, outcome, *rest in rows}


def expected(records: list[dict[str, Any]], as_of: int) -> dict[tuple[str, str], tuple[Any, ...]]:
    """The same, by a loop over everything."""
    found: dict[tuple[str, str], tuple[Any, ...]] = {}
    for key in {(each["id"], each["name"]) for each in records}:
        known = [
            Told(each["value"], each["known_at"], each["corrects"])
            for each in records
            if (each["id"], each["name"]) == key and each["known_at"] <= as_of
        ]
        holds = present_of(known)
        if holds is not None:
            values = [each.known_us for each in known if each.value is not None]
            found[key] = (
                holds.value,
                min(each.known_us for each in known),
                min(values, default=None),
                holds.known_us,
                holds.corrects,
            )
    return found


@settings(max_examples=60, deadline=None)
@given(tellings=TELLINGS, as_of=st.integers(-1, 6))
def test_what_is_read_is_what_was_known_then(tellings: list[Any], as_of: int) -> None:
    records = logged(tellings)

    assert read(records, as_of) == expected(records, as_of)


@settings(max_examples=60, deadline=None)
@given(tellings=TELLINGS, later=TELLINGS)
def test_what_is_told_later_changes_nothing_of_what_was_known_before(
    tellings: list[Any], later: list[Any]
) -> None:
    before = logged(tellings)
    after = logged([*tellings, *((n, o, v, known + 6, c) for n, o, v, known, c in later)])

    assert read(after, 5) == read(before, 5)


@given(tellings=TELLINGS)
def test_telling_everything_again_adds_nothing(tellings: list[Any]) -> None:
    """Whoever got no answer tells again at once what it told last, of every outcome."""
    records = logged(tellings)
    last = {(each["id"], each["name"]): each for each in records}
    again = [
        (*key, each["value"], each["known_at"], each["corrects"]) for key, each in last.items()
    ]

    assert logged([*tellings, *again]) == records


def test_of_two_first_tellings_the_one_that_was_logged_first_is_it() -> None:
    """Two replicas may take one each, before either sees the other's."""
    twice = [
        {"id": "a", "name": "", "value": value, "known_at": known, "corrects": False,
         "logged": now, "segment": "lane-1", "place": now}
        for now, (value, known) in enumerate([(1.0, 5), (0.0, 2)])
    ]  # fmt: skip

    assert read(twice, 9) == {("a", ""): (1.0, 5, 5, 5, False)}
    assert read(twice, 3) == {}


def test_a_correction_that_comes_before_what_it_corrects_holds_all_the_same() -> None:
    records = logged([("a", "", 0.0, 4, True), ("a", "", 1.0, 2, False)])

    assert read(records, 3)["a", ""][0] == 1.0
    assert read(records, 4)["a", ""][0] == 0.0
