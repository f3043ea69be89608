"""This module says what a lane is: what answers, what may be asked, whether it is well."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import orjson

from headrace.settings import settings
from serving._matrix_layout import layout_of
from serving._openapi import openapi_document
from serving.lane.exchange import Answer, Asked, Path

if TYPE_CHECKING:
    from serving.lane.app import LaneApp


def about_paths(lane: LaneApp) -> dict[str, Path]:
    """Return what tells of a lane."""

    async def health(_: Asked) -> Answer:
        lane.ready()
        if lane.leaving:  # whoever deals requests is to choose another one
            return Answer(b'{"status":"leaving"}', 503, headers=((b"retry-after", b"1"),))
        return Answer(b'{"status":"ok"}')

    async def openapi(_: Asked) -> Answer:
        decider, _reader = lane.ready()
        document = openapi_document(
            endpoint=lane.endpoint,
            inputs=decider.inputs,
            lookups=decider.lookups,
            task=decider.champion.scorer.card.task,
            clock=decider.table.clock,
            model=decider.champion.ref,
            outputs=decider.outputs,
            features=decider.champion.scorer.card.features,
            asks_for_keys=settings().asks_for_keys,
        )
        return Answer(orjson.dumps(document))

    async def about(_: Asked) -> Answer:
        return Answer(orjson.dumps(about_of(lane)))

    return {
        "/healthz": Path("GET", health, None),
        "/openapi.json": Path("GET", openapi, None),
        f"/v1/{lane.endpoint}/openapi.json": Path("GET", openapi, None),  # behind a front
        f"/v1/{lane.endpoint}": Path("GET", about, "read"),
    }


def about_of(lane: LaneApp) -> dict[str, Any]:
    """Return what answers at a lane, as JSON-like data.

    Raises:
        RequestError: It is starting.
    """
    decider, _ = lane.ready()
    table, champion = decider.table, decider.champion
    return {
        "endpoint": table.endpoint,
        "generation": table.generation,
        "model": champion.ref,
        "runtime": champion.scorer.runtime,
        "challenger": None if table.challenger is None else table.challenger.ref,
        "experiment": table.experiment,
        "clock": table.clock,
        "inputs": [
            {"name": each.name, "dtype": each.dtype, "source": each.source}
            for each in decider.inputs
        ],
        "outputs": list(decider.outputs),
        "matrix": layout_of(champion.scorer.card).to_json(),
        **({"on_demand": decider.computed()} if decider.computed() else {}),
        "log": asdict(lane.log.stats()),
    }
