"""This module says a verdict in words: what, why, and what would change it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from serving._rule_text import block_name

if TYPE_CHECKING:
    from serving._check import Check
    from serving._verdict import Verdict
    from serving.rule import Rule

MARKS = {"passed": "+", "failed": "-", "unknown": "?"}
_HEADLINES = {
    "promote": "Promote {challenger} at {endpoint}: it replaces {champion}.",
    "hold": "Hold {challenger} at {endpoint}: {champion} goes on answering.",
    "rollback": "Withdraw {challenger} at {endpoint}: {champion} goes on answering.",
}
_REMEDIES = {
    "evidence is whole": "collecting the evidence again, for this rule",
    "challenger works": "a challenger that fails less often, as a new experiment",
    "one pair of models": "a new experiment, with one champion and one challenger",
    "outcomes are known": "outcomes that arrive within the label window",
    "challenger scored": "a challenger that keeps up with the traffic",
    "enough evidence": "more closed blocks with decisions",
    "evidence is fresh": "new traffic, and collecting the evidence again",
    "challenger is better": "more blocks in which the challenger is better",
}


def verdict_text(verdict: Verdict) -> str:
    """Return a verdict as people read it."""
    evidence = verdict.evidence
    headline = _HEADLINES[verdict.action].format(
        challenger=evidence.challenger or "the challenger",
        champion=evidence.champion or "the champion",
        endpoint=evidence.endpoint,
    )
    about = f"Rule '{verdict.rule.name}' ({verdict.rule.hash[:12]}), experiment "
    about += f"'{evidence.experiment}', as of {_moment(evidence.as_of)}."
    lines = [headline, about]
    lines += [f"  {MARKS[check.state]} {check.sentence}" for check in verdict.checks]
    lines += design_lines(verdict.rule, evidence.design)
    if verdict.action != "promote":
        lines.append(f"What would change it: {_change(verdict)}.")
    return "\n".join(lines)


def design_lines(rule: Rule, design: Any) -> list[str]:
    """Return what counting requests would pretend, beside what blocks say; none if not known.

    The effective number is never said to be above the raw one: a design effect below 1 says that
    requests of a block correlate negatively, or that few blocks happened to be alike.
    """
    figures = [getattr(design, name, None) for name in ("effective", "request_z", "block_z")]
    known = [figure for figure in figures if isinstance(figure, float)]
    if len(known) < len(figures):
        return []
    effective, request, block = known
    blocks = block_name(rule)
    worth = f"effective n≈{effective:.0f}"
    if effective > design.requests > 0:
        # decisions are worth no more than they are, however evenly luck fell out so far
        worth = (
            f"effective n≈{design.requests} (design effect {design.requests / effective:.2f}: "
            f"{blocks} vary less than independent requests would, as where those of one "
            f"{block_name(rule, 1)} offset each other; they count as no more than they are)"
        )
    return [
        f"request-level n={design.requests}, {worth}: counting requests "
        f"would give z={request:.2f}, {blocks} give z={block:.2f}."
    ]


def _change(verdict: Verdict) -> str:
    deciding: list[Check] = [c for c in verdict.checks if c.action == verdict.action]
    return "; ".join(dict.fromkeys(remedy_of(check.name) for check in deciding))


def remedy_of(name: str, more: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return what would make a check pass, by its name; of a guardrail, that it is kept."""
    return (_REMEDIES | dict(more)).get(name, f"'{name}' within its bound")


def _moment(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
