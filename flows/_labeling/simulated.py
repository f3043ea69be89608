"""This module makes raters whose error rate is known, to try a loop before people are asked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
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
        drawn = hashlib.sha256(
            json.dumps([self.seed, shown], sort_keys=True, default=str).encode()
        ).digest()
        skip, err, which = (int.from_bytes(drawn[at : at + 8], "big") / 2**64 for at in (0, 8, 16))
        truth = self.truth(shown)
        if skip < self.skips:
            return None
        if err < self.right:
            return truth
        others = [choice for choice in self.choices if choice != truth]
        return others[int(which * len(others))]
