"""This module asks an endpoint from a server that runs on asyncio; it has the methods of `Client`.

async with AsyncClient("flight_delay") as client:
    decision = await client.decide(entity={"tail": "N14228"}, features={"distance": 719})
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from pydantic import SecretStr

from serving._async_connection import AsyncConnections
from serving._client_answers import Decision, DecisionRefused, Ranking, Recorded
from serving._client_bodies import Outcome
from serving._client_requests import (
    about_request,
    decide_many_requests,
    decide_request,
    matrix_request,
    outcome_requests,
    rank_request,
    table_request,
    together,
)
from serving._client_settings import told
from serving._client_talk import Find, Send, Talk, talk
from serving._client_wire import Reply, Request

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

T = TypeVar("T")

__all__ = ["AsyncClient"]


class AsyncClient:
    """This asks one endpoint from the tasks of one event loop; best used with `async with`.

    Args:
        endpoint: Name of the endpoint.
        url: Where it answers: http or https, a host, perhaps a port, perhaps a path that another
            proxy has before ours. By default the database is asked, and asked again when nobody
            answers there any more: first the front is asked, without one the replicas in turn.
        key: The client's key; the setting `client_key` by default.
        ca: PEM file of who signs the endpoint's certificate; the setting `client_ca` by default.
        certificate: PEM file of the client's own certificate and key, where one is asked for.
        patience_seconds: For how long a request is sent again while nobody answers, or while
            everybody asks to come again later.
        timeout_seconds: How long one answer may take.

    Raises:
        ParameterError: The key or the address is not one.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        url: str | None = None,
        key: str | SecretStr | None = None,
        ca: str | Path | None = None,
        certificate: str | Path | None = None,
        patience_seconds: float = 5.0,
        timeout_seconds: float = 10.0,
    ) -> None:
        self.endpoint = endpoint
        self._patience = patience_seconds
        self._told = told(endpoint, url=url, key=key, ca=ca, certificate=certificate)
        self._connections = AsyncConnections(
            self._told.headers, self._told.trust, timeout_seconds=timeout_seconds
        )

    async def decide(
        self,
        *,
        entity: Mapping[str, Any],
        features: Mapping[str, Any] | None = None,
        id: str | None = None,  # noqa: A002  what the request calls it
        at: datetime | str | None = None,
        outputs: Sequence[str] = (),
        explain: bool = False,
    ) -> Decision:
        """Return the endpoint's decision about an entity; see `Client.decide`."""
        return await self._ask(
            decide_request(
                self.endpoint,
                entity=entity,
                features=features,
                id=id,
                at=at,
                outputs=outputs,
                explain=explain,
            )
        )

    async def decide_many(
        self,
        decisions: Iterable[Mapping[str, Any]],
        *,
        outputs: Sequence[str] = (),
        explain: bool = False,
    ) -> list[Decision | DecisionRefused]:
        """Return the decisions about many entities; see `Client.decide_many`."""
        requests = decide_many_requests(self.endpoint, decisions, outputs=outputs, explain=explain)
        return [each for request in requests for each in await self._ask(request)]

    async def rank(
        self,
        items: Iterable[Mapping[str, Any]],
        *,
        entity: Mapping[str, Any] | None = None,
        features: Mapping[str, Any] | None = None,
        id: str | None = None,  # noqa: A002  what the request calls it
        top: int | None = None,
        at: datetime | str | None = None,
        outputs: Sequence[str] = (),
        explain: bool = False,
    ) -> Ranking:
        """Return items in the order of their scores; see `Client.rank`."""
        return await self._ask(
            rank_request(
                self.endpoint,
                items,
                entity=entity,
                features=features,
                id=id,
                top=top,
                at=at,
                outputs=outputs,
                explain=explain,
            )
        )

    async def score_matrix(
        self,
        rows: np.ndarray[Any, Any],
        *,
        layout: str,
        id: str | None = None,  # noqa: A002  what the request calls it
    ) -> np.ndarray[Any, Any]:
        """Return the scores of rows of numbers; see `Client.score_matrix`."""
        return await self._ask(matrix_request(self.endpoint, rows, layout=layout, id=id))

    async def decide_table(
        self,
        table: pa.Table,
        *,
        id: str | None = None,  # noqa: A002  what the request calls it
    ) -> pa.Table:
        """Return the decisions about a table's rows; see `Client.decide_table`."""
        return await self._ask(table_request(self.endpoint, table, id=id))

    async def outcome(
        self,
        id: str,  # noqa: A002  what the request calls it
        value: float | None,
        known_at: datetime | None = None,
        *,
        name: str = "",
        corrects: bool = False,
        source: str | None = None,
    ) -> Recorded:
        """Tell the outcome of one decision; see `Client.outcome`."""
        told = Outcome(
            id=id, value=value, known_at=known_at, name=name, corrects=corrects, source=source
        )
        return await self.outcomes([told])

    async def outcomes(self, outcomes: Iterable[Outcome]) -> Recorded:
        """Tell the outcomes of decisions; see `Client.outcomes`."""
        return together(
            [await self._ask(each) for each in outcome_requests(self.endpoint, outcomes)]
        )

    async def about(self) -> dict[str, Any]:
        """Return what answers now, as the lane says it; see `Client.about`."""
        return await self._ask(about_request(self.endpoint))

    async def close(self) -> None:
        """Close the connections; the next request would open them again."""
        await self._connections.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _ask(self, request: Request[T]) -> T:
        steps = talk(self.endpoint, self._told.places, request, patience_seconds=self._patience)
        try:
            return await self._walk(steps, request)
        finally:
            steps.close()

    async def _walk(self, steps: Talk[T], request: Request[T]) -> T:
        """Do what a talk says until it has an answer."""
        reply: Reply | None = None
        failed: Exception | None = None
        while True:
            try:
                step = steps.send(reply) if failed is None else steps.throw(failed)
            except StopIteration as ended:
                answer: T = ended.value
                return answer
            reply = failed = None
            try:
                if isinstance(step, Send):
                    reply = await self._connections.send(step.place, request)
                elif isinstance(step, Find):
                    await asyncio.to_thread(self._told.finder.find)
                else:
                    await asyncio.sleep(step.seconds)
            except Exception as error:  # the talk says what becomes of it
                failed = error
