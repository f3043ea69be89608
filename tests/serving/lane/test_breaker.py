"""The breaker finds a challenger that fails often, soon, and leaves one that fails seldom alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.lane.breaker import (
    FAILURE_WEIGHT,
    FIRST_IN_FLIGHT,
    LIMIT,
    MOST_IN_FLIGHT,
    Breaker,
)

SEED = 20_131
RUNS = 2_000


class InARow:
    """The usual breaker, for comparison: out after so many failures one after the other."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._row = 0
        self.is_out = False

    def succeeded(self) -> None:
        self._row = 0

    def failed(self) -> None:
        self._row += 1
        self.is_out = self.is_out or self._row >= self._limit


def requests_until_out(make: Callable[[], Breaker | InARow], rate: float, most: int) -> np.ndarray:
    """The requests that challengers had, each failing at a rate, when they were out."""
    random = np.random.default_rng(SEED)
    had = []
    for fails in random.random((RUNS, most)) < rate:
        breaker, count = make(), 0
        for failed in fails:
            count += 1
            breaker.failed() if failed else breaker.succeeded()
            if breaker.is_out:
                break
        had.append(count if breaker.is_out else most + 1)
    return np.array(had)


def test_one_that_always_fails_is_out_after_four_requests():
    assert set(requests_until_out(Breaker, 1.0, 10)) == {4}


def test_one_that_fails_on_a_fifth_is_out_within_40_requests_in_95_of_100_cases():
    """Ten fewer than are asked for: some are under way when it is out."""
    assert np.quantile(requests_until_out(Breaker, 0.2, 400), 0.95) <= 40


def test_counting_failures_in_a_row_would_not_find_it():
    """The control: as quick at 100 %, and blind at 20 %."""
    control = requests_until_out(lambda: InARow(4), 0.2, 400)

    assert set(requests_until_out(lambda: InARow(4), 1.0, 10)) == {4}
    assert np.quantile(control, 0.95) > 400


@pytest.mark.parametrize(
    ("rate", "least"),
    [
        pytest.param(0.001, 1.7e8, id="one in a thousand"),
        pytest.param(0.01, 15_000, id="one in a hundred"),
    ],
)
def test_one_that_fails_seldom_is_asked_for_long(rate, least):
    """Exact: the expected requests until it is out, of the chain of what is held against it."""
    chain = np.zeros((LIMIT, LIMIT))
    for against in range(LIMIT):
        chain[against, max(0, against - 1)] += 1 - rate
        if against + FAILURE_WEIGHT < LIMIT:
            chain[against, against + FAILURE_WEIGHT] += rate

    expected = np.linalg.solve(np.eye(LIMIT) - chain, np.ones(LIMIT))[0]

    assert expected >= least


def test_a_failure_weighs_what_the_likelihoods_say():
    failure, success = log(0.2 / 0.0002), log(0.9998 / 0.8)

    assert round(failure / success) == FAILURE_WEIGHT


@given(st.lists(st.booleans(), max_size=300))
def test_what_is_held_against_it_is_the_worst_of_all_its_ends(fails):
    """Page's sum: the largest of any run up to now, never below nothing; out once is out."""
    breaker, ends, ever_out = Breaker(), deque([0]), False
    for failed in fails:
        breaker.failed() if failed else breaker.succeeded()
        if not ever_out:
            change = FAILURE_WEIGHT if failed else -1
            ends = deque([0, *(end + change for end in ends)])
            assert breaker.against == max(ends)
        ever_out = ever_out or max(ends) >= LIMIT

        assert breaker.is_out == ever_out
        assert 1 <= breaker.in_flight <= MOST_IN_FLIGHT
    assert (breaker.failures, breaker.successes) == (sum(fails), len(fails) - sum(fails))


def test_it_has_few_requests_at_once_at_first_and_more_with_each_success():
    breaker = Breaker()
    seen = [breaker.in_flight]

    breaker.succeeded(4)
    seen.append(breaker.in_flight)
    breaker.failed()
    seen.append(breaker.in_flight)
    breaker.succeeded(5_000)
    seen.append(breaker.in_flight)

    assert seen == [FIRST_IN_FLIGHT, 8, 4, MOST_IN_FLIGHT]


def test_a_long_good_past_does_not_excuse_a_bad_present():
    breaker = Breaker()
    breaker.succeeded(1_000_000)

    for _ in range(4):
        breaker.failed()

    assert breaker.is_out
