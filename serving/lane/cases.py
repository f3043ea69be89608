"""This module holds a request of a lane on its way from its row to its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple

from serving._requests import DecisionRequest
from serving.lane.dealing import Dealt


class Case:
    """This is a request on its way to its answer."""

    __slots__ = ("answered", "dealt", "missing", "more", "request", "row")

    def __init__(
        self,
        request: DecisionRequest,
        answered: asyncio.Future[dict[str, Any]],
        dealt: Dealt,
        more: Mapping[str, Any] | None,
    ) -> None:
        self.request = request
        self.answered = answered
        self.dealt = dealt
        self.more = more
        self.row: list[Any] = []
        self.missing: list[str] = []


class Moments(NamedTuple):
    """This is when a batch was begun, and when its rows were together, in monotonic seconds."""

    begun: float
    rows: float


Done = list[tuple[Case, dict[str, Any]]]
"""These are cases with the record of each."""


async def same_answer(twin: asyncio.Future[dict[str, Any]]) -> dict[str, Any]:
    """Return the answer to the request with the same id that came before."""
    return await asyncio.shield(twin) | {"repeated": True}
