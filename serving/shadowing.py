"""This module waits until a challenger has scored what was decided."""

from __future__ import annotations

import time
from collections.abc import Callable

from headrace.clock import SystemClock
from headrace.errors import ServiceError
from headrace.settings import settings
from serving.hosted import notices_folder
from serving.lane.notices import read_shadow
from serving.routing import Route

_PATIENCE_SECONDS = 60.0
_POLL_SECONDS = 0.05
_STEADY_POLLS = 6  # longer than its pause: what was decided last is read by then


def wait_for_shadow(route: Route, *, say: Callable[[str], None]) -> None:
    """Wait until the challenger of a route is no longer behind the log.

    Args:
        route: The route; without a challenger there is nothing to wait for.
        say: Is told how far it is.

    Raises:
        ServiceError: It cannot score, or makes no progress for a minute.
    """
    if route.challenger is None:
        return
    clock = SystemClock()
    moved, scored, steady = clock.monotonic(), -1, 0
    while steady < _STEADY_POLLS:
        notice = read_shadow(notices_folder(settings()), route.endpoint)
        if notice is not None and notice.message:
            raise ServiceError(
                f"The challenger {route.challenger} of endpoint '{route.endpoint}' cannot score: "
                f"{notice.message}",
                remedy="Withdraw it: headrace endpoint rollback " + route.endpoint,
            )
        if notice is not None and notice.generation == route.generation:
            if notice.scored != scored:
                moved, scored = clock.monotonic(), notice.scored
                say(f"{route.challenger} has scored {scored:,} in shadow")
            steady = steady + 1 if notice.behind == 0 else 0
        if clock.monotonic() - moved > _PATIENCE_SECONDS:
            raise ServiceError(
                f"The challenger {route.challenger} of endpoint '{route.endpoint}' has not "
                f"moved for {_PATIENCE_SECONDS:g} seconds.",
                remedy="Look at `headrace status` and at the log of the service 'serving'.",
            )
        time.sleep(_POLL_SECONDS)
