"""A challenger that answers is asked beside the loop, for a while; what it does harms nobody."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest

from serving.lane.arm import Arm, Out
from serving.lane.arms import Arms
from serving.lane.breaker import FIRST_IN_FLIGHT
from serving.lane.scoring_thread import Score, ThreadScorer
from serving.lane.table import Served
from serving.traffic import Traffic, redealt

REF = "late/2"
TOLD = list[tuple[list[float | None], str]]


class Model:
    """A model of one feature, which is its score; what else it does is told by the rows."""

    def __init__(self) -> None:
        self.calls: list[list[float]] = []
        self.goes_on = threading.Event()
        self.began = threading.Event()

    def score(self, rows: Sequence[Sequence[Any]]) -> list[float]:
        values = [row[0] for row in rows]
        self.calls.append(values)
        self.began.set()
        if "wait" in values:
            self.goes_on.wait(20)
        if "fail" in values:
            raise ValueError("no such carrier")
        return [0.5 if value == "wait" else value for value in values]


@contextmanager
def challenger(patience: float = 5.0) -> Iterator[tuple[Model, Arm, list[Out]]]:
    """A challenger, ready, in a running loop; what hangs goes on at the end."""
    model, out = Model(), []
    arm = Arm(ThreadScorer(REF, lambda: model.score), experiment="e", told=out.append)
    arm.patience = patience
    try:
        yield model, arm, out
    finally:
        model.goes_on.set()


async def asked(arm: Arm, *rows: Any, as_one: bool = False) -> tuple[list[float | None], str]:
    told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    arm.ask([[row] for row in rows], lambda *what: told.set_result(what), as_one=as_one)
    return await told


async def until(holds: Callable[[], Any], within: float = 10.0) -> None:
    ends = time.monotonic() + within
    while not holds():
        assert time.monotonic() < ends
        await asyncio.sleep(0.002)


def threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name == f"challenger {REF}"]


@pytest.fixture(autouse=True)
def no_threads_of_others() -> None:
    """Threads end when nobody knows their scorer any more."""
    gc.collect()
    ends = time.monotonic() + 5
    while threads() and time.monotonic() < ends:
        time.sleep(0.005)


def test_it_scores_in_a_thread_of_its_own_and_the_loop_goes_on():
    async def run() -> None:
        with challenger() as (model, arm, _):
            await arm.begin(5)
            waiting = asyncio.ensure_future(asked(arm, "wait"))
            await until(model.began.is_set)  # the loop turns while it scores
            model.goes_on.set()

            assert await waiting == ([0.5], "error")
            assert await asked(arm, 0.25, 0.75) == ([0.25, 0.75], "error")

    asyncio.run(run())


def test_what_waits_while_it_scores_is_scored_in_one_call():
    async def run() -> None:
        with challenger() as (model, arm, _):
            await arm.begin(5)
            first = asyncio.ensure_future(asked(arm, "wait"))
            await until(model.began.is_set)
            others = [asyncio.ensure_future(asked(arm, value)) for value in (0.1, 0.2, 0.3)]
            await asyncio.sleep(0)
            model.goes_on.set()

            assert [(await each)[0] for each in (first, *others)] == [[0.5], [0.1], [0.2], [0.3]]
            assert model.calls == [["wait"], [0.1, 0.2, 0.3]]

    asyncio.run(run())


@pytest.mark.parametrize("bad", ["fail", nan, inf, -inf])
def test_a_row_that_it_fails_on_costs_no_other_its_score(bad):
    async def run() -> None:
        with challenger() as (_, arm, out):
            await arm.begin(5)

            scores, why = await asked(arm, 0.1, bad, 0.3)

            assert (scores, why) == ([0.1, None, 0.3], "error")
            assert (arm.breaker.failures, arm.breaker.successes, out) == (1, 2, [])

    asyncio.run(run())


@pytest.mark.parametrize("bad", ["fail", nan])
def test_rows_that_are_one_request_are_scored_whole_or_not_at_all(bad):
    async def run() -> None:
        with challenger() as (_, arm, _):
            await arm.begin(5)

            whole = await asked(arm, *[0.5] * 100, as_one=True)
            broken = await asked(arm, *[0.5] * 99, bad, as_one=True)

            assert whole == ([0.5] * 100, "error")
            assert broken == ([None] * 100, "error")
            assert (arm.breaker.failures, arm.breaker.successes, arm.asked) == (1, 1, 2)

    asyncio.run(run())


def test_one_that_is_late_is_not_waited_for_and_not_asked_until_it_is_back():
    async def run() -> None:
        with challenger(patience=0.05) as (model, arm, _):
            await arm.begin(5)
            begun = time.monotonic()

            late = await asked(arm, "wait", "wait")
            took = time.monotonic() - begun
            refused = arm.refuses()
            model.goes_on.set()
            await until(lambda: arm.refuses() is None)

            assert (late, refused) == (([None, None], "timeout"), "busy")
            assert 0.05 <= took < 10  # of the 20 that it would wait
            assert arm.breaker.failures == 1  # one call: its requests share their fate
            assert await asked(arm, 0.25) == ([0.25], "error")

    asyncio.run(run())


def test_what_a_late_call_failed_on_is_held_against_it_too_and_once():
    async def run() -> None:
        with challenger(patience=0.02) as (model, arm, _):
            await arm.begin(5)

            late = await asked(arm, "wait", "fail", "fail")
            model.goes_on.set()
            await until(lambda: arm.refuses() is None)

            assert late == ([None] * 3, "timeout")
            assert (arm.breaker.failures, arm.breaker.successes) == (2, 0)

    asyncio.run(run())


def test_a_loop_that_was_held_up_itself_sees_the_answer_that_has_come():
    async def run() -> None:
        with challenger(patience=0.05) as (model, arm, _):
            await arm.begin(5)
            told = asyncio.ensure_future(asked(arm, 0.25))
            await asyncio.sleep(0)
            await asyncio.sleep(0)  # it is in the thread now
            assert model.began.wait(5)
            time.sleep(0.2)  # this is what holds it up

            assert await told == ([0.25], "error")
            assert arm.breaker.failures == 0

    asyncio.run(run())


def test_one_that_hangs_has_had_as_many_requests_as_at_the_start_when_it_is_out():
    async def run() -> None:
        with challenger(patience=0.02) as (_, arm, out):
            await arm.begin(5)
            answers = []
            begun = time.monotonic()
            while not out:
                if arm.refuses() is None:
                    answers.append(asyncio.ensure_future(asked(arm, "wait")))
                await asyncio.sleep(0.001)
            took = time.monotonic() - begun

            assert {await each == ([None], "timeout") for each in answers} == {True}
            assert arm.asked == len(answers) == FIRST_IN_FLIGHT
            assert took < 10
            assert out == [
                Out(
                    model=REF,
                    experiment="e",
                    reason="of its answers 4 failed and 0 did not; the last: no answer within "
                    "160 ms",
                )
            ]
            assert (arm.refuses(), threads()) == ("out", [f"challenger {REF}"])

    asyncio.run(run())


def test_one_that_always_fails_is_out_and_what_waits_for_it_is_told_so():
    async def run() -> None:
        with challenger() as (model, arm, out):
            await arm.begin(5)
            first = asyncio.ensure_future(asked(arm, "wait", "fail", "fail", "fail"))
            await until(model.began.is_set)
            waiting = asyncio.ensure_future(asked(arm, 0.5))
            await asyncio.sleep(0)
            arm.leave("it was found wanting")
            model.goes_on.set()

            assert await waiting == ([None], "out")
            assert (await first)[0] == [0.5, None, None, None]
            assert [each.reason for each in out] == ["it was found wanting"]  # told once

    asyncio.run(run())


def test_when_nobody_asks_any_more_its_thread_ends():
    async def run() -> None:
        with challenger() as (_, arm, _):
            await arm.begin(5)
            assert await asked(arm, 0.5) == ([0.5], "error")
            assert threads()
        del arm

    asyncio.run(run())
    gc.collect()
    ends = time.monotonic() + 5

    while threads() and time.monotonic() < ends:
        time.sleep(0.01)

    assert threads() == []


def test_a_process_ends_without_one_that_hangs():
    code = """
import asyncio, threading
from serving.lane.arm import Arm
from serving.lane.scoring_thread import ThreadScorer

async def main():
    hangs = threading.Event()
    arm = Arm(ThreadScorer("late/2", lambda: lambda rows: hangs.wait()), experiment="e", told=print)
    await arm.begin(5)
    told = asyncio.get_running_loop().create_future()
    arm.ask([[1.0]], lambda *what: told.set_result(what))
    print(await told)

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )

    assert (done.returncode, done.stdout) == (0, "([None], 'timeout')\n")


@pytest.fixture
def dealt(table: Callable[..., Any]) -> Callable[..., Any]:
    """A table with a challenger that answers half of the traffic; its model is never loaded."""

    def make(experiment: str = "e1", patience_ms: float = 20.0) -> Any:
        served = Served(ref=REF, folder=Path("late-2"))
        traffic = Traffic(design="ab", salt="s", patience_ms=patience_ms)
        return replace(
            table(), challenger=served, experiment=experiment, traffic=redealt(traffic, {REF: 0.5})
        )

    return make


def test_what_is_known_of_it_outlives_the_table_and_not_the_experiment(dealt):
    async def run() -> None:
        out: list[Out] = []
        arms = Arms(on_out=out.append)
        started = []

        def start(served: Served) -> ThreadScorer:
            started.append(served.ref)
            return ThreadScorer(served.ref, lambda: Model().score)

        first = (await arms.take(dealt("e1"), start))[REF]
        for _ in range(4):
            await asked(first, "fail")
        again = (await arms.take(dealt("e1", patience_ms=70), start))[REF]
        told = arms.out
        other = (await arms.take(dealt("e2"), start))[REF]

        assert again is first
        assert (again.refuses(), other.refuses()) == ("out", None)
        assert again.patience == 0.07
        assert told == tuple(out)
        assert [each.experiment for each in out] == ["e1"]
        assert arms.out == ()
        assert await asked(other, 0.5) == ([0.5], "error")
        assert started == [REF]  # a model that is in memory is not loaded again
        arms.close()

    asyncio.run(run())


def test_a_model_that_hangs_keeps_its_one_thread_over_experiments(dealt):
    model = Model()

    async def run() -> None:
        arms = Arms()
        make = lambda served: ThreadScorer(served.ref, lambda: model.score)  # noqa: E731
        first = (await arms.take(dealt("e1"), make))[REF]
        assert await asked(first, "wait") == ([None], "timeout")

        second = (await arms.take(dealt("e2"), make))[REF]

        assert second.out is not None
        assert second.out.reason == "it could not be asked within 1 s"
        assert threads() == [f"challenger {REF}"]
        model.goes_on.set()
        third = (await arms.take(dealt("e3"), make))[REF]
        assert await asked(third, 0.5) == ([0.5], "error")
        assert threads() == [f"challenger {REF}"]
        arms.close()

    asyncio.run(run())


def test_one_that_cannot_be_loaded_is_out_and_the_table_is_taken(dealt):
    def broken() -> Score:
        raise OSError("the disk is gone")

    async def run() -> None:
        hangs = threading.Event()

        def never() -> Score:
            hangs.wait(20)
            return Model().score

        arms = Arms()
        one = await arms.take(dealt("e1"), lambda served: ThreadScorer(served.ref, broken))
        arms.close()
        two = await arms.take(
            dealt("e2"), lambda served: ThreadScorer(served.ref, never), patience=0.05
        )
        hangs.set()

        reasons = [each[REF].out.reason for each in (one, two) if each[REF].out is not None]
        assert reasons == [
            "it cannot be loaded: OSError: the disk is gone",
            "it could not be asked within 0.05 s",
        ]
        arms.close()

    asyncio.run(run())
