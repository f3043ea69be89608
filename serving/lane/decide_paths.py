"""This module answers decisions that are asked one at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from serving._requests import MOST_BYTES
from serving.lane.exchange import Answer, Asked, Path

if TYPE_CHECKING:
    from serving.lane.app import LaneApp


def decide_paths(lane: LaneApp) -> dict[str, Path]:
    """Return what answers decisions at a lane."""

    async def decide(asked: Asked) -> Answer:
        decider, reader = lane.ready()
        request = reader.decision(await asked.json_body(MOST_BYTES))
        request.trace = asked.trace
        document = await decider.decide(request, _said(asked))
        if request.explain:
            (document,) = await lane.explainer.explained([document], decider.table)
        return Answer(orjson.dumps(document))

    return {f"/v1/{lane.endpoint}/decide": Path("POST", decide, "decide")}


def _said(asked: Asked) -> dict[str, Any] | None:
    """What the record of a decision says of the request, beside what it asks."""
    return None if asked.client is None else {"client": asked.client}
