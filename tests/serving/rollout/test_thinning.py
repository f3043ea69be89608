"""Verdicts that held get short when they are old; nothing that an audit asks for does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.clock import VirtualClock, using_clock
from headrace.content import document_digest
from headrace.errors import DataError
from headrace.lineage.database import Database
from headrace.settings import using_settings
from serving.endpoints import Endpoints, EndpointSpec
from serving.rollout.thinning import Line, require_whole, thin, thinnable

FIRST = datetime(2026, 7, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def line(number: int, at: datetime, **more: Any) -> Line:
    fields: dict[str, Any] = {"experiment": "e1", "action": "hold", "rule": "r", "blocks": number}
    fields |= {"as_of": at.isoformat(), "digest": f"sha{number}"}
    return Line(number=number, at=at, **(fields | more))


def numbers(lines: list[Line], **more: Any) -> list[int]:
    asked: dict[str, Any] = {"before": FIRST + 300 * DAY, "used": frozenset(), "spoken": ()}
    return [each.number for each, _ in thinnable(lines, **(asked | more))]


def test_of_a_day_that_is_long_past_the_last_hold_stays_and_of_the_last_days_all():
    lines = [line(each, FIRST + 6 * each * HOUR) for each in range(1, 13)]  # 4 a day, 3 days

    assert numbers(lines) == [2, 4, 5, 6, 8, 9, 10]
    assert numbers(lines, before=FIRST + DAY) == [2]


def test_what_something_hangs_on_stays():
    lines = [line(each, FIRST + each * HOUR) for each in range(9)]
    lines[2] = line(2, lines[2].at, action="rollback")

    found = numbers(lines, used=frozenset({"sha4"}), spoken=[FIRST + 6.5 * HOUR])

    assert found == [1, 3, 5, 7]


def test_a_hold_that_nothing_later_knows_better_stays():
    lines = [line(each, FIRST + each * HOUR) for each in range(5)]
    lines[1] = line(1, lines[1].at, blocks=99)  # blocks that corrections took away since
    lines[2] = line(2, lines[2].at, rule="another")
    lines[3] = line(3, lines[3].at, as_of=(FIRST + DAY).isoformat())

    assert numbers(lines) == []


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(st.integers(1, 40), st.sampled_from(["hold", "hold", "hold", "promote", ""])),
        max_size=40,
    )
)
def test_what_stays_has_every_day_every_act_both_ends_and_thins_no_further(
    drawn: list[tuple[int, str]],
):
    at, lines = FIRST, []
    for number, (hours, action) in enumerate(drawn, start=1):
        at += hours * HOUR
        lines.append(line(number, at, action=action))

    gone = set(numbers(lines))

    kept = [each for each in lines if each.number not in gone]
    assert {each.at.date() for each in kept} == {each.at.date() for each in lines}
    assert all(each.action == "hold" for each in lines if each.number in gone)
    assert lines[:1] + lines[-1:] == kept[:1] + kept[-1:]
    assert numbers(kept) == []


def test_a_thinned_verdict_says_so_and_proves_a_copy(tmp_path: Path):
    clock = VirtualClock(FIRST)
    endpoints = Endpoints(Database(tmp_path / "headrace.db"))
    spec = EndpointSpec(model="m", task="estimation", clock="live", space="headrace")
    traces = []
    with using_settings(actor="ada"), using_clock(clock):
        endpoints.declare("m", spec=spec, champion="m/1", challenger="m/2", reason="a flow")
        for each in range(4):
            clock.advance_to(FIRST + each * HOUR)
            gathered = {"scope": "all", "as_of": clock.now().isoformat(), "primary": {"blocks": []}}
            traces.append({"action": "hold", "rule_hash": "r", "gathered": gathered})
            endpoints.record_verdict("m", "e1", traces[-1])
        early, _ = thin(endpoints, "m")
        clock.advance_to(FIRST + 31 * DAY)
        looked = thin(endpoints, "m", dry_run=True)
        done = thin(endpoints, "m")
        again, _ = thin(endpoints, "m")

    assert (early, again) == ([], [])
    assert looked == done
    assert [each.number for each in done[0]] == [2, 3]
    assert [endpoints.judgement(n).trace for n in (1, 4)] == [traces[0], traces[3]]
    with pytest.raises(DataError) as refused:
        require_whole(endpoints.judgement(2))
    assert str(refused.value) == (
        "Verdict 2 at 'm', which said 'hold' on 2026-07-01 01:00 UTC, was thinned on 2026-08-01 by "
        "ada: it changed nothing, and verdict 4 knew more. The sha256 of its trace was "
        f"{document_digest(traces[1])}.\n"
        "  Fix: Replay verdict 4, or a copy of the trace from a backup."
    )
