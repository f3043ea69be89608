"""A lane that looks its features up in Redis: with it, without it, and with it again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from sys import modules
from typing import Any

import pytest

from features.online_lookup import lookup_of
from features.redis_store import RedisOnlineStore, RedisTable
from headrace.errors import DefinitionError
from headrace.settings import using_settings
from operators.bundle import write_bundle
from serving.lane.loading import load_reader
from serving.lane.table import LaneTable, Served

pytestmark = pytest.mark.services
ENTITY = {"origin": "EWR", "tail": "N1"}


def _parts_of_lanes() -> Any:
    """Return the real small models, views and lanes that the tests of lanes share."""
    file = Path(__file__).parents[1] / "serving" / "lane" / "conftest.py"
    spec = spec_from_file_location("parts_of_lanes", file)
    assert spec is not None
    assert spec.loader is not None
    module = modules["parts_of_lanes"] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


lanes = _parts_of_lanes()


def fill(url: str) -> None:
    times = (lanes.NOON_US - lanes.HOUR_US, lanes.NOON_US)
    weather, tails = lanes.VIEWS
    with RedisOnlineStore(url, "headrace") as store:
        store.push_rows(weather, [("EWR", *times, 12.5, None), ("JFK", *times, 3.25, 20.0)])
        store.push_rows(tails, [(f"N{n}", *times, n, n - 3.5) for n in range(1, 6)])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "model"
    write_bundle(folder, lanes.fitted("flight_delay/1"))
    return folder


@pytest.fixture
def table(tmp_path: Path, bundle: Path, redis_url: str) -> Iterator[Callable[..., LaneTable]]:
    """Make routing tables of an endpoint whose features lie in Redis."""

    def make(**more: Any) -> LaneTable:
        fields: dict[str, Any] = {
            "endpoint": "flight_delay",
            "generation": 1,
            "champion": Served(ref="flight_delay/1", folder=bundle),
            "challenger": None,
            "experiment": None,
            "lookups": tuple(map(lookup_of, lanes.VIEWS)),
            "clock": "live",
            "may_lack": frozenset(),
            "online": tmp_path / "online.db",
            "space": "headrace",
            "log": tmp_path / "decisions",
            "notices": tmp_path / "lanes",
        }
        return LaneTable(**fields | more)

    with using_settings(home=tmp_path, features_online_url=redis_url):
        yield make


@pytest.fixture
def lane(table: Callable[..., LaneTable]) -> Iterator[Any]:
    running = lanes.RunningLane()
    try:
        running.take(table())
        yield running
    finally:
        running.stop()


def test_a_lane_decides_with_what_redis_has(lane, redis_url, tmp_path):
    fill(redis_url)

    looked_up, given = (
        lane.decide(entity=ENTITY),
        lane.decide(features={**lanes.ASKED["features"], "wind": 12.5, "landings": 1}),
    )
    unknown = lane.decide(entity={"origin": "EWR", "tail": "N404"})

    assert (looked_up.status, looked_up.document["missing"]) == (200, [])
    assert looked_up.document["answer"] == given.document["answer"]
    assert (unknown.status, unknown.document["error"]["code"]) == (404, "unknown_entity")
    assert unknown.document["error"]["message"] == (
        "There are no online features of view 'tails' for tail 'N404'."
    )
    assert not (tmp_path / "online.db").exists()


def test_before_a_view_is_materialized_a_decision_says_how_to_and_then_is_made(lane, redis_url):
    nothing = lane.decide(entity=ENTITY)
    view = lanes.VIEWS[0]
    names = [column.name for column in view.columns]
    weather = RedisTable("headrace", view.name, 0, keys=view.keys, features=names)
    with RedisOnlineStore(redis_url, "headrace") as store:
        store.filling(weather)
        before = lane.decide(entity=ENTITY)
        fill(redis_url)
        store.filled(weather)
    after = lane.decide(entity=ENTITY)

    assert (nothing.status, nothing.document["error"]["remedy"]) == (
        404,
        "correct the key, materialize 'weather', or give its features in 'features'.",
    )
    assert (before.status, before.document["error"]) == (
        404,
        {
            "code": "unknown_entity",
            "field": "entity.origin",
            "expected": "an entity of view 'weather'",
            "got": "'EWR' (text)",
            "message": "View 'weather' is not materialized in the version v0 that the endpoint "
            "reads, so it has no online features yet.",
            "remedy": "run `headrace features materialize weather@v0`, or give its features in "
            "'features'.",
        },
    )
    assert after.status == 200


def test_without_redis_a_decision_is_refused_and_with_it_again_it_is_made(
    lane, redis_url, redis_server
):
    fill(redis_url)
    address = redis_url.removeprefix("redis://").removesuffix("/0")
    first = lane.decide(id="before", entity=ENTITY)

    redis_server.stop(signal.SIGKILL)
    try:
        refused = lane.decide(id="during", entity=ENTITY)
        repeated = lane.decide(id="before", entity=ENTITY)
        given = lane.decide(features={**lanes.ASKED["features"], "wind": 12.5, "landings": 1})
        alive = lane.ask("/healthz")
    finally:
        redis_server.start()
    fill(redis_url)  # this one keeps nothing on disk
    again = lane.decide(id="during", entity=ENTITY)

    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert refused.document["error"] == {
        "code": "features_unreadable",
        "message": f"The online features cannot be read: Redis at {redis_url} does not answer: "
        f"Error 111 connecting to {address}. Connection refused.",
        "remedy": "Start it, or correct the setting 'features_online_url'; then try again.",
    }
    assert repeated.document == first.document | {"repeated": True}
    assert (given.status, alive.status) == (200, 200)
    assert (again.status, again.document["answer"]) == (200, first.document["answer"])
    assert again.document["repeated"] is False


def test_while_redis_hangs_one_decision_waits_and_those_after_it_are_refused_at_once(
    lane, redis_url, redis_server
):
    fill(redis_url)
    assert lane.decide(entity=ENTITY).status == 200

    def seconds_of_decision() -> tuple[int, float]:
        begun = time.monotonic()
        return lane.decide(entity=ENTITY).status, time.monotonic() - begun

    os.kill(redis_server.pid(), signal.SIGSTOP)
    try:
        (first, waited), (second, at_once) = seconds_of_decision(), seconds_of_decision()
    finally:
        os.kill(redis_server.pid(), signal.SIGCONT)
    statuses = []
    deadline = time.monotonic() + 10
    while 200 not in statuses and time.monotonic() < deadline:
        statuses.append(lane.decide(entity=ENTITY).status)
        time.sleep(0.2)

    assert (first, second) == (503, 503)
    assert at_once < 0.5 <= waited
    assert statuses[-1] == 200


def test_a_password_is_in_no_table_and_no_message(table, redis_url):
    from redis import Redis

    host = redis_url.removeprefix("redis://")
    running = lanes.RunningLane()
    with (
        using_settings(features_online_url=f"redis://:s3cret@{host}"),
        Redis.from_url(redis_url) as client,
    ):
        client.config_set("requirepass", "another")
        try:
            running.take(table())
            refused = running.decide(entity=ENTITY)
        finally:
            client.config_set("requirepass", "")
            running.stop()

    assert (refused.status, "s3cret" in str(refused.document)) == (503, False)
    assert refused.document["error"]["remedy"] == (
        "Put user and password into the setting 'features_online_url'."
    )
    assert "s3cret" not in str(table().to_json())


def test_a_lane_does_not_look_features_up_in_postgresql(table):
    with using_settings(features_online_url="postgresql://me:pw@127.0.0.1:1/features"):
        chosen = table()
        with pytest.raises(DefinitionError) as error:
            load_reader(chosen, chosen.lookups)
        running = lanes.RunningLane()
        try:
            told = running.take(chosen)
        finally:
            running.stop()
        of_none = load_reader(table(lookups=()), ())
        of_a_replay = load_reader(table(space="replay"), chosen.lookups)

    assert str(error.value) == (
        "Endpoint 'flight_delay' looks up features, and the setting 'features_online_url' says "
        "PostgreSQL, where only Feast reads them: too slow to decide with.\n"
        "  Fix: Set 'features_online_url' to Redis, or leave it out for SQLite; materialize the "
        "views there, and start the services again."
    )
    assert (told.failed, told.message) == (1, str(error.value))
    for reader in (of_none, of_a_replay):
        reader.close()


@pytest.mark.slow
def test_the_setting_reaches_the_replica_that_ray_serve_runs(bundle, redis_url, tmp_path):
    from flows import _services
    from serving.endpoints import Endpoints, EndpointSpec

    asking = lanes.Asking()
    models = tmp_path / "serving" / "models"
    shutil.copytree(bundle, models / "one")
    version = tmp_path / "serving" / "versions" / "flight_delay" / "1.json"
    version.parent.mkdir(parents=True)
    version.write_text(json.dumps({"digest": "one"}))
    fill(redis_url)

    with using_settings(home=tmp_path, features_online_url=redis_url):
        endpoints = Endpoints()
        spec = EndpointSpec(
            model="flight_delay",
            task="classification",
            clock="live",
            space="headrace",
            lookups=tuple(lookup_of(view).to_json() for view in lanes.VIEWS),
        )
        _services.up(only=("serving",))
        try:
            endpoints.declare(
                "flight_delay", spec=spec, champion="flight_delay/1", challenger=None, reason="try"
            )
            lane = endpoints.wait_applied("flight_delay", 1, timeout_seconds=120)
            asking.url = lane.url
            answer = asking.decide(entity=ENTITY)
        finally:
            _services.down(only=("serving",))

    assert (answer.status, answer.document["missing"]) == (200, [])
    assert not (tmp_path / "features" / "online.db").exists()
