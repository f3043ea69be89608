"""What of serving is killed comes back, and with two replicas nobody who asks notices.

The endpoint is real, with its host and Ray in a home of their own; the model is small.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from headrace import TrainSet, ValidationSet
from headrace.errors import HeadraceError
from headrace.schemas import Column, TableSchema
from headrace.settings import Settings, inherited_environment, using_settings
from operators.train_xgboost import train_xgboost
from serving.bundles import keep_bundle
from serving.client import Client
from serving.endpoints import Endpoints, EndpointSpec, Lane
from serving.hosted import holder_file, is_up

SPEC = EndpointSpec(
    model="minutes", task="estimation", clock="live", space="headrace",
    placement={"replicas": 2},
)  # fmt: skip
pytestmark = pytest.mark.lengthy


def eventually(check: Callable[[], bool], seconds: float = 300.0) -> None:
    ends = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < ends
        time.sleep(0.05)


def keep_a_model() -> None:
    """Keep a bundle of minutes/1, which estimates from a distance."""
    random, count = np.random.default_rng(1), 200
    frame = pd.DataFrame(
        {
            "flight": [str(n) for n in range(count)],
            "decided_at": pd.Timestamp("2013-01-01", tz="UTC") + pd.to_timedelta(range(count), "h"),
            "distance": random.choice([200.0, 719.0, 1400.0], count),
            "minutes": random.normal(5, 20, count),
        }
    )
    schema = TableSchema(
        name="Departures",
        columns=(
            Column(name="flight", dtype="string", role="entity"),
            Column(name="decided_at", dtype="timestamp", role="decision_time"),
            Column(name="minutes", dtype="float", role="label"),
            Column(name="distance", dtype="float", nullable=True, role="feature"),
        ),
    )
    model = train_xgboost(
        TrainSet.of(frame[:150], schema=schema),
        ValidationSet.of(frame[150:], schema=schema),
        task="estimation",
        n_estimators=4,
    )
    keep_bundle(model, name="minutes", version="1")


class Serving:
    """This is a home in which the endpoint minutes is served by two replicas."""

    def __init__(self, of: Settings) -> None:
        self.of = of
        self.endpoints = Endpoints()

    def call(self, *words: str) -> None:
        """Run a command to its end."""
        subprocess.run(
            [sys.executable, "-m", "flows._command.main", *words],
            env={**inherited_environment(), **self.of.as_environment()},
            check=True,
            capture_output=True,
            timeout=240,
        )

    def lane(self) -> Lane:
        found = self.endpoints.lane("minutes")
        assert found is not None
        return found

    def is_whole(self) -> bool:
        """Both replicas answer, and the host says that it is well."""
        lane = self.lane()
        return is_up() and (lane.state, lane.message, len(lane.replicas)) == ("serving", "", 2)

    def pids(self) -> set[int]:
        """The processes that answer."""
        return {replica.pid for replica in self.lane().replicas}

    def process(self, what: str) -> int:
        """The number of a process that runs."""
        if what == "replica":
            return self.lane().replicas[0].pid
        if what == "what holds Ray":
            return int(json.loads(holder_file(self.of).read_text())["pid"])
        host = int(json.loads((self.of.run_folder / "serving.json").read_text())["pid"])
        if what == "host":
            return host
        for each in psutil.Process(host).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                is_it = what in each.name() or what in " ".join(each.cmdline())
                if is_it and each.status() != psutil.STATUS_ZOMBIE:
                    return each.pid
        raise AssertionError(f"there is no {what}")

    @contextlib.contextmanager
    def asked(self, patience_seconds: float) -> Iterator[list[str]]:
        """Ask meanwhile; nothing may fail, and something must be answered."""
        ends, answered, failed = threading.Event(), list[str](), list[str]()

        def go_on() -> None:
            with Client("minutes", patience_seconds=patience_seconds) as client:
                while not ends.is_set():
                    try:
                        decision = client.decide(entity={"x": "1"}, features={"distance": 719.0})
                        answered.append(decision.id)
                    except HeadraceError as error:
                        failed.append(str(error))
                    time.sleep(0.02)

        with ThreadPoolExecutor(4) as pool:
            asking = [pool.submit(go_on) for _ in range(4)]
            try:
                yield answered
            finally:
                ends.set()
            for each in asking:
                each.result(patience_seconds + 20)
        assert failed == []
        assert len(set(answered)) == len(answered) > 0


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    home = tmp_path_factory.mktemp("served")
    with using_settings(home=home, feast_ui=False) as of:
        keep_a_model()
        made = Serving(of)
        made.endpoints.declare("minutes", spec=SPEC, champion="minutes/1", reason="a test")
        made.call("up", "serving")
        try:
            eventually(made.is_whole)
            yield made
        finally:
            made.call("down")


@pytest.mark.parametrize(
    "what",
    [
        pytest.param("replica", id="one of two replicas"),
        pytest.param("ServeController", id="the controller of Ray Serve"),
        pytest.param("gcs_server", id="the head of Ray"),
        pytest.param("raylet", id="what starts Ray's processes"),
    ],
)
def test_who_asks_does_not_notice_the_death_of(what: str, serving: Serving):
    victim, replicas = serving.process(what), {r.pid for r in serving.lane().replicas}

    with serving.asked(patience_seconds=5.0) as answered:
        os.kill(victim, signal.SIGKILL)
        time.sleep(3)
        eventually(serving.is_whole)
        seen = len(answered)
        eventually(lambda: len(answered) > seen + 20)

    assert not psutil.pid_exists(victim) or psutil.Process(victim).status() == "zombie"
    if what in ("gcs_server", "raylet"):  # what was left of that Ray is ended when all is new
        eventually(lambda: not replicas & {r.pid for r in serving.lane().replicas})
        eventually(lambda: not any(map(psutil.pid_exists, replicas)))


def test_replicas_of_a_ray_that_dies_as_soon_as_it_replaced_another_answer_until_they_are_replaced(
    serving: Serving,
):
    seen = serving.pids()

    with serving.asked(patience_seconds=5.0):
        for _ in range(2):
            known = set(seen)
            os.kill(serving.process("gcs_server"), signal.SIGKILL)
            eventually(lambda known=known: len(serving.pids() - known) == 2)
            seen |= serving.pids()
        eventually(lambda: not known & serving.pids() and serving.is_whole())

    eventually(lambda: not any(map(psutil.pid_exists, known)))


def test_when_ray_dies_with_all_its_processes_it_is_built_again_from_the_database(
    serving: Serving,
):
    before = {r.pid for r in serving.lane().replicas}

    with serving.asked(patience_seconds=120.0):
        os.kill(serving.process("what holds Ray"), signal.SIGKILL)
        eventually(lambda: not is_up())
        said = serving.lane().message
        eventually(serving.is_whole)

    assert said.startswith("Ray is started again: ")
    assert not before & {r.pid for r in serving.lane().replicas}


def test_lanes_outlive_the_host_and_up_brings_a_new_one_and_ends_the_old_ray(serving: Serving):
    holder, before = serving.process("what holds Ray"), serving.lane().replicas
    os.kill(serving.process("host"), signal.SIGKILL)
    eventually(lambda: not is_up())

    with serving.asked(patience_seconds=5.0) as answered:
        eventually(lambda: len(answered) > 50)
    serving.call("up", "serving")
    eventually(serving.is_whole)

    assert not psutil.pid_exists(holder)
    assert not any(psutil.pid_exists(replica.pid) for replica in before)
    with serving.asked(patience_seconds=5.0) as answered:
        eventually(lambda: len(answered) > 20)


def test_a_redeploy_replaces_every_replica_and_costs_nobody_a_request(serving: Serving):
    before = {r.pid for r in serving.lane().replicas}

    with serving.asked(patience_seconds=5.0):
        route = serving.endpoints.change("minutes", "redeploy", generation=None, reason="a test")
        serving.endpoints.wait_applied("minutes", route.generation, timeout_seconds=120)
        eventually(serving.is_whole)

    assert not before & {r.pid for r in serving.lane().replicas}


def test_down_ends_what_listens_and_says_so(serving: Serving, tmp_path: Path):
    replicas = serving.lane().replicas

    serving.call("down", "serving")

    assert (serving.lane().state, serving.lane().replicas, is_up()) == ("stopped", (), False)
    assert not any(psutil.pid_exists(replica.pid) for replica in replicas)
    serving.call("up", "serving")
    eventually(serving.is_whole)
    assert replicas[0].url in {replica.url for replica in serving.lane().replicas}
