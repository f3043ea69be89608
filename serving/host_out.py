"""This module records for the host which challengers a lane's breaker took out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from serving.lane.notices import LaneNotice

if TYPE_CHECKING:
    from serving.endpoints import Endpoints

_log = logging.getLogger("headrace.serving")


def taken_out(notices: Sequence[LaneNotice]) -> tuple[tuple[str, str, str], ...]:
    """Return model, experiment and reason of each challenger that was taken out."""
    found = {(model, experiment): why for n in notices for model, experiment, why in n.out}
    return tuple((model, experiment, why) for (model, experiment), why in found.items())


def record_outs(endpoints: Endpoints, name: str, notices: Sequence[LaneNotice]) -> bool:
    """Put challengers that a breaker took out back into shadow, for all replicas.

    It is done once: it ends the share of the challenger, and of one without a share there is
    nothing to record. Who changed the endpoint meanwhile is not overruled.

    Returns:
        Whether anything was recorded.
    """
    from serving.endpoints import OvertakenError
    from serving.route import RoutingError

    changed = False
    for model, experiment, why in taken_out(notices):
        route = endpoints.route(name)
        dealt = {} if route.traffic is None else route.traffic.shares()
        if route.experiment_of(model) != experiment or model not in dealt:
            continue
        reason = f"the breaker took it out: {why}"
        try:
            endpoints.change(
                name, "shadow", challenger=model, generation=route.generation, reason=reason
            )
        except (OvertakenError, RoutingError) as error:
            _log.warning("Endpoint '%s': %s", name, error)
        else:
            changed = True
    return changed
