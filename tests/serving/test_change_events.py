"""A change at an endpoint, as the event that flows can wait for."""

from __future__ import annotations

import pytest

from serving import routing
from serving.change_events import change_event
from serving.routing import Route

COMPARED = Route(
    endpoint="flight_delay", generation=4, champion="flight_delay/1",
    challenger="flight_delay/2", experiment="e", previous=None,
)  # fmt: skip


def test_a_promotion_says_who_answers_now_and_who_did() -> None:
    event = change_event("promote", COMPARED, routing.promote(COMPARED), run="run-1")

    assert (event.name, event.resource) == (
        "headrace.model.promoted",
        "headrace.model.flight_delay",
    )
    assert event.payload == {
        "endpoint": "flight_delay",
        "champion": "flight_delay/2",
        "previous": "flight_delay/1",
        "challenger": "flight_delay/2",
        "shares": {},
        "generation": 5,
        "run": "run-1",
    }


@pytest.mark.parametrize(
    ("action", "before", "name"),
    [
        ("withdraw", COMPARED, "headrace.model.withdrawn"),
        ("rollback", routing.promote(COMPARED), "headrace.model.rolled_back"),
        ("restate", COMPARED, "headrace.model.redeployed"),
    ],
)
def test_each_change_has_its_name(action, before: Route, name: str) -> None:
    after = getattr(routing, action)(before)

    event = change_event("redeploy" if action == "restate" else action, before, after)

    assert (event.name, event.payload["champion"]) == (name, "flight_delay/1")
