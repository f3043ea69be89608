"""The shadow: the challenger scores what was decided, behind the lane, and never touches it."""

from __future__ import annotations

import asyncio
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headrace.decisions import DecisionLog, LogWriteError, open_view
from operators.bundle import load_bundle
from serving.lane.loading import load_model
from serving.lane.notices import read_shadow
from serving.lane.shadow import Shadow, ShadowReplica
from serving.lane.table import LaneTable, Served

FEATURES = {"carrier": "UA", "distance": 719, "hour": 7}
CHALLENGER = "flight_delay/2"


@pytest.fixture
def shadow_of() -> Iterator[Callable[..., Shadow]]:
    """Start the shadow of a table, as another process than the lane would."""
    with ExitStack() as stack:
        started = 0

        def start(table: LaneTable, **options: Any) -> Shadow:
            nonlocal started
            started += 1
            log = DecisionLog.open(table.log, writer=f"shadow-{started}")
            stack.callback(log.close)
            assert table.challenger is not None
            shadow = Shadow(table, load_model(table.challenger), log, **options)
            stack.callback(shadow._tail.close)
            return shadow

        yield start


def caught_up(shadow: Shadow) -> None:
    while shadow.step():
        pass


def shadows(table: LaneTable) -> list[dict[str, Any]]:
    """What was logged of a shadow, as the evidence reads it."""
    with open_view(table.log) as connection:
        rows = connection.execute(
            "SELECT id, model, score, error, experiment FROM shadows ORDER BY id"
        )
        names = [column[0] for column in rows.description]
        return [dict(zip(names, row, strict=True)) for row in rows.fetchall()]


@pytest.fixture
def failing(bundles: dict[str, Path], tmp_path: Path, fail_beyond: Callable[..., None]) -> Served:
    """A challenger that was measured and written well, and fails on flights beyond 1,000 miles."""
    folder = tmp_path / "failing"
    shutil.copytree(bundles["flight_delay/1"], folder)
    fail_beyond(folder, miles=1000.0)
    return Served(ref=CHALLENGER, folder=folder)


def test_it_scores_every_decision_with_the_challengers_own_features(
    start_lane, table, shadow_of, bundles
):
    chosen = table(challenger=CHALLENGER)
    lane = start_lane(chosen)
    asked = [("UA1", "N1", 7), ("HA2", "N2", 9), ("DL3", "N3", 21)]
    for name, tail, hour in asked:
        features = FEATURES | {"carrier": name[:2], "hour": hour}
        lane.decide(id=name, entity={"origin": "JFK", "tail": tail}, features=features)

    shadow = shadow_of(chosen)
    caught_up(shadow)

    scorer = load_bundle(bundles[CHALLENGER])
    expected = scorer.score(
        {
            "last_delay": [int(tail[1]) - 3.5 for _, tail, _ in asked],
            "hour": [hour for _, _, hour in asked],
            "wind": 3 * [3.25],
            "carrier": [name[:2] for name, _, _ in asked],
        }
    )
    found = {shadow["id"]: shadow for shadow in shadows(chosen)}
    for (name, _, _), score in zip(asked, expected, strict=True):
        assert found[name] == {
            "id": name,
            "model": CHALLENGER,
            "score": pytest.approx(float(score), abs=1e-6),
            "error": None,
            "experiment": "1-against-2",
        }
    notice = shadow.notice
    assert (notice.scored, notice.failed, notice.dropped, notice.behind) == (3, 0, 0, 0)


def test_it_scores_the_decisions_of_its_experiment_and_no_others(start_lane, table, shadow_of):
    chosen = table(challenger=CHALLENGER, generation=2)
    lane = start_lane(table())  # no challenger yet
    lane.decide(id="before")
    lane.take(chosen)
    lane.decide(id="within", features=FEATURES)
    lane.take(replace(chosen, generation=3, experiment="another"))
    lane.decide(id="after", features=FEATURES)

    shadow = shadow_of(chosen)
    caught_up(shadow)

    assert [shadow["id"] for shadow in shadows(chosen)] == ["within"]


def test_a_challenger_that_fails_is_recorded_and_its_other_scores_count(
    start_lane, table, shadow_of, failing
):
    chosen = replace(table(challenger=CHALLENGER), challenger=failing)
    lane = start_lane(chosen)

    answers = [
        lane.decide(id=f"UA{n}", features={"carrier": "UA", "distance": miles})
        for n, miles in enumerate([200, 2475, 719])
    ]
    shadow = shadow_of(chosen)
    caught_up(shadow)

    assert [answer.status for answer in answers] == [200, 200, 200]
    found = shadows(chosen)
    assert [each["score"] for each in found] == [0.25, None, 0.25]
    assert [each["error"] is None for each in found] == [True, False, True]
    assert "indices element out of data bounds" in found[1]["error"]
    assert (shadow.notice.scored, shadow.notice.failed) == (3, 1)


def test_started_again_it_goes_on_where_it_was(start_lane, table, shadow_of):
    chosen = table(challenger=CHALLENGER)
    lane = start_lane(chosen)
    for number in range(5):
        lane.decide(id=f"a{number}", features=FEATURES)
    first = shadow_of(chosen)
    caught_up(first)
    for number in range(4):
        lane.decide(id=f"b{number}", features=FEATURES)

    second = shadow_of(chosen)
    caught_up(second)

    assert (first.notice.scored, second.notice.scored) == (5, 4)
    assert [each["id"] for each in shadows(chosen)] == [
        *(f"a{number}" for number in range(5)),
        *(f"b{number}" for number in range(4)),
    ]


def test_killed_between_scoring_and_noting_it_scores_again_and_each_decision_counts_once(
    start_lane, table, shadow_of
):
    chosen = table(challenger=CHALLENGER)
    lane = start_lane(chosen)
    lane.decide(id="UA1", features=FEATURES)
    caught_up(shadow_of(chosen))
    [cursor] = chosen.log.glob("cursors/*.json")
    cursor.unlink()  # as if it had not come to write it
    lane.decide(id="UA2", features=FEATURES)

    again = shadow_of(chosen)
    caught_up(again)

    assert again.notice.scored == 2
    assert [each["id"] for each in shadows(chosen)] == ["UA1", "UA2"]


def test_too_far_behind_it_leaves_decisions_out_and_counts_them(start_lane, table, shadow_of):
    chosen = table(challenger=CHALLENGER)
    lane = start_lane(chosen)
    with DecisionLog.open(chosen.log, writer="busy") as log:
        lane.decide(id="first", features=FEATURES)
        decision = log.decision("first")
        assert decision is not None
        log.columns(["carrier", "distance", "wind", "landings", "last_delay", "hour"])
        log.append([decision | {"id": f"UA{number}"} for number in range(1999)])
    shadow = shadow_of(chosen, most_behind=10_000)

    shadow.step()
    behind = shadow.notice.behind
    caught_up(shadow)
    lane.decide(id="newest", features=FEATURES)
    caught_up(shadow)

    notice = shadow.notice
    assert behind > 10_000
    assert notice.behind == 0
    assert notice.dropped > 0
    assert notice.scored + notice.dropped == 2001
    scored = {each["id"] for each in shadows(chosen)}
    assert len(scored) == notice.scored
    assert "newest" in scored


def test_its_replica_follows_tables_and_tells_how_far_it_is(start_lane, table, tmp_path: Path):
    chosen = table(challenger=CHALLENGER)
    lane = start_lane(table())
    lane.take(chosen)
    lane.decide(id="UA1", features=FEATURES)

    async def live() -> list[Any]:
        told, replica = [], ShadowReplica()
        for each in (table(), chosen, table(generation=2)):
            await replica.take(each.to_json())
            for _ in range(200):
                notice = read_shadow(each.notices, each.endpoint)
                if notice and notice.scored == (each is chosen):
                    break
                await asyncio.sleep(0.02)
            replica.require_alive()
            told.append(notice)
        broken = replace(chosen.challenger, folder=tmp_path / "gone")
        await replica.take(replace(chosen, challenger=broken, generation=3).to_json())
        told.append(read_shadow(chosen.notices, chosen.endpoint))
        replica._decisions.close()
        return told

    none, scoring, none_again, failed = asyncio.run(live())

    assert (none.model, scoring.model, none_again.model) == (None, CHALLENGER, None)
    assert (scoring.scored, scoring.behind, scoring.generation) == (1, 0, 1)
    assert (failed.model, failed.generation) == (CHALLENGER, 3)
    assert failed.message == (
        f"The bundle '{tmp_path / 'gone'}' is damaged: its file 'runtime.json' is gone.\n"
        "  Fix: Write it again with `write_bundle(folder, model)`, which replaces a damaged one."
    )


def test_scores_that_could_not_be_written_are_written_when_there_is_room(
    start_lane, table, shadow_of
):
    chosen = table(challenger=CHALLENGER)
    lane = start_lane(chosen)
    for name in ("UA1", "UA2", "UA3"):
        lane.decide(id=name, features=FEATURES)
    shadow = shadow_of(chosen)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (16, most))
    try:
        with pytest.raises(LogWriteError):
            shadow.step()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    caught_up(shadow)

    assert [shadow["id"] for shadow in shadows(chosen)] == ["UA1", "UA2", "UA3"]
    assert (shadow.notice.scored, shadow.notice.message) == (3, "")
