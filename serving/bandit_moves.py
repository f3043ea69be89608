"""This module applies the shares that Thompson sampling asks for, each as a change of the endpoint.

The serving host calls it now and then. Every change is in the endpoint's history with the counts
and beliefs that it rests on.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from headrace.settings import Settings
from serving.bandit import moved
from serving.hosted import notices_folder
from serving.lane.bandit_notice import BanditNotice, read_bandit

if TYPE_CHECKING:
    from serving.endpoints import Endpoints
    from serving.routing import Route


def move_all(endpoints: Endpoints, of: Settings) -> list[Route]:
    """Change every endpoint whose outcomes ask for other shares; return the routes since.

    Args:
        endpoints: What is declared.
        of: Where notices lie.

    Raises:
        HeadraceError: The database cannot be read or written.
    """
    changed = (move(endpoints, notices_folder(of), name) for name in endpoints.names())
    return [route for route in changed if route is not None]


def move(endpoints: Endpoints, folder: Path, name: str) -> Route | None:
    """Change the shares of one endpoint if its outcomes ask for it; return the route since.

    Shares that were worked out under another generation are left alone: whoever changed the
    endpoint meanwhile is not overruled by what was believed before.

    Args:
        endpoints: What is declared.
        folder: Where notices lie.
        name: The endpoint.

    Returns:
        None where nothing changed: no share is to move by a point, or somebody else was quicker.

    Raises:
        UnknownNameError: There is no such endpoint.
    """
    from serving.endpoints import OvertakenError

    route = endpoints.route(name)
    if route.traffic is None or route.traffic.bandit is None:
        return None
    notice = read_bandit(folder, name)
    if notice is None or not notice.shares:
        return None
    now = route.traffic.shares()
    now |= {route.champion: 1 - sum(now.values())}
    is_of_this = notice.generation == route.generation and notice.salt == route.traffic.salt
    if not is_of_this or notice.shares.keys() != now.keys() or not moved(now, notice.shares):
        return None
    wanted = {m: share for m, share in notice.shares.items() if m != route.champion}
    try:
        return endpoints.change(
            name,
            "reweigh",
            generation=route.generation,
            reason=_reason(notice, now),
            trace=notice.trace,
            shares=wanted,
        )
    except OvertakenError:
        return None


def _reason(notice: BanditNotice, now: dict[str, float]) -> str:
    moves = ", ".join(
        f"{model} {now[model]:.1%} to {share:.1%}" for model, share in notice.shares.items()
    )
    return f"Thompson sampling: {moves}"
