"""This module estimates what decisions would have earned that another policy would have made.

From a log of decisions that were dealt with known chances. What such an estimate cannot see it
cannot say: where the log never tried what the policy would do, there is no estimate, and the mean
weight, which is 1 where it tried everything, tells (`overlaps`). Few decisions with large weights
are few decisions, and Kish's effective number tells (`enough`). So it may open an experiment, and
is no reason to promote.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from headrace.errors import DataError, ParameterError, did_you_mean
from serving.statistics._arrays import Numbers, Vector, require_rows, vector

Estimator = Literal["ips", "snips", "dr"]

# two-sided at one in a thousand: how far the mean weight may be from 1 by chance
_UNUSUAL = 3.29
_DUST = 1e-9
_FEWEST_BLOCKS = 20
_PLANNED = 40  # blocks at which the bound is tightest


@dataclass(frozen=True, kw_only=True)
class _Log:
    """These are checked decisions: names are numbers from 0, weights those of the policy."""

    reward: Vector
    action: Numbers
    target: Numbers
    weight: Vector
    features: Vector
    block: Numbers


@dataclass(frozen=True, kw_only=True)
class OffPolicyValue:
    """This is what a policy would have earned, beside what was earned, for each decision.

    Standard errors are for one look, and of sums over blocks, whose decisions share their luck; NaN
    where there are fewer than two blocks, and to be believed from some twenty on.

    Args:
        estimator: How it was estimated.
        decisions: How many decisions there are.
        matched: In how many of them the policy would have done what was done.
        effective: Kish's effective number of those, by their weights.
        blocks: How many blocks.
        mean_weight: Mean of the weights, which is expected to be 1.
        value: What the policy would have earned, in the unit of the reward; NaN where the log has
            nothing to say.
        value_error: Its standard error.
        baseline: What was earned.
        baseline_error: Its standard error.
        difference: `value` less `baseline`.
        difference_error: Its standard error.
        lower: Lower confidence bound, for any number of looks, of `difference` and what it may be
            worse; NaN with fewer than twenty blocks, or where all are alike.
        enough: Whether `effective` is at least what was asked for.
        overlaps: Whether `mean_weight` is 1 but for chance: False where the policy would do what
            the log could not have tried, or where chances are not what they are said to be.
    """

    estimator: Estimator
    decisions: int
    matched: int
    effective: float
    blocks: int
    mean_weight: float
    value: float
    value_error: float
    baseline: float
    baseline_error: float
    difference: float
    difference_error: float
    lower: float
    enough: bool
    overlaps: bool


def off_policy_value(
    *,
    reward: npt.ArrayLike,
    action: npt.ArrayLike,
    propensity: npt.ArrayLike,
    target: npt.ArrayLike,
    features: npt.ArrayLike,
    block: npt.ArrayLike,
    estimator: Estimator = "dr",
    min_effective: float,
    alpha: float,
    max_drop: float = 0.0,
    seed: int = 0,
) -> OffPolicyValue:
    """Return what a policy would have earned on logged decisions, if the log can say so.

    "ips" weighs what agreed with the policy by 1 / propensity (Horvitz and Thompson, JASA 47,
    1952); "snips" divides by the sum of the weights (Swaminathan and Joachims, "The self-normalized
    estimator for counterfactual learning", NeurIPS 2015); "dr" corrects a model of the reward by
    it, and is right where either the model or the propensities are (Dudík, Langford and Li, "Doubly
    robust policy evaluation and learning", ICML 2011), with models that were fitted to other blocks
    (Chernozhukov et al., "Double/debiased machine learning", Econometrics Journal 21, 2018).

    The bound may be looked at after every block, from the twentieth on: it is the asymptotic
    confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central
    limit theory and asymptotic confidence sequences" (Annals of Statistics 52, 2024), which is for
    such estimates too, models that are fitted anew included; over blocks, with what
    `serving.statistics._scores` corrects.

    Args:
        reward: What each decision earned, finite; decisions whose outcome is unknown are to be left
            out, or given a value, before, `(n_rows,)`.
        action: What was decided, `(n_rows,)`; numbers or texts.
        propensity: The chance with which just that was decided, above 0 and at most 1, `(n_rows,)`.
            Where several models would have decided the same, the sum of their chances.
        target: What the policy would have decided, `(n_rows,)`.
        features: What is known of each decision, for the model of "dr"; numbers, NaN for unknown,
            `(n_rows, n_features)`.
        block: Number or name of the block of each decision, such as its day, `(n_rows,)`.
        estimator: "ips", "snips" or "dr".
        min_effective: How many effective decisions are enough.
        alpha: The chance of a bound that is ever above the truth, in (0, 0.5).
        max_drop: What the policy may be worse, as a share of what was earned; the bound allows it.
        seed: Of dealing blocks to the folds of "dr".

    Raises:
        ParameterError: The arrays do not have as many rows as each other, there is no such
            estimator, or `alpha` is out of its range.
        DataError: A reward is no finite number, or a propensity not above 0 and at most 1.
    """
    rewards, chances, known = vector(reward), vector(propensity), vector(features)
    done, wanted, days = np.asarray(action), np.asarray(target), np.asarray(block)
    require_rows(
        reward=rewards, action=done, propensity=chances, target=wanted, features=known, block=days
    )
    _require_usable(rewards, chances, estimator, alpha)
    _, both = np.unique(np.concatenate([done, wanted]), return_inverse=True)
    log = _Log(
        reward=rewards,
        action=both[: done.size],
        target=both[done.size :],
        weight=np.where(done == wanted, 1.0 / chances, 0.0),
        features=known,
        block=np.unique(days, return_inverse=True)[1],
    )
    terms = _terms(log, estimator, seed)
    return _summary(
        log, terms, estimator, min_effective=min_effective, alpha=alpha, max_drop=max_drop
    )


def _terms(log: _Log, estimator: Estimator, seed: int) -> Vector:
    """Return what each decision adds to the value, which is their mean; NaN where there is none."""
    if not log.weight.any():
        return np.full(log.reward.size, np.nan)
    if estimator == "ips":
        return log.weight * log.reward
    if estimator == "snips":
        value = float(log.weight @ log.reward / log.weight.sum())
        terms: Vector = value + log.weight * (log.reward - value) / log.weight.mean()
        return terms
    from serving.statistics._reward_model import predicted_rewards

    taken, wanted = predicted_rewards(
        log.reward, log.action, log.target, features=log.features, block=log.block, seed=seed
    )
    return wanted + log.weight * (log.reward - taken)


def _summary(
    log: _Log,
    terms: Vector,
    estimator: Estimator,
    *,
    min_effective: float,
    alpha: float,
    max_drop: float,
) -> OffPolicyValue:
    """Return the figures of a log and of terms whose mean is the value."""
    reward, weight, block = log.reward, log.weight, log.block
    blocks = int(block.max()) + 1 if block.size else 0
    value, value_error = _mean(terms, block)
    baseline, baseline_error = _mean(reward, block)
    difference, difference_error = _mean(terms - reward, block)
    # a share of what was earned, whichever its sign: being worse is being less
    share = 1 - math.copysign(max_drop, baseline)
    mean_weight, weight_error = _mean(weight, block)
    squares = float(np.square(weight).sum())
    effective = float(weight.sum()) ** 2 / squares if squares else 0.0
    return OffPolicyValue(
        estimator=estimator,
        decisions=reward.size,
        matched=int((weight > 0).sum()),
        effective=effective,
        blocks=blocks,
        mean_weight=mean_weight,
        value=value,
        value_error=value_error,
        baseline=baseline,
        baseline_error=baseline_error,
        difference=difference,
        difference_error=difference_error,
        lower=_lower(terms - share * reward, block, alpha),
        enough=effective >= min_effective,
        overlaps=abs(mean_weight - 1) <= _UNUSUAL * weight_error + _DUST,
    )


def _mean(terms: Vector, block: Numbers) -> tuple[float, float]:
    """Return the mean and its standard error, blocks being independent of each other."""
    if not terms.size:
        return math.nan, math.nan
    mean = float(terms.mean())
    sums = np.bincount(block, weights=terms - mean)
    if sums.size < 2:
        return mean, math.nan
    scale = sums.size / (sums.size - 1)
    return mean, math.sqrt(scale * float(sums @ sums)) / terms.size


def _lower(terms: Vector, block: Numbers, alpha: float) -> float:
    """Return a lower bound of the mean that is valid at all blocks at once; NaN for none."""
    from serving.statistics._scores import block_scores, means_below
    from serving.statistics.boundaries import boundary_scores

    blocks = int(block.max()) + 1 if block.size else 0
    if blocks < _FEWEST_BLOCKS or not np.isfinite(terms).all():
        return math.nan
    mean = float(terms.mean())
    # blocks of many decisions count for more: the mean of these is the mean of all decisions
    sums = np.bincount(block, weights=terms - mean, minlength=blocks) * blocks / terms.size
    scores = block_scores(mean + sums)
    bound = boundary_scores(alpha=alpha, planned=_PLANNED, n=scores.n)
    lower = float((scores.mean - means_below(bound, scores))[-1])
    return lower if scores.deviation[-1] > 0 else math.nan


def _require_usable(reward: Vector, propensity: Vector, estimator: str, alpha: float) -> None:
    if estimator not in get_args(Estimator):
        raise ParameterError(
            f"A policy cannot be valued by {estimator!r}."
            f"{did_you_mean(str(estimator), get_args(Estimator))}",
            remedy="Give 'ips', 'snips' or 'dr'.",
        )
    if not 0 < alpha < 0.5:
        raise ParameterError(
            f"A bound cannot be wrong with a chance of {alpha:g}.",
            remedy="Give an alpha above 0 and below 0.5, such as 0.05.",
        )
    unknown = ~np.isfinite(reward)
    if unknown.any():
        row = int(unknown.argmax())
        raise DataError(
            f"The reward of row {row} is {reward[row]:g}, and of {int(unknown.sum()) - 1:,} more "
            "no finite number.",
            remedy="Leave decisions without an outcome out, or give them the value they stand for.",
        )
    impossible = ~((propensity > 0) & (propensity <= 1 + _DUST))
    if impossible.any():
        row = int(impossible.argmax())
        raise DataError(
            f"The propensity of row {row} is {propensity[row]:g}, and of "
            f"{int(impossible.sum()) - 1:,} more not above 0 and at most 1: what was done had some "
            "chance to be done.",
            remedy="Leave out decisions that were not dealt with a known chance.",
        )
