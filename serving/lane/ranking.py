"""This module ranks lists: one model scores every item of a list, so that scores can be compared.

Each item is a decision of its own, with an id of its own, so that an outcome can be told of it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import orjson

from headrace.clock import current_clock, from_us
from headrace.errors import HeadraceError
from serving._request_batches import RankRequest, within_item
from serving._request_errors import RequestError
from serving._requests import MOST_BATCH_BYTES, DecisionRequest
from serving.lane.exchange import Answer, Asked
from serving.traffic import unit_of

if TYPE_CHECKING:
    from serving.lane.app import LaneApp
    from serving.lane.deciding import Decider

_ROWS_IN_A_TURN = 32  # of lookups, after which other requests have their turn

Row = tuple[DecisionRequest, list[Any], list[str]]


class Rankings:
    """This ranks the lists of one lane.

    Args:
        lane: The lane.
    """

    def __init__(self, lane: LaneApp) -> None:
        self._lane = lane
        self._pending: dict[str, asyncio.Future[list[dict[str, Any]]]] = {}

    async def ranked(self, asked: Asked) -> Answer:
        """Answer a list: its items by score, the highest first; of equals the one named first.

        Raises:
            RequestError: The list is wrong, or cannot be scored or logged; nothing was logged.
        """
        body = await asked.json_body(MOST_BATCH_BYTES)
        decider, reader = self._lane.ready()
        wanted = reader.ranking(body)
        self._lane.gate.charge(asked, len(wanted.items))
        identity = wanted.id or uuid4().hex
        repeated = wanted.id is not None
        logged = await self._known(identity) if repeated else []
        if not logged:
            repeated = False
            logged = await self._decided(decider, asked, wanted, identity)
        else:
            self._lane.meters.repeated()
        return await self._told(decider, wanted, identity, logged, repeated=repeated)

    async def _known(self, identity: str) -> list[dict[str, Any]]:
        """Return the decisions of a list that was ranked before, or is being ranked."""
        twin = self._pending.get(identity)
        if twin is not None:
            return await asyncio.shield(twin)
        found: list[dict[str, Any]] = []
        while (each := self._lane.log.decision(f"{identity}/{len(found)}")) is not None:
            if each.get("batch") != identity:  # a decision of another request has that id
                break
            found.append(each)
        return found

    async def _decided(
        self, decider: Decider, asked: Asked, wanted: RankRequest, identity: str
    ) -> list[dict[str, Any]]:
        made = asyncio.get_running_loop().create_future()
        self._pending[identity] = made
        try:
            logged = await self._logged(decider, asked, wanted, identity)
            made.set_result(logged)
            return logged
        finally:
            if not made.done():
                made.set_result([])  # whoever sent the same meanwhile decides it anew
            self._pending.pop(identity, None)

    async def _logged(
        self, decider: Decider, asked: Asked, wanted: RankRequest, identity: str
    ) -> list[dict[str, Any]]:
        try:
            self._lane.log.require_room()
        except HeadraceError as error:
            raise RequestError.log_unwritable(error) from error
        traffic, clock = decider.table.traffic, current_clock()
        begun, now = clock.monotonic(), clock.now_us()
        rows = await self._rows(decider, wanted, identity, now)
        unit = None if traffic is None else unit_of(wanted.entity, traffic.unit)
        looked_up = clock.monotonic()
        found = await decider.score_as_one(unit or identity, lambda: [row for _, row, _ in rows])
        scores = [float(score) for score in found.scores]
        scored = clock.monotonic()
        order = sorted(range(len(rows)), key=lambda place: (-scores[place], place))
        ranks = {place: rank for rank, place in enumerate(order, 1)}
        said = {"batch": identity} | ({} if asked.client is None else {"client": asked.client})
        records = [
            decider.record_of(request, row, missing, scores[place], now, by=found)
            | said
            | {"rank": ranks[place]}
            for place, (request, row, missing) in enumerate(rows)
        ]
        try:
            await self._lane.log.logged(records)
        except HeadraceError as error:
            raise RequestError.log_unwritable(error) from error
        self._lane.meters.answered(found.model, len(records))
        self._lane.meters.batched(
            (), (), begun, looked_up, scored, clock.monotonic(), size=len(records)
        )
        return records

    async def _rows(
        self, decider: Decider, wanted: RankRequest, identity: str, now: int
    ) -> list[Row]:
        rows: list[Row] = []
        for place, request in enumerate(wanted.items):
            request.id = f"{identity}/{place}"
            try:
                rows.append((request, *decider.row_of(request, now)))
            except RequestError as error:
                raise within_item(error, place) from error
            if place % _ROWS_IN_A_TURN == _ROWS_IN_A_TURN - 1:
                await asyncio.sleep(0)
        return rows

    async def _told(
        self,
        decider: Decider,
        wanted: RankRequest,
        identity: str,
        logged: list[dict[str, Any]],
        *,
        repeated: bool,
    ) -> Answer:
        placed = sorted(enumerate(logged), key=lambda pair: pair[1]["rank"])
        items = [
            {
                "id": each["id"],
                "place": place,
                "rank": each["rank"],
                "answer": each["answer"],
                "missing": each["missing"],
            }
            for place, each in placed[: wanted.top]
        ]
        if wanted.items[0].explain:
            items = await self._lane.explainer.explained(items, decider.table)
        document = {
            "id": identity,
            "endpoint": self._lane.endpoint,
            "model": logged[0]["model"],
            "at": from_us(logged[0]["at"]).isoformat(),
            "repeated": repeated,
            "items": items,
        }
        return Answer(orjson.dumps(document))
