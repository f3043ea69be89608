"""This module says at which level one of several challengers is judged."""

from __future__ import annotations

from typing import Literal


def level_of(
    alpha: float, first_try: int, last_try: int, tries: Literal["champion", "each"]
) -> float:
    """Return the level at which one challenger is judged, of all that are tried.

    By Bonferroni's inequality the chance that equal challengers ever replace a champion is at most
    the sum of their levels. The j-th that is tried gets alpha / (j (j + 1)); over an endless series
    these sum to alpha, whatever the outcomes before, so nobody needs to know how many there will
    be (alpha spending over a stream: Foster and Stine, "Alpha-investing", JRSS B 70, 2008, without
    its returns). Those that begin together share theirs evenly.

    Args:
        alpha: The level of all together, or of each, in (0, 1).
        first_try: Which one it is of all tried against this champion, from 1; of those that began
            together, the first.
        last_try: The last of those that began together with it.
        tries: "champion" bounds the chance for all that are tried, "each" for each alone.
    """
    if tries == "each":
        return alpha
    together = last_try - first_try + 1
    # the sum of 1 / (j (j + 1)) from the first to the last
    return alpha * (1 / first_try - 1 / (last_try + 1)) / together
