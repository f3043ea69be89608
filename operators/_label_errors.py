"""This module finds labels that are probably wrong, from probabilities that did not see them.

C. G. Northcutt, L. Jiang, I. L. Chuang: Confident Learning: Estimating Uncertainty in Dataset
Labels. Journal of Artificial Intelligence Research 70 (2021) 1373-1411.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from operators._dawid_skene import Floats, Integers

Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class ConfidentJoint:
    """This counts labels against what they are confidently believed to be.

    Args:
        thresholds: By class: the mean probability of those that are labelled so; above it a row is
            confidently believed to be of the class. NaN for a class without labels.
        believed: By row: the class that it is confidently believed to be of, -1 for none.
        counts: Rows by label (first axis) and believed class (second).
    """

    thresholds: Floats
    believed: Integers
    counts: Integers


def confident_joint(probabilities: Floats, given: Integers) -> ConfidentJoint:
    """Return the confident joint of labels.

    A class that a model is seldom sure of has a low threshold, so that neither rare classes nor a
    model that is too sure or not sure enough make suspects by themselves.

    Args:
        probabilities: Of each row and class, by a model that did not see the row's label.
        given: The label of each row.
    """
    classes = probabilities.shape[1]
    own = self_confidence(probabilities, given)
    sums = np.bincount(given, weights=own, minlength=classes)
    sizes = np.bincount(given, minlength=classes)
    thresholds = np.divide(sums, sizes, out=np.full(classes, np.nan), where=sizes > 0)
    above = probabilities >= np.where(np.isnan(thresholds), np.inf, thresholds)
    believed = np.where(above.any(axis=1), np.where(above, probabilities, -1.0).argmax(axis=1), -1)
    sure = believed >= 0
    cells = given[sure] * classes + believed[sure]
    counts = np.bincount(cells, minlength=classes * classes).reshape(classes, classes)
    return ConfidentJoint(thresholds=thresholds, believed=believed, counts=counts)


def self_confidence(probabilities: Floats, given: Integers) -> Floats:
    """Return the probability of each row's own label."""
    own: Floats = probabilities[np.arange(len(given)), given]
    return own


def certainty(own: Floats, supported: Floats, *, classes: int) -> Floats:
    """Return how sure each label is, by a model and by the votes that it rests on, together.

    By Bayes' rule, as if the two knew nothing of each other and votes that are wrong were for any
    other class alike. Where all labels rest on the same, the order is that of the model's alone.

    Args:
        own: The model's probability of the label.
        supported: The votes' probability of it, strictly between 0 and 1.
        classes: How many classes there are.
    """
    right = own * supported
    wrong = (1 - own) * (1 - supported) / (classes - 1)
    joined: Floats = right / (right + wrong)
    return joined


def likelier(probabilities: Floats, given: Integers, supported: Floats) -> Integers:
    """Return the class that is likelier than each label, by model and votes; else -1.

    Args:
        probabilities: Of each row and class, by a model that did not see the row's label.
        given: The label of each row.
        supported: The votes' probability of the label.
    """
    rows = np.arange(len(given))
    others = probabilities.copy()
    others[rows, given] = -1.0
    best = others.argmax(axis=1)
    of_best = others[rows, best] * (1 - supported) / (probabilities.shape[1] - 1)
    found: Integers = np.where(of_best > probabilities[rows, given] * supported, best, -1)
    return found
