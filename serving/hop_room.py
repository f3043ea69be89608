"""This module says whether there is room for scoring processes: GPUs and memory to set aside.

Ray waits without a word for what a machine will never have. So nothing is deployed that does not
fit beside what is deployed already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from headrace.capacity import Capacity, capacity_of
from headrace.errors import ServiceError
from headrace.settings import settings
from serving.lane.table import Hop

if TYPE_CHECKING:
    from serving.endpoints import Endpoints

# what is left of a GPU after fractions of it, in floats
_NEARLY = 1e-6


def require_room(endpoint: str, hop: Hop | None, others: Iterable[Hop], has: Capacity) -> None:
    """Require that the scoring processes of an endpoint fit beside those of others.

    Args:
        endpoint: Name of the endpoint.
        hop: Its scoring processes; None for none, which always fit.
        others: Those of other endpoints.
        has: What there is.

    Raises:
        ServiceError: They do not; the message says what they ask for and what there is.
    """
    if hop is None:
        return
    beside = tuple(others)
    if hop.gpus and not _fit([*beside, hop], has.gpus):
        raise ServiceError(
            f"Endpoint '{endpoint}' asks for {_each(hop, hop.gpus, 'GPU')}, but "
            f"{_there_are(has.gpus)}{_taken(sum(each.gpus * each.replicas for each in beside))}.",
            remedy="Give its placement fewer `gpus` or `scorers`, or say with the setting `gpus` "
            "how many there are.",
        )
    wanted = hop.memory_mb * hop.replicas
    taken = sum(each.memory_mb * each.replicas for each in beside)
    if wanted and (wanted + taken) << 20 > has.memory:
        raise ServiceError(
            f"Endpoint '{endpoint}' asks for {wanted:,} MB of memory for scoring, but there are "
            f"{has.memory >> 20:,} MB, of which others have {taken:,}.",
            remedy="Give its placement less `memory_mb` or fewer `scorers`.",
        )


def require_room_to_deploy(endpoint: str, hop: Hop | None, endpoints: Endpoints) -> None:
    """Require that an endpoint that is about to be declared fits beside those that are.

    Raises:
        ServiceError: It does not.
    """
    if hop is not None:
        placements = (
            endpoints.spec(name).placement for name in endpoints.names() if name != endpoint
        )
        require_room(endpoint, hop, hops_of(placements), capacity_of(settings()))


def hops_of(placements: Iterable[Mapping[str, Any] | None]) -> list[Hop]:
    """Return the scoring processes that placements ask for, as they are declared."""
    from serving.placement import Placement

    hops = (Placement(**(each or {})).hop for each in placements)
    return [hop for hop in hops if hop is not None]


def _fit(hops: Iterable[Hop], gpus: int) -> bool:
    """Return whether GPUs suffice: one holds fractions up to itself, and wholes are whole."""
    wanted = sorted((hop.gpus for hop in hops for _ in range(hop.replicas)), reverse=True)
    left = [1.0] * gpus
    for each in wanted:
        if each >= 1:
            free = [place for place, share in enumerate(left) if share == 1.0][: int(each)]
            if len(free) < each:
                return False
            for place in free:
                left[place] = 0.0
        elif each:
            first = next((p for p, share in enumerate(left) if share >= each - _NEARLY), None)
            if first is None:
                return False
            left[first] -= each
    return True


def _each(hop: Hop, amount: float, what: str) -> str:
    times = "" if hop.replicas == 1 else f"{hop.replicas} times "
    return f"{times}{amount:g} {what}{'' if amount <= 1 else 's'}"


def _there_are(gpus: int) -> str:
    return "there is none" if not gpus else f"there is {gpus}" if gpus == 1 else f"there are {gpus}"


def _taken(amount: float) -> str:
    return f", and others have {amount:g}" if amount else ""
