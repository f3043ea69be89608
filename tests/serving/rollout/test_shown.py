"""What is shown of a verdict is taken from its trace as it stands, of either format."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from serving._endpoint_records import Judgement
from serving.rollout.shown import shown_of

OLD = Path(__file__).parents[1] / "verdict_of_before.json"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _shown(trace: Any) -> dict[str, Any]:
    told = Judgement(number=7, endpoint="delay", experiment="e1", at=NOON, actor="ann", trace=trace)
    return shown_of(told, "delay/2")


def test_a_verdict_of_before_there_were_stages_is_shown_with_its_blocks_and_bounds() -> None:
    trace = json.loads(OLD.read_text())

    shown = _shown(trace)

    assert (shown["number"], shown["actor"], shown["stage"]) == (7, "ann", None)
    assert shown["action"] == trace["action"]
    assert [b["z"] for b in shown["blocks"]] == [b["z"] for b in trace["evidence"]["blocks"]]
    assert shown["bounds"] == trace["bounds"]
    assert len(shown["checks"]) == len(trace["checks"])
    assert shown["alpha"] == trace["rule"]["alpha"]


@pytest.mark.parametrize(
    "trace",
    [
        {},
        {"checks": None, "bounds": 3, "gathered": [], "rule": "x"},
        {"gathered": {"primary": None}, "state": {"stage": "watch"}, "action": "hold"},
    ],
)
def test_what_a_trace_lacks_is_none_or_empty(trace: dict[str, Any]) -> None:
    shown = _shown(trace)

    assert (shown["blocks"], shown["bounds"], shown["checks"]) == ([], [], [])
    assert shown["requests"] is None
    assert json.loads(json.dumps(shown)) == shown
