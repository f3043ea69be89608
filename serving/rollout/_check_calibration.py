"""This module checks how far probabilities are from what then happened, beyond what luck does.

The expected calibration error over bins is biased upward: of a perfectly calibrated model it is
about sqrt(bins / decisions), not 0 (Kumar, Liang and Ma, "Verified Uncertainty Calibration",
NeurIPS 2019). So luck is taken out of it, as theirs does: bin by bin, the expected surplus of an
absolute normal deviation over its centre. Two questions are asked before anything is held.

- Could a perfectly calibrated model look like this? The error of such a model is a Lipschitz
  function of normal deviations, so it exceeds its mean by sqrt(2 log(1 / p)) spreads with a chance
  of at most p: Borell's and Tsirelson, Ibragimov and Sudakov's inequality (1975, 1976). Within
  that, at 5 %, nothing is held.
- Is the true error above the limit for certain? By the triangle inequality no luck adds more than
  the error of a perfectly calibrated model. At the look after the k-th block the level is
  5 % / (k (k + 1)), which adds up to 5 % over an endless series of looks. Only this is a breach.

Deviations are those of whole blocks, so that a stormy day is one piece of luck and not a thousand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from serving._check import Check, failed, make_check, passed, unknown
from serving.rollout._doubt import Doubt, counted, listed, mapped, measured
from serving.rule_guardrails import Calibration

FEWEST_BLOCKS = 10
_BINS = 10
_ALPHA = 0.05
_DUST = 1e-6


@dataclass(frozen=True, kw_only=True)
class _Found:
    decisions: int
    blocks: int
    ece: float
    debiased: float
    noise: float
    spread: float


def is_calibrated(guardrail: Calibration, counts: Any, model: str) -> Check:
    """Check the expected calibration error of a model.

    Args:
        guardrail: What is allowed.
        counts: decisions, ece, bins [{n, mean, observed, deviation}], blocks, spread; doubtful
            figures hold.
        model: Whose probabilities they are, for the sentence.
    """
    name = "guardrail calibration"
    try:
        found = _read(counts)
    except Doubt as doubt:
        return unknown(name, f"How well {model} is calibrated is not known: {doubt.ended}")
    figures: dict[str, Any] = {"decisions": found.decisions, "blocks": found.blocks}
    if found.decisions < guardrail.min_decisions or found.blocks < FEWEST_BLOCKS:
        return unknown(
            name,
            f"There are {found.decisions:,} labelled decisions in {found.blocks:,} blocks to see "
            f"how well {model} is calibrated; {guardrail.min_decisions:,} and {FEWEST_BLOCKS} are "
            "needed.",
            **figures,
        )
    level = _ALPHA / (found.blocks * (found.blocks + 1))
    luck = found.noise + found.spread * math.sqrt(2 * math.log(1 / _ALPHA))
    least = max(0.0, found.ece - found.noise - found.spread * math.sqrt(2 * math.log(1 / level)))
    figures |= {"ece": found.ece, "debiased": found.debiased, "limit": guardrail.max}
    figures |= {"luck": luck, "least": least, "level": level}
    said = (
        f"The expected calibration error of {model} over {found.decisions:,} decisions is "
        f"{found.debiased:.4f}, after {found.ece - found.debiased:.4f} that are luck; "
        f"{guardrail.max:.4g} is allowed"
    )
    if least > guardrail.max:
        sentence = f"{said}, and it is at least {least:.4f} at the level {_ALPHA:g}."
        return make_check(name, "failed", guardrail.on_breach, sentence, figures)
    if found.debiased > guardrail.max and found.ece > luck:
        return failed(name, f"{said}, though it may be less.", **figures)
    if found.debiased > guardrail.max:
        return passed(
            name,
            f"{said}; but a model without any error may be up to {luck:.4f} away, with so few.",
            **figures,
        )
    return passed(name, f"{said}.", **figures)


def luck_of(deviations: list[float], weights: list[float]) -> tuple[float, float]:
    """Return mean and largest spread of the error that luck alone makes, bins independent.

    Args:
        deviations: Standard deviation of the gap of each bin.
        weights: Share of the decisions in each bin.
    """
    parts = [w * d for w, d in zip(weights, deviations, strict=True)]
    return math.sqrt(2 / math.pi) * sum(parts), math.sqrt(sum(part**2 for part in parts))


def _read(counts: Any) -> _Found:
    figures = mapped(counts, "the figures of its bins")
    decisions = counted(figures, "decisions")
    if decisions == 0:
        return _Found(decisions=0, blocks=0, ece=0.0, debiased=0.0, noise=0.0, spread=0.0)
    bins = [_bin(each) for each in listed(figures, "bins")]
    if not 0 < len(bins) <= _BINS or sum(n for n, _, _ in bins) != decisions:
        raise Doubt(f"its bins do not hold the {decisions:,} decisions")
    weights = [n / decisions for n, _, _ in bins]
    ece = sum(w * abs(gap) for w, (_, gap, _) in zip(weights, bins, strict=True))
    if abs(ece - measured(figures, "ece", least=0, most=1)) > _DUST:
        raise Doubt("its bins have another error than is said of them")
    deviations = [deviation for _, _, deviation in bins]
    noise, spread = luck_of(deviations, weights)
    if "spread" in figures:
        spread = max(spread, measured(figures, "spread", least=0))
    surplus = sum(w * _surplus(gap, d) for w, (_, gap, d) in zip(weights, bins, strict=True))
    return _Found(
        decisions=decisions,
        # whoever does not say in how many blocks they were made is taken for one look a decision
        blocks=counted(figures, "blocks") if "blocks" in figures else decisions,
        ece=ece,
        debiased=max(0.0, ece - surplus),
        noise=noise,
        spread=spread,
    )


def _bin(each: Mapping[str, Any]) -> tuple[int, float, float]:
    n = counted(each, "n")
    if n == 0:
        raise Doubt("it has a bin without decisions")
    mean = measured(each, "mean", least=0, most=1)
    observed = measured(each, "observed", least=0, most=1)
    independent = math.sqrt(max(observed * (1 - observed), mean * (1 - mean)) / n)
    given = measured(each, "deviation", least=0) if "deviation" in each else 0.0
    return n, mean - observed, max(independent, given)


def _surplus(gap: float, deviation: float) -> float:
    """Return by how much the expected absolute value of a normal variable exceeds its centre's."""
    if deviation == 0:
        return 0.0
    z = abs(gap) / deviation
    density = math.exp(-(z**2) / 2) * math.sqrt(2 / math.pi)
    return deviation * (density + z * math.erf(z / math.sqrt(2))) - abs(gap)
