"""In blocks that a count of outcomes closes, a difference of AUCs is unbiased."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from serving._block_spans import count_spans
from serving.statistics.ranks import auc

arrivals = st.lists(st.tuples(st.sampled_from([0, 1, 2]), st.integers(0, 2)), max_size=60)


def _spans(rows: list[tuple[int, int]], size: int):
    """Part decisions of an outcome (2 for none) and the time since the last one."""
    outcome = np.array([row[0] for row in rows], dtype=int)
    at_us = np.cumsum([row[1] for row in rows], dtype=np.int64)
    counted = [np.flatnonzero(outcome == kind) for kind in (0, 1)]
    return outcome, at_us, count_spans(at_us, size, counted)


@settings(max_examples=80, deadline=None)
@given(rows=arrivals, size=st.integers(1, 4))
def test_a_block_is_closed_by_the_moment_that_makes_it_full(rows, size) -> None:
    outcome, at_us, spans = _spans(rows, size)

    block, seen, expected = 0, [0, 0, 0], []
    for place, kind in enumerate(outcome):  # one by one, as they arrive
        expected.append(block)
        seen[kind] += 1
        moment_is_over = place + 1 == len(rows) or at_us[place + 1] > at_us[place]
        if min(seen[:2]) >= size and moment_is_over:
            block, seen = block + 1, [0, 0, 0]
    assert spans.index.tolist() == expected
    closed = spans.ends <= (at_us.max(initial=0) + 1)
    assert closed.sum() == block
    assert all(at_us[spans.index == b].max() + 1 == spans.ends[b] for b in range(block))


@settings(max_examples=40, deadline=None)
@given(rows=arrivals, later=arrivals)
def test_a_block_that_is_closed_is_changed_by_no_later_decision(rows, later) -> None:
    later = [(kind, step + 1) for kind, step in later]
    _, at_us, before = _spans(rows, 2)

    _, _, after = _spans(rows + later, 2)

    closed = before.ends[before.ends <= at_us.max(initial=0) + 1]
    assert after.ends[: closed.size].tolist() == closed.tolist()
    kept = before.index < closed.size
    assert after.index[: len(rows)][kept].tolist() == before.index[kept].tolist()


def test_the_difference_of_aucs_in_blocks_by_count_is_unbiased_whatever_the_base_rate_does() -> (
    None
):
    """Of two models whose AUCs differ by 0.046; positives become rarer and more frequent.

    2,800 blocks: the mean is further than 3.3 of its standard errors from the truth with a chance
    of one in a thousand.
    """
    difference, truth = _scored_differences(closes_on_outcomes=True)

    error = difference.std(ddof=1) / np.sqrt(difference.size)
    assert difference.size > 2500
    assert abs(difference.mean() - truth) < 3.3 * error


def test_blocks_that_close_when_scores_please_are_biased() -> None:
    """The control: the same data, a block being closed as soon as the challenger leads well."""
    difference, truth = _scored_differences(closes_on_outcomes=False)

    error = difference.std(ddof=1) / np.sqrt(difference.size)
    assert difference.mean() - truth > 10 * error


def _scored_differences(*, closes_on_outcomes: bool) -> tuple[np.ndarray, float]:
    """Return each block's difference of AUCs, and the true one."""
    random, n = np.random.default_rng(11), 100_000
    rate = 0.3 + 0.2 * np.sin(np.arange(n) / 500)
    outcome = (random.random(n) < rate).astype(float)
    shared = random.normal(size=n)  # both models see the same decisions
    ours = 0.8 * outcome + 0.8 * shared + 0.6 * random.normal(size=n)
    theirs = 1.0 * outcome + 0.8 * shared + 0.6 * random.normal(size=n)
    truth = float(norm.cdf(1.0 / np.sqrt(2)) - norm.cdf(0.8 / np.sqrt(2)))
    spans = count_spans(
        np.arange(n), 10, [np.flatnonzero(outcome == 1), np.flatnonzero(outcome == 0)]
    )
    edges = np.append(spans.starts, n)[: (spans.ends <= n).sum() + 1]
    found = []
    for start, end in itertools.pairwise(edges):
        ends = [end]
        if not closes_on_outcomes:  # look from half of the block on, and stop when it leads
            ends = [*range(start + (end - start) // 2, end, 5), end]
        for stop in ends:
            rows = slice(start, stop)
            areas = auc(outcome[rows], theirs[rows]), auc(outcome[rows], ours[rows])
            if None not in areas and (areas[0] - areas[1] > 0.1 or stop == end):
                found.append(areas[0] - areas[1])
                break
    return np.array(found), truth
