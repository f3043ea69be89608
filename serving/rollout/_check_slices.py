"""This module checks that no slice of the decisions pays for the gain of the others.

Two questions are asked of every slice, each corrected for the number of slices by Holm's method ("A
simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979),
so that it is wrong about any of them with a chance of at most alpha:

- Is it proven to be worse than allowed, however often one looked? `p` is one over the evidence of
  `serving._sequences.block_sequence`, an e-value. Only this is a breach.
- Does it look worse than allowed now? `p_now` is of Student's t test of its blocks at this look. It
  holds, and may be over at the next look.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from serving._check import Check, failed, make_check, passed, unknown
from serving.rollout._doubt import Doubt, counted, listed, mapped, measured, named
from serving.rule_guardrails import SliceGap

_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class _Slice:
    value: str
    decisions: int
    blocks: int
    mean: float
    p: float
    p_now: float


def keeps_slices(guardrail: SliceGap, counts: Any, model: str) -> Check:
    """Check every slice that is large enough; the others are named.

    Args:
        guardrail: What is allowed.
        counts: slices [{value, decisions, blocks, mean, p, p_now}]: `mean` is by how much the model
            is worse than allowed, and null with `p` where there are too few blocks. Doubtful
            figures hold.
        model: Which model it is, for the sentence.
    """
    name = f"guardrail slice_gap {guardrail.by}"
    try:
        figures = mapped(counts, "their figures")
        large, small = _read(figures, guardrail)
    except Doubt as doubt:
        return unknown(name, f"How {model} does by '{guardrail.by}' is not known: {doubt.ended}")
    about: dict[str, Any] = {"slices": len(large), "small": len(small), "alpha": guardrail.alpha}
    about["max_drop"] = guardrail.max_drop
    few = _few(small, guardrail)
    if not large:
        return unknown(
            name, f"No slice by '{guardrail.by}' is large enough to be judged{few}.", **about
        )
    proven = _rejected([s.p for s in large], guardrail.alpha)
    apparent = _rejected([s.p_now for s in large], guardrail.alpha)
    worst = max(large, key=lambda each: each.mean)
    about |= {"worst": worst.value, "mean": worst.mean, "least_p": min(s.p for s in large)}
    about["least_p_now"] = min(s.p_now for s in large)
    of = f"{len(large):,} slices by '{guardrail.by}'"
    limit = f"worse than the other by more than {guardrail.max_drop:.4g}"
    if proven:
        which = _named([large[at] for at in proven])
        sentence = (
            f"In {which} of {of}, {model} is {limit}; this is beyond chance at the level "
            f"{guardrail.alpha:g}, shared among them{few}."
        )
        about["broken"] = [large[at].value for at in proven]
        return make_check(name, "failed", guardrail.on_breach, sentence, about)
    if apparent:
        which = _named([large[at] for at in apparent])
        about["apparent"] = [large[at].value for at in apparent]
        return failed(
            name,
            f"In {which} of {of}, {model} looks {limit} now, at the level {guardrail.alpha:g} of a "
            f"single look; this is no proof yet{few}.",
            **about,
        )
    beyond = [s for s in large if s.mean > 0]
    said = f"In none of {of} {model} is shown to be {limit}"
    if beyond:
        said += f"; in {_named(beyond)} it is, by what may be chance"
    return passed(name, f"{said}{few}.", **about)


def _rejected(p_values: list[float], alpha: float) -> list[int]:
    """Return which hypotheses Holm's method rejects, the surest first."""
    order = sorted(range(len(p_values)), key=lambda at: p_values[at])
    rejected: list[int] = []
    for place, at in enumerate(order):
        if p_values[at] * (len(order) - place) > alpha:
            break
        rejected.append(at)
    return rejected


def _read(
    figures: Mapping[str, Any], guardrail: SliceGap
) -> tuple[list[_Slice], list[tuple[str, int]]]:
    large: list[_Slice] = []
    small: list[tuple[str, int]] = []
    seen: set[str] = set()
    for each in listed(figures, "slices"):
        value, decisions, blocks = (
            named(each, "value"),
            counted(each, "decisions"),
            counted(each, "blocks"),
        )
        if value in seen:
            raise Doubt(f"the slice '{value}' is there twice")
        seen.add(value)
        if blocks > decisions:
            raise Doubt(f"the slice '{value}' has more blocks than decisions")
        if decisions < guardrail.min_decisions or each.get("p", "") is None:
            small.append((value, decisions))
            continue
        p = measured(each, "p", least=0, most=1)
        large.append(
            _Slice(
                value=value,
                decisions=decisions,
                blocks=blocks,
                mean=measured(each, "mean"),
                p=p,
                p_now=measured(each, "p_now", least=0, most=1) if "p_now" in each else p,
            )
        )
    return large, small


def _named(slices: list[_Slice]) -> str:
    shown = sorted(slices, key=lambda each: -each.mean)[:_SHOWN]
    said = ", ".join(f"'{each.value}' ({each.decisions:,} decisions)" for each in shown)
    return said + (f" and {len(slices) - _SHOWN:,} more" if len(slices) > _SHOWN else "")


def _few(small: list[tuple[str, int]], guardrail: SliceGap) -> str:
    if not small:
        return ""
    shown = sorted(small, key=lambda each: (-each[1], each[0]))[:_SHOWN]
    said = ", ".join(f"'{value}' ({decisions:,})" for value, decisions in shown)
    more = f" and {len(small) - _SHOWN:,} more" if len(small) > _SHOWN else ""
    return (
        f"; not judged, with fewer than {guardrail.min_decisions:,} decisions or too few blocks: "
        f"{said}{more}"
    )
