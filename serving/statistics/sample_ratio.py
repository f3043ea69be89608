"""This module tests whether units met the arms of an experiment with the chances that were dealt.

Where they did not, something between the dealing and the log prefers one arm (a model that fails,
a redirect that is lost), and no comparison of the arms can be believed. It may be asked after every
unit: Lindon and Malek, "Anytime-valid inference for multinomial count data" (NeurIPS 2022), average
likelihood ratios over what the true chances may be; by Ville's inequality the average ever reaches
1 / alpha with a chance of at most alpha.

Shares change while an experiment runs (a ramp, Thompson sampling), so what is averaged over is not
the chances but the odds ratio by which one arm is preferred, which has a meaning whatever its share
is. Where shares never change that is a mixture over chances as in the paper. It is one mixture
throughout: to take the Dirichlet's while shares stand still and another once they move would be to
choose between two tests by looking, which may fail twice as often as either.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from headrace.errors import DataError
from serving.statistics._arrays import Vector, require_rows, vector

_DUST = 1e-6
# log odds ratios by which an arm may be preferred: 0.5 % to a factor of 50, in steps of a sixth
_TILTS = np.geomspace(0.005, 4.0, 44)
_SPREAD = 0.25  # the prior's scale: most faults that are met change odds by less than a third


def log_e_of_ratio(
    assigned: npt.ArrayLike, propensities: npt.ArrayLike, *, counts: npt.ArrayLike | None = None
) -> float:
    """Return the log evidence, at any time, against "units met arms with their known chances".

    Lindon and Malek, "Anytime-valid inference for multinomial count data" (NeurIPS 2022), mixed
    over odds ratios so that chances may differ from unit to unit. The order of units does not
    matter. At a level alpha a mismatch is found where this reaches log(1 / alpha).

    Args:
        assigned: The arm that each unit met, a column of `propensities`, `(n_rows,)`. A unit that
            comes back counts once.
        propensities: The chance with which each unit was to meet each arm; rows add up to 1, and
            an arm that a unit could not meet has 0, `(n_rows, n_arms)`.
        counts: How many such units a row stands for; one where None, `(n_rows,)`.

    Returns:
        0 without units, infinite once a unit met an arm that it could not meet.

    Raises:
        ParameterError: The arrays do not have as many rows as each other.
        DataError: Chances are unknown (NaN), below 0 or do not add up to 1; an arm has no column;
            or a count is below 0 or unknown.
    """
    from scipy.special import logsumexp  # type: ignore[import-untyped]

    arms, chances = vector(assigned), vector(propensities)
    many = np.ones(arms.size) if counts is None else vector(counts)
    require_rows(assigned=arms, propensities=chances, counts=many)
    _require_chances(arms, chances, many)
    if not many.any():
        return 0.0
    kept = many > 0
    met, chances, many = arms[kept].astype(np.int64), chances[kept], many[kept]
    if (chances[np.arange(met.size), met] == 0).any():
        return math.inf
    tilts, log_prior = _prior()
    n_arms = chances.shape[1]
    each = np.empty((n_arms, tilts.size))
    for arm in range(n_arms):
        # a unit's likelihood ratio, if the odds of this arm are exp(tilt) times what they should be
        found, place = np.unique(chances[:, arm], return_inverse=True)
        units = np.bincount(place, weights=many)
        expected = units @ np.log1p(found[:, None] * np.expm1(tilts)[None, :])
        each[arm] = many[met == arm].sum() * tilts - expected
    return float(logsumexp(each + log_prior - math.log(n_arms)))


def _prior() -> tuple[Vector, Vector]:
    """Return the tilts, of either sign, and the logarithms of their weights.

    The weights follow a Cauchy density, which forgives a far larger fault than was thought of.
    """
    density = _TILTS / (1 + (_TILTS / _SPREAD) ** 2)  # per step of a geometric grid
    weights = np.log(density / density.sum() / 2)
    return np.concatenate([-_TILTS, _TILTS]), np.concatenate([weights, weights])


def _require_chances(arms: Vector, chances: Vector, many: Vector) -> None:
    remedy = "Give the chances that were logged for a unit, one for each arm."
    wrong = ~((chances >= 0).all(axis=1) & (np.abs(chances.sum(axis=1) - 1) < _DUST))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"The chances of row {row} are {chances[row].tolist()}, which are no shares of 1.",
            remedy=remedy,
        )
    unknown = ~np.isin(arms, np.arange(chances.shape[1]))
    if unknown.any():
        row = int(unknown.argmax())
        raise DataError(
            f"Row {row} met the arm {arms[row]:g}; there are chances of {chances.shape[1]} arms, "
            "counted from 0.",
            remedy=remedy,
        )
    uncounted = ~(many >= 0)
    if uncounted.any():
        row = int(uncounted.argmax())
        raise DataError(
            f"Row {row} stands for {many[row]:g} units.", remedy="Give counts of at least 0."
        )
