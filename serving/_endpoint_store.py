"""This module says which online stores an endpoint reads from: those that answer fast enough."""

from __future__ import annotations

from collections.abc import Sized

from features._online_place import only_feast_has
from headrace.calls import Finding
from headrace.errors import DefinitionError

_REMEDY = (
    "Set 'features_online_url' to Redis, or leave it out for SQLite; materialize the views there, "
    "and start the services again."
)


def slow_store(endpoint: str, space: str, read: Sized) -> Finding | None:
    """Return what is wrong with the online store that an endpoint would read; None for nothing.

    Args:
        endpoint: Its name.
        space: The space that it reads.
        read: Views or lookups that it reads; without any, it does not matter where they lie.
    """
    if not read or not only_feast_has(space):
        return None
    return Finding(
        problem=f"Endpoint '{endpoint}' looks up features, and the setting 'features_online_url' "
        "says PostgreSQL, where only Feast reads them: too slow to decide with.",
        remedy=_REMEDY,
        rule="endpoint store",
    )


def require_fast(endpoint: str, space: str, read: Sized) -> None:
    """Refuse an endpoint that would read features from where that is slow; see `slow_store`.

    Args:
        endpoint: Its name.
        space: The space that it reads.
        read: Views or lookups that it reads.

    Raises:
        DefinitionError: It would.
    """
    slow = slow_store(endpoint, space, read)
    if slow is not None:
        raise DefinitionError(slow.problem, remedy=slow.remedy)
