"""This module takes what became of decisions into the log."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson

from headrace.decisions import DecisionLog
from headrace.errors import HeadraceError
from serving._request_errors import RequestError
from serving._requests import MOST_OUTCOME_BYTES
from serving.lane.exchange import Answer, Asked, Path
from serving.lane.recent import RecentDecisions
from serving.lane.weighing_outcomes import weigh
from serving.outcome_kinds import OutcomeKind, kinds_of

if TYPE_CHECKING:
    from serving.lane.app import LaneApp
    from serving.lane.table import LaneTable


def outcome_paths(lane: LaneApp) -> dict[str, Path]:
    """Return what takes outcomes at a lane."""
    declared: list[tuple[LaneTable, dict[str, OutcomeKind], RecentDecisions]] = []
    # while a slow disk takes one request's outcomes, those of another are not compared with them
    one_at_a_time = asyncio.Lock()

    async def outcomes(asked: Asked) -> Answer:
        decider, reader = lane.ready()
        told = reader.outcomes(await asked.json_body(MOST_OUTCOME_BYTES))
        table = decider.table
        if not declared or declared[0][0] is not table:
            recent = declared[0][2] if declared else RecentDecisions(table.log)
            declared[:] = [(table, kinds_of(table.outcomes), recent)]
        _, kinds, recent = declared[0]
        wanted = {tuple(sorted(each.entity)) for each in told if each.entity is not None}
        if wanted:
            await asyncio.to_thread(recent.catch_up, wanted)
        async with one_at_a_time:
            records, counts = weigh(lane.log, told, kinds, recent)
            await _log(lane.log, records)
        lane.meters.told(**counts)
        return Answer(orjson.dumps(counts))

    return {f"/v1/{lane.endpoint}/outcomes": Path("POST", outcomes, "outcomes")}


async def _log(log: DecisionLog, records: list[dict[str, Any]]) -> None:
    if not records:
        return
    try:
        await log.logged(records)
    except HeadraceError as error:
        raise RequestError.log_unwritable(error) from error
