"""This module tells of what a ruling did: the registry's aliases and tags, then an event.

A process may end at any point between the change of a route and the last word about it. What was
told is known by a tag on the version, which is set last; whoever comes next tells the rest. So an
event may come twice, and is never lost.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from headrace.errors import ServiceError, UnknownNameError
from headrace.recording import Event, announce, current_invocation
from headrace.settings import settings
from serving._aliases import sync_aliases
from serving._endpoint_records import Change, Judgement
from serving.acting import AliasesBehindError
from serving.change_events import change_event
from serving.endpoints import Endpoints
from serving.registry import Registry
from serving.rollout._course import by_a_rule

VERDICT_TAG = "headrace.verdict"
TOLD_TAG = "headrace.verdict.told"
_LOOK_BACK = 8  # a change that people have put so many others on top of is no news
Announce = Callable[[Event], None]


def announce_in_run(event: Event) -> None:
    """Tell an event to those who subscribed, if a flow runs here; nobody hears it elsewhere."""
    announce(event.name, resource=event.resource, **event.payload)


def recorded(endpoints: Endpoints, trace: Mapping[str, Any]) -> Judgement:
    """Record a ruling and return it with its number; the same as the newest is that one."""
    state = trace["state"]
    number = endpoints.record_verdict(state["endpoint"], state["experiment"], trace)
    return endpoints.judgement(number)


def tag_verdict(judgement: Judgement) -> None:
    """Let the version that was judged say what the ruling was; in a watch, the new champion.

    Raises:
        UnknownNameError: The version is not registered.
        ServiceError: The MLflow server does not answer.
    """
    trace = judgement.trace
    name, _, version = _subject(trace).rpartition("/")
    Registry().tag(name, version, _tags(trace, judgement.number, judgement.at))


def tell(endpoints: Endpoints, change: Change, judgement: Judgement, heard: Announce) -> None:
    """Tell of a change that a ruling asked for: aliases, tags, the event, and that it was told.

    Args:
        endpoints: Where the endpoint is recorded.
        change: The change, as it stands in the history.
        judgement: The ruling.
        heard: Passes the event on.

    Raises:
        AliasesBehindError: The registry could not be told, and nobody else was.
    """
    route = endpoints.route(change.after.endpoint)
    try:
        sync_aliases(route)
        tag_verdict(judgement)
    except (ServiceError, UnknownNameError) as error:
        raise AliasesBehindError(
            f"The endpoint '{route.endpoint}' is at generation {route.generation}, but the model "
            f"registry does not say so yet: {error.problem}",
            remedy=error.remedy,
            route=route,
        ) from error
    if change.before is not None and change.action != "declare":
        run = current_invocation()
        heard(
            change_event(
                change.action, change.before, change.after, run=None if run is None else run.run_id
            )
        )
    name, _, version = _subject(judgement.trace).rpartition("/")
    Registry().tag(name, version, {TOLD_TAG: str(judgement.number)})


def settle(endpoints: Endpoints, name: str, heard: Announce = announce_in_run) -> list[Change]:
    """Tell of what rulings did at an endpoint, if it was not told to the end.

    Args:
        endpoints: Where the endpoint is recorded.
        name: The endpoint.
        heard: Passes events on.

    Returns:
        The changes that were told now, oldest first.

    Raises:
        UnknownNameError: There is no such endpoint.
        AliasesBehindError: The registry could not be told.
        ServiceError: The MLflow server does not answer.
    """
    if not may_lack_word(endpoints, name):
        return []
    told: list[Change] = []
    with alone(name):
        for change in endpoints.history(name, last=_LOOK_BACK):
            if not by_a_rule(change) or change.trace is None:
                continue
            judgement = recorded_before(endpoints, change.trace)
            of, _, version = _subject(change.trace).rpartition("/")
            last = Registry().tags(of, version).get(TOLD_TAG, "0")
            if not last.isdecimal() or int(last) < judgement.number:
                tell(endpoints, change, judgement, heard)
                told.append(change)
    return told


def may_lack_word(endpoints: Endpoints, name: str) -> bool:
    """Return whether a ruling changed an endpoint lately; the registry knows if it was told.

    Raises:
        UnknownNameError: There is no such endpoint.
    """
    return any(by_a_rule(change) for change in endpoints.history(name, last=_LOOK_BACK))


def recorded_before(endpoints: Endpoints, trace: Mapping[str, Any]) -> Judgement:
    """Return the judgement with this trace; recorded now where nobody did."""
    state = trace["state"]
    for each in endpoints.judgements(state["endpoint"], state["experiment"]):
        if each.trace == trace:
            return each
    return recorded(endpoints, trace)


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Let one process of this machine act at an endpoint at a time; the lock ends with it."""
    folder = settings().run_folder
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"rollout-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _subject(trace: Mapping[str, Any]) -> str:
    state = trace["state"]
    return str(state["champion" if state["stage"] == "watch" else "challenger"])


def _tags(trace: Mapping[str, Any], number: int, at: datetime) -> dict[str, str]:
    return {
        VERDICT_TAG: trace["action"],
        f"{VERDICT_TAG}.rule": f"{trace['rule']['name']} ({trace['rule_hash'][:12]})",
        f"{VERDICT_TAG}.experiment": trace["state"]["experiment"],
        f"{VERDICT_TAG}.number": str(number),
        f"{VERDICT_TAG}.at": at.isoformat(),
    }
