"""This module waits until all challengers have scored what was decided, and that is counted."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from headrace.clock import SystemClock
from headrace.errors import ServiceError
from headrace.settings import settings
from serving.hosted import decisions_folder, notices_folder
from serving.lane.guard_notice import GUARD_TELL_SECONDS, guard_notices
from serving.lane.notices import ShadowNotice, read_shadow
from serving.routing import Rival, Route

if TYPE_CHECKING:
    from headrace.lineage.database import Database

_PATIENCE_SECONDS = 60.0
_POLL_SECONDS = 0.05
_COUNTED_WITHIN_SECONDS = 15.0
_COUNT_POLL_SECONDS = 0.25


def wait_for_shadow(route: Route, *, say: Callable[[str], None]) -> None:
    """Wait until the challengers of a route have scored every decision that is in the log.

    Args:
        route: The route; without a challenger there is nothing to wait for.
        say: Is told how far they are.

    Raises:
        ServiceError: One cannot score, or none makes progress for a minute.
    """
    clock = SystemClock()
    waiting = {rival.experiment: rival for rival in route.rivals}
    moved, seen = clock.monotonic(), dict.fromkeys(waiting, -1)
    while waiting:
        notice = read_shadow(notices_folder(settings()), route.endpoint)
        figures = () if notice is None else notice.figures
        for each in figures:
            if each.experiment not in waiting:
                continue
            if each.message:
                raise _cannot_score(route, each.model, each.message)
            done = each.scored + each.mirrored
            if done != seen[each.experiment]:
                moved, seen[each.experiment] = clock.monotonic(), done
                say(f"{each.model} has scored {each.scored:,} in shadow")
            if not each.behind and _has_read_all(route, each.experiment):
                del waiting[each.experiment]
        if waiting and clock.monotonic() - moved > _PATIENCE_SECONDS:
            raise _has_not_moved(route, list(waiting.values()), notice)
        if waiting:
            time.sleep(_POLL_SECONDS)


def wait_for_counts(database: Database, route: Route) -> bool:
    """Wait until what replicas counted for the guardrails of a comparison is written down.

    A verdict before that rests on a part of the counts, and the same look a few seconds later says
    something else. Nobody needs to wait for an endpoint whose rule has no live guardrail.

    Args:
        database: Where counts are kept.
        route: The route; without a challenger there is nothing to wait for.

    Returns:
        Whether all of it is there; False where it has not come within 15 seconds.
    """
    clock = SystemClock()
    ends = clock.monotonic() + _COUNTED_WITHIN_SECONDS
    seen: dict[tuple[str, str, str], dict[str, Any]] | None = None
    since = clock.monotonic()
    while True:
        told = _told_of(route)
        if told != seen:
            seen, since = told, clock.monotonic()
        # a replica tells twice a second: what it has not told by then is not there
        is_settled = clock.monotonic() - since >= 2 * GUARD_TELL_SECONDS
        if is_settled and _is_stored(database, route.endpoint, told):
            return True
        if clock.monotonic() > ends:
            return False
        time.sleep(_COUNT_POLL_SECONDS)


def _told_of(route: Route) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Return what each replica says, by experiment, model and its name."""
    experiments = {rival.experiment for rival in route.rivals}
    return {
        (row["experiment"], row["model"], notice.writer): dict(row)
        for notice in guard_notices(notices_folder(settings()), route.endpoint)
        for row in notice.rows
        if row["experiment"] in experiments
    }


def _is_stored(
    database: Database, endpoint: str, told: dict[tuple[str, str, str], dict[str, Any]]
) -> bool:
    from serving.rollout.live_counts import stored_counts

    for (experiment, model, writer), row in told.items():
        counts = stored_counts(database, endpoint, experiment, model)
        mark = {} if counts is None else counts["marks"].get(writer, {})
        if any(mark.get(name, 0) < row[name] for name in ("trials", "failures", "calls")):
            return False
    return True


def _has_read_all(route: Route, experiment: str) -> bool:
    """Return whether no decision of an experiment is left: by the log itself, which says it."""
    from serving.lane.shadow_step import unread

    tail = unread(decisions_folder(settings(), route.endpoint), experiment)
    try:
        return tail.skip_to_newest() == 0
    finally:
        tail.close()


def _cannot_score(route: Route, model: str, message: str) -> ServiceError:
    return ServiceError(
        f"The challenger {model} of endpoint '{route.endpoint}' cannot score: {message}",
        remedy="Withdraw it: headrace endpoint rollback " + route.endpoint,
    )


def _has_not_moved(route: Route, waiting: list[Rival], notice: ShadowNotice | None) -> ServiceError:
    names = ", ".join(rival.model for rival in waiting)
    return ServiceError(
        f"The challenger {names} of endpoint '{route.endpoint}' has not moved for "
        f"{_PATIENCE_SECONDS:g} seconds.",
        remedy="Look at `headrace status` and at the log of the service 'serving'.",
    )
