"""A lane that asks for keys: whose is good, what it may do, how often, and what is logged."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from headrace.lineage.database import Database
from headrace.settings import using_settings
from serving.access_step import AccessStep
from serving.api_clients import ApiClients
from serving.lane.table import LaneTable
from tests.serving.lane.conftest import ASKED, Answer, RunningLane

DECIDE, OUTCOMES, ABOUT = (f"/v1/flight_delay{path}" for path in ("/decide", "/outcomes", ""))


@dataclass(frozen=True, kw_only=True)
class Desk:
    """This is a lane that asks for keys, and who gives them."""

    lane: RunningLane
    clients: ApiClients
    step: AccessStep

    def key(self, name: str, **may: object) -> str:
        """Make a client, and return its key when the lane knows it."""
        key = self.clients.add(name, **{"endpoints": ["*"]} | may)  # type: ignore[arg-type]
        self.told()
        return key.text

    def told(self) -> None:
        """Let the lane know what changed, as the host does."""
        self.step.apply({"flight_delay": 1})
        time.sleep(0.6)  # a lane looks twice a second

    def ask(self, path: str, key: str | None, header: str = "Bearer {}") -> Answer:
        headers = {"content-type": "application/json"}
        if key is not None:
            headers["authorization"] = header.format(key)
        body = ASKED if path == DECIDE else {"outcomes": []} if path == OUTCOMES else None
        return self.lane.ask(path, body, headers=headers)


@pytest.fixture
def desk(
    start_lane: Callable[..., RunningLane], table: Callable[..., LaneTable], tmp_path: Path
) -> Iterator[Desk]:
    routed = table()
    clients = ApiClients(Database(tmp_path / "headrace.db"))
    with using_settings(serving_keys="required"):
        step = AccessStep(routed.notices, clients)
        step.apply({})
        yield Desk(lane=start_lane(routed), clients=clients, step=step)


def test_without_a_good_key_nothing_is_answered_but_that_the_lane_is_well(desk: Desk) -> None:
    key = desk.key("shop")
    spoilt = key[:-1] + ("A" if key[-1] != "A" else "B")

    none, basic, wrong = (
        desk.ask(DECIDE, None),
        desk.ask(DECIDE, "c2hvcDpoaQ==", "Basic {}"),
        desk.ask(DECIDE, spoilt),
    )

    assert [each.status for each in (none, basic, wrong)] == [401] * 3
    assert none.headers["www-authenticate"] == 'Bearer realm="headrace"'
    assert none.document["error"] == {
        "code": "unauthorized",
        "message": "The request came with no key.",
        "remedy": "send the header 'Authorization: Bearer hr_…' with a key from whoever runs this; "
        "they make one with `headrace clients add`.",
    }
    assert wrong.document["error"]["message"] == (
        "The request came with a key that is not good, or not any more."
    )
    assert spoilt not in str(wrong.document)
    assert desk.lane.ask("/healthz").status == 200


def test_a_good_key_is_let_in_and_its_client_is_in_the_log(desk: Desk) -> None:
    key = desk.key("shop")

    answered = desk.ask(DECIDE, key)

    log = desk.lane.replica._decisions
    assert log is not None
    assert answered.status == 200
    assert (log.decision(answered.document["id"]) or {})["client"] == "shop"


def test_a_client_does_only_what_it_may(desk: Desk) -> None:
    asks = desk.key("shop", verbs=["decide"])
    elsewhere = desk.key("other", endpoints=["minutes"])

    told, looked, foreign = (
        desk.ask(OUTCOMES, asks),
        desk.ask(ABOUT, asks),
        desk.ask(ABOUT, elsewhere),
    )

    assert [each.status for each in (told, looked, foreign)] == [403] * 3
    assert told.document["error"]["message"] == (
        "The client 'shop' may not tell outcomes to the endpoint 'flight_delay'."
    )
    assert desk.ask(DECIDE, asks).status == 200


def test_a_client_that_asks_too_often_is_told_when_to_come_again(desk: Desk) -> None:
    key = desk.key("shop", per_second=0.5, burst=2)

    answers = [desk.ask(DECIDE, key) for _ in range(4)]

    assert [each.status for each in answers] == [200, 200, 429, 429]
    assert answers[-1].headers["retry-after"] == "2"
    assert answers[-1].document["error"]["code"] == "rate_limited"


def test_a_key_that_is_taken_away_or_rotated_is_none_within_a_second(desk: Desk) -> None:
    first = desk.key("shop")
    second = desk.clients.rotate("shop").text
    desk.told()
    rotated = desk.ask(ABOUT, first).status, desk.ask(ABOUT, second).status

    desk.clients.revoke("shop")
    desk.told()

    assert rotated == (401, 200)
    assert desk.ask(ABOUT, second).status == 401


def test_a_lane_that_does_not_know_who_may_ask_lets_nobody_in(
    start_lane: Callable[..., RunningLane], table: Callable[..., LaneTable]
) -> None:
    with using_settings(serving_keys="required"):
        lane = start_lane(table())

        refused = lane.decide()

    assert (refused.status, refused.document["error"]["code"]) == (503, "starting")
