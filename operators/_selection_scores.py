"""This module says how much a label would tell: how unsure a model is, or how models disagree.

All three are between 0 (certain) and 1. With two classes margin and entropy order items alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from headrace.errors import DataError

Floats = npt.NDArray[np.float64]


def margin_doubt(probabilities: Floats) -> Floats:
    """Return 1 less the lead of the likeliest class over the next; shape `(n_rows,)`."""
    two = np.partition(probabilities, -2, axis=1)[:, -2:]
    doubt: Floats = 1.0 - (two[:, 1] - two[:, 0])
    return doubt


def entropy_doubt(probabilities: Floats) -> Floats:
    """Return the entropy of the classes' probabilities, as a share of the most it could be."""
    doubt: Floats = _entropy(probabilities) / np.log(probabilities.shape[1])
    return doubt


def disagreement_doubt(members: Sequence[Floats]) -> Floats:
    """Return how much models disagree: the Jensen-Shannon divergence of what they say.

    It is the entropy of their mean less the mean of their entropies: where all are equally unsure
    they agree, and a label would not tell which of them is right (McCallum and Nigam, "Employing EM
    and pool-based active learning for text classification", ICML 1998).

    Args:
        members: One array `(n_rows, n_classes)` a model, of the same classes.
    """
    mean = np.mean(members, axis=0)
    within = np.mean([_entropy(each) for each in members], axis=0)
    most = np.log(min(len(members), mean.shape[1]))
    doubt: Floats = np.clip((_entropy(mean) - within) / most, 0.0, 1.0)
    return doubt


def _entropy(probabilities: Floats) -> Floats:
    safe = np.where(probabilities > 0, probabilities, 1.0)
    entropy: Floats = -(probabilities * np.log(safe)).sum(axis=1)
    return entropy


def aligned(
    members: Sequence[tuple[Sequence[str], Floats]],
) -> tuple[tuple[str, ...], list[Floats]]:
    """Return the classes that any model knows, and each model's probabilities of all of these.

    Args:
        members: Classes and probabilities a model. A class that one never saw has probability 0
            there.

    Raises:
        DataError: A model has fewer than two classes, or shares none with the first.
    """
    first = set(members[0][0])
    for number, (classes, _) in enumerate(members):
        if len(classes) < 2:
            raise DataError(
                f"A model knows the classes {', '.join(classes) or 'none'} only, so it is never "
                "unsure.",
                remedy="Fit it on labels of at least two classes.",
            )
        if number and first.isdisjoint(classes):
            raise DataError(
                f"Model {number + 1:,} of the committee shares no class with the first: "
                f"{', '.join(classes)} against {', '.join(members[0][0])}.",
                remedy="Take models of one label.",
            )
    names = tuple(dict.fromkeys(name for classes, _ in members for name in classes))
    spread = []
    for classes, probabilities in members:
        full = np.zeros((len(probabilities), len(names)), dtype=np.float64)
        full[:, [names.index(name) for name in classes]] = probabilities
        spread.append(full)
    return names, spread
