"""This module checks that the arms of an experiment can be compared: their sizes, their outcomes.

The evidence was collected by `serving.statistics.sample_ratio` (Lindon and Malek) and
`serving.statistics.coverage`; both are e-values, so one may look as often as one likes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from serving._check import Check, failed, make_check, passed, unknown
from serving.rollout._doubt import Doubt, counted, listed, mapped, measured, named, require
from serving.rule_guardrails import LabelCoverage, SampleRatio

_DUST = 1e-6


def is_dealt_as_meant(guardrail: SampleRatio, counts: Any) -> Check:
    """Check that each arm met its share of the units.

    Args:
        guardrail: The level.
        counts: arms [{model, units, expected}], log_e; doubtful figures hold.
    """
    name = "guardrail sample_ratio"
    try:
        figures = mapped(counts, "the units of the arms")
        arms = [
            (named(arm, "model"), counted(arm, "units"), measured(arm, "expected", least=0))
            for arm in _two(figures)
        ]
        evidence = _log_e(figures)
        units, expected = sum(arm[1] for arm in arms), sum(arm[2] for arm in arms)
        adds_up = abs(units - expected) <= _DUST * max(1, units)
        require(adds_up, "the arms were to meet another number of units than there were")
    except Doubt as doubt:
        return unknown(name, f"Whether units were dealt as meant is not known: {doubt.ended}")
    if not units:
        return unknown(name, "No unit has met an arm yet.", units=0)
    said = " and ".join(
        f"{model} met {met:,} units, of {meant:,.1f} expected" for model, met, meant in arms
    )
    needed = -math.log(guardrail.alpha)
    about = {"units": units, "log_e": evidence, "needed": needed, "alpha": guardrail.alpha}
    if evidence >= needed:
        sentence = (
            f"{said}; this is beyond chance at the level {guardrail.alpha:g}: what lies between "
            "the dealing and the log prefers an arm."
        )
        return make_check(name, "failed", guardrail.on_breach, sentence, about)
    return passed(name, f"{said}; this is within chance.", **about)


def is_labelled_alike(guardrail: LabelCoverage, counts: Any) -> Check:
    """Check that outcomes are known of both arms alike.

    Args:
        guardrail: What is allowed.
        counts: arms [{model, decisions, known}], log_e; doubtful figures hold.
    """
    name = "guardrail label_coverage"
    try:
        figures = mapped(counts, "the outcomes of the arms")
        arms = []
        for arm in _two(figures):
            decisions = counted(arm, "decisions")
            arms.append((named(arm, "model"), decisions, counted(arm, "known", most=decisions)))
        evidence = _log_e(figures)
    except Doubt as doubt:
        return unknown(
            name, f"Of how many decisions outcomes are known is not known: {doubt.ended}"
        )
    empty = [model for model, decisions, _ in arms if not decisions]
    if empty:
        return unknown(name, f"There is no mature decision of {empty[0]} yet.", decisions=0)
    shares = [known / decisions for _, decisions, known in arms]
    gap, needed = abs(shares[0] - shares[1]), -math.log(guardrail.alpha)
    said = "outcomes are known for " + " and ".join(
        f"{share:.2%} of {decisions:,} mature decisions of {model}"
        for (model, decisions, _), share in zip(arms, shares, strict=True)
    )
    said = f"{said[0].upper()}{said[1:]}; a gap of {guardrail.max_gap:.4g} is allowed"
    about = {"gap": gap, "limit": guardrail.max_gap, "log_e": evidence, "needed": needed}
    about["alpha"] = guardrail.alpha
    if evidence >= needed:
        sentence = f"{said}, and this one is beyond chance at the level {guardrail.alpha:g}."
        return make_check(name, "failed", guardrail.on_breach, sentence, about)
    if gap > guardrail.max_gap:
        return failed(name, f"{said}, though this one may still be chance.", **about)
    return passed(name, f"{said}.", **about)


def _two(figures: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    arms = listed(figures, "arms")
    if len(arms) != 2:
        raise Doubt(f"there are {len(arms)} arms, not two")
    return arms


def _log_e(figures: Mapping[str, Any]) -> float:
    value = figures.get("log_e")
    if isinstance(value, str) and value == "inf":  # JSON has no infinity
        return math.inf
    return measured(figures, "log_e")
