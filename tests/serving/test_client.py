"""The Python client, against a small real HTTP server that reads and refuses as a lane does."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import orjson
import pytest
import uvicorn

from features.online_lookup import Lookup
from headrace.errors import ParameterError, ServiceError, UnknownNameError
from headrace.lineage.database import Database
from headrace.settings import settings, using_settings
from serving._request_errors import RequestError
from serving._requests import Input, RequestReader
from serving.client import Client, Decision, DecisionRefused, Outcome, Recorded
from serving.endpoints import Endpoints, EndpointSpec, Lane

READER = RequestReader(
    endpoint="flight_delay",
    inputs=(
        Input(name="distance", dtype="float", source=None),
        Input(name="landings", dtype="int", source="tail_history"),
    ),
    lookups=(
        Lookup(
            view="tail_history",
            keys=(("tail", "string"),),
            features=("landings",),
            dtypes=("int",),
        ),
    ),
    clock="replayed",
)
NOON = datetime(2013, 7, 1, 12, tzinfo=UTC)
ASKED: dict[str, Any] = {"entity": {"tail": "N14228"}, "features": {"distance": 719.5}}


class SmallLane:
    """This answers p = 0.25 once a decision and remembers; troubles happen to the next requests."""

    def __init__(self) -> None:
        self.decided: dict[str, dict[str, Any]] = {}
        self.outcomes: dict[str, float | None] = {}
        self.asked: list[tuple[str, bytes]] = []
        self.troubles: deque[str] = deque()

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.asked.append((scope["path"], body))
        trouble = self.troubles.popleft() if self.troubles else None
        if trouble == "starting":
            error = RequestError.starting("flight_delay")
            return await self._send(send, error.status, error.to_json())
        try:
            answer = orjson.dumps(self._answer(scope["path"], body, trouble))
        except RequestError as error:
            return await self._send(send, error.status, error.to_json())
        if trouble == "break off":  # what was decided is logged, and the answer is lost
            await self._send(send, 200, answer, cut=True)
            raise ConnectionAbortedError
        await self._send(send, 200, b"<html>" if trouble == "speak html" else answer)

    def _answer(self, path: str, body: bytes, trouble: str | None) -> Any:
        if path == "/v1/flight_delay":
            return {"endpoint": "flight_delay", "model": "flight_delay/3"}
        if path == "/v1/flight_delay/outcomes":
            told = READER.outcomes(body)
            new = [outcome for outcome in told if outcome.id not in self.outcomes]
            self.outcomes.update({outcome.id: outcome.value for outcome in told})
            return {"recorded": len(new), "repeated": len(told) - len(new)}
        if path != "/v1/flight_delay/decide":
            raise RequestError.unknown_endpoint(path.split("/")[2], ["flight_delay"])
        request = READER.decision(body)
        if trouble == "fill the disk":
            raise RequestError.log_unwritable(ServiceError("It is full.", remedy="free space."))
        if request.id in self.decided:
            return {**self.decided[request.id], "repeated": True}
        at = NOON if request.at_us is None else datetime.fromtimestamp(request.at_us / 1e6, UTC)
        decision = {
            "id": request.id, "endpoint": "flight_delay", "model": "flight_delay/3",
            "answer": {"probability": 0.25}, "at": at.isoformat(), "repeated": False,
            "missing": ["tail_history"],
        }  # fmt: skip
        self.decided[request.id or ""] = decision
        return decision

    async def _send(self, send: Any, status: int, body: bytes, *, cut: bool = False) -> None:
        length = (b"content-length", b"%d" % len(body))
        headers = [(b"content-type", b"application/json"), length]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send(
            {"type": "http.response.body", "body": body[:20] if cut else body, "more_body": cut}
        )


class Listening:
    """This is a uvicorn server in a thread."""

    def __init__(self, app: Any, port: int = 0) -> None:
        config = uvicorn.Config(app, port=port, lifespan="off", log_level="critical")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve()))
        self._thread.start()
        until = time.monotonic() + 10
        while not self._server.started and time.monotonic() < until:
            time.sleep(0.01)
        self.port: int = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(10)


@pytest.fixture
def lane() -> SmallLane:
    return SmallLane()


@pytest.fixture
def server(lane: SmallLane) -> Iterator[Listening]:
    listening = Listening(lane)
    yield listening
    listening.stop()


@pytest.fixture
def client(server: Listening) -> Iterator[Client]:
    with Client("flight_delay", url=server.url, patience_seconds=2) as client:
        yield client


# --- asking ---


def test_a_decision_comes_back_with_its_figure_and_its_model(client: Client) -> None:
    decision = client.decide(**ASKED, id="a", at=NOON)

    assert decision == Decision(
        id="a",
        endpoint="flight_delay",
        model="flight_delay/3",
        answer={"probability": 0.25},
        at=NOON,
        repeated=False,
        missing=("tail_history",),
    )
    assert decision.value == 0.25


def test_a_decision_without_id_is_given_one_and_the_same_id_gets_the_same_answer(
    client: Client,
) -> None:
    first = client.decide(**ASKED)
    again = client.decide(**ASKED, id=first.id)

    assert len(first.id) == 32
    assert (again.id, again.at, again.repeated) == (first.id, first.at, True)


def test_nan_is_null_and_numbers_of_numpy_are_numbers(client: Client, lane: SmallLane) -> None:
    client.decide(
        entity=MappingProxyType({"tail": "N14228", "flight": np.int64(1545)}),
        features={"distance": math.nan, "landings": np.int32(3)},
        id="a",
    )

    assert orjson.loads(lane.asked[-1][1]) == {
        "id": "a",
        "entity": {"tail": "N14228", "flight": 1545},
        "features": {"distance": None, "landings": 3},
    }


@pytest.mark.parametrize("infinite", [math.inf, -math.inf, np.float32("inf")])
def test_infinity_is_refused_before_it_is_sent(
    client: Client, lane: SmallLane, infinite: Any
) -> None:
    with pytest.raises(ParameterError) as raised:
        client.decide(entity={"tail": "N14228"}, features={"distance": infinite})

    assert str(raised.value) == (
        f"The value of 'distance' is {infinite}, and JSON has no infinity.\n"
        "  Fix: give a number, or None where it isn't known."
    )
    assert lane.asked == []


def test_what_json_cannot_hold_is_refused_before_it_is_sent(client: Client) -> None:
    with pytest.raises(ParameterError) as raised:
        client.decide(entity={"tail": {"N14228"}})

    assert str(raised.value) == (
        "The request cannot be written as JSON: Type is not JSON serializable: set.\n"
        "  Fix: give texts, numbers, true, false or None."
    )


def test_a_refused_request_says_which_field_and_is_sent_once(
    client: Client, lane: SmallLane
) -> None:
    with pytest.raises(DecisionRefused) as raised:
        client.decide(entity={"tail": "N14228"}, features={"distance": "far"})

    error = raised.value
    assert (error.status, error.code, error.field) == (422, "wrong_type", "features.distance")
    assert (error.expected, error.got) == ("a number or null", "'far' (text)")
    assert str(error) == (
        "The field 'features.distance' must be a number or null, got 'far' (text).\n"
        "  Fix: send a number, or null where it isn't known."
    )
    assert len(lane.asked) == 1


def test_the_lane_of_another_endpoint_refuses(server: Listening) -> None:
    with Client("flight_dealy", url=server.url) as client, pytest.raises(DecisionRefused) as raised:
        client.about()

    assert raised.value.code == "unknown_endpoint"


def test_about_is_what_the_lane_says(client: Client) -> None:
    assert client.about() == {"endpoint": "flight_delay", "model": "flight_delay/3"}


# --- outcomes ---


def test_an_outcome_is_recorded_once(client: Client, lane: SmallLane) -> None:
    assert client.outcome("a", 1.0, known_at=NOON) == Recorded(recorded=1, repeated=0)
    assert client.outcome("a", 1.0) == Recorded(recorded=0, repeated=1)
    assert orjson.loads(lane.asked[0][1]) == {
        "outcomes": [{"id": "a", "value": 1.0, "known_at": "2013-07-01T12:00:00+00:00"}]
    }


def test_many_outcomes_are_told_in_pieces_that_a_lane_reads(
    client: Client, lane: SmallLane
) -> None:
    many = [Outcome(id=f"{n:0>180}", value=None if n % 2 else 1.0) for n in range(4_000)]

    told = client.outcomes(many)

    assert told == Recorded(recorded=4_000, repeated=0)
    assert lane.outcomes == {outcome.id: outcome.value for outcome in many}
    assert len(lane.asked) == 4
    assert max(len(body) for _, body in lane.asked) < 2**18 + 2**10


def test_no_outcomes_ask_for_nothing(client: Client, lane: SmallLane) -> None:
    assert client.outcomes([]) == Recorded(recorded=0, repeated=0)
    assert lane.asked == []


# --- troubles ---


def test_an_answer_that_breaks_off_is_asked_for_again_with_the_same_id(
    client: Client, lane: SmallLane
) -> None:
    lane.troubles.append("break off")

    decision = client.decide(**ASKED)

    ids = [orjson.loads(body)["id"] for _, body in lane.asked]
    assert ids == [decision.id, decision.id]
    assert list(lane.decided) == [decision.id]
    assert decision.repeated


def test_a_lane_that_is_starting_is_waited_for(client: Client, lane: SmallLane) -> None:
    lane.troubles.extend(["starting"] * 3)

    decision = client.decide(**ASKED)

    assert not decision.repeated
    assert len(lane.asked) == 4


def test_patience_with_a_lane_that_is_starting_ends(server: Listening, lane: SmallLane) -> None:
    lane.troubles.extend(["starting"] * 100)

    with (
        Client("flight_delay", url=server.url, patience_seconds=0.2) as client,
        pytest.raises(ServiceError) as raised,
    ):
        client.decide(**ASKED)

    assert str(raised.value) == (
        "The endpoint 'flight_delay' is starting and has no model loaded yet.\n"
        "  Fix: try again in a second."
    )


def test_a_log_that_cannot_be_written_is_said_at_once(client: Client, lane: SmallLane) -> None:
    lane.troubles.append("fill the disk")

    with pytest.raises(ServiceError) as raised:
        client.decide(**ASKED)

    assert str(raised.value) == (
        "Nothing is answered that is not logged, and the log cannot be written: It is full.\n"
        "  Fix: free space."
    )
    assert len(lane.asked) == 1


def test_a_connection_that_a_restart_closed_is_made_anew(
    client: Client, lane: SmallLane, server: Listening
) -> None:
    client.decide(**ASKED, id="a")
    server.stop()
    restarted = Listening(lane, port=server.port)

    again = client.decide(**ASKED, id="a")
    restarted.stop()

    assert again.repeated


def test_where_no_server_is_the_error_says_where_it_was_looked_for() -> None:
    stopped = Listening(SmallLane())
    stopped.stop()

    with (
        Client("flight_delay", url=stopped.url, patience_seconds=0.1) as client,
        pytest.raises(ServiceError) as raised,
    ):
        client.decide(**ASKED)

    assert str(raised.value) == (
        f"No lane of endpoint 'flight_delay' answers at {stopped.url}: "
        "[Errno 111] Connection refused.\n"
        "  Fix: run `headrace up`, and see `headrace endpoint show flight_delay`."
    )


def test_what_is_no_lane_is_told_so(client: Client, lane: SmallLane) -> None:
    lane.troubles.append("speak html")

    with pytest.raises(ServiceError) as raised:
        client.decide(**ASKED)

    assert str(raised.value) == (
        "What answered with status 200 is not a lane: b'<html>'.\n"
        "  Fix: give the address that `headrace endpoint show` prints."
    )


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8000", "ftp://lane:1", "http://", "http://lane:x", "http://u:p@lane", "h?"]
)
def test_an_address_is_of_http_and_names_a_host(url: str) -> None:
    with pytest.raises(ParameterError) as raised:
        Client("flight_delay", url=url)

    assert str(raised.value) == (
        "The address of an endpoint is http://HOST:PORT or https://HOST:PORT, "
        f"got '{url}'.\n"
        "  Fix: give the address that `headrace endpoint show` prints."
    )


def test_threads_share_a_client(client: Client, lane: SmallLane) -> None:
    with ThreadPoolExecutor(8) as pool:
        decisions = list(pool.map(lambda n: client.decide(**ASKED, id=str(n)), range(200)))

    assert [decision.id for decision in decisions] == [str(n) for n in range(200)]
    assert len(lane.decided) == 200


# --- the address in the database ---


@pytest.fixture
def endpoints(tmp_path: Path) -> Iterator[Endpoints]:
    with using_settings(database_url=f"sqlite:///{tmp_path}/headrace.db"):
        endpoints = Endpoints(Database(settings().database_url))
        spec = EndpointSpec(
            model="flight_delay", task="classification", clock="replayed", space="flight_delay"
        )
        endpoints.declare("flight_delay", spec=spec, champion="flight_delay/3", reason="a test")
        yield endpoints


def observe(endpoints: Endpoints, url: str | None, message: str = "") -> None:
    state = "serving" if url else "starting"
    lane = Lane(state=state, generation=1, url=url, message=message, at=NOON)
    endpoints.observe("flight_delay", lane)


def test_the_address_is_read_from_the_database_and_again_when_the_lane_has_moved(
    endpoints: Endpoints, lane: SmallLane
) -> None:
    before = Listening(lane)
    observe(endpoints, before.url)

    with Client("flight_delay") as client:
        first = client.decide(**ASKED, id="a")
        before.stop()
        after = Listening(lane)
        observe(endpoints, after.url)
        second = client.decide(**ASKED, id="a")
    after.stop()

    assert before.url != after.url
    assert (first.repeated, second.repeated) == (False, True)


def test_a_lane_without_an_address_is_waited_for(endpoints: Endpoints, server: Listening) -> None:
    with Client("flight_delay") as client, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.decide, **ASKED)
        time.sleep(0.1)
        observe(endpoints, server.url)

        assert not asked.result(timeout=10).repeated


def test_an_endpoint_that_has_no_lane_yet_says_what_is_known_of_it(endpoints: Endpoints) -> None:
    observe(endpoints, None, "The bundle of flight_delay/3 is being written.")

    with Client("flight_delay", patience_seconds=0.1) as client, pytest.raises(ServiceError) as no:
        client.decide(**ASKED)

    assert str(no.value) == (
        "No lane of endpoint 'flight_delay' has an address yet. "
        "The bundle of flight_delay/3 is being written.\n"
        "  Fix: run `headrace up`, and see `headrace endpoint show flight_delay`."
    )


def test_an_endpoint_that_does_not_exist_is_told_at_once(endpoints: Endpoints) -> None:
    with Client("flight_dealy") as client, pytest.raises(UnknownNameError, match="'flight_delay'"):
        client.decide(**ASKED)
