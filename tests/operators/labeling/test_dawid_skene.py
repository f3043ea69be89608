"""These tests specify Dawid and Skene's method, and when votes can carry it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators._crowd_checks import agreement_beyond_chance, checks_of, winners
from operators._dawid_skene import Crowd, dawid_skene


def _crowd(votes: list[tuple[int, int, int]], classes: int) -> Crowd:
    item, rater, answer = (np.array(column) for column in zip(*sorted(votes), strict=True))
    return Crowd(
        item=item, rater=rater, answer=answer, raters=int(rater.max()) + 1, classes=classes
    )


def _drawn(
    confusion: np.ndarray, *, items: int, overlap: int, shares: list[float], seed: int
) -> tuple[Crowd, np.ndarray]:
    """Draw votes of raters with known confusion matrices (rater, true class, answer)."""
    random = np.random.default_rng(seed)
    raters, classes = confusion.shape[:2]
    truth = random.choice(classes, size=items, p=shares)
    who = np.argsort(random.random((items, raters)), axis=1)[:, :overlap]
    item, rater = np.repeat(np.arange(items), overlap), who.ravel()
    bounds = confusion[rater, truth[item]].cumsum(axis=1)
    answer = (random.random(len(item))[:, None] > bounds).sum(axis=1).clip(max=classes - 1)
    crowd = Crowd(item=item, rater=rater, answer=answer, raters=raters, classes=classes)
    return crowd, truth


def _even(rights: list[float], classes: int) -> np.ndarray:
    """Confusion matrices of raters who err evenly."""
    return np.stack(
        [
            np.full((classes, classes), (1 - right) / (classes - 1))
            + np.eye(classes) * (right - (1 - right) / (classes - 1))
            for right in rights
        ]
    )


def _in_loops(crowd: Crowd, steps: int) -> list[list[float]]:
    """The method written as one would by hand, one vote after the other."""
    items, classes = crowd.items, crowd.classes
    votes = list(zip(crowd.item, crowd.rater, crowd.answer, strict=True))
    likely = [[0.0] * classes for _ in range(items)]
    for i, _, a in votes:
        likely[i][a] += 1
    likely = [[x / sum(row) for x in row] for row in likely]
    for _ in range(steps):
        matrix = {}
        for r in range(crowd.raters):
            for t in range(classes):
                said = [2 * 0.7 if a == t else 2 * 0.3 / (classes - 1) for a in range(classes)]
                for i, rater, a in votes:
                    if rater == r:
                        said[a] += likely[i][t]
                for a in range(classes):
                    matrix[r, a, t] = said[a] / sum(said)
        share = [(sum(row[t] for row in likely) + 1) / (items + classes) for t in range(classes)]
        new = []
        for i in range(items):
            row = [share[t] for t in range(classes)]
            for j, r, a in votes:
                if j == i:
                    row = [row[t] * matrix[r, a, t] for t in range(classes)]
            new.append([x / sum(row) for x in row])
        likely = new
    return likely


def test_one_step_is_what_is_worked_out_by_hand():
    # both say a of item 0; of item 1 rater 0 says a and rater 1 says b
    crowd = _crowd([(0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 1)], classes=2)

    found = dawid_skene(crowd, most=1)

    # rater 0, class a: 1.5 of 1.5 votes say a; with the prior (1.5 + 1.4) / (1.5 + 2)
    assert found.confusion[0, 0, 0] == pytest.approx(2.9 / 3.5)
    assert found.confusion[1, 1, 1] == pytest.approx(1.9 / 2.5)
    assert found.prior == pytest.approx([0.625, 0.375])
    a = 0.625 * (2.9 / 3.5) * (2.4 / 3.5)
    b = 0.375 * (1.1 / 2.5) * (0.6 / 2.5)
    assert found.posterior[0, 0] == pytest.approx(a / (a + b))
    assert found.posterior[0, 0] == pytest.approx(0.89967, abs=1e-5)
    assert found.posterior[1, 0] == pytest.approx(0.56482, abs=1e-5)
    assert not found.converged


@given(
    votes=st.sets(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=3, max_size=20),
    answers=st.lists(st.integers(0, 2), min_size=20, max_size=20),
    steps=st.integers(1, 6),
)
@settings(max_examples=60, deadline=None)
def test_it_is_what_loops_over_single_votes_give(votes, answers, steps):
    items = {name: at for at, name in enumerate(sorted({item for item, _ in votes}))}
    crowd = _crowd(
        [(items[i], r, a) for (i, r), a in zip(sorted(votes), answers, strict=False)], classes=3
    )

    found = dawid_skene(crowd, most=steps, step=0.0)

    assert found.posterior == pytest.approx(np.array(_in_loops(crowd, steps)), abs=1e-9)


def test_it_finds_good_raters_spammers_and_liars_and_so_labels_majority_gets_wrong():
    rights = [0.9] * 7 + [0.5] * 4 + [0.1] * 1
    crowd, truth = _drawn(_even(rights, 2), items=1_000, overlap=5, shares=[0.5, 0.5], seed=81)

    found = dawid_skene(crowd)

    right = (found.confusion[:, 0, 0] + found.confusion[:, 1, 1]) / 2
    assert right == pytest.approx(np.array(rights), abs=0.06)
    rows = np.arange(len(truth))
    by_majority = winners(crowd.counts())[rows, truth].mean()
    assert (found.posterior.argmax(axis=1) == truth).mean() > by_majority + 0.05
    assert found.converged
    assert all(check.passed for check in checks_of(crowd, found))


def test_raters_who_confuse_one_class_are_understood():
    # half of the raters call two thirds of class 2 class 1
    fair, confused = np.full((3, 3), 0.075), np.full((3, 3), 0.075)
    np.fill_diagonal(fair, 0.85)
    np.fill_diagonal(confused, 0.85)
    confused[2] = [0.05, 0.65, 0.30]
    crowd, truth = _drawn(
        np.stack([fair, confused] * 10), items=2_000, overlap=5, shares=[1 / 3] * 3, seed=82
    )

    found = dawid_skene(crowd)

    assert found.confusion[1::2, 1, 2].mean() == pytest.approx(0.65, abs=0.06)
    rows = np.arange(len(truth))
    by_majority = winners(crowd.counts())[rows, truth].mean()
    assert (found.posterior.argmax(axis=1) == truth).mean() > by_majority + 0.02


@pytest.mark.parametrize(
    ("rights", "overlap", "failed"),
    [
        pytest.param([0.52] * 20, 3, "agreement", id="hardly better than chance"),
        pytest.param([0.75] * 20, 3, "raters_differ", id="all alike"),
    ],
)
def test_votes_that_cannot_carry_it_are_found_out(rights, overlap, failed):
    crowd, _ = _drawn(_even(rights, 2), items=600, overlap=overlap, shares=[0.5, 0.5], seed=83)

    checks = checks_of(crowd, dawid_skene(crowd))

    assert failed in [check.name for check in checks if not check.passed]


def test_a_collapse_onto_one_class_is_found_out():
    # rules that know one answer each: what explains them best is one class for nearly all
    random = np.random.default_rng(84)
    truth = random.integers(0, 2, size=800)
    fires = random.random((800, 8)) < np.where(truth[:, None] == np.arange(8) % 2, 0.5, 0.15)
    fires[:, 0] |= ~fires.any(axis=1)
    votes = [(int(i), int(r), int(r % 2)) for i, r in zip(*np.nonzero(fires), strict=True)]
    crowd = _crowd(votes, classes=2)

    found = dawid_skene(crowd)

    rows = np.arange(len(truth))
    by_majority = winners(crowd.counts())[rows, truth].mean()
    assert (found.posterior.argmax(axis=1) == truth).mean() < by_majority - 0.1
    assert not all(check.passed for check in checks_of(crowd, found))


@given(
    counts=st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 4)).filter(lambda c: sum(c) > 0),
        min_size=1,
        max_size=12,
    )
)
@settings(max_examples=40, deadline=None)
def test_its_measure_of_agreement_is_krippendorffs(counts):
    from operators._alpha import krippendorff_alpha

    values = [(i, c) for i, row in enumerate(counts) for c, n in enumerate(row) for _ in range(n)]
    units, answers = (np.array(column) for column in zip(*values, strict=True))

    alpha, _ = agreement_beyond_chance(np.array(counts, dtype=float))

    expected = krippendorff_alpha(units, answers.astype(float), metric="nominal")
    assert alpha == pytest.approx(0.0 if expected is None else expected, abs=1e-9)


def test_checks_are_the_same_every_time():
    crowd, _ = _drawn(
        _even([0.9] * 4 + [0.6] * 6, 3), items=200, overlap=3, shares=[0.5, 0.3, 0.2], seed=85
    )
    found = dawid_skene(crowd)

    assert checks_of(crowd, found) == checks_of(crowd, found)
