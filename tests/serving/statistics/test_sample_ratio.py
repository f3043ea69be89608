"""Units that meet an arm too often are found; units that do not are not, however often asked."""

from __future__ import annotations

import math
from bisect import bisect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betaln
from ville import BernoulliTest

from headrace.errors import DataError, ParameterError
from serving.statistics.sample_ratio import log_e_of_ratio

ALPHA = 0.001
ENOUGH = -math.log(ALPHA)
SHARES = np.array([[0.9, 0.1], [0.9, 0.1]])


LOOKS = np.unique(np.geomspace(5, 20_000, 80).astype(int))


def _after(units: int, met: int) -> float:
    """Return the evidence after so many units, of which so many met the challenger."""
    return log_e_of_ratio([0, 1], SHARES, counts=[units - met, met])


@pytest.fixture(scope="module")
def limits() -> tuple[np.ndarray, np.ndarray]:
    """The most units below its share, and the fewest above it, that are a mismatch at each look.

    The evidence is convex in their number, so that there is one such on either side at most.
    """
    found = []
    for units in map(int, LOOKS):
        usual = round(0.1 * units)
        few = bisect(range(usual, -1, -1), False, key=lambda m, n=units: _after(n, m) >= ENOUGH)
        many = bisect(range(usual, units + 1), False, key=lambda m, n=units: _after(n, m) >= ENOUGH)
        found.append((usual - few, usual + many))
    below, above = np.array(found).T
    return below, above


def _met(random: np.random.Generator, share: float, runs: int) -> np.ndarray:
    """Return how many units met the challenger at each look, `(runs, n_looks)`."""
    return random.binomial(np.diff(LOOKS, prepend=0), share, size=(runs, LOOKS.size)).cumsum(axis=1)


def test_units_that_are_dealt_as_said_are_rarely_found_however_often_one_looks(limits) -> None:
    """Of 2,000 experiments more than eight false ones have a chance of at most 0.02 %."""
    met = _met(np.random.default_rng(1), 0.1, 2000)

    false = ((met <= limits[0]) | (met >= limits[1])).any(axis=1)

    assert false.sum() <= 8


def test_asking_an_ordinary_test_as_often_finds_what_is_not_there() -> None:
    """The control: a two-sided z test at one in a thousand, on the same units at the same looks."""
    met = _met(np.random.default_rng(1), 0.1, 2000)

    z = (met - 0.1 * LOOKS) / np.sqrt(0.09 * LOOKS)
    false = (np.abs(z) > 3.2905).any(axis=1).mean()

    assert false > 10 * ALPHA


@pytest.mark.parametrize(
    ("share", "most"),
    [
        pytest.param(0.12, 4700, id="12 % instead of 10 %"),
        pytest.param(0.15, 900, id="15 % instead of 10 %"),
        pytest.param(0.05, 700, id="5 % instead of 10 %"),
    ],
)
def test_a_mismatch_is_found_after_about_as_many_units_as_can_be(limits, share, most) -> None:
    """The median of 400 experiments."""
    met = _met(np.random.default_rng(2), share, 400)

    enough = (met <= limits[0]) | (met >= limits[1])

    assert enough.any(axis=1).all()
    assert np.median(LOOKS[enough.argmax(axis=1)]) <= most


def test_the_evidence_is_close_to_that_of_an_independent_library_where_shares_stand_still() -> None:
    """`ville` averages over all shares alike, we mostly over near ones: a few nats apart."""
    found = (np.random.default_rng(4).random(8000) < 0.125).astype(int)

    theirs = BernoulliTest(0.1).fit(found).log_e_values_[[999, 3999, 7999]]
    ours = np.array([_after(n, int(found[:n].sum())) for n in (1000, 4000, 8000)])

    s, n = found.sum(), found.size
    by_hand = betaln(1 + s, 1 + n - s) - s * math.log(0.1) - (n - s) * math.log(0.9)
    assert theirs[-1] == pytest.approx(by_hand, rel=1e-9)
    assert np.abs(ours - theirs).max() < 3
    assert ours[-1] > theirs[-1] > ENOUGH


def test_the_evidence_is_expected_to_be_one_whatever_becomes_of_the_shares() -> None:
    """Exactly: over all ways in which seven units with changing chances can meet three arms."""
    chances = np.array([[0.8, 0.2, 0]] * 2 + [[0.5, 0.3, 0.2]] * 3 + [[0.1, 0, 0.9]] * 2)

    total = 0.0
    for code in range(3**7):
        met = np.array([code // 3**i % 3 for i in range(7)])
        chance = float(np.prod(chances[np.arange(7), met]))
        if chance:
            total += chance * math.exp(log_e_of_ratio(met, chances))

    assert total == pytest.approx(1.0, abs=1e-9)


def test_a_preferred_arm_is_found_though_its_share_grows_all_the_time() -> None:
    random, n = np.random.default_rng(5), 20_000
    share = np.repeat([0.01, 0.05, 0.25, 0.5], n // 4)
    chances = np.stack([1 - share, share], axis=1)
    preferred = 1.3 * share / (1 - share + 1.3 * share)

    dealt = log_e_of_ratio((random.random(n) < share).astype(int), chances)
    bent = log_e_of_ratio((random.random(n) < preferred).astype(int), chances)

    assert dealt < math.log(20)
    assert bent > ENOUGH


def test_totals_that_forget_when_shares_changed_would_find_what_is_not_there() -> None:
    """The control for the varying chances: the share of today taken for that of all days."""
    random, n = np.random.default_rng(5), 20_000
    share = np.repeat([0.01, 0.05, 0.25, 0.5], n // 4)
    met = (random.random(n) < share).astype(int)

    assert log_e_of_ratio(met, np.full((n, 2), 0.5)) > ENOUGH


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 60), arms=st.integers(2, 4))
def test_neither_order_nor_how_rows_are_counted_matters(seed: int, n: int, arms: int) -> None:
    random = np.random.default_rng(seed)
    kinds = random.dirichlet(np.ones(arms), size=3)
    kind, met = random.integers(0, 3, n), random.integers(0, arms, n)
    order = random.permutation(n)

    one_by_one = log_e_of_ratio(met, kinds[kind])
    turned = log_e_of_ratio(met[order], kinds[kind][order])
    pairs, counts = np.unique(np.stack([kind, met]), axis=1, return_counts=True)
    counted = log_e_of_ratio(pairs[1], kinds[pairs[0]], counts=counts)

    assert turned == pytest.approx(one_by_one, rel=1e-9, abs=1e-9)
    assert counted == pytest.approx(one_by_one, rel=1e-9, abs=1e-9)


def test_without_units_there_is_no_evidence_and_the_impossible_is_all_there_is() -> None:
    assert log_e_of_ratio([], np.zeros((0, 2))) == 0.0
    assert log_e_of_ratio([0, 1], SHARES, counts=[0, 0]) == 0.0
    assert log_e_of_ratio([1], [[1.0, 0.0]]) == math.inf
    assert log_e_of_ratio([0] * 50, [[1.0, 0.0]] * 50) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("assigned", "propensities", "counts", "message"),
    [
        pytest.param(
            [0, 1],
            [[0.5, 0.5], [0.5, 0.4]],
            None,
            "The chances of row 1 are [0.5, 0.4], which are no shares of 1.\n"
            "  Fix: Give the chances that were logged for a unit, one for each arm.",
            id="chances that are not all",
        ),
        pytest.param(
            [0],
            [[np.nan, 0.5]],
            None,
            "The chances of row 0 are [nan, 0.5], which are no shares of 1.\n"
            "  Fix: Give the chances that were logged for a unit, one for each arm.",
            id="an unknown chance",
        ),
        pytest.param(
            [2],
            [[0.5, 0.5]],
            None,
            "Row 0 met the arm 2; there are chances of 2 arms, counted from 0.\n"
            "  Fix: Give the chances that were logged for a unit, one for each arm.",
            id="an arm without a chance",
        ),
        pytest.param(
            [1],
            [[0.5, 0.5]],
            [-1],
            "Row 0 stands for -1 units.\n  Fix: Give counts of at least 0.",
            id="fewer than no units",
        ),
    ],
)
def test_chances_that_are_none_are_refused(assigned, propensities, counts, message) -> None:
    with pytest.raises(DataError) as refused:
        log_e_of_ratio(assigned, propensities, counts=counts)

    assert str(refused.value) == message


def test_chances_of_other_units_are_refused() -> None:
    with pytest.raises(ParameterError):
        log_e_of_ratio([0, 1, 1], SHARES)
