"""This module weighs raters by the items whose answer is known.

With raters who err independently and evenly, the best vote weighs each by the logarithm of their
odds of being right (S. Nitzan, J. Paroush: Optimal Decision Rules in Uncertain Dichotomous Choice
Situations, 1982). Few gold answers say little of a rater, so each begins with the accuracy of all,
as if it were known from four answers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from operators._dawid_skene import Crowd, Floats, Integers

_PRIOR_ANSWERS = 4.0
_SUREST = 0.99  # nobody's word outweighs any number of others


@dataclass(frozen=True, kw_only=True, eq=False)
class GoldRecord:
    """This is what gold items say of raters.

    Args:
        items: Gold items with an answer.
        answers: Answers to them, by rater.
        accuracy: How often each rater is right, drawn towards all raters' where gold is scarce.
    """

    items: int
    answers: Integers
    accuracy: Floats


def gold_record(crowd: Crowd, gold: Integers) -> GoldRecord:
    """Return what gold items say of raters.

    Args:
        crowd: The votes.
        gold: The class of each item, -1 where it is not known.
    """
    on_gold = gold[crowd.item] >= 0
    right = (crowd.answer == gold[crowd.item]) & on_gold
    answers = np.bincount(crowd.rater[on_gold], minlength=crowd.raters)
    hits = np.bincount(crowd.rater[right], minlength=crowd.raters)
    overall = (hits.sum() + 1) / (answers.sum() + 2)
    accuracy = (hits + _PRIOR_ANSWERS * overall) / (answers + _PRIOR_ANSWERS)
    return GoldRecord(items=int((gold >= 0).sum()), answers=answers, accuracy=accuracy)


def gold_weighted(crowd: Crowd, record: GoldRecord) -> Floats:
    """Return how likely each class is for each item by weighted votes, `(items, classes)`.

    A rater who is right less often than chance counts against what they say.
    """
    right = np.clip(record.accuracy, 1 - _SUREST, _SUREST)
    weight = np.log(right * (crowd.classes - 1) / (1 - right))
    cells = crowd.item * crowd.classes + crowd.answer
    scores = np.bincount(
        cells, weights=weight[crowd.rater], minlength=crowd.items * crowd.classes
    ).reshape(crowd.items, crowd.classes)
    likely: Floats = np.exp(scores - scores.max(axis=1, keepdims=True))
    likely /= likely.sum(axis=1, keepdims=True)
    return likely
