"""This module says a ruling in words: what, why, what would change it, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serving._verdict_text import MARKS, design_lines, remedy_of

if TYPE_CHECKING:
    from serving.rollout.ruling import Ruling

_HEADLINES = {
    "promote": "Promote {challenger} at {endpoint}: it replaces {champion}.",
    "ramp": "Give {challenger} {share:.6g} of the traffic at {endpoint}; {champion} has the rest.",
    "hold": "Hold {challenger} at {endpoint}: {champion} goes on answering.",
    "invalidate": "Begin anew with {challenger} at {endpoint}: its evidence cannot be trusted.",
    "rollback": "Withdraw {challenger} at {endpoint}: {champion} goes on answering.",
}
_IN_TRAFFIC = {
    "hold": "Hold {challenger} at {endpoint}: it goes on answering {share:.6g} of the traffic.",
    "rollback": "Withdraw {challenger} at {endpoint}: {champion} answers everything again.",
}
_IN_A_WATCH = {
    "promote": "Confirm {champion} at {endpoint}: {challenger} watches it no longer.",
    "hold": "Go on watching {champion} at {endpoint}: {challenger} is ready to take over again.",
    "invalidate": "Watch {champion} at {endpoint} anew: the evidence cannot be trusted.",
    "rollback": "Go back to {challenger} at {endpoint}: {champion} is withdrawn.",
}
_REMEDIES = {
    "evidence is of this experiment": "gathering the evidence of the experiment that runs",
    "time goes forward": "a clock that is right, and gathering the evidence again",
    "nobody holds it": "`headrace endpoint release`",
    "blocks are long enough": "a rule with longer blocks, which begins the experiment anew",
    "lasts long enough": "time",
    "still in time": "another challenger, or a rule with more time",
    "both arms answer": "more answers of either model, with outcomes",
    "challenger is no worse": "a better challenger, as a new experiment",
    "challenger answers": "a share of the traffic for it",
    "traffic is a ramp": "`headrace endpoint shadow`, after which the ramp begins",
    "step is old enough": "time",
    "step has answers": "more traffic",
    "works in shadow": "more decisions in shadow, without errors",
    "approved": "`headrace endpoint approve`, by somebody who may",
    "rule watches": "a person who goes back, or lets it be",
    "old champion scored": "an old champion that keeps up with the traffic",
    "no worse than before": "days that are as good as those of the old champion",
    "watched long enough": "time",
    "scope": "a look at all of the evidence",
}


def ruling_text(ruling: Ruling) -> str:
    """Return a ruling as people read it."""
    state, gathered, primary = ruling.state, ruling.gathered, ruling.gathered.primary
    lines = [_headline(ruling)]
    lines.append(
        f"Rule '{ruling.rule.name}' ({ruling.rule.hash[:12]}), experiment "
        f"'{state.experiment}', as of {_moment(gathered.as_of)}."
    )
    lines += [f"  {MARKS[check.state]} {check.sentence}" for check in ruling.checks]
    if primary is not None:
        lines += design_lines(ruling.rule, getattr(primary, "design", None))
        lines += _removed(getattr(primary, "removed", None))
        lines += _odd(getattr(primary, "odd", None))
    if ruling.action in ("hold", "invalidate", "rollback"):
        deciding = [check.name for check in ruling.checks if check.action == ruling.action]
        changes = dict.fromkeys(remedy_of(name, _REMEDIES) for name in deciding)
        lines.append(f"What would change it: {'; '.join(changes)}.")
    if ruling.expected.get("sentence"):
        lines.append(f"Expected: {ruling.expected['sentence']}")
    return "\n".join(lines)


def _headline(ruling: Ruling) -> str:
    state = ruling.state
    said = _HEADLINES
    if state.stage == "watch":
        said = _HEADLINES | _IN_A_WATCH
    elif state.stage == "traffic":
        said = _HEADLINES | _IN_TRAFFIC
    share: Any = ruling.share if ruling.action == "ramp" else state.share
    return said[ruling.action].format(
        challenger=state.challenger or "the challenger",
        champion=state.champion or "the champion",
        endpoint=state.endpoint,
        share=share if isinstance(share, int | float) else float("nan"),
    )


def _removed(share: Any) -> list[str]:
    if not isinstance(share, float):
        return []
    return [f"The covariate explains {share:.1%} of the variance, which is left out (CUPED)."]


def _odd(odd: Any) -> list[str]:
    if not isinstance(odd, dict) or not odd:
        return []
    said = ", ".join(f"{count} {what}" for what, count in odd.items())
    return [f"Seen, and not what it should be: {said}."]


def _moment(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
