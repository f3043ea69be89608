"""This module says what stands before evidence is looked at: the rule, and the moment.

Whoever may choose them afterwards can choose those that promote. So a rule that was not there when
an experiment began is judged by from then on only, and knowledge goes forward.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from headrace.clock import current_clock
from headrace.errors import ParameterError
from serving.endpoints import Endpoints
from serving.rollout._course import began_with
from serving.rollout.ruling import FORMAT
from serving.rollout.standing import rule_of
from serving.rule import Rule

_BEGUN = "headrace experiment 1"


@dataclass(frozen=True, kw_only=True)
class RuleSoFar:
    """This is the rule that an experiment goes by.

    Args:
        name: What people call it.
        hash: Its hash.
        since: "was judged" where it was; else "began".
    """

    name: str
    hash: str
    since: str


def begun_by(rule: Rule) -> dict[str, Any]:
    """Return what the history keeps of an experiment that begins by another rule."""
    return {"format": _BEGUN, "rule": rule.document(), "rule_hash": rule.hash}


def rule_so_far(endpoints: Endpoints, name: str, experiment: str) -> RuleSoFar | None:
    """Return the rule that an experiment goes by; None where nobody has named one.

    That is the one of its newest verdict, else the one that it began with, or the endpoint's.

    Args:
        endpoints: Where the endpoint is recorded.
        name: The endpoint.
        experiment: The comparison.
    """
    judged = endpoints.verdict(name, experiment)
    if judged is not None:
        return _told(judged, "was judged")
    began = began_with(endpoints.history(name), experiment)
    trace = {} if began is None or began.trace is None else began.trace
    if trace.get("format") == _BEGUN:
        return _told(trace, "began")
    rule = rule_of(endpoints, name)
    return None if rule is None else RuleSoFar(name=rule.name, hash=rule.hash, since="began")


def known_by(endpoints: Endpoints, name: str, experiment: str) -> datetime | None:
    """Return the moment whose knowledge the newest ruling used; None before the first.

    Rulings of guardrails alone, which are of any moment, do not count.
    """
    trace = endpoints.verdict(name, experiment)
    if trace is None or trace.get("format") != FORMAT or trace["gathered"]["scope"] != "all":
        return None
    return datetime.fromisoformat(trace["gathered"]["as_of"])


def require_past(as_of: datetime) -> None:
    """Refuse a moment that is yet to come: what is not told by now would count as missing.

    Raises:
        ParameterError: It is yet to come.
    """
    now = current_clock().now()
    if as_of.utcoffset() is not None and as_of > now:
        raise ParameterError(
            f"What is known at {as_of.isoformat()} cannot be judged yet: it is {now.isoformat()}.",
            remedy="Judge by what is known now, or was known before.",
        )


def _told(trace: Mapping[str, Any], since: str) -> RuleSoFar:
    name = str((trace.get("rule") or {}).get("name"))
    return RuleSoFar(name=name, hash=str(trace.get("rule_hash")), since=since)
