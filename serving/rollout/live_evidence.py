"""This module weighs live failures so that a model that breaks late is found out as one at once.

Counts over a whole life remember a good past: after a million good answers some ten thousand
failures would pass before they are more than allowed. So the evidence is counted from many
beginnings too, and averaged with weights that are fixed beforehand. An average of e-processes is
one: by Ville's inequality a model within its limit is ever found to break it with a chance of at
most alpha, however long it answers. Beginnings of e-processes, one after the other, are the
e-detectors of Shin, Ramdas and Rinaldo ("E-detectors: a nonparametric framework for sequential
change detection", New England Journal of Statistics in Data Science 2, 2024; arXiv 2203.03532);
theirs bound how often an alarm is false in the long run; weights that sum to one bound whether any
ever is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from serving._sequences import log_e_of_errors


def log_e_of_live(
    failures: int, trials: int, limit: float, since: Sequence[Sequence[int]] = ()
) -> float:
    """Return the log evidence, at any time, that a failure rate is or was above a limit.

    Half of the weight is on all trials; the k-th later beginning has 1 / (2 k (k + 1)). One that
    was not kept counts as no evidence. Without `since` it is `log_e_of_errors`.

    Args:
        failures: How many of all trials failed.
        trials: At least `failures`.
        limit: The rate that is allowed, from 0 to below 1.
        since: Of each later beginning its number k, from 1, and the trials and failures since.
    """
    whole = log_e_of_errors(failures, trials, limit)
    if not since:
        return whole
    terms = [whole - math.log(2)]
    for number, tried, failed in since:
        weight = -math.log(2) - math.log(number) - math.log1p(number)
        terms.append(weight + log_e_of_errors(failed, tried, limit))
    most = max(terms)
    if not math.isfinite(most):
        return most
    return most + math.log(math.fsum(math.exp(term - most) for term in terms))
