"""What replicas counted is summed once, whatever is lost, read again or restarted."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.lineage.database import Database
from serving._sequences import log_e_of_errors
from serving.endpoints import Endpoints, EndpointSpec
from serving.rollout.live_counts import (
    BEGINS_EVERY,
    counts_of,
    grown,
    live_figures,
    store_counts,
    stored_counts,
    without_marks,
)
from serving.rollout.live_evidence import log_e_of_live
from serving.rule_guardrails import ErrorRate, Latency

PART = {"a": "answers", "b": "answers", "s": "shadow"}


def told(trials: int, failures: int = 0, calls: int = 0, **slow: int) -> dict[str, Any]:
    """What a replica says that it counted; `ms20=3`: three calls took more than 20 ms."""
    named = {limit.removeprefix("ms"): count for limit, count in slow.items()}
    return {"trials": trials, "failures": failures, "calls": calls, "slow": named}


def sums(counts: dict[str, Any]) -> list[int]:
    both = [counts["answers"], counts["shadow"]]
    return [sum(each[name] for each in both) for name in ("trials", "failures", "calls")] + [
        sum(each["slow"].get("20", 0) for each in both)
    ]


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_totals_never_fall_and_nothing_counts_twice(data: st.DataObject) -> None:
    """Replicas count, die and come back under other names; notices are lost or read again."""
    counts = grown(None, told(0), part="answers", writer="nobody")
    lives = dict.fromkeys(PART, 0)
    now: dict[str, dict[str, Any]] = {}
    truth = [0, 0, 0, 0]  # of all that was ever told, and read
    read: dict[str, list[int]] = {}
    steps = st.tuples(st.sampled_from(sorted(PART)), st.sampled_from(["count", "read", "restart"]))
    for replica, step in data.draw(st.lists(steps, max_size=40)):
        writer = f"{replica}{lives[replica]}"
        if step == "restart":  # what it had not told is lost
            lives[replica] += 1
        elif step == "count":
            known = now.get(writer, told(0, ms20=0))
            answers, bad, calls, slow = (
                data.draw(st.integers(0, 900)),
                data.draw(st.integers(0, 9)),
                data.draw(st.integers(1, 9)),
                data.draw(st.integers(0, 1)),
            )
            now[writer] = told(
                known["trials"] + answers + bad,
                known["failures"] + bad,
                known["calls"] + calls,
                ms20=known["slow"]["20"] + slow,
            )
        elif writer in now:
            before = sums(counts)
            counts = grown(counts, now[writer], part=PART[replica], writer=writer)
            last, said = read.get(writer, [0, 0, 0, 0]), now[writer]
            read[writer] = [said["trials"], said["failures"], said["calls"], said["slow"]["20"]]
            truth = [t + n - k for t, n, k in zip(truth, read[writer], last, strict=True)]

            assert all(a >= b for a, b in zip(sums(counts), before, strict=True))
        assert sums(counts) == truth
        assert all(each["trials"] <= sums(counts)[0] for each in counts["begins"])


def test_a_notice_that_is_read_again_or_older_than_the_last_changes_nothing() -> None:
    first = grown(None, told(10, 2, 5, ms20=1), part="answers", writer="a")
    second = grown(first, told(30, 3, 9, ms20=1), part="answers", writer="a")

    again = grown(second, told(30, 3, 9, ms20=1), part="answers", writer="a")
    older = grown(second, told(10, 2, 5, ms20=1), part="answers", writer="a")

    assert sums(second) == [30, 3, 9, 1]
    assert again == second
    assert older == second


def test_of_a_replica_that_is_gone_the_counts_stay_and_the_mark_goes() -> None:
    counts = grown(None, told(10, 2), part="answers", writer="a")
    counts = grown(counts, told(5), part="shadow", writer="s")

    left = without_marks(counts, {"a"})

    assert sums(left) == sums(counts)
    assert left["marks"].keys() == {"s"}


def test_latency_counts_calls_and_errors_count_answers() -> None:
    counts = grown(None, told(160, 3, 10, ms20=2), part="answers", writer="a")
    counts = grown(counts, told(100, 1, 1, ms20=1), part="shadow", writer="s")

    errors = live_figures(ErrorRate(max=0.01), counts)
    slow = live_figures(Latency(max_ms=20.0), counts)
    other = live_figures(Latency(max_ms=50.0), counts)

    assert errors == {"trials": 260, "failures": 4}
    assert slow == {"trials": 11, "slow": 3, "max_ms": 20.0, "quantile": 0.99}
    assert other == {}  # a bound that nobody counted by is not known to be kept


def test_a_model_that_breaks_after_a_million_answers_is_found_out_within_some_dozen() -> None:
    counts, answers = None, 0
    while answers < 1_000_000:
        answers += BEGINS_EVERY
        counts = grown(counts, told(answers), part="answers", writer="a")
    assert counts is not None
    needed = math.log(1 / 0.001)

    def evidence(more: int, **since: Any) -> float:
        figures = live_figures(
            ErrorRate(max=0.01),
            grown(counts, told(answers + more, more), part="answers", writer="a"),
        )
        return log_e_of_live(
            figures["failures"], figures["trials"], 0.01, since.get("since", figures["since"])
        )

    assert evidence(30) > needed
    assert evidence(10_000, since=()) < needed  # totals alone: ten thousand are not enough
    assert len(counts["begins"]) < 64


@pytest.mark.parametrize("rate", [0.005, 0.01])
def test_with_many_beginnings_a_model_within_its_limit_breaks_it_no_more_often(
    rate: float,
) -> None:
    """400 lives of 20,000 answers, looked at after each 200; alpha 0.05.

    By Ville's inequality at most 5 % of lives ever break the limit, also at the limit itself: with
    400 lives more than 35 of them would come by chance once in a thousand (binomial).
    """
    random = np.random.default_rng(20)
    broken = sum(_breaks(random.random(20_000) < rate) for _ in range(400))

    assert broken <= 35


def test_a_model_above_its_limit_breaks_it_nearly_always() -> None:
    random = np.random.default_rng(21)
    broken = sum(_breaks(random.random(20_000) < 0.03) for _ in range(20))

    assert broken == 20


def _breaks(fails: np.ndarray[Any, np.dtype[np.bool_]]) -> bool:
    counts, failures = None, np.cumsum(fails)
    for answers in range(200, len(fails) + 1, 200):
        said = told(answers, int(failures[answers - 1]))
        counts = grown(counts, said, part="answers", writer="a")
        figures = live_figures(ErrorRate(max=0.01), counts)
        since = figures.get("since", ())
        if log_e_of_live(figures["failures"], answers, 0.01, since) >= math.log(20):
            return True
    return False


def test_without_later_beginnings_the_evidence_is_that_of_all_answers() -> None:
    assert log_e_of_live(7, 300, 0.01) == log_e_of_errors(7, 300, 0.01)
    assert log_e_of_live(1, 10, 0.0, [[1, 5, 1]]) == math.inf


def test_counts_are_kept_in_the_database_and_their_marks_are_nobody_elses_business(
    tmp_path: Path,
) -> None:
    database = Database(tmp_path / "headrace.db")
    spec = EndpointSpec(model="minutes", task="estimation", clock="live", space="headrace")
    Endpoints(database).declare("minutes", spec=spec, champion="minutes/1", reason="a flow")
    counts = grown(None, told(10, 2, 5, ms20=1), part="answers", writer="a")
    more = grown(counts, told(20, 2, 5, ms20=1), part="answers", writer="a")

    for each in (counts, more):
        store_counts(database, "minutes", [("experiment", "minutes/2", each)])

    assert stored_counts(database, "minutes", "experiment", "minutes/2") == more
    assert counts_of(database, "minutes", "experiment", "minutes/2") == {
        "answers": told(20, 2, 5, ms20=1),
        "shadow": {"trials": 0, "failures": 0, "calls": 0, "slow": {}},
        "begins": [],
    }
    assert counts_of(database, "minutes", "another", "minutes/2") is None
