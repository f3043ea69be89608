"""Following outcomes: each counts once, for the model that chance chose, when it is of age."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.decisions import DecisionLog
from serving.lane.bandit_memory import CountedElsewhereError
from serving.lane.bandit_notice import read_bandit
from serving.lane.bandit_outcomes import Learning, Told, in_force
from serving.lane.bandit_step import BanditFollower
from serving.lane.bandit_thread import BanditThread, sampled
from serving.lane.table import LaneTable, Served
from serving.traffic import Bandit, Span, Traffic

CHAMPION, CHALLENGER = "flight_delay/1", "flight_delay/2"
HOUR_US = 3_600_000_000
SPANS = (Span(model=CHALLENGER, start=0, end=5000),)


@pytest.fixture
def dealing(tmp_path: Path) -> Callable[..., LaneTable]:
    """Make a table that deals by outcomes, of a past that is lived through again."""

    def make(*, clock: Any = "replayed", **bandit: Any) -> LaneTable:
        traffic = Traffic(design="thompson", salt="s", spans=SPANS, bandit=Bandit(**bandit))
        return LaneTable(
            endpoint="flight_delay",
            generation=1,
            champion=Served(ref=CHAMPION, folder=tmp_path / "1"),
            challenger=Served(ref=CHALLENGER, folder=tmp_path / "2"),
            experiment="1-against-2",
            lookups=(),
            clock=clock,
            may_lack=frozenset(),
            online=tmp_path / "online.db",
            space="headrace",
            log=tmp_path / "decisions",
            notices=tmp_path / "lanes",
            traffic=traffic,
        )

    return make


@pytest.fixture
def following() -> Iterator[Callable[[LaneTable], BanditFollower]]:
    """Start a follower."""
    with ExitStack() as stack:

        def start(table: LaneTable) -> BanditFollower:
            learning = Learning.of(table)
            assert learning is not None
            follower = BanditFollower(table, learning)
            stack.callback(follower.close)
            return follower

        yield start


def decision(name: str, model: str = CHAMPION, at: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "kind": "decision", "id": name, "at": at, "logged": at, "model": model,
        "experiment": "1-against-2", "candidates": [CHAMPION, CHALLENGER],
        "propensities": [0.5, 0.5], "features": [], **more,
    }  # fmt: skip


def outcome(of: str, value: float | None, known: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "kind": "outcome", "id": of, "value": value, "known_at": known, "logged": known, **more,
    }  # fmt: skip


def log_all(table: LaneTable, records: Sequence[dict[str, Any]], writer: str = "lane") -> None:
    with DecisionLog.open(table.log, writer=writer) as log:
        empty = {"columns": log.columns([])}
        log.append([r | empty if r["kind"] == "decision" else r for r in records])


def numbers(follower: BanditFollower) -> dict[str, tuple[int, float]]:
    """Of each model how many outcomes count, and how much they add up to."""
    while not follower.step():
        pass
    found = follower.rewards.counts()
    return {m: (each.number, round(each.mean * each.number, 6)) for m, each in found.items()}


def test_an_outcome_counts_for_the_model_that_answered(dealing, following):
    table = dealing()
    log_all(
        table,
        [decision("a"), decision("b", CHALLENGER), decision("c", CHALLENGER), decision("open")],
    )
    log_all(table, [outcome("a", 0), outcome("b", 1), outcome("c", 1), outcome("nobody", 1)])

    follower = following(table)

    assert numbers(follower) == {CHAMPION: (1, 0), CHALLENGER: (2, 2)}
    assert follower.rewards.seen() == {
        CHAMPION: {"decided": 2, "unknown": 0},
        CHALLENGER: {"decided": 2, "unknown": 0},
    }


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"propensities": [1.0], "candidates": [CHAMPION]}, id="nobody else could"),
        pytest.param({"propensities": [1.0, 0.0]}, id="the other one had no chance"),
        pytest.param({"fallback": "error", "assigned": CHALLENGER}, id="in another's stead"),
        pytest.param({"experiment": "before"}, id="of another experiment"),
        pytest.param({"model": "flight_delay/9"}, id="by a model that is dealt nothing"),
    ],
)
def test_what_chance_did_not_choose_does_not_count(dealing, following, more):
    table = dealing()
    log_all(table, [decision("a") | more, outcome("a", 1)])

    assert numbers(following(table)) == {CHAMPION: (0, 0), CHALLENGER: (0, 0)}


def test_an_experiment_may_be_one_of_several(dealing, following):
    table = dealing()
    both = ["another", "1-against-2"]
    log_all(table, [decision("a", experiment="another", experiments=both), outcome("a", 1)])

    assert numbers(following(table))[CHAMPION] == (1, 1)


def test_only_the_outcome_with_the_name_is_the_reward(dealing, following):
    table = dealing(outcome="paid")
    log_all(
        table,
        [decision("a"), outcome("a", 0), outcome("a", 1, name="paid"), outcome("a", 7, name="x")],
    )

    assert numbers(following(table))[CHAMPION] == (1, 1)


def test_it_counts_once_however_often_it_is_told_and_a_correction_takes_its_place(
    dealing, following
):
    table = dealing()
    log_all(table, [decision("a"), decision("b"), decision("c")])
    log_all(table, [outcome("a", 1, 5), outcome("a", 1, 6), outcome("b", 1, 5)])
    follower = following(table)
    before = numbers(follower)
    log_all(
        table,
        [
            outcome("b", 0, 7, corrects=True),
            outcome("a", None, 8, corrects=True),  # it will never be known
            outcome("c", 1, 9),
        ],
    )

    assert before[CHAMPION] == (2, 2)
    assert numbers(follower)[CHAMPION] == (2, 1)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_what_holds_does_not_depend_on_the_order_in_which_it_is_read(order):
    told = [
        Told(known=1, logged=1, value=1.0, corrects=False),
        Told(known=2, logged=5, value=0.0, corrects=True),
        Told(known=3, logged=4, value=0.5, corrects=True),
    ]

    assert in_force([told[place] for place in order]) == 0.0
    assert in_force([told[place] for place in order], until=1) == 1.0


def test_an_outcome_that_is_read_before_its_decision_counts(dealing, following):
    table = dealing()
    log_all(table, [outcome("a", 1)], writer="a-replica")
    follower = following(table)
    follower.step()
    log_all(table, [decision("a")], writer="b-replica")

    assert numbers(follower)[CHAMPION] == (1, 1)


def test_in_a_window_a_decision_counts_when_it_is_of_age_with_what_was_known_then(
    dealing, following
):
    table = dealing(window_hours=1)
    log_all(
        table,
        [
            decision("soon"), decision("late"), decision("never"), decision("corrected"),
            decision("corrected late"),
            outcome("soon", 1, 5), outcome("corrected", 1, 5), outcome("corrected late", 1, 6),
            outcome("corrected", 0, HOUR_US, corrects=True),
        ],
    )  # fmt: skip
    follower = following(table)
    young = numbers(follower)
    log_all(table, [outcome("late", 1, HOUR_US + 1)])
    log_all(table, [outcome("corrected late", 0, HOUR_US + 2, corrects=True)])

    assert young[CHAMPION] == (0, 0)
    assert numbers(follower)[CHAMPION] == (3, 2)
    assert follower.rewards.seen()[CHAMPION] == {"decided": 5, "unknown": 2}


def test_outcomes_that_come_late_when_they_are_bad_mislead_a_window_of_none_and_no_other(
    dealing, following
):
    random = np.random.default_rng(7)
    decisions, outcomes = [], []
    for number in range(3000):
        model = str(random.choice((CHAMPION, CHALLENGER)))
        value = float(random.random() < (0.5 if model == CHAMPION else 0.4))
        at = number * HOUR_US // 100
        # what the challenger does wrong shows only after twenty hours; all else within minutes
        delay = 20 * HOUR_US if model == CHALLENGER and not value else HOUR_US // 10
        decisions.append(decision(str(number), model, at))
        outcomes.append(outcome(str(number), value, at + delay))
    now = 30 * HOUR_US
    records = sorted(
        (r for r in decisions + outcomes if r["logged"] <= now), key=lambda r: r["logged"]
    )
    impatient, patient = dealing(), dealing(window_hours=24)
    patient = replace(patient, log=patient.log.with_name("patient"))
    for table in (impatient, patient):
        log_all(table, records)

    seen = {
        "impatient": numbers(following(impatient)),
        "patient": numbers(following(patient)),
    }

    means = {
        name: {model: total / number for model, (number, total) in found.items()}
        for name, found in seen.items()
    }
    assert means["impatient"][CHALLENGER] > means["impatient"][CHAMPION]  # the control
    assert means["patient"][CHAMPION] == pytest.approx(0.5, abs=0.06)
    assert means["patient"][CHALLENGER] == pytest.approx(0.4, abs=0.06)


def test_started_again_it_goes_on_where_it_was_and_of_two_one_is_refused(dealing, following):
    table = dealing()
    log_all(table, [decision("a"), outcome("a", 1)])
    first = following(table)
    numbers(first)
    second = following(table)
    log_all(table, [decision("b"), outcome("b", 1)])

    found = numbers(second)
    with pytest.raises(CountedElsewhereError):
        first.step()

    assert found[CHAMPION] == (2, 2)
    assert numbers(following(table))[CHAMPION] == (2, 2)


def test_killed_at_any_moment_it_counts_nothing_twice_and_leaves_nothing_out(dealing, following):
    table = dealing()
    random = np.random.default_rng(3)
    records: list[dict[str, Any]] = []
    for number in range(1500):
        model = str(random.choice((CHAMPION, CHALLENGER)))
        records += [decision(str(number), model), outcome(str(number), float(number % 3 == 0))]
    log_all(table, records)
    counted = 0
    kills = 0
    while kills < 3 and counted < 1500:
        command = [sys.executable, Path(__file__).with_name("_bandit_process.py")]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(json.dumps(table.to_json()) + "\n")
            child.stdin.flush()
            for _ in range(int(random.integers(20, 60))):
                counted = int(child.stdout.readline())
            child.kill()
        kills += 1

    found = numbers(following(table))

    assert kills == 3
    assert 0 < counted < 1500
    models = {record["id"]: record["model"] for record in records if record["kind"] == "decision"}
    for model in (CHAMPION, CHALLENGER):
        own = [int(name) for name, answered in models.items() if answered == model]
        assert found[model] == (len(own), sum(number % 3 == 0 for number in own))


def test_its_thread_says_shares_for_the_host_with_what_they_rest_on(dealing):
    table = dealing(clock="live", every_seconds=0.05)
    log_all(table, [decision(f"a{n}") for n in range(40)])
    log_all(table, [decision(f"b{n}", CHALLENGER) for n in range(40)])
    log_all(table, [outcome(f"a{n}", float(n < 8)) for n in range(40)])
    log_all(table, [outcome(f"b{n}", float(n < 24)) for n in range(40)])

    thread = BanditThread(table)
    thread.take(replace(table, generation=4))
    for _ in range(300):
        notice = read_bandit(table.notices, table.endpoint)
        if notice is not None and notice.generation == 4:
            break
        thread.join(0.02)
    thread.end()

    assert thread.join(5)
    assert (notice.salt, notice.message) == ("s", "")
    assert notice.shares == notice.trace["shares"]
    assert sum(notice.shares.values()) == pytest.approx(1)
    assert notice.shares[CHALLENGER] > 0.9
    assert notice.shares[CHAMPION] >= 0.05
    assert notice.trace["counts"][CHALLENGER]["number"] == 40
    assert notice.trace["counts"][CHALLENGER]["mean"] == pytest.approx(0.6)
    assert notice.trace["posteriors"][CHALLENGER]["family"] == "beta"


def test_a_table_without_outcomes_to_follow_has_nobody_to_follow_them(dealing):
    following_outcomes = dealing()
    more = Span(model=CHALLENGER, start=0, end=7000)
    traffic = replace(following_outcomes.traffic, spans=(more,))

    assert sampled(replace(following_outcomes, traffic=None)) is None
    assert sampled(replace(following_outcomes, traffic=traffic, generation=2)) == sampled(
        following_outcomes
    )
