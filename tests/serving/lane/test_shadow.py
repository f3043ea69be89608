"""The shadow: the challenger scores what was decided, behind the lane, and never touches it."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headrace.decisions import DecisionLog, LogWriteError, open_view
from headrace.decisions.log_writer import LogWriter
from operators.bundle import load_bundle
from serving.lane.shadow_step import Shadow
from serving.lane.table import Compared, LaneTable, Served

FEATURES = {"carrier": "UA", "distance": 719, "hour": 7}
CHALLENGER = "flight_delay/2"


@pytest.fixture
def shadow_of() -> Iterator[Callable[..., Shadow]]:
    """Start the shadow of a table, as another process than the lane would."""
    with ExitStack() as stack:
        started = 0

        def start(table: LaneTable, rival: int = 0, **options: Any) -> Shadow:
            nonlocal started
            started += 1
            log = LogWriter(table.log, f"shadow-{started}")
            stack.callback(log.close)
            shadow = Shadow(table, table.compared[rival], log, **options)
            stack.callback(shadow.close)
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
    figures = shadow.figures
    assert (figures.scored, figures.failed, figures.dropped, figures.behind) == (3, 0, 0, 0)


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
    assert (shadow.figures.scored, shadow.figures.failed) == (3, 1)


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

    assert (first.figures.scored, second.figures.scored) == (5, 4)
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

    assert again.figures.scored == 2
    assert [each["id"] for each in shadows(chosen)] == ["UA1", "UA2"]


def test_too_far_behind_it_leaves_decisions_out_and_counts_them(start_lane, table, shadow_of):
    chosen = table(challenger=CHALLENGER)
    lane = start_lane(chosen)
    with DecisionLog.open(chosen.log, writer="busy") as log:
        lane.decide(id="first", features=FEATURES)
        decision = log.decision("first")
        assert decision is not None
        log.columns(["carrier", "distance", "wind", "landings", "last_delay", "hour"])
        log.append([decision | {"id": f"UA{number}"} for number in range(3999)])
    shadow = shadow_of(chosen, most_behind=10_000)

    shadow.step()
    behind = shadow.figures.behind
    caught_up(shadow)
    lane.decide(id="newest", features=FEATURES)
    caught_up(shadow)

    figures = shadow.figures
    assert behind > 10_000
    assert figures.behind == 0
    assert figures.dropped > 0
    assert figures.scored + figures.dropped == 4001
    scored = {each["id"] for each in shadows(chosen)}
    assert len(scored) == figures.scored
    assert "newest" in scored


def test_a_decision_that_the_challenger_answered_is_scored_by_the_champion_instead(
    start_lane, table, shadow_of, bundles
):
    chosen = table(challenger=CHALLENGER)
    lane = start_lane(chosen)
    lane.decide(id="UA1", features=FEATURES)
    with DecisionLog.open(chosen.log, writer="dealt") as log:
        decision = log.decision("UA1")
        log.columns(["carrier", "distance", "wind", "landings", "last_delay", "hour"])
        log.append([decision | {"id": "UA2", "model": CHALLENGER, "score": 0.5}])

    shadow = shadow_of(chosen)
    caught_up(shadow)

    first, second = shadows(chosen)
    assert (first["id"], first["model"]) == ("UA1", CHALLENGER)
    assert (second["id"], second["model"]) == ("UA2", "flight_delay/1")
    assert second["experiment"] == first["experiment"] == "1-against-2"
    assert second["score"] == pytest.approx(decision["score"])  # what it said of the same features
    assert (shadow.figures.scored, shadow.figures.mirrored) == (1, 1)


def test_each_challenger_scores_what_it_did_not_answer_and_keeps_its_own_place(
    start_lane, table, shadow_of, bundles
):
    third = Served(ref="flight_delay/3", folder=bundles["flight_delay/1"])
    chosen = table(challenger=CHALLENGER, also=(Compared(model=third, experiment="1-against-3"),))
    lane = start_lane(table())
    lane.decide(id="UA0")
    with DecisionLog.open(chosen.log, writer="dealt") as log:
        decision = log.decision("UA0")
        assert decision is not None
        both = {"experiment": "1-against-2", "experiments": ["1-against-2", "1-against-3"]}
        names = ["carrier", "distance", "wind", "landings", "last_delay", "hour"]
        more = {"columns": log.columns(names), "features": ["UA", 719, 12.5, 1, 2.5, 7], **both}
        answered = {"UA1": "flight_delay/1", "UA2": CHALLENGER, "UA3": "flight_delay/3"}
        log.append([decision | more | {"id": i, "model": m} for i, m in answered.items()])

    first, second = shadow_of(chosen), shadow_of(chosen, rival=1)
    caught_up(first)
    before = shadows(chosen)
    caught_up(second)

    one = [("UA1", CHALLENGER), ("UA2", "flight_delay/1"), ("UA3", CHALLENGER)]
    other = [("UA1", third.ref), ("UA2", third.ref), ("UA3", "flight_delay/1")]
    assert [(each["id"], each["model"]) for each in before] == one
    found = {(each["experiment"], each["id"], each["model"]) for each in shadows(chosen)}
    assert found == {
        *(("1-against-2", *each) for each in one),
        *(("1-against-3", *each) for each in other),
    }


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
    assert (shadow.figures.scored, shadow.figures.message) == (3, "")
