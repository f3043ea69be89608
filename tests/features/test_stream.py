"""Pushed rows: kept once, online at once, and the same offline."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Protocol

import pandas as pd
import pyarrow as pa
import pytest

from features.online import online_file
from features.online_lookup import lookup_of
from features.stream import PushedRows, advance, catch_up, push, stream_source
from features.stream_reader import StreamReader
from features.view import Entity, FeatureView
from features.windows import Windows, count, last, sum_of
from headrace import Col, Schema
from headrace.clock import VirtualClock, as_us, using_clock
from headrace.errors import BoundaryError, DataError, DefinitionError, LeakageError, StoreError
from headrace.settings import using_settings

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
SHOP = Entity(name="shop", column="shop")


class Sale(Schema, Protocol):
    """This is a sale as it was said to be."""

    sale: str
    shop: str
    sold_at: Annotated[datetime, Col(role="event_time")]
    known_time: Annotated[datetime, Col(role="known_time")]
    amount: Annotated[float | None, Col(unit="EUR")]


class Till(Schema, Protocol):
    """This is what a till last said."""

    amount: float


def last_amount(sales: pa.Table) -> pa.Table:
    return sales.rename_columns({"sold_at": "event_time"})


def sales_view(**changes: Any) -> FeatureView:
    given: dict[str, Any] = {
        "name": "shop_sales",
        "entities": (SHOP,),
        "source": Sale,
        "compute": Windows(
            row_id="sale",
            aggregates=(count(over=HOUR), sum_of("amount", over=HOUR), last("amount")),
        ),
        "owner": "shops",
        "description": "Sales of a shop within the hour.",
        "stream": True,
    }
    return FeatureView(**(given | changes))


def plain_view() -> FeatureView:
    return sales_view(name="till", compute=last_amount, features=Till)


def sale(
    name: str, amount: float | None = 5.0, *, shop: str = "north", at: int = 0, known: int = 0
) -> dict[str, Any]:
    """Return a sale at a minute after noon, known at a minute after noon, not before the sale."""
    return {
        "sale": name,
        "shop": shop,
        "sold_at": NOON + at * MINUTE,
        "known_time": NOON + max(at, known) * MINUTE,
        "amount": amount,
    }


@pytest.fixture
def clock(tmp_path: Path) -> Iterator[VirtualClock]:
    with using_settings(home=tmp_path), using_clock(VirtualClock(NOON)) as clock:
        assert isinstance(clock, VirtualClock)
        yield clock


def online(view: FeatureView, at: datetime, shop: str = "north") -> list[Any] | None:
    with StreamReader(online_file(), "headrace", [lookup_of(view)]) as reader:
        return reader.read(0, {"shop": shop}, as_us(at)).values


def test_what_is_pushed_is_online_at_once(clock):
    view = sales_view()

    pushed = push(view, [sale("a", 5.0), sale("b", 2.5), sale("c", 1.0, shop="south")])

    assert pushed == PushedRows(rows=3, new=3, outdated=0, entities=2, written=2)
    assert online(view, NOON) == [2, 7.5, 5.0]
    assert online(view, NOON, "south") == [1, 1.0, 1.0]


def test_the_next_push_adds_to_what_was_pushed_before(clock):
    view = sales_view()
    push(view, [sale("a", 5.0)])
    clock.advance_to(NOON + 30 * MINUTE)

    push(view, [sale("b", 2.0, at=30)])

    assert online(view, clock.now()) == [2, 7.0, 2.0]


@pytest.mark.parametrize(
    "as_given",
    [
        pytest.param(lambda rows: rows, id="dicts"),
        pytest.param(pa.Table.from_pylist, id="an Arrow table"),
        pytest.param(pd.DataFrame, id="a pandas frame"),
    ],
)
def test_rows_may_be_given_as(as_given, clock):
    view = sales_view()

    push(view, as_given([sale("a", 5.0), sale("b", None)]))

    assert online(view, NOON) == [2, 5.0, 5.0]


def test_the_same_batch_again_changes_nothing(clock):
    view = sales_view()
    rows = [sale("a"), sale("b")]
    push(view, rows, batch="monday")
    clock.advance_to(NOON + MINUTE)

    again = push(view, [sale("c")], batch="monday")

    assert again == PushedRows(rows=1, new=0, outdated=0, entities=0, written=0)
    assert stream_source(view).num_rows == 2


def test_without_an_id_a_batch_is_known_by_what_it_says_in_any_order(clock):
    view = sales_view(compute=Windows(aggregates=(count(over=HOUR),)))
    push(view, [sale("a"), sale("b")])
    clock.advance_to(NOON + MINUTE)

    again = push(view, [sale("b"), sale("a")])

    assert again.repeated == 2
    assert online(view, clock.now()) == [2]


def test_a_row_that_says_the_same_under_the_same_id_is_kept_once(clock):
    view = sales_view()
    push(view, [sale("a", 5.0)])

    pushed = push(view, [sale("a", 5.0), sale("b", 1.0)])

    assert (pushed.new, pushed.repeated) == (1, 1)
    assert online(view, NOON) == [2, 6.0, 5.0]  # of one moment, the largest


def test_a_correction_takes_the_place_of_what_it_corrects_in_another_shop_too(clock):
    view = sales_view()
    push(view, [sale("a", 5.0), sale("b", 1.0)])
    clock.advance_to(NOON + MINUTE)

    pushed = push(view, [sale("a", 7.0, shop="south", known=1)])

    assert pushed.entities == 2
    assert online(view, clock.now()) == [1, 1.0, 1.0]
    assert online(view, clock.now(), "south") == [1, 7.0, 7.0]


def test_a_late_row_never_takes_the_place_of_a_newer_one(clock):
    clock.advance_to(NOON + 10 * MINUTE)
    view = sales_view()
    push(view, [sale("a", 7.0, known=9)])

    pushed = push(view, [sale("a", 5.0, known=3)])

    assert (pushed.new, pushed.outdated, pushed.written) == (1, 1, 0)
    assert online(view, clock.now()) == [1, 7.0, 7.0]
    assert stream_source(view)["amount"].to_pylist() == [7.0]
    assert stream_source(view, as_received=False)["amount"].to_pylist() == [7.0, 5.0]


def test_of_several_words_in_one_push_the_last_one_known_counts(clock):
    clock.advance_to(NOON + 10 * MINUTE)
    view = sales_view()

    push(view, [sale("a", 3.0, known=9), sale("a", 2.0, known=8), sale("a", 1.0, known=7)])

    assert online(view, clock.now()) == [1, 3.0, 3.0]


def test_two_pushes_at_one_moment_are_told_apart(clock):
    clock.advance_to(NOON + 10 * MINUTE)
    view = sales_view()
    push(view, [sale("a", 9.0, known=7)])

    push(view, [sale("a", 3.0, known=9)])

    assert online(view, clock.now()) == [1, 3.0, 3.0]
    assert stream_source(view)["amount"].to_pylist() == [3.0]


def test_a_function_sees_the_pushed_rows_only_and_late_ones_change_nothing(clock):
    clock.advance_to(NOON + 10 * MINUTE)
    view = plain_view()
    push(view, [sale("a", 5.0, at=5)])

    late = push(view, [sale("b", 1.0, at=4)])
    corrected = push(view, [sale("c", 6.0, at=5, known=8)])

    assert (late.new, late.written) == (1, 0)
    assert corrected.written == 1
    assert online(view, clock.now()) == [6.0]
    assert view.rows(stream_source(view))["amount"].to_pylist() == [1.0, 6.0]


def test_before_time_is_advanced_a_window_that_ran_empty_is_expired_not_old(clock):
    view = sales_view()
    push(view, [sale("a", 5.0)])

    just_before = online(view, NOON + HOUR - timedelta(microseconds=1))
    at_the_end = online(view, NOON + HOUR)

    assert just_before == [1, 5.0, 5.0]
    assert at_the_end == [None, None, None]


def test_advancing_writes_what_is_left_in_the_window(clock):
    view = sales_view()
    push(view, [sale("a", 5.0), sale("z", 9.0, shop="south")])
    clock.advance_to(NOON + 30 * MINUTE)
    push(view, [sale("b", 2.0, at=30)])
    clock.advance_to(NOON + HOUR)

    done = advance(view)

    assert (done.entities, done.written) == (2, 2)
    assert online(view, clock.now()) == [1, 2.0, 2.0]
    assert online(view, clock.now(), "south") == [0, 0.0, 9.0]
    assert advance(view).entities == 0


def test_advancing_long_after_everything_ended_leaves_nothing_stale(clock):
    view = sales_view(compute=Windows(aggregates=(count(over=HOUR), count(over=10 * MINUTE))))
    push(view, [sale("a"), sale("b")])
    clock.advance_to(NOON + timedelta(days=400))

    advance(view)

    assert online(view, clock.now()) == [0, 0]


def test_many_entities_are_read_together_with_those_overdue_as_expired(clock):
    view = sales_view()
    push(view, [sale("a", 5.0)])
    clock.advance_to(NOON + 30 * MINUTE)
    push(view, [sale("b", 2.0, at=30, shop="south")])

    with StreamReader(online_file(), "headrace", [lookup_of(view)]) as reader:
        found = reader.read_many(0, {"shop": ["north", "south", "west"]}, as_us(NOON + HOUR))

    assert found.status == ["expired", "present", "unknown"]
    assert found.to_dict()["count_1h"] == [None, 1, None]


def test_a_stream_continues_a_history(clock):
    view = sales_view()
    history = pa.Table.from_pylist([sale("a", 5.0), sale("y", 1.0)])
    clock.advance_to(NOON + MINUTE)
    push(view, [sale("a", 5.0), sale("b", 2.0, at=1)])

    source = stream_source(view, history=history)

    assert view.rows(source)["count_1h"].to_pylist()[:2] == [2, 3]
    assert stream_source(sales_view(name="other")).num_rows == 0


def test_spaces_are_streams_of_their_own(clock):
    view = sales_view()

    push(view, [sale("a", 5.0)], space="replay")

    assert stream_source(view).num_rows == 0
    assert stream_source(view, space="replay").num_rows == 1


def test_another_version_of_the_view_is_fed_from_the_log(clock):
    before = sales_view()
    push(before, [sale("a", 5.0), sale("b", 1.0)])
    deployed_before = lookup_of(before)
    after = sales_view(compute=Windows(row_id="sale", aggregates=(count(over=2 * HOUR),)))
    clock.advance_to(NOON + MINUTE)

    done = catch_up(after)

    assert (done.entities, done.written) == (1, 1)
    with StreamReader(online_file(), "headrace", [deployed_before]) as reader:
        assert reader.read(0, {"shop": "north"}, as_us(clock.now())).expired  # nobody feeds it now


def test_a_lost_online_store_is_filled_from_the_log(clock):
    view = sales_view()
    push(view, [sale("a", 5.0)])
    for file in online_file().parent.glob("online.db*"):
        file.unlink()

    catch_up(view, everything=True)

    assert online(view, NOON) == [1, 5.0, 5.0]


def test_a_clock_that_went_back_is_refused(tmp_path):
    view = sales_view()
    with using_settings(home=tmp_path):
        with using_clock(VirtualClock(NOON + HOUR)):
            push(view, [sale("a")])

        with using_clock(VirtualClock(NOON)), pytest.raises(StoreError) as caught:
            push(view, [sale("b")])

    assert str(caught.value) == (
        "The clock stands at 2024-05-01T12:00:00+00:00, before the last push to view 'shop_sales' "
        "at 2024-05-01T13:00:00+00:00.\n"
        "  Fix: Set the clock right and push again; nothing of this was kept."
    )


def refused(kind: type[Exception], rows: Any, view: FeatureView | None = None) -> str:
    with pytest.raises(kind) as caught:
        push(view or sales_view(), rows)
    assert stream_source(sales_view()).num_rows == 0  # nothing is half-written
    return str(caught.value)


def test_a_view_that_is_no_stream_takes_no_rows(clock):
    assert refused(DefinitionError, [sale("a")], sales_view(stream=False)) == (
        "Feature view 'shop_sales' takes no pushed rows.\n  Fix: Declare it with stream=True."
    )


def test_a_missing_column_is_named(clock):
    row = sale("a")
    row["ammount"] = row.pop("amount")

    assert refused(BoundaryError, [row]) == (
        "What is pushed to view 'shop_sales' does not fit schema 'Sale': column 'amount' is "
        "missing. Did you mean 'ammount'?\n"
        "  Fix: Correct the data, or declare the schema as the data is."
    )


def test_another_type_is_named(clock):
    assert refused(BoundaryError, [sale("a") | {"amount": "five"}]) == (
        "What is pushed to view 'shop_sales' does not fit schema 'Sale': column 'amount' is float "
        "but holds string, such as 'five'.\n"
        "  Fix: Correct the data, or declare the schema as the data is."
    )


def test_types_that_are_mixed_are_refused(clock):
    said = refused(BoundaryError, [sale("a"), sale("b") | {"amount": "five"}])

    assert said.startswith("What is pushed to view 'shop_sales' mixes types in 'amount': ")


def test_a_naive_time_is_refused_beside_aware_ones_too(clock):
    naive = sale("b") | {"sold_at": datetime(2024, 5, 1, 12)}

    assert refused(BoundaryError, [sale("a"), naive]) == (
        "What is pushed to view 'shop_sales' has a time without a zone in 'sold_at': "
        "2024-05-01T12:00:00.\n"
        "  Fix: Say the zone, for example with tzinfo=UTC."
    )


def test_a_null_key_is_refused(clock):
    view = sales_view()

    assert "column 'shop' holds 1 nulls, the first in row 1" in refused(
        BoundaryError, [sale("a"), sale("b") | {"shop": None}], view
    )


def test_a_row_known_before_it_happened_is_refused(clock):
    early = sale("b") | {"sold_at": NOON, "known_time": NOON - MINUTE}

    assert refused(LeakageError, [sale("a"), early]) == (
        "What is pushed to view 'shop_sales' has 1 rows that are known before they happened, the "
        "first in row 1: 'known_time' is 2024-05-01T11:59:00+00:00 but 'sold_at' is "
        "2024-05-01T12:00:00+00:00.\n"
        "  Fix: Set 'known_time' to the moment from which the row could be used, and push it then."
    )


def test_a_row_not_known_yet_is_refused(clock):
    assert refused(LeakageError, [sale("a", known=1)]) == (
        "What is pushed to view 'shop_sales' has 1 rows that are not known yet, the first in row "
        "0: 'known_time' is 2024-05-01T12:01:00+00:00 but the present is "
        "2024-05-01T12:00:00+00:00.\n"
        "  Fix: Set 'known_time' to the moment from which the row could be used, and push it then."
    )


def test_a_value_that_cannot_be_stored_online_is_refused_before_anything_is_kept(clock):
    view = sales_view(
        compute=Windows(aggregates=(last("known_time", over=HOUR),)), name="shop_moments"
    )
    clock.advance_to(NOON + MINUTE + timedelta(microseconds=7))
    row = sale("a") | {"known_time": NOON + timedelta(microseconds=7)}

    with pytest.raises(DataError):
        push(view, [row])

    assert stream_source(view).num_rows == 0
