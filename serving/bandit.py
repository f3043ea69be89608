"""This module is Thompson sampling: pure, from what outcomes said of models to shares of traffic.

A model's share is the probability that it is the best one, given its outcomes: Russo et al., "A
Tutorial on Thompson Sampling", 2018. Shares change seldom, by generation, so that between two
changes every decision has the same known propensities. No share falls below a floor: weights of
1 / propensity stay bounded, without which estimates from adaptively dealt traffic are useless
(Hadad et al., "Confidence intervals for policy evaluation in adaptive experiments", 2021; Zhan et
al., "Off-Policy Evaluation via Adaptive Weighting with Data from Contextual Bandits", 2021).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from headrace.errors import ParameterError
from serving.traffic import BUCKETS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DRAWS = 20_000


@dataclass(frozen=True, kw_only=True)
class Counts:
    """This is what the outcomes of a model's decisions amount to.

    Args:
        number: How many outcomes.
        mean: Their mean; 0 without any.
        squares: Sum of their squared distances from the mean.
        others: How many are neither 0 nor 1.
    """

    number: int = 0
    mean: float = 0.0
    squares: float = 0.0
    others: int = 0

    def added(self, value: float) -> Counts:
        """Return the counts with one more outcome (Welford's update, which loses no digits)."""
        number = self.number + 1
        step = value - self.mean
        mean = self.mean + step / number
        return Counts(
            number=number,
            mean=mean,
            squares=self.squares + step * (value - mean),
            others=self.others + (value not in (0.0, 1.0)),
        )

    def without(self, value: float) -> Counts:
        """Return the counts without an outcome that was added before."""
        number = self.number - 1
        if number <= 0:
            return Counts()
        mean = self.mean + (self.mean - value) / number
        return Counts(
            number=number,
            mean=mean,
            squares=max(0.0, self.squares - (value - self.mean) * (value - mean)),
            others=self.others - (value not in (0.0, 1.0)),
        )


@dataclass(frozen=True, kw_only=True)
class Posterior:
    """This is what is believed of a model's mean outcome.

    Args:
        family: "beta" where all outcomes are 0 or 1, else "normal-inverse-gamma".
        parameters: Of the family: (alpha, beta), or (mean, kappa, alpha, beta).
        best: Probability that the model is the best one.
    """

    family: Literal["beta", "normal-inverse-gamma"]
    parameters: tuple[float, ...]
    best: float


def posteriors(
    counts: Mapping[str, Counts], *, direction: Literal["up", "down"], salt: str
) -> dict[str, Posterior]:
    """Return what is believed of each model, and how likely it is the best.

    Args:
        counts: Of each model, the champion's too; the first wins where nothing tells them apart.
        direction: Whether more is better.
        salt: The dealing's own; with the counts it fixes the draws, so that the same counts give
            the same probabilities everywhere.

    Raises:
        ParameterError: There is no model.
    """
    import numpy as np

    if not counts:
        raise ParameterError(
            "Thompson sampling was given no model.", remedy="Give the champion and its challengers."
        )
    is_binary = not any(each.others for each in counts.values())
    parameters = _beta(counts) if is_binary else _normal(counts)
    # bit generator and seed are named: numpy's default may change from version to version
    random = np.random.Generator(np.random.PCG64(_seed(counts, salt)))
    draw = _draw_beta if is_binary else _draw_normal
    drawn = np.stack([draw(random, *parameters[model]) for model in counts])
    winners = (drawn if direction == "up" else -drawn).argmax(axis=0)
    wins = np.bincount(winners, minlength=len(counts))
    return {
        model: Posterior(
            family="beta" if is_binary else "normal-inverse-gamma",
            parameters=parameters[model],
            best=float(wins[place]) / DRAWS,
        )
        for place, model in enumerate(counts)
    }


def dealt(best: Mapping[str, float], *, floor: float) -> dict[str, float]:
    """Return the share of each model: its chance to be best, but nobody less than the floor.

    Args:
        best: Probability of each model to be the best; their sum is 1.
        floor: The least share, above 0; where it is more than an equal share, all are equal.

    Returns:
        Shares in whole buckets, which add up to 1 exactly.
    """
    least = min(math.ceil(round(floor * BUCKETS, 6)), BUCKETS // len(best))
    room = BUCKETS - least * len(best)
    total = sum(best.values())
    wanted = {m: least + room * (p / total if total else 1 / len(best)) for m, p in best.items()}
    buckets = {model: int(count) for model, count in wanted.items()}
    rest = BUCKETS - sum(buckets.values())
    for model in sorted(wanted, key=lambda each: buckets[each] - wanted[each])[:rest]:
        buckets[model] += 1  # to those that rounding down took most from
    return {model: count / BUCKETS for model, count in buckets.items()}


def moved(now: Mapping[str, float], wanted: Mapping[str, float], *, by: float = 0.01) -> bool:
    """Return whether a share is to change by so much that it is worth a new generation."""
    models = now.keys() | wanted.keys()
    most = max((abs(wanted.get(m, 0.0) - now.get(m, 0.0)) for m in models), default=0.0)
    return most >= by - 1e-9


def _beta(counts: Mapping[str, Counts]) -> dict[str, tuple[float, ...]]:
    """Return alpha and beta: before any outcome, every rate is as likely."""
    return {m: (1 + c.mean * c.number, 1 + (1 - c.mean) * c.number) for m, c in counts.items()}


def _normal(counts: Mapping[str, Counts]) -> dict[str, tuple[float, ...]]:
    """Return mean, kappa, alpha and beta.

    Before any outcome a model is believed to be as the outcomes of all together are, with the
    weight of one outcome: whatever the unit of an outcome, the belief is of its size.
    """
    number = sum(each.number for each in counts.values())
    middle = sum(each.mean * each.number for each in counts.values()) / number
    spread = sum(c.squares + c.number * (c.mean - middle) ** 2 for c in counts.values()) / number
    spread = spread or max(abs(middle), 1.0) ** 2 * 1e-12  # they are all the same
    found: dict[str, tuple[float, ...]] = {}
    for model, each in counts.items():
        n, kappa, alpha = each.number, 1 + each.number, 1 + each.number / 2
        mean = (middle + n * each.mean) / kappa
        beta = spread + each.squares / 2 + n * (each.mean - middle) ** 2 / (2 * kappa)
        found[model] = (mean, float(kappa), alpha, beta)
    return found


def _draw_beta(random: np.random.Generator, alpha: float, beta: float) -> NDArray[np.float64]:
    return random.beta(alpha, beta, DRAWS)


def _draw_normal(
    random: np.random.Generator, mean: float, kappa: float, alpha: float, beta: float
) -> NDArray[np.float64]:
    variance = beta / random.gamma(alpha, 1.0, DRAWS)
    drawn: NDArray[np.float64] = mean + random.standard_normal(DRAWS) * (variance / kappa) ** 0.5
    return drawn


def _seed(counts: Mapping[str, Counts], salt: str) -> int:
    named: list[Any] = [salt, {model: asdict(each) for model, each in counts.items()}]
    digest = hashlib.sha256(json.dumps(named).encode()).digest()
    return int.from_bytes(digest[:16], "little")
