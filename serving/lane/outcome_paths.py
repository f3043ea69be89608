"""This module takes what became of decisions into the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from headrace.clock import current_clock, from_us
from headrace.decisions import DecisionLog
from headrace.errors import HeadraceError
from serving._request_errors import RequestError
from serving._requests import MOST_OUTCOME_BYTES, OutcomeRequest
from serving.lane.exchange import Answer, Asked, Path

if TYPE_CHECKING:
    from serving.lane.app import LaneApp


def outcome_paths(lane: LaneApp) -> dict[str, Path]:
    """Return what takes outcomes at a lane."""

    async def outcomes(asked: Asked) -> Answer:
        _, reader = lane.ready()
        body = await asked.json_body(MOST_OUTCOME_BYTES)
        return Answer(orjson.dumps(record(lane.log, reader.outcomes(body))))

    return {f"/v1/{lane.endpoint}/outcomes": Path("POST", outcomes, "outcomes")}


def record(log: DecisionLog, outcomes: list[OutcomeRequest]) -> dict[str, Any]:
    """Log outcomes, all or none of them.

    Raises:
        RequestError: One is of no known decision, or contradicts what was told before.
    """
    now = current_clock().now_us()
    records: dict[str, dict[str, Any]] = {}
    repeated = 0
    for outcome in outcomes:
        decision = log.decision(outcome.id)
        if decision is None:
            raise RequestError.unknown_decision(outcome.id)
        has = log.outcome(outcome.id) or records.get(outcome.id)
        if has is not None:
            if has["value"] != outcome.value:
                raise RequestError.outcome_conflict(outcome.id, has["value"], outcome.value)
            repeated += 1
            continue
        known = now if outcome.known_us is None else outcome.known_us
        if known < decision["at"]:
            raise RequestError.outcome_before_decision(
                outcome.id, from_us(known), from_us(decision["at"])
            )
        records[outcome.id] = {
            "kind": "outcome",
            "id": outcome.id,
            "known_at": known,
            "logged": now,
            "value": outcome.value,
        }
    if records:
        try:
            log.append(list(records.values()))
        except HeadraceError as error:
            raise RequestError.log_unwritable(error) from error
    return {"recorded": len(records), "repeated": repeated}
