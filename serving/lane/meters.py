"""This module counts what a lane does; counting costs next to nothing, reading may cost more."""

from __future__ import annotations

from collections import Counter


class Meters:
    """These are the counts of one replica since it began, for its one event loop.

    Args:
        endpoint: Name of the endpoint.
    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.refusals: Counter[str] = Counter()  # code of the refusal: how often
        self.answers: Counter[str] = Counter()  # model that answered: how many decisions
        self.fallbacks: Counter[tuple[str, str]] = Counter()  # challenger and why: decisions

    def refused(self, code: str) -> None:
        """Count a request that was refused."""
        self.refusals[code] += 1

    def answered(self, model: str, count: int = 1) -> None:
        """Count decisions that a model answered."""
        self.answers[model] += count

    def fell_back(self, challenger: str, why: str) -> None:
        """Count a decision that was a challenger's, and that the champion answered."""
        self.fallbacks[challenger, why] += 1
