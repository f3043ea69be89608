"""This module answers decisions that are asked one at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from serving._requests import MOST_BYTES
from serving.lane.exchange import Answer, Asked, Path

if TYPE_CHECKING:
    from serving.lane.app import LaneApp


def decide_paths(lane: LaneApp) -> dict[str, Path]:
    """Return what answers decisions at a lane."""

    async def decide(asked: Asked) -> Answer:
        decider, reader = lane.ready()
        body = await asked.json_body(MOST_BYTES)
        return Answer(orjson.dumps(await decider.decide(reader.decision(body))))

    return {f"/v1/{lane.endpoint}/decide": Path("POST", decide, "decide")}
