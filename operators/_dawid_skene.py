"""This module estimates labels and raters together, as Dawid and Skene (1979) do, by EM.

Every rater has a confusion matrix: how often they give each answer where each class is true. Given
the matrices, votes say how likely each class is; given that, the matrices are counted anew.

A. P. Dawid, A. M. Skene: Maximum Likelihood Estimation of Observer Error-Rates Using the EM
Algorithm. Applied Statistics 28 (1979) 20-28.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

# What is known of a rater beforehand, for each true class: as much as two votes, 70 % of them
# right. Without it a rater of three votes would count as perfect or as hopeless.
_PRIOR_VOTES = 2.0
_PRIOR_RIGHT = 0.7
_LEAST_STEP = 1e-4  # of any probability, below which nothing moves any more


@dataclass(frozen=True, kw_only=True, eq=False)
class Crowd:
    """These are votes for one class each, as integers; every item has one at least.

    Args:
        item: Which item each vote is on, ascending, from 0 and without a gap.
        rater: Who gave it, from 0.
        answer: Which class they gave, from 0.
        raters: How many raters there are.
        classes: How many classes there are.
    """

    item: Integers
    rater: Integers
    answer: Integers
    raters: int
    classes: int

    @property
    def items(self) -> int:
        """How many items there are."""
        return int(self.item[-1]) + 1

    def counts(self) -> Floats:
        """Return how many votes each class has on each item, `(items, classes)`."""
        cells = self.item * self.classes + self.answer
        counted = np.bincount(cells, minlength=self.items * self.classes)
        return counted.reshape(self.items, self.classes).astype(np.float64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Estimate:
    """This is what EM came to.

    Args:
        posterior: How likely each class is for each item, `(items, classes)`.
        confusion: How often each rater gives each answer (second axis) where each class (third
            axis) is true, `(raters, classes, classes)`.
        weight: How many votes each matrix was counted from, in the same shape.
        prior: The share of each class.
        iterations: How many steps it took.
        converged: Whether it had come to rest by then.
    """

    posterior: Floats
    confusion: Floats
    weight: Floats
    prior: Floats
    iterations: int
    converged: bool


def dawid_skene(crowd: Crowd, *, most: int = 200, step: float = _LEAST_STEP) -> Estimate:
    """Return the classes and confusion matrices that explain the votes best.

    It begins with the shares of the votes. Estimates are the means of Dirichlet distributions: two
    votes of prior for each rater and class, one item for each class.

    Args:
        crowd: The votes.
        most: Steps after which it ends, whether or not it has come to rest.
        step: It has come to rest when no probability changes by more than this.
    """
    votes = _Votes.of(crowd)
    # classes come first: sums and maxima over a few classes are quick along the longer axis only
    counts = np.ascontiguousarray(crowd.counts().T)
    posterior = counts / counts.sum(axis=0)
    before = _prior_votes(crowd.classes)
    steps, moved = 0, np.inf
    while steps < most and moved > step:
        steps += 1
        weight = votes.per_rater(posterior)
        confusion = weight + before
        confusion /= confusion.sum(axis=1, keepdims=True)
        prior = posterior.sum(axis=1) + 1.0
        prior /= prior.sum()
        scores = votes.per_item(np.log(confusion)) + np.log(prior)[:, None]
        scores -= scores.max(axis=0)
        likely = np.exp(scores)
        likely /= likely.sum(axis=0)
        moved = float(np.abs(likely - posterior).max())
        posterior = likely
    return Estimate(
        posterior=np.ascontiguousarray(posterior.T),
        confusion=confusion,
        weight=weight,
        prior=prior,
        iterations=steps,
        converged=moved <= step,
    )


def _prior_votes(classes: int) -> Floats:
    wrong = (1.0 - _PRIOR_RIGHT) / (classes - 1)
    prior: Floats = np.full((classes, classes), wrong)
    np.fill_diagonal(prior, _PRIOR_RIGHT)
    return prior * _PRIOR_VOTES


@dataclass(frozen=True, kw_only=True, eq=False)
class _Votes:
    """These are the votes as they are summed: by item, and by who said what."""

    crowd: Crowd
    said: Integers  # rater and answer of each vote, as one number
    starts: Integers  # of each item's votes

    @classmethod
    def of(cls, crowd: Crowd) -> _Votes:
        said = crowd.rater * crowd.classes + crowd.answer
        starts = np.searchsorted(crowd.item, np.arange(crowd.items))
        return cls(crowd=crowd, said=said, starts=starts)

    def per_rater(self, posterior: Floats) -> Floats:
        """Return how often each rater gave each answer where each class is true.

        Args:
            posterior: How likely each class is for each item, `(classes, items)`.
        """
        cells = self.crowd.raters * self.crowd.classes
        summed = [
            np.bincount(self.said, weights=of_class[self.crowd.item], minlength=cells)
            for of_class in posterior
        ]
        shape = (self.crowd.raters, self.crowd.classes, self.crowd.classes)
        counted: Floats = np.stack(summed, axis=1).astype(np.float64).reshape(shape)
        return counted

    def per_item(self, logarithms: Floats) -> Floats:
        """Return the sum over an item's votes of what each says for a class, `(classes, items)`."""
        tables = np.ascontiguousarray(logarithms.reshape(-1, self.crowd.classes).T)
        return np.stack([np.add.reduceat(table[self.said], self.starts) for table in tables])
