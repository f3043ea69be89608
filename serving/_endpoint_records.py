"""This module holds what is known of an endpoint: its lane, its history, its verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from serving._endpoint_spec import EndpointSpec
from serving.routing import Route

Action = Literal[
    "promote",
    "withdraw",
    "rollback",
    "challenge",
    "split",
    "reweigh",
    "shadow",
    "redeploy",
    "ramp",
    "restart",
    "hold",
    "release",
    "confirm",
]
LaneState = Literal["starting", "serving", "failed", "stopped"]


@dataclass(frozen=True, kw_only=True)
class Replica:
    """This is one process that answers for an endpoint.

    Args:
        url: Where it listens, without a path.
        pid: The process.
        generation: What it answers with.
    """

    url: str
    pid: int
    generation: int


@dataclass(frozen=True, kw_only=True)
class Lane:
    """This is how the process stands that answers for an endpoint, as the serving host saw it.

    Args:
        state: Whether it answers.
        generation: The newest generation that `state` speaks of: when "serving" the one that is
            applied, when "failed" the one that could not be.
        url: Where it is asked, without a path: at the front where there is one, else at its first
            replica; None while it has none.
        pid: The first replica's process; None while it has none.
        message: Why it failed, or what it does; may be empty.
        at: When it was seen.
        front: The address of the front, which deals requests to replicas; None without one.
        replicas: The processes that answer; whoever cannot reach the front asks them.
    """

    state: LaneState
    generation: int
    url: str | None = None
    pid: int | None = None
    message: str = ""
    at: datetime
    front: str | None = None
    replicas: tuple[Replica, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Change:
    """This is one change of an endpoint, as it stays in its history.

    Args:
        generation: The generation that began with it.
        action: "declare", or what was done to the route.
        actor: Who did it.
        at: When.
        reason: Why, in words.
        before: The route before; None for the first.
        after: The route since.
        spec: The new spec, where it changed.
        trace: The verdict that was known; None without one. Who forces a change overrules it.
    """

    generation: int
    action: Literal["declare"] | Action
    actor: str
    at: datetime
    reason: str
    before: Route | None
    after: Route
    spec: EndpointSpec | None
    trace: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """This is what the rule once said of an experiment.

    Args:
        number: Which one it is, counted over all endpoints; `headrace rules replay` takes it.
        endpoint: At which endpoint.
        experiment: Id of the comparison.
        at: When it was said.
        actor: On whose behalf.
        trace: The verdict with its evidence, as JSON-like data.
    """

    number: int
    endpoint: str
    experiment: str
    at: datetime
    actor: str
    trace: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Consent:
    """This is what a person said to a challenger's promotion.

    Args:
        experiment: The comparison that it was said about.
        rule: Hash of the rule that was shown.
        approved: Whether it was approved.
        actor: Who said it.
        at: When.
        reason: Why, in words; may be empty.
    """

    experiment: str
    rule: str
    approved: bool
    actor: str
    at: datetime
    reason: str
