"""This module asks whether evidence and state belong together; it is pure, and never an error."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any, TypeGuard

from serving._check import Check, failed, is_moment, passed, unknown
from serving._evidence_document import Block, Evidence
from serving.rollout.gathered import Gathered
from serving.rollout.state import RolloutState
from serving.rule import Rule

_NAMES = ("endpoint", "experiment", "champion", "challenger")


def belongs(gathered: Gathered, state: RolloutState) -> Check:
    """Check that the evidence is of the experiment, and of the models, that the state is of."""
    name = "evidence is of this experiment"
    for problem in _wrong_state(state):
        return unknown(name, f"Where the challenger stands is not known: {problem}.")
    primary = gathered.primary
    if not isinstance(primary, Evidence):
        return unknown(name, "There is no comparison: no evidence was collected.")
    for each in _NAMES:
        found, expected = getattr(primary, each), getattr(state, each)
        if found != expected:
            return unknown(
                name, f"The evidence is of the {each} {found!r}, and the route's is {expected!r}."
            )
    return passed(name, f"The evidence is of the experiment '{state.experiment}', which runs.")


def goes_forward(rule: Rule, gathered: Gathered, state: RolloutState) -> Check:
    """Check that nothing happened after the moment of the evidence: that no clock jumped."""
    name, primary = "time goes forward", gathered.primary
    moments = {
        "the experiment began": state.began,
        "its share was last changed": state.since,
        "the evidence was gathered": gathered.as_of,
    }
    for what, moment in moments.items():
        if not is_moment(moment):
            return unknown(name, f"When {what} is not known.")
    if not state.began <= state.since <= gathered.as_of:
        said = ", ".join(f"{what} at {moment.isoformat()}" for what, moment in moments.items())
        return unknown(name, f"A clock has jumped: {said}, which is not the order of events.")
    if isinstance(primary, Evidence):
        if not is_moment(primary.as_of) or primary.as_of != gathered.as_of:
            return unknown(name, "The comparison and the guardrails are of different moments.")
        start = _newest_start(primary)
        limit = timedelta(hours=rule.label_window_hours)
        if start is not None and gathered.as_of - start < limit:
            return unknown(name, "The newest block is not mature at the moment of the evidence.")
    return passed(name, f"All of it was known at {gathered.as_of.isoformat()}.")


def is_free(state: RolloutState) -> Check:
    """Check that no person holds the endpoint."""
    if state.held is None:
        return passed("nobody holds it", "Nobody holds the endpoint.")
    return failed("nobody holds it", f"A person holds the endpoint: {state.held}")


def is_share(value: Any) -> TypeGuard[float]:
    """Return whether something is a share of the traffic, from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and 0 <= value <= 1


def _wrong_state(state: RolloutState) -> list[str]:
    problems = [
        f"the {name} is {getattr(state, name)!r}"
        for name in _NAMES
        if not isinstance(getattr(state, name), str) or not getattr(state, name)
    ]
    if state.stage not in ("shadow", "traffic", "watch"):
        problems.append(f"the stage is {state.stage!r}")
    if not is_share(state.share):
        problems.append(f"the share is {state.share!r}")
    elif (state.stage == "traffic") != (state.share > 0):
        problems.append(f"in the stage '{state.stage}' the share is {state.share:g}")
    return problems


def _newest_start(primary: Evidence) -> datetime | None:
    blocks = primary.blocks if isinstance(primary.blocks, tuple) else ()
    starts = [b.start for b in blocks if isinstance(b, Block) and is_moment(b.start)]
    return max(starts, default=None)
