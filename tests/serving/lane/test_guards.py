"""A lane counts what guardrails are about, and keeps what a rollback goes back to in memory."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.decisions import DecisionLog
from serving.lane.guard_counts import GuardCounts, GuardTally
from serving.lane.guard_notice import is_guard_file, read_guards
from serving.lane.loading import load_decider, load_model
from serving.lane.shadow import ShadowReplica
from serving.lane.table import Guarded, Hop, LaneTable, Served
from serving.lane.warm import Warm
from serving.traffic import Traffic, redealt

CHAMPION, CHALLENGER, BROKEN = "flight_delay/1", "flight_delay/2", "broken/1"
NEAR = {"carrier": "UA", "distance": 719}
FAR = NEAR | {"distance": 2475}


@pytest.fixture
def broken(tmp_path: Path, bundles: dict[str, Path], fail_beyond: Callable[..., None]) -> Served:
    """A model that answers 0.25, and fails on flights of more than 1,000 miles."""
    folder = tmp_path / "broken"
    shutil.copytree(bundles[CHAMPION], folder)
    fail_beyond(folder, miles=1000.0)
    return Served(ref=BROKEN, folder=folder)


def guarding(table: LaneTable, *refs: str, limits_ms: tuple[float, ...] = (1e-6, 5_000)) -> Any:
    """The table with guarded models; every call takes longer than the first limit."""
    guards = tuple(
        Guarded(model=ref, experiment=f"of-{ref.replace('/', '-')}", limits_ms=limits_ms)
        for ref in refs
    )
    return replace(table, guards=guards)


def counted(table: LaneTable, *, part: str = "answers", until: Callable[[Any], bool]) -> Any:
    """What the lane said that it counted of each model, as soon as that is so."""
    ends = time.monotonic() + 10
    while True:
        files = [each for each in table.notices.glob("*") if is_guard_file(each.name)]
        notices = [notice for each in files if (notice := read_guards(each)) is not None]
        rows = [row for notice in notices if notice.part == part for row in notice.rows]
        told = {row["model"]: {k: v for k, v in row.items() if k != "model"} for row in rows}
        if until(told) or time.monotonic() > ends:
            return told
        time.sleep(0.05)


def test_of_a_guarded_champion_answers_failures_and_slow_calls_are_counted(
    start_lane, table, broken
):
    chosen = guarding(replace(table(), champion=broken), BROKEN)
    lane = start_lane(chosen)

    answers = [lane.decide(features=features).status for features in (NEAR, FAR, NEAR, FAR, NEAR)]
    told = counted(chosen, until=lambda rows: rows.get(BROKEN, {}).get("trials") == 5)

    assert answers == [200, 500, 200, 500, 200]
    assert told == {
        BROKEN: {
            "experiment": "of-broken-1",
            "trials": 5,
            "failures": 2,
            "calls": 5,
            "slow": {"1e-06": 5, "5000": 0},
        }
    }


def test_counts_go_on_from_table_to_table_and_of_a_model_that_is_not_guarded_there_are_none(
    start_lane, table, broken
):
    first = guarding(replace(table(), champion=broken), BROKEN)
    lane = start_lane(first)
    lane.decide(features=NEAR)
    lane.take(replace(first, generation=2))
    lane.decide(features=FAR)
    lane.take(replace(table(), generation=3))
    lane.decide(features=NEAR)

    told = counted(first, until=lambda rows: rows.get(BROKEN, {}).get("trials") == 2)

    assert {model: (row["trials"], row["failures"]) for model, row in told.items()} == {
        BROKEN: (2, 1)
    }


def test_of_a_challenger_that_answers_its_own_are_counted_and_not_what_it_was_not_asked(
    start_lane, table, broken
):
    traffic = Traffic(design="ab", salt="salt", patience_ms=5_000)
    chosen = replace(
        guarding(table(), BROKEN),
        challenger=broken,
        experiment="of-broken-1",
        traffic=redealt(traffic, {BROKEN: 1.0}),
    )
    lane = start_lane(chosen)

    near = [lane.decide(features=NEAR).document["model"] for _ in range(3)]
    far = [lane.decide(features=FAR).document["model"] for _ in range(8)]
    told = counted(chosen, until=lambda rows: rows.get(BROKEN, {}).get("failures") == 4)

    assert near == [BROKEN] * 3
    assert far == [CHAMPION] * 8
    # after the fourth failure the breaker has it out: the other four it was not asked
    assert (told[BROKEN]["trials"], told[BROKEN]["failures"]) == (7, 4)
    assert told[BROKEN]["calls"] == 7


def test_a_list_is_one_answer(start_lane, table, broken):
    chosen = guarding(replace(table(), champion=broken), BROKEN)
    lane = start_lane(chosen)
    near = {"entity": {"tail": "N1"}, "features": {"distance": 719}}
    far = {"entity": {"tail": "N2"}, "features": {"distance": 2475}}

    def rank(*items: Any) -> int:
        context = {"entity": {"origin": "EWR"}, "features": {"carrier": "UA"}}
        return int(lane.ask("/v1/flight_delay/rank", {**context, "items": items}).status)

    statuses = [rank(near, near, near), rank(near, far)]
    told = counted(chosen, until=lambda rows: rows.get(BROKEN, {}).get("trials") == 2)

    assert statuses == [200, 500]
    assert (told[BROKEN]["trials"], told[BROKEN]["failures"], told[BROKEN]["calls"]) == (2, 1, 2)


def test_what_a_challenger_fails_on_in_shadow_is_counted_there(start_lane, table, broken):
    chosen = replace(guarding(table(), BROKEN), challenger=broken, experiment="of-broken-1")
    lane = start_lane(chosen)
    for features in (NEAR, FAR, NEAR):
        assert lane.decide(features=features).status == 200

    async def follow() -> Any:
        replica = ShadowReplica()
        await replica.take(chosen.to_json())
        told = await asyncio.to_thread(
            counted, chosen, part="shadow", until=lambda rows: BROKEN in rows
        )
        await replica.close()
        return told

    told = asyncio.run(follow())

    assert (told[BROKEN]["trials"], told[BROKEN]["failures"]) == (3, 1)
    assert told[BROKEN]["slow"]["5000"] == 0


def test_what_a_challenger_failed_on_when_it_was_asked_is_not_counted_in_shadow_again(
    start_lane, table, broken
):
    traffic = Traffic(design="ab", salt="salt", patience_ms=5_000)
    chosen = replace(
        guarding(table(), BROKEN),
        challenger=broken,
        experiment="of-broken-1",
        traffic=redealt(traffic, {BROKEN: 1.0}),
    )
    lane = start_lane(chosen)
    for features in (NEAR, FAR, FAR):
        lane.decide(features=features)
    lane.take(replace(chosen, generation=2, traffic=None))
    for features in (NEAR, FAR):
        lane.decide(features=features)

    async def follow() -> Any:
        replica = ShadowReplica()
        await replica.take(chosen.to_json())
        for part in ("answers", "shadow"):
            told.append(
                await asyncio.to_thread(counted, chosen, part=part, until=lambda r: BROKEN in r)
            )
        await replica.close()

    told: list[Any] = []
    asyncio.run(follow())

    answers, shadow = (each[BROKEN] for each in told)
    assert (answers["trials"], answers["failures"]) == (3, 2)
    assert (shadow["trials"], shadow["failures"]) == (2, 1)


def test_scores_that_are_no_numbers_are_failures(table, bundles, tmp_path: Path):
    served = Served(ref=CHAMPION, folder=bundles[CHAMPION])
    loaded = replace(load_model(served), encode=lambda rows: np.zeros((len(rows), 4), np.float32))
    scorer = replace(loaded.scorer, scores=lambda rows: np.full(len(rows), np.nan))
    chosen = guarding(table(), CHAMPION)

    class Odd(Warm):
        async def loaded(self, served: Served) -> Any:
            return replace(loaded, scorer=scorer)

    async def decide() -> GuardTally | None:
        from serving.lane.meters import Meters

        meters = Meters("flight_delay")
        with DecisionLog.open(chosen.log, writer="lane") as log:
            decider = await load_decider(chosen, log, {}, meters=meters, warm=Odd(load_model))
            decider._score([[None] * 4] * 3)
        return meters.guards.of(chosen.guards, CHAMPION)

    tally = asyncio.run(decide())

    assert tally is not None
    assert (tally.trials, tally.failures, tally.calls) == (3, 3, 1)


def test_what_shares_a_call_that_comes_too_late_is_one_failure(start_lane, table, broken):
    class Slow:
        """Scores after a while, as a process that was stopped for that long."""

        async def ask(self, ref: str, folder: str, matrix: Any) -> Any:
            if matrix is None:
                return {"runtime": "slow"}
            if ref == CHALLENGER:
                await asyncio.sleep(0.3)
            return {"scores": np.full(len(matrix), 0.5)}

    traffic = Traffic(design="ab", salt="salt", patience_ms=50)
    chosen = replace(
        guarding(table(challenger=CHALLENGER), CHALLENGER, limits_ms=(20, 5_000)),
        hop=Hop(),
        traffic=redealt(traffic, {CHALLENGER: 1.0}),
    )
    lane = start_lane(chosen, Slow().ask)
    bodies = [{"entity": {"origin": "EWR", "tail": "N1"}, "features": NEAR | {"hour": 7}}] * 3

    answer = lane.ask("/v1/flight_delay/decide-batch", {"decisions": bodies})
    told = counted(chosen, until=lambda rows: rows.get(CHALLENGER, {}).get("calls") == 1)

    assert answer.status == 200, answer.document
    row = told[CHALLENGER]
    assert (row["trials"], row["failures"], row["calls"]) == (1, 1, 1)
    assert row["slow"] == {"20": 1, "5000": 0}


def test_after_a_promotion_the_old_champion_stays_in_memory_and_a_rollback_loads_nothing(
    table, bundles
):
    loads: list[str] = []

    def load(served: Served) -> Any:
        loads.append(served.ref)
        return load_model(served)

    one, two = (Served(ref=ref, folder=bundles[ref]) for ref in (CHAMPION, CHALLENGER))
    before = table()
    promoted = replace(table(CHALLENGER), generation=2, previous=one)
    back = replace(table(), generation=3)

    async def follow() -> list[Any]:
        warm, seen = Warm(load), []
        with DecisionLog.open(before.log, writer="lane") as log:
            for chosen in (before, promoted, back):
                decider = await load_decider(chosen, log, {}, warm=warm)
                warm.keep(chosen, decider.champion)
                seen.append((decider.champion.ref, one in warm, two in warm))
        return seen

    seen = asyncio.run(follow())

    assert seen == [(CHAMPION, True, False), (CHALLENGER, True, True), (CHAMPION, True, False)]
    assert loads == [CHAMPION, CHALLENGER]


def test_a_replica_that_starts_after_a_promotion_has_the_old_champion_ready_too(
    start_lane, table, bundles
):
    one = Served(ref=CHAMPION, folder=bundles[CHAMPION])
    lane = start_lane(replace(table(CHALLENGER), previous=one))

    ends = time.monotonic() + 10
    while one not in lane.replica._warm and time.monotonic() < ends:
        time.sleep(0.02)
    shutil.copytree(bundles[CHAMPION], (kept := one.folder.with_name("kept")))
    try:
        shutil.rmtree(one.folder)  # nothing can be loaded from there any more
        (one.folder).mkdir()
        shutil.copy(kept / "card.json", one.folder / "card.json")
        notice = lane.take(replace(table(), generation=2))
    finally:
        shutil.rmtree(one.folder)
        kept.rename(one.folder)

    assert (notice.generation, notice.message) == (2, "")
    assert lane.decide().document["model"] == CHAMPION


def test_an_old_champion_that_cannot_be_loaded_is_no_reason_not_to_answer(
    start_lane, table, tmp_path: Path
):
    lane = start_lane(replace(table(), previous=Served(ref=CHALLENGER, folder=tmp_path / "gone")))

    assert lane.decide().status == 200


def test_tallies_that_no_table_names_any_more_are_kept_for_a_while_and_not_for_ever():
    counts = GuardCounts()
    for number in range(200):
        counts.take([Guarded(model=CHAMPION, experiment=str(number))])
        counts.of([Guarded(model=CHAMPION, experiment=str(number))], CHAMPION).came(1)

    assert [row["experiment"] for row in counts.told()] == [str(n) for n in range(136, 200)]
