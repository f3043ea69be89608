"""This module checks how many answers fail or come late, at any moment: error rate and latency.

The evidence is an e-process: the mixture of likelihood ratios of Robbins ("Statistical methods
related to the law of the iterated logarithm", Annals of Mathematical Statistics 41, 1970) over the
rates above the limit. By Ville's inequality a model within the limit is ever found to break it with
a chance of at most alpha, however often one looks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from serving._check import Check, failed, is_count, make_check, passed, unknown
from serving.rollout._doubt import Doubt, counted, mapped, measured, require
from serving.rollout.live_evidence import log_e_of_live
from serving.rule_guardrails import ErrorRate, Latency

_MANY = 1_000  # more moments than anybody keeps


def works(guardrail: ErrorRate, counts: Any, model: str) -> Check:
    """Check the share of a model's answers that failed.

    Args:
        guardrail: What is allowed.
        counts: trials, failures, and optionally `since`; doubtful figures hold.
        model: Whose answers they are, for the sentence.
    """
    name = "guardrail error_rate"
    try:
        figures = mapped(counts, "the counts of answers")
        trials = counted(figures, "trials")
        broken = counted(figures, "failures", most=trials)
        since = _since(figures)
    except Doubt as doubt:
        return unknown(name, f"How many answers of {model} fail is not known: {doubt.ended}")
    if not trials:
        return unknown(name, f"{model} has not been asked anything yet.", trials=0, failed=0)
    said = f"{broken:,} of {trials:,} answers of {model} ({broken / trials:.3%}) failed"
    allowed = f"{guardrail.max:.4g} is allowed"
    return _judged(
        name, guardrail, (broken, trials, since), limit=guardrail.max, said=said, allowed=allowed
    )


def is_fast(guardrail: Latency, counts: Any, model: str) -> Check:
    """Check the share of a model's answers that took longer than the bound, or never came.

    Args:
        guardrail: What is allowed.
        counts: trials, slow, max_ms, quantile; optionally `since`, and `unseen`: answers whose
            time is not known. Doubtful figures hold.
        model: Whose answers they are, for the sentence.
    """
    name = "guardrail latency"
    try:
        figures = mapped(counts, "the counts of answers")
        trials = counted(figures, "trials")
        slow = counted(figures, "slow", most=trials)
        since = _since(figures)
        unseen = counted(figures, "unseen", most=trials) if "unseen" in figures else 0
        bound, quantile = measured(figures, "max_ms"), measured(figures, "quantile")
        require(bound == guardrail.max_ms, f"they were counted for a bound of {bound:g} ms")
        require(quantile == guardrail.quantile, f"they were counted for the quantile {quantile:g}")
    except Doubt as doubt:
        return unknown(name, f"How long answers of {model} take is not known: {doubt.ended}")
    if not trials:
        return unknown(name, f"{model} has not been asked anything yet.", trials=0, failed=0)
    limit = round(1 - guardrail.quantile, 12)
    said = (
        f"{slow:,} of {trials:,} calls of {model} ({slow / trials:.3%}) took more than "
        f"{guardrail.max_ms:g} ms"
    )
    allowed = f"{limit:.4g} may, for the {guardrail.quantile:g} quantile to be within it"
    check = _judged(name, guardrail, (slow, trials, since), limit=limit, said=said, allowed=allowed)
    if check.state == "passed" and unseen:
        return unknown(
            name,
            f"{said}; but the time of {unseen:,} of them is not in the log, and nothing counts them"
            " beside the lane.",
            **{**check.figures, "unseen": unseen},
        )
    return check


def _judged(
    name: str,
    guardrail: ErrorRate | Latency,
    found: tuple[int, int, Sequence[tuple[int, int, int]]],
    *,
    limit: float,
    said: str,
    allowed: str,
) -> Check:
    broken, trials, since = found
    share, needed = broken / trials, -math.log(guardrail.alpha)
    evidence = log_e_of_live(broken, trials, limit, since)
    figures = {"trials": trials, "failed": broken, "share": share, "limit": limit}
    figures |= {"log_e": evidence, "needed": needed, "alpha": guardrail.alpha}
    if math.isnan(evidence):
        return unknown(name, f"{said}; {allowed}, and this cannot be weighed.", **figures)
    if evidence >= needed:
        beyond = f"this is beyond chance at the level {guardrail.alpha:g}"
        lately = "" if share > limit else " of late"
        sentence = f"{said}; {allowed}, and {beyond}{lately}."
        return make_check(name, "failed", guardrail.on_breach, sentence, figures)
    if share > limit:
        return failed(name, f"{said}; {allowed}, though this may still be chance.", **figures)
    return passed(name, f"{said}; {allowed}.", **figures)


def _since(figures: Mapping[str, Any]) -> list[tuple[int, int, int]]:
    """Return the counts since moments of the past: number, trials and failures of each."""
    given = figures.get("since", ())
    if not isinstance(given, list | tuple) or len(given) > _MANY:
        raise Doubt("'since' is no list of counts")
    found = []
    for each in given:
        right = isinstance(each, list | tuple) and len(each) == 3 and all(map(is_count, each))
        if not right or each[0] < 1 or each[2] > each[1] or each[1] > figures["trials"]:
            raise Doubt("'since' holds what are no counts")
        if each[0] > 10**15:
            raise Doubt("'since' holds a number that is none")
        found.append((each[0], each[1], each[2]))
    return found
