"""This module makes raters whose error rate is known, to try a loop before people are asked."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class SimulatedRater:
    """This answers as somebody would who is right so often, the same each time it is asked.

    Attributes:
        truth: What is right, of what is shown.
        choices: What may be answered.
        right: How often it is right, 0 to 1.
        skips: How often it skips, 0 to 1.
        seconds: How long it takes for an answer.
        seed: Another one errs elsewhere.
    """

    truth: Callable[[Mapping[str, Any]], str]
    choices: tuple[str, ...]
    right: float = 1.0
    skips: float = 0.0
    seconds: float = 5.0
    seed: int = 0

    def __call__(self, shown: Mapping[str, Any]) -> str | None:
        """Return an answer; None skips."""
        skip, err, which = _draws(self.seed, shown, "", 3)
        truth = self.truth(shown)
        if skip < self.skips:
            return None
        if err < self.right:
            return truth
        others = [choice for choice in self.choices if choice != truth]
        return others[int(which * len(others))]


@dataclass(frozen=True, kw_only=True)
class SimulatedTagger:
    """This answers with several choices, of which it misses some and adds others so often.

    Attributes:
        truth: Which choices are right, of what is shown.
        choices: What may be answered.
        misses: How often it leaves out a choice that is right, 0 to 1.
        adds: How often it has one that is wrong, 0 to 1.
        skips: How often it skips, 0 to 1.
        seconds: How long it takes for an answer.
        seed: Another one errs elsewhere.
    """

    truth: Callable[[Mapping[str, Any]], Collection[str]]
    choices: tuple[str, ...]
    misses: float = 0.0
    adds: float = 0.0
    skips: float = 0.0
    seconds: float = 8.0
    seed: int = 0

    def __call__(self, shown: Mapping[str, Any]) -> list[str] | None:
        """Return an answer; None skips."""
        if _draws(self.seed, shown, "", 1)[0] < self.skips:
            return None
        right = self.truth(shown)
        chosen = []
        for choice in self.choices:
            err = _draws(self.seed, shown, choice, 1)[0]
            if err >= self.misses if choice in right else err < self.adds:
                chosen.append(choice)
        return chosen


@dataclass(frozen=True, kw_only=True)
class SimulatedEstimator:
    """This answers with a number that is as far off as its noise and its bias say.

    Attributes:
        truth: The right number, of what is shown.
        noise: Standard deviation of its errors, which are normal, in the unit of the answers.
        bias: By how much it is too high on average.
        low: The least that it may answer; None for no limit.
        high: The most.
        digits: To how many digits after the point it answers.
        skips: How often it skips, 0 to 1.
        seconds: How long it takes for an answer.
        seed: Another one errs elsewhere.
    """

    truth: Callable[[Mapping[str, Any]], float]
    noise: float = 0.0
    bias: float = 0.0
    low: float | None = None
    high: float | None = None
    digits: int = 2
    skips: float = 0.0
    seconds: float = 6.0
    seed: int = 0

    def __call__(self, shown: Mapping[str, Any]) -> float | None:
        """Return an answer; None skips."""
        skip, one, two = _draws(self.seed, shown, "", 3)
        if skip < self.skips:
            return None
        # Box and Muller: two even draws make a normal one
        normal = math.sqrt(-2 * math.log(1 - one)) * math.cos(2 * math.pi * two)
        said = round(self.truth(shown) + self.bias + self.noise * normal, self.digits)
        least = -math.inf if self.low is None else self.low
        most = math.inf if self.high is None else self.high
        return min(max(said, least), most)


def _draws(seed: int, shown: Mapping[str, Any], of: str, count: int) -> list[float]:
    """Return numbers of [0, 1) that depend on who is shown what alone."""
    asked = [seed, shown, of] if of else [seed, shown]
    drawn = hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).digest()
    return [int.from_bytes(drawn[8 * at : 8 * at + 8], "big") / 2**64 for at in range(count)]
