"""A lane as it is: its replica in a thread, a real log, a real online store, small real models."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pytest

from features.online import OnlineStore
from features.online_lookup import lookup_of
from features.view import Entity, FeatureView
from headrace import Model, TrainSet, ValidationSet
from headrace.clock import from_us
from headrace.decisions import DecisionLog
from headrace.schemas import Column, TableSchema
from headrace.settings import using_settings
from operators.bundle import write_bundle
from operators.train_sklearn import train_sklearn
from operators.train_xgboost import train_xgboost
from serving.lane.notices import LaneNotice, read_lane
from serving.lane.replica import LaneReplica
from serving.lane.table import LaneTable, Served

NOON_US = 1_372_680_000_000_000  # 2013-07-01 12:00 UTC: when everything in the store was known
HOUR_US = 3_600_000_000
DTYPES: dict[str, Any] = {
    "carrier": "category", "distance": "float", "hour": "int",
    "wind": "float", "gust": "float", "landings": "int", "last_delay": "float",
}  # fmt: skip
SOURCES = {"wind": "weather", "gust": "weather", "landings": "tails", "last_delay": "tails"}
MODELS = {
    "flight_delay/1": (train_xgboost, ["carrier", "distance", "wind", "landings"], "UA AA DL"),
    # other features, in another order, and other carriers
    "flight_delay/2": (train_sklearn, ["last_delay", "hour", "wind", "carrier"], "HA DL UA"),
    "minutes/1": (train_xgboost, ["distance", "wind"], "UA AA DL"),
}
ASKED = {"entity": {"origin": "EWR", "tail": "N1"}, "features": {"carrier": "UA", "distance": 719}}


def as_given(source: pa.Table) -> pa.Table:
    return source


def view_of(name: str, key: str) -> FeatureView:
    return FeatureView(
        name=name,
        entities=(Entity(name=key, column=key),),
        source=TableSchema(name="Source", columns=(Column(name=key, dtype="string"),)),
        features=tuple(
            Column(name=n, dtype=DTYPES[n], nullable=True) for n, v in SOURCES.items() if v == name
        ),
        compute=as_given,
        owner="flight-delay",
        description=f"What is known by {key}.",
    )


VIEWS = (view_of("weather", "origin"), view_of("tails", "tail"))


def fitted(version: str) -> Model:
    train, names, carriers = MODELS[version]
    task = "estimation" if version.startswith("minutes") else "classification"
    random = np.random.default_rng(int(version[-1]))
    count = 400
    frame = pd.DataFrame(
        {
            "flight": [str(n) for n in range(count)],
            "decided_at": pd.Timestamp("2013-01-01", tz="UTC") + pd.to_timedelta(range(count), "h"),
            "carrier": random.choice(carriers.split(), count),
            "distance": random.choice([200.0, 719.0, 1400.0, 2475.0], count),
            "hour": random.integers(5, 23, count),
            "wind": random.normal(8, 3, count),
            "landings": random.integers(0, 6, count),
            "last_delay": random.normal(5, 20, count),
        }
    )
    minutes = 3 * frame["wind"] + frame["last_delay"] + random.normal(0, 9, count)
    frame["minutes"], frame["late"] = minutes, (minutes > minutes.median()).astype(int)
    label: Any = ("minutes", "float") if task == "estimation" else ("late", "int")
    schema = TableSchema(
        name="Departures",
        columns=(
            Column(name="flight", dtype="string", role="entity"),
            Column(name="decided_at", dtype="timestamp", role="decision_time"),
            Column(name=label[0], dtype=label[1], role="label"),
            *(Column(name=n, dtype=DTYPES[n], nullable=n != "hour", role="feature",
                     source=SOURCES.get(n)) for n in names),
        ),
    )  # fmt: skip
    return train(
        TrainSet.of(frame[:300], schema=schema),
        ValidationSet.of(frame[300:], schema=schema),
        task=task,
        **({"estimator": "logistic_regression"} if train is train_sklearn else {"n_estimators": 8}),
    )


@pytest.fixture(scope="module", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home for each module, in which its views have versions of their own."""
    folder = tmp_path_factory.mktemp("home")
    with using_settings(home=folder):
        yield folder


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Bundles of small models: two versions of one, and one that estimates."""
    root = tmp_path_factory.mktemp("bundles")
    folders = {version: root / version.replace("/", "-") for version in MODELS}
    for version, folder in folders.items():
        write_bundle(folder, fitted(version))
    return folders


@pytest.fixture(scope="session")
def online(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An online store with the same facts in the live space and in one of a replay."""
    path = tmp_path_factory.mktemp("online") / "online.db"
    weather, tails = VIEWS
    times = (NOON_US - HOUR_US, NOON_US)
    for space in ("headrace", "replay"):
        with using_settings(home=path.parent), OnlineStore(path, space) as store:
            store.push_rows(weather, [("EWR", *times, 12.5, None), ("JFK", *times, 3.25, 20.0)])
            store.push_rows(tails, [(f"N{n}", *times, n, n - 3.5) for n in range(1, 6)])
    return path


@pytest.fixture(scope="session")
def tables(bundles: dict[str, Path], online: Path) -> Callable[..., LaneTable]:
    """Make a routing table of an endpoint that has a folder to itself; models by their versions."""

    def make(
        folder: Path, champion: str = "flight_delay/1", challenger: str | None = None, **more: Any
    ) -> LaneTable:
        """Any field of the table may be given."""
        first = LaneTable(
            endpoint="flight_delay",
            generation=1,
            champion=Served(ref=champion, folder=bundles[champion]),
            challenger=challenger and Served(ref=challenger, folder=bundles[challenger]),
            experiment=challenger and f"{champion[-1]}-against-{challenger[-1]}",
            lookups=tuple(lookup_of(view, number=0) for view in VIEWS),
            clock="live",
            may_lack=frozenset(),
            online=online,
            space="headrace",
            log=folder / "decisions",
            notices=folder / "lanes",
        )
        return replace(first, **more)

    return make


@pytest.fixture
def table(tmp_path: Path, tables: Callable[..., LaneTable]) -> Callable[..., LaneTable]:
    """Make a routing table of the test's own endpoint."""
    return partial(tables, tmp_path)


@pytest.fixture(scope="session")
def views() -> tuple[FeatureView, ...]:
    """The views that lanes look up."""
    return VIEWS


@dataclass(frozen=True, kw_only=True)
class Answer:
    """This is what a lane answered."""

    status: int
    headers: dict[str, str]
    document: dict[str, Any]


class Asking:
    """This asks whoever listens at an address."""

    url: str

    def ask(
        self,
        path: str,
        body: Any = None,
        *,
        method: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send one request over a connection of its own; a document goes as JSON."""
        parts = urlsplit(self.url)
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=20)
        document = orjson.dumps(body) if isinstance(body, dict) else body
        given = {"content-type": "application/json"} if headers is None else headers
        try:
            verb = method or ("GET" if body is None else "POST")
            chunked = not isinstance(document, bytes | None)
            connection.request(verb, path, document, given, encode_chunked=chunked)
            response = connection.getresponse()
            told = {name.lower(): value for name, value in response.getheaders()}
            return Answer(
                status=response.status, headers=told, document=orjson.loads(response.read())
            )
        finally:
            connection.close()

    def decide(self, **fields: Any) -> Answer:
        return self.ask("/v1/flight_delay/decide", {**ASKED, **fields})

    def tell(self, *outcomes: dict[str, Any]) -> Answer:
        return self.ask("/v1/flight_delay/outcomes", {"outcomes": list(outcomes)})


class RunningLane(Asking):
    """This is a replica in the event loop of a thread."""

    def __init__(self, ask: Any = None) -> None:
        self.replica = LaneReplica(ask)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def take(self, table: LaneTable) -> LaneNotice:
        """Give it a table, as Ray Serve does, and return what it says then."""
        document = json.loads(json.dumps(table.to_json()))
        asyncio.run_coroutine_threadsafe(self.replica.take(document), self._loop).result(60)
        notice = read_lane(table.notices, table.endpoint)
        assert notice is not None
        self.url = notice.url or ""
        return notice

    def stop(self) -> None:
        server, log = self.replica._server, self.replica._decisions
        if server is not None and server._task is not None:
            server._server.should_exit = server._server.force_exit = True
            future = asyncio.run_coroutine_threadsafe(asyncio.wait([server._task]), self._loop)
            future.result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)
        self._loop.close()
        if log is not None:
            log.close()


class LaneProcess(Asking):
    """This is a replica in a process of its own, to be limited and killed."""

    def __init__(self, table: LaneTable) -> None:
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("_replica_process.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.tell_it("take", table.to_json())
        notice = read_lane(table.notices, table.endpoint)
        assert notice is not None
        assert notice.pid == self._process.pid
        self.url = notice.url or ""

    def tell_it(self, command: str, argument: Any) -> None:
        """Give it a command and wait until it is done."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([command, argument]) + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == f"{command} done\n"

    def kill(self) -> None:
        """End it as the system does when memory is short: at once, and without a word."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def endpoint(
    tables: Callable[..., LaneTable], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningLane]:
    """A lane for all tests of a module: one decision, UA1, has been made, and its outcome is 1."""
    running = RunningLane()
    running.take(tables(tmp_path_factory.mktemp("endpoint")))
    assert running.decide(id="UA1").status == 200
    assert running.tell({"id": "UA1", "value": 1}).status == 200
    yield running
    running.stop()


@pytest.fixture
def lane(table: Callable[..., LaneTable]) -> Iterator[RunningLane]:
    """A lane that answers with version 1."""
    running = RunningLane()
    running.take(table())
    yield running
    running.stop()


@pytest.fixture
def start_lane() -> Iterator[Callable[..., RunningLane]]:
    """Start lanes with tables of the test's choice."""
    started: list[RunningLane] = []

    def start(table: LaneTable, ask: Any = None) -> RunningLane:
        started.append(RunningLane(ask))
        started[-1].take(table)
        return started[-1]

    yield start
    for each in started:
        each.stop()


@pytest.fixture
def start_process() -> Iterator[Callable[[LaneTable], LaneProcess]]:
    """Start lanes in processes of their own."""
    started: list[LaneProcess] = []

    def start(table: LaneTable) -> LaneProcess:
        started.append(LaneProcess(table))
        return started[-1]

    yield start
    for each in started:
        each.kill()


@pytest.fixture
def logged() -> Callable[[LaneTable, str], dict[str, Any]]:
    """Read one decision, as another process would, with its features by name."""

    def read(table: LaneTable, decision_id: str) -> dict[str, Any]:
        from headrace.decisions import Tail

        with DecisionLog.open(table.log, writer="reader") as log:
            document = log.decision(decision_id)
        assert document is not None
        tail = Tail.open(table.log)
        tail.poll(100_000)
        names = tail.names(document["columns"])
        tail.close()
        return document | {"named": dict(zip(names, document["features"], strict=True))}

    return read


@pytest.fixture
def noon() -> datetime:
    """When everything in the online store was known."""
    return from_us(NOON_US)
