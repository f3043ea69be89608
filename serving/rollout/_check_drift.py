"""This module checks whether features are distributed as a model was trained on.

The population stability index is the sum of (share now - share then) * log(share now / share then)
over bins: Kullback and Leibler's symmetric divergence ("On information and sufficiency", Annals of
Mathematical Statistics 22, 1951). Of features that did not change it is about bins / decisions
(Yurdakul, "Statistical Properties of Population Stability Index", 2018): below 0.03 with ten bins
and 500 decisions, so what is above 0.1 or 0.2 there is no chance.
"""

from __future__ import annotations

from typing import Any

from serving._check import Check, failed, passed, unknown
from serving.rollout._doubt import Doubt, counted, listed, mapped, measured, named, require
from serving.rule_guardrails import FeatureDrift

_SHOWN = 5


def is_as_trained(guardrail: FeatureDrift, counts: Any, model: str) -> Check:
    """Check the population stability index of each feature.

    Args:
        guardrail: What is allowed.
        counts: decisions, features [{name, psi}]; doubtful figures hold.
        model: Whose features they are, for the sentence.
    """
    name = "guardrail feature_drift"
    try:
        figures = mapped(counts, "the distributions")
        decisions = counted(figures, "decisions")
        found = {
            named(each, "name"): measured(each, "psi", least=0)
            for each in listed(figures, "features")
        }
        for each in guardrail.features:
            require(each in found, f"nothing is said of '{each}'")
    except Doubt as doubt:
        return unknown(
            name, f"How the features of {model} are distributed is not known: {doubt.ended}"
        )
    wanted = {each: found[each] for each in guardrail.features or found}
    about: dict[str, Any] = {"decisions": decisions, "limit": guardrail.max}
    if decisions < guardrail.min_decisions or not wanted:
        return unknown(
            name,
            f"There are {decisions:,} decisions to see how {len(wanted)} features of {model} are "
            f"distributed; {guardrail.min_decisions:,} are needed.",
            **about,
        )
    ranked = sorted(wanted, key=lambda each: (-wanted[each], each))
    worst = ranked[0]
    about |= {"features": len(wanted), "worst": worst, "psi": wanted[worst]}
    drifted = [each for each in ranked if wanted[each] > guardrail.max]
    over = f"over {decisions:,} decisions; {guardrail.max:.4g} is allowed"
    if drifted:
        shown = ", ".join(f"'{each}' ({wanted[each]:.3f})" for each in drifted[:_SHOWN])
        more = f" and {len(drifted) - _SHOWN} more" if len(drifted) > _SHOWN else ""
        about["drifted"] = drifted
        return failed(
            name,
            f"The population stability index of {shown}{more} is too large {over}: {model} was "
            "trained on another distribution.",
            **about,
        )
    return passed(
        name,
        f"The population stability index of {len(wanted)} features of {model} is at most "
        f"{wanted[worst]:.3f} ('{worst}') {over}.",
        **about,
    )
