"""This module waits until all challengers have scored what was decided."""

from __future__ import annotations

import time
from collections.abc import Callable

from headrace.clock import SystemClock
from headrace.errors import ServiceError
from headrace.settings import settings
from serving.hosted import decisions_folder, notices_folder
from serving.lane.notices import ShadowNotice, read_shadow
from serving.routing import Rival, Route

_PATIENCE_SECONDS = 60.0
_POLL_SECONDS = 0.05


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
