"""This module holds a ruling: what a rule says of evidence and state, and its trace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from headrace.content import document_digest
from serving._check import Action, Check
from serving._verdict import Bound, found_json
from serving.rollout.gathered import Gathered
from serving.rollout.state import RolloutState
from serving.rule import Rule

FORMAT = "headrace ruling 1"


@dataclass(frozen=True, kw_only=True)
class Ruling:
    """This is what a rule says of a challenger at one look, and why.

    Args:
        rule: The rule.
        gathered: The evidence.
        state: Where the challenger stands.
        action: The worst that any check allows. "promote" in a watch confirms the promotion;
            "rollback" there goes back, and elsewhere withdraws the challenger.
        checks: Every check, in order.
        alpha: The level that the comparison was judged at, after the correction for others tried.
        bounds: What was known after each block, for plots; the last one decides.
        crossed: When the bound was above zero for the first time: start of that block, or None.
        share: What "ramp" gives the challenger; None for any other action.
        expected: What is missing and when it is expected, JSON-like: "blocks" (how many more),
            "at" (ISO time, or None where nobody can tell), "sentence".
    """

    rule: Rule
    gathered: Gathered
    state: RolloutState
    action: Action
    checks: tuple[Check, ...]
    alpha: float
    bounds: tuple[Bound, ...] = ()
    crossed: datetime | None = None
    share: float | None = None
    expected: Mapping[str, Any] = field(default_factory=dict)

    def trace(self) -> dict[str, Any]:
        """Return everything that the ruling rests on, as JSON-like data.

        `serving.rollout.assess.replay` judges it again, to the same byte.
        """
        judged = {
            "rule": self.rule.document(),
            "gathered": self.gathered.to_json(),
            "state": self.state.to_json(),
        }
        return {
            "format": FORMAT,
            **judged,
            "rule_hash": self.rule.hash,
            # not every figure decides: of any that was changed afterwards, this tells
            "digest": document_digest(judged),
            "alpha": self.alpha,
            **found_json(self.checks, self.bounds, self.crossed),
            "action": self.action,
            "share": self.share,
            "expected": dict(self.expected),
        }

    def prose(self) -> str:
        """Return the ruling as people read it: what, why, and what would change it."""
        from serving.rollout.ruling_text import ruling_text

        return ruling_text(self)
