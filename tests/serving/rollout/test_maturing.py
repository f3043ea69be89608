"""What arrives is worth a look when it changes what mature blocks say; nothing else is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.clock import as_us
from serving.rollout.maturing import (
    Matured,
    begun,
    closed_until,
    heard_more,
    is_judged,
    is_to_be_said,
    said,
)
from serving.rule import Rule

NOON = as_us(datetime(2026, 7, 10, 12, tzinfo=UTC))
SECOND, HOUR = 1_000_000, 3_600_000_000
RULE = Rule(name="r", metric="mae", label_window_hours=8)
PARIS = Rule(name="r", metric="mae", label_window_hours=0, timezone="Europe/Paris")


def told(known_at: int, **more: Any) -> dict[str, Any]:
    return {"kind": "outcome", "id": "d1", "value": 1.0, "known_at": known_at} | more


def heard(seen: Matured, *outcomes: dict[str, Any], now: int, replayed: bool = False) -> Matured:
    return heard_more(seen, outcomes, rule=RULE, now=now, replayed=replayed)


def test_a_block_that_closed_and_is_mature_is_to_be_said_at_once_and_once():
    start = begun(("e1",), NOON, RULE)

    at_seven = heard(start, now=NOON + 19 * HOUR)
    at_nine = heard(start, now=NOON + 21 * HOUR)
    after = heard(said(at_nine, now=NOON + 21 * HOUR), now=NOON + 22 * HOUR)

    assert not is_to_be_said(at_seven, now=NOON + 19 * HOUR, replayed=False)
    assert is_to_be_said(at_nine, now=NOON + 21 * HOUR, replayed=False)
    assert not is_to_be_said(after, now=NOON + 22 * HOUR, replayed=False)


def test_outcomes_of_young_decisions_start_nothing():
    start = begun(("e1",), NOON, RULE)

    seen = heard(start, *[told(NOON + each) for each in range(1000)], now=NOON + SECOND)

    assert (seen.outcomes, seen.since) == (0, None)


def test_a_correction_and_an_outcome_that_came_late_are_said_when_no_more_come():
    start = begun(("e1",), NOON, RULE)
    late, correction = told(NOON - 13 * HOUR), told(NOON, corrects=True)

    seen = heard(start, late, correction, told(NOON, name="revenue", corrects=True), now=NOON)

    assert seen.outcomes == 2
    assert not is_to_be_said(seen, now=NOON + 59 * SECOND, replayed=False)
    assert is_to_be_said(seen, now=NOON + 61 * SECOND, replayed=False)


@settings(max_examples=20)
@given(st.lists(st.integers(1, 90), min_size=30, max_size=60), st.booleans())
def test_what_pours_in_is_said_at_most_once_a_minute_and_at_least_every_eleven(
    gaps: list[int], replayed: bool
):
    seen, now, moments = begun(("e1",), NOON, RULE), NOON, [NOON]

    for gap in gaps:
        now += gap * SECOND
        seen = heard(seen, told(now - 20 * HOUR), now=now, replayed=replayed)
        if is_to_be_said(seen, now=now, replayed=replayed):
            seen, moments = said(seen, now=now), [*moments, now]

    pauses = [b - a for a, b in zip(moments, [*moments[1:], now], strict=True)]
    assert all(pause >= 60 * SECOND for pause in pauses[1:-1])
    assert max(pauses) <= (600 + 90 + 90) * SECOND


def test_a_clock_that_was_set_back_puts_nothing_off():
    seen = heard(begun(("e1",), NOON, RULE), told(NOON, corrects=True), now=NOON)
    seen = heard(said(seen, now=NOON), told(NOON, corrects=True), now=NOON + SECOND)

    assert is_to_be_said(seen, now=NOON - 30 * 24 * HOUR, replayed=False)


def test_a_replay_is_waited_for_until_it_pauses():
    start = begun(("e1",), 0, RULE)
    seen = heard(start, told(NOON), told(NOON + 200 * HOUR), now=NOON, replayed=True)

    assert seen.closed > start.closed
    assert not is_to_be_said(seen, now=NOON, replayed=True) or seen.heard is None
    assert is_to_be_said(seen, now=NOON + 61 * SECOND, replayed=True)


def test_what_somebody_judged_meanwhile_is_known():
    seen = heard(begun(("e1",), NOON, RULE), told(NOON, corrects=True), now=NOON + 24 * HOUR)
    day, hour = NOON + 24 * HOUR, HOUR

    assert not is_judged(seen, RULE, as_of=NOON, at=day + hour, replayed=False)
    assert not is_judged(seen, RULE, as_of=day - hour, at=day - hour, replayed=False)
    assert is_judged(seen, RULE, as_of=day + hour, at=day + hour, replayed=False)


def test_days_end_at_midnight_of_the_rules_zone_also_where_clocks_change():
    spring = datetime(2026, 3, 29, tzinfo=UTC)  # the day has 23 hours in Paris

    before = closed_until(as_us(spring + timedelta(hours=21, minutes=59)), PARIS)
    after = closed_until(as_us(spring + timedelta(hours=22)), PARIS)

    assert (before, after) == (as_us(spring - timedelta(hours=1)), as_us(spring) + 22 * HOUR)


def test_blocks_by_count_are_said_when_outcomes_may_have_filled_one():
    rule = Rule(name="r", metric="auc", label_window_hours=8, block="count", block_size=10)
    start = begun(("e1",), NOON, rule)

    nine = heard_more(start, [told(NOON)] * 9, rule=rule, now=NOON, replayed=False)
    ten = heard_more(nine, [told(NOON)], rule=rule, now=NOON, replayed=False)

    assert (nine.since, ten.since) == (None, NOON)


def test_what_is_kept_is_read_back_the_same():
    seen = heard(begun(("e1", "e2"), NOON, RULE), told(NOON, corrects=True), now=NOON)

    assert Matured.from_json(seen.to_json()) == seen
