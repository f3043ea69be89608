"""This module checks what the log says of a challenger that answered nobody yet: the gate.

The estimate is that of `serving.statistics.off_policy`. It opens the way to an experiment; that the
challenger is better, only the experiment can show.
"""

from __future__ import annotations

from typing import Any

from serving._check import Check, failed, passed, unknown
from serving.rollout._doubt import Doubt, counted, mapped, measured, require
from serving.rule_stages import Gate


def may_answer(gate: Gate, counts: Any, model: str) -> Check:
    """Check that logged decisions speak for letting a challenger answer.

    Args:
        gate: What is asked for.
        counts: estimator, decisions, effective, value, baseline, lower: the lower bound of the
            value's advantage over what is asked. Doubtful figures hold.
        model: The challenger, for the sentence.
    """
    name = "gate"
    try:
        figures = mapped(counts, "the figures")
        as_asked = figures.get("estimator") == gate.estimator
        require(as_asked, f"they were estimated otherwise than by '{gate.estimator}'")
        decisions = counted(figures, "decisions")
        effective = measured(figures, "effective", least=0, most=decisions + 1e-6)
        value, baseline = measured(figures, "value"), measured(figures, "baseline")
        lower = measured(figures, "lower")
    except Doubt as doubt:
        return unknown(name, f"What {model} would have achieved cannot be estimated: {doubt.ended}")
    about = {"decisions": decisions, "effective": effective, "needed": gate.min_effective}
    about |= {"value": value, "baseline": baseline, "lower": lower, "alpha": gate.alpha}
    if effective < gate.min_effective:
        return unknown(
            name,
            f"{decisions:,} logged decisions are worth {effective:,.0f} to estimate what {model} "
            f"would have achieved; {gate.min_effective:,} are needed.",
            **about,
        )
    asked = f", less {gate.max_drop:.4g} of it" if gate.max_drop else ""
    said = (
        f"by {decisions:,} logged decisions {model} would have achieved {value:.4g}, and what was "
        f"logged did {baseline:.4g}; the {100 * (1 - gate.alpha):g}% lower confidence bound of the "
        f"advantage over that{asked}, for any number of looks, is {lower:.4g}"
    )
    said = said[0].upper() + said[1:]
    if lower > 0:
        return passed(name, f"{said}.", **about)
    return failed(name, f"{said}, not above 0.", **about)
