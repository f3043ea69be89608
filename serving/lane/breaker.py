"""This module says when a challenger that answers is no longer asked: pure counting.

It is a CUSUM (Page, 1954) of the log-likelihood ratio of one failure in five against one in five
thousand, in whole numbers: a failure weighs as much as 31 successes. Such a sum never goes below
nothing, so a long good past does not excuse a bad present.
"""

from __future__ import annotations

FAILURE_WEIGHT = 31
"""ln(0.2 / 0.0002) against ln(0.9998 / 0.8) of a success: what one failure says of a model."""

LIMIT = 94
"""Four failures in a row pass it, and one in five within 37 requests in 95 of 100 cases. At one
failure in a thousand it is passed once in 180 million requests."""

FIRST_IN_FLIGHT = 4
MOST_IN_FLIGHT = 1024


class Breaker:
    """This is what is known against one challenger, and how many requests it may have at once.

    It begins with few and may have one more for each success, so that one that is broken from the
    start has had as few when it is out; a failure halves them.
    """

    __slots__ = ("against", "failures", "in_flight", "successes")

    def __init__(self) -> None:
        self.against = 0  # the sum
        self.in_flight = FIRST_IN_FLIGHT  # most requests that it may have at once
        self.successes = 0
        self.failures = 0

    @property
    def is_out(self) -> bool:
        """Whether it is not to be asked any more; nothing it does afterwards changes that."""
        return self.against >= LIMIT

    def succeeded(self, count: int = 1) -> None:
        """Note answers."""
        self.successes += count
        if not self.is_out:
            self.against = max(0, self.against - count)
            self.in_flight = min(MOST_IN_FLIGHT, self.in_flight + count)

    def failed(self) -> None:
        """Note a failure."""
        self.failures += 1
        if not self.is_out:
            self.against += FAILURE_WEIGHT
            self.in_flight = max(1, self.in_flight // 2)
