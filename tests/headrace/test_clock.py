"""These tests specify the clock: one port, the machine's time or a replay's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from threading import Thread
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.clock import (
    Clock,
    SystemClock,
    VirtualClock,
    as_us,
    current_clock,
    from_us,
    using_clock,
)
from headrace.errors import ParameterError

NOON = datetime(2013, 6, 1, 12, tzinfo=UTC)


def test_the_current_clock_is_the_machines_and_aware_in_utc():
    before = datetime.now(UTC)

    now = current_clock().now()

    assert before <= now <= datetime.now(UTC)
    assert now.tzinfo is UTC


def test_monotonic_seconds_of_the_machine_never_run_backwards():
    clock = SystemClock()

    seconds = [clock.monotonic() for _ in range(1_000)]

    assert seconds == sorted(seconds)


def test_a_virtual_clock_stands_still_until_it_is_advanced():
    clock = VirtualClock(NOON)

    first, second = clock.now(), clock.now()
    clock.advance_to(NOON + timedelta(minutes=90))

    assert first == second == NOON
    assert clock.now() == NOON + timedelta(minutes=90)
    assert clock.monotonic() == 5_400.0


def test_a_virtual_clock_keeps_its_time_in_utc():
    clock = VirtualClock(datetime(2013, 6, 1, 8, tzinfo=ZoneInfo("America/New_York")))

    now = clock.now()

    assert (now, now.tzinfo) == (NOON, UTC)


def test_a_virtual_clock_may_be_advanced_to_the_same_moment():
    clock = VirtualClock(NOON)

    clock.advance_to(NOON)

    assert clock.now() == NOON


def test_a_virtual_clock_refuses_to_go_back():
    clock = VirtualClock(NOON)

    with pytest.raises(ParameterError) as caught:
        clock.advance_to(NOON - timedelta(seconds=1))

    assert str(caught.value) == (
        "The clock stands at 2013-06-01T12:00:00+00:00 and cannot go back to "
        "2013-06-01T11:59:59+00:00.\n"
        "  Fix: deliver events in the order of their known time, or start a new clock."
    )
    assert clock.now() == NOON


def test_a_time_without_a_zone_is_refused_with_the_remedy():
    with pytest.raises(ParameterError) as caught:
        VirtualClock(datetime(2013, 6, 1, 12))

    assert str(caught.value) == (
        "The argument 'start' is 2013-06-01T12:00:00, a time without a zone.\n"
        "  Fix: say the zone, for example datetime(2013, 6, 1, tzinfo=UTC)."
    )


def test_a_clock_is_chosen_for_a_block_and_restored_after_an_error():
    clock = VirtualClock(NOON)
    seen: list[Clock] = []

    def fail() -> None:
        with using_clock(clock) as chosen:
            seen.extend([chosen, current_clock()])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()

    assert seen == [clock, clock]
    assert isinstance(current_clock(), SystemClock)


def test_a_chosen_clock_does_not_reach_other_threads():
    seen: list[Clock] = []

    with using_clock(VirtualClock(NOON)):
        thread = Thread(target=lambda: seen.append(current_clock()))
        thread.start()
        thread.join()

    assert isinstance(seen[0], SystemClock)


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_moment_in_microseconds_comes_back_as_the_same_moment(moment: datetime) -> None:
    assert from_us(as_us(moment)) == moment


def test_a_virtual_clock_tells_its_moment_in_microseconds_too() -> None:
    clock = VirtualClock(datetime(2013, 11, 1, tzinfo=UTC))

    assert clock.now_us() == as_us(clock.now()) == 1_383_264_000_000_000


def test_the_machines_clock_tells_the_same_time_in_both_forms() -> None:
    clock = SystemClock()

    assert abs(clock.now_us() - as_us(clock.now())) < 10_000_000
