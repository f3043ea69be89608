"""This module says whether votes can carry the method of Dawid and Skene, or majority is safer.

EM fails in silence: where votes tell too little it invents differences between raters and believes
them. So worlds are drawn from what it found (a parametric bootstrap: B. Efron, R. J. Tibshirani, An
Introduction to the Bootstrap, 1993) in which the truth is known, with the same raters on the same
items, and the method is tried on those. The limits are those that kept it from falling behind
majority on simulated crowds of many kinds; the benchmark `vote_aggregation` judges them on others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from operators._dawid_skene import Crowd, Estimate, Floats, dawid_skene

_WORLDS = 4
_SEED = 1979
_MOST_STEPS = 50
_STEP = 1e-3

LEAST_SHARE, MOST_SHARE = 0.5, 2.0  # of a class, as a multiple of its share by majority
_LEAST_DIFFERENCE = 1.75  # of raters, as a multiple of what chance shows where they are alike
_MOST_AGREEMENT = 0.07  # by which the estimated crowd may agree more than the real one
_LEAST_SIGNAL = 3.0  # agreement beyond chance, in standard errors


@dataclass(frozen=True, kw_only=True)
class Check:
    """This is what one check found.

    Args:
        name: Its short name, as in reports.
        value: What was measured.
        passed: Whether the method may be used as far as this check goes.
        why: What that says, as a sentence.
    """

    name: str
    value: float
    passed: bool
    why: str


def winners(counts: Floats) -> Floats:
    """Return the share of each class in the first place of each item; ties share it equally."""
    first: Floats = (counts == counts.max(axis=1, keepdims=True)).astype(np.float64)
    shares: Floats = first / first.sum(axis=1, keepdims=True)
    return shares


def agreement_beyond_chance(counts: Floats) -> tuple[float, float]:
    """Return Krippendorff's nominal alpha, and about how many standard errors it is above zero.

    The error is that of as many independent pairs as there are pairs of votes on one item.
    """
    per_item = counts.sum(axis=1)
    counts = counts[per_item > 1]
    per_item = per_item[per_item > 1]
    if not len(per_item):
        return 0.0, 0.0
    total = per_item.sum()
    shared = ((counts * (counts - 1)).sum(axis=1) / (per_item - 1)).sum() / total
    each = counts.sum(axis=0)
    by_chance = (each * (each - 1)).sum() / (total * (total - 1))
    if by_chance >= 1:
        return 0.0, 0.0
    alpha = float(1 - (1 - shared) / (1 - by_chance))
    pairs = float((per_item * (per_item - 1)).sum() / 2)
    return alpha, alpha * float(np.sqrt(pairs))


def checks_of(crowd: Crowd, estimate: Estimate) -> list[Check]:
    """Return what speaks for and against an estimate, the cheap checks first.

    The ones that draw worlds are left out where a cheap one has already failed.
    """
    counts = crowd.counts()
    alpha, signal = agreement_beyond_chance(counts)
    cheap = [_shares(counts, estimate), _signal(alpha, signal)]
    if not all(check.passed for check in cheap):
        return cheap
    return [*cheap, *_worlds(crowd, estimate, alpha)]


def _shares(counts: Floats, estimate: Estimate) -> Check:
    by_majority = winners(counts).mean(axis=0)
    chosen = winners(estimate.posterior).mean(axis=0)
    seen = by_majority + chosen > 0
    with np.errstate(divide="ignore"):
        ratios = chosen[seen] / by_majority[seen]
    worst = float(ratios[np.abs(np.log(np.maximum(ratios, 1e-12))).argmax()])
    passed = bool((ratios >= LEAST_SHARE).all() and (ratios <= MOST_SHARE).all())
    return Check(
        name="class_shares",
        value=worst if np.isfinite(worst) else 1e12,
        passed=passed,
        why="it gives every class about the share that majority gives it"
        if passed
        else f"it gives a class {worst:.2f} times the share that majority gives it, outside of "
        f"{LEAST_SHARE:g} to {MOST_SHARE:g}",
    )


def _signal(alpha: float, signal: float) -> Check:
    passed = signal >= _LEAST_SIGNAL
    return Check(
        name="agreement",
        value=alpha,
        passed=passed,
        why=f"raters agree beyond chance (alpha {alpha:.3f})"
        if passed
        else f"raters agree hardly more than by chance (alpha {alpha:.3f}), so that votes do not "
        "tell good raters from bad ones",
    )


def _worlds(crowd: Crowd, estimate: Estimate, alpha: float) -> list[Check]:
    random = np.random.default_rng(_SEED)
    alike = estimate.weight.sum(axis=0) + 1e-9
    alike = np.broadcast_to(alike / alike.sum(axis=0), estimate.confusion.shape)
    believed = [_tried(crowd, estimate.confusion, estimate, random) for _ in range(_WORLDS)]
    equal = [_tried(crowd, alike, estimate, random) for _ in range(_WORLDS)]
    by_chance = float(np.mean([each.difference for each in equal]))
    difference = _difference(estimate) / max(by_chance, 1e-12)
    gain = float(np.mean([each.gain for each in believed]))
    excess = float(np.mean([each.alpha for each in believed])) - alpha
    return [
        Check(
            name="raters_differ",
            value=difference,
            passed=difference >= _LEAST_DIFFERENCE,
            why=f"raters differ {difference:.1f} times as much as equal ones would by chance"
            + ("" if difference >= _LEAST_DIFFERENCE else ": too little to be told apart"),
        ),
        Check(
            name="gain_where_truth_is_known",
            value=gain,
            passed=gain > 0,
            why=f"in drawn worlds like this one it is right in {100 * gain:+.2f} points more items",
        ),
        Check(
            name="agreement_as_expected",
            value=excess,
            passed=excess <= _MOST_AGREEMENT,
            why="the crowd agrees as much as it would if the estimate were true"
            if excess <= _MOST_AGREEMENT
            else f"if the estimate were true the crowd would agree more (alpha by {excess:.2f})",
        ),
    ]


@dataclass(frozen=True, kw_only=True)
class _World:
    """This is what came of a drawn world: points gained, how far raters differ, how they agree."""

    gain: float
    difference: float
    alpha: float


def _tried(
    crowd: Crowd, confusion: Floats, estimate: Estimate, random: np.random.Generator
) -> _World:
    truth = random.choice(crowd.classes, size=crowd.items, p=estimate.prior)
    bounds = confusion[crowd.rater, :, truth[crowd.item]].cumsum(axis=1)
    answer = (random.random(len(crowd.item))[:, None] > bounds).sum(axis=1)
    drawn = Crowd(
        item=crowd.item,
        rater=crowd.rater,
        answer=answer.clip(max=crowd.classes - 1),
        raters=crowd.raters,
        classes=crowd.classes,
    )
    found = dawid_skene(drawn, most=_MOST_STEPS, step=_STEP)
    counts = drawn.counts()
    rows = np.arange(crowd.items)
    gain = winners(found.posterior)[rows, truth].mean() - winners(counts)[rows, truth].mean()
    return _World(
        gain=float(gain),
        difference=_difference(found),
        alpha=agreement_beyond_chance(counts)[0],
    )


def _difference(estimate: Estimate) -> float:
    """Return how far raters' matrices lie from that of all, weighted by their votes."""
    all_of_them = estimate.weight.sum(axis=0) + 1e-9
    all_of_them = all_of_them / all_of_them.sum(axis=0)
    of_class = estimate.weight.sum(axis=1)[:, None, :]
    return float((of_class * (estimate.confusion - all_of_them) ** 2).sum())
