"""This module holds a verdict: what a rule says of the evidence, and the trace that is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from serving._check import Action, Check
from serving._evidence_document import Evidence
from serving.rule import Rule

FORMAT = "headrace verdict 1"


@dataclass(frozen=True, kw_only=True)
class Bound:
    """This is what was known after one block, from the rule's fewest on.

    Args:
        start: The block's first moment, aware, in UTC.
        mean: Mean advantage of the challenger so far, in the unit of the metric, less the effect
            that the rule asks for.
        lower: Lower confidence bound of it, at all blocks at once; None where it is not known.
        log_e: Natural logarithm of the evidence; the bound is above 0 from log(1 / alpha) on.
    """

    start: datetime
    mean: float | None
    lower: float | None
    log_e: float | None


def found_json(
    checks: Sequence[Check], bounds: Sequence[Bound], crossed: datetime | None
) -> dict[str, Any]:
    """Return what was found, as both formats of traces hold it."""
    return {
        "checks": [
            {
                "name": check.name,
                "state": check.state,
                "action": check.action,
                "sentence": check.sentence,
                "figures": dict(check.figures),
            }
            for check in checks
        ],
        "bounds": [
            {
                "start": bound.start.isoformat(),
                "mean": bound.mean,
                "lower": bound.lower,
                "log_e": bound.log_e,
            }
            for bound in bounds
        ],
        "crossed": None if crossed is None else crossed.isoformat(),
    }


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """This is what a rule says of the evidence, and why.

    Args:
        rule: The rule.
        evidence: The evidence.
        action: "promote", "hold", or "rollback": the challenger is withdrawn.
        checks: Every check, in order; the worst of their actions is the verdict's.
        bounds: What was known after each block, for plots; the last one decides.
        crossed: When the bound was above zero for the first time: start of that block, or None.
    """

    rule: Rule
    evidence: Evidence
    action: Action
    checks: tuple[Check, ...]
    bounds: tuple[Bound, ...] = field(default=())
    crossed: datetime | None = None

    def trace(self) -> dict[str, Any]:
        """Return the whole verdict as JSON-like data, from which `replay` judges again."""
        return {
            "format": FORMAT,
            "rule": self.rule.document(),
            "rule_hash": self.rule.hash,
            "evidence": self.evidence.to_json(),
            **found_json(self.checks, self.bounds, self.crossed),
            "action": self.action,
        }

    def prose(self) -> str:
        """Return the verdict as people read it: what, why, and what would change it."""
        from serving._verdict_text import verdict_text

        return verdict_text(self)
