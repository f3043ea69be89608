"""Evidence and states made by hand, for rulings."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from serving._blocks import advantage
from serving._evidence_document import Arm, Block, DesignEffect, Evidence, Totals
from serving.rollout.gathered import Figures, Gathered
from serving.rollout.state import RolloutState
from serving.rule import Rule
from serving.rule_guardrails import guardrails_at

_COUNTED = ("decisions", "labelled", "censored", "paired", "shadow_errors", "shadow_missing")
_HOURS = {"day": 24, "hour": 1, "week": 168, "count": 24}


class HandMade:
    """This makes what a ruling rests on, small and whole."""

    first = datetime(2013, 7, 1, tzinfo=UTC)
    champion, challenger = "delay/3", "delay/4"

    def rule(self, **fields: Any) -> Rule:
        return Rule(**{"name": "delay-v1", "metric": "log_loss", "label_window_hours": 48} | fields)

    def gains(self, count: int, mean: float = 0.02, seed: int = 0) -> list[float]:
        """Return by how much better the challenger is in each block."""
        return [float(x) for x in np.random.default_rng(seed).normal(mean, 0.01, size=count)]

    def evidence(self, rule: Rule, gains: Sequence[float], **changes: Any) -> Evidence:
        span = timedelta(hours=_HOURS[rule.block])
        is_arms = rule.design == "randomised"
        blocks = tuple(
            self._block(rule, self.first + at * span, gain) for at, gain in enumerate(gains)
        )
        total = {name: sum(getattr(block, name) for block in blocks) for name in _COUNTED}
        totals = Totals(
            **total, unusable=0, waiting=200, shadow_tried=500, shadow_failed=0, mixed=0
        )
        end = self.first + len(gains) * span
        arms = [
            Arm(model=model, decisions=50 * len(gains), units=900, known=49 * len(gains), counted=9)
            for model in (self.champion, self.challenger)
        ]
        design = DesignEffect(requests=total["paired"], effective=47.5, request_z=9.0, block_z=3.0)
        evidence = Evidence(
            experiment="e1",
            endpoint="flight_delay",
            champion=self.champion,
            challenger=self.challenger,
            rule=rule.hash,
            as_of=end + timedelta(hours=rule.label_window_hours),
            newest=end - timedelta(hours=1) if blocks else None,
            blocks=blocks,
            totals=totals,
            design=design,
            arms=tuple(arms) if is_arms else (),
        )
        return dataclasses.replace(evidence, **changes)

    def gathered(self, rule: Rule, gains: Sequence[float], **changes: Any) -> Gathered:
        primary = self.evidence(rule, gains)
        figures = tuple(self.figures(each) for each in guardrails_at(rule, "traffic"))
        gathered = Gathered(as_of=primary.as_of, primary=primary, figures=figures, answered=5000)
        return dataclasses.replace(gathered, **changes)

    def figures(self, guardrail: Any, failures: int = 0) -> Figures:
        counts: dict[str, Any] = {"trials": 2000, "failures": failures}
        if guardrail.metric in ("label_coverage", "sample_ratio"):
            sizes = {"decisions": 1000, "known": 980, "units": 900, "expected": 900.0}
            arms = [{"model": model, **sizes} for model in (self.champion, self.challenger)]
            counts = {"arms": arms, "log_e": -1.0}
        if guardrail.metric == "latency":
            bound = {"max_ms": guardrail.max_ms, "quantile": guardrail.quantile}
            counts = {"trials": 2000, "slow": failures, **bound}
        return Figures(metric=guardrail.metric, counts=counts)

    def state(self, **changes: Any) -> RolloutState:
        state = RolloutState(
            endpoint="flight_delay",
            generation=7,
            champion=self.champion,
            challenger=self.challenger,
            experiment="e1",
            stage="shadow",
            share=0.0,
            design=None,
            began=self.first,
            since=self.first,
            authors=("ada",),
        )
        return dataclasses.replace(state, **changes)

    def traffic(self, share: float, **changes: Any) -> RolloutState:
        return self.state(**{"stage": "traffic", "share": share, "design": "ramp"} | changes)

    def watch(self, **changes: Any) -> RolloutState:
        """Return the state after the promotion: the challenger is the old champion."""
        return self.state(**{"stage": "watch"} | changes)

    def _block(self, rule: Rule, start: datetime, gain: float) -> Block:
        theirs = 0.5 - gain if rule.is_better == "lower" else 0.5 + gain
        return Block(
            start=start,
            decisions=100,
            labelled=96,
            censored=2,
            paired=95,
            shadow_errors=0,
            shadow_missing=1,
            champion_loss=0.5,
            challenger_loss=theirs,
            z=advantage(0.5, theirs, rule),
        )


@pytest.fixture(scope="session")
def made() -> HandMade:
    return HandMade()
