"""A model that is promoted and does not work is gone again in seconds, by the host alone.

The host's own parts, a lane and its clients; only Ray, which hands tables over, is left out.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headrace.settings import Settings, using_settings
from serving.bundles import bundle_folder
from serving.endpoints import Endpoints, EndpointSpec
from serving.host import table_of
from serving.host_chores import Chores
from serving.host_desired import Desired
from serving.lane.warm import Warm
from serving.rollout.assess import replay
from serving.rule import Rule
from serving.rule_guardrails import ErrorRate

OLD, NEW, BROKEN = "flight_delay/1", "flight_delay/2", "flight_delay/3"
RULE = Rule(
    name="works", metric="log_loss", label_window_hours=8, guardrails=(ErrorRate(max=0.01),)
)


@pytest.fixture
def of(
    tmp_path: Path, bundles: dict[str, Path], fail_beyond: Callable[..., None]
) -> Iterator[Settings]:
    """A home with two versions that work, and a third that fails on every flight."""
    with using_settings(home=tmp_path, actor="serving host") as settings:
        for ref, bundle in ((OLD, OLD), (NEW, NEW), (BROKEN, OLD)):
            name, number = ref.split("/")
            shutil.copytree(bundles[bundle], bundle_folder(f"digest-{number}"))
            path = tmp_path / "serving" / "versions" / name / f"{number}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"digest": f"digest-{number}"}))
        fail_beyond(bundle_folder("digest-3"), miles=-1.0)
        yield settings


@pytest.fixture
def endpoints(of: Settings) -> Endpoints:
    made = Endpoints()
    spec = EndpointSpec(
        model="flight_delay",
        task="classification",
        clock="live",
        space="headrace",
        rule=RULE.document(),
    )
    made.declare("flight_delay", spec=spec, champion=OLD, reason="a flow deploys")
    return made


class Host:
    """This is the host without Ray: what is declared becomes a table, which the lane takes."""

    def __init__(self, endpoints: Endpoints, of: Settings, base: Any, lane: Any) -> None:
        self._desired = Desired(endpoints, of, table_of)
        self._chores, self._base, self._lane = Chores(endpoints, of), base, lane

    def poll(self) -> None:
        if self._desired.read():
            self._lane.take(self.table())
        self._chores.do({})

    def table(self) -> Any:
        found = self._desired.tables["flight_delay"]
        return replace(found, lookups=self._base.lookups, online=self._base.online)

    def stop(self) -> None:
        self._chores.stop()


@pytest.fixture
def host(endpoints, of, table, start_lane) -> Iterator[Host]:
    made = Host(endpoints, of, table(), start_lane(table(log=of.home / "first")))
    made.poll()
    yield made
    made.stop()


def test_a_promoted_model_that_fails_is_rolled_back_by_itself_within_seconds(
    host, endpoints, monkeypatch: pytest.MonkeyPatch
):
    loaded: list[str] = []
    warm = Warm.loaded

    async def load(self: Warm, served: Any) -> Any:
        if served not in self:
            loaded.append(served.ref)
        return await warm(self, served)

    monkeypatch.setattr(Warm, "loaded", load)
    endpoints.change("flight_delay", "challenge", generation=1, reason="try", challenger=BROKEN)
    endpoints.change("flight_delay", "promote", generation=2, reason="by hand")
    seen: list[tuple[float, int, str]] = []
    ends = threading.Event()

    def ask() -> None:
        while not ends.is_set():
            answer = host._lane.decide()
            seen.append((time.monotonic(), answer.status, answer.document.get("model", "")))
            time.sleep(0.005)

    client = threading.Thread(target=ask)
    client.start()
    begun = time.monotonic()
    while endpoints.route("flight_delay").champion != OLD and time.monotonic() < begun + 20:
        host.poll()
        time.sleep(0.02)
    host.poll()
    undone = len(seen)
    while len(seen) < undone + 20 and time.monotonic() < begun + 30:
        time.sleep(0.02)
    ends.set()
    client.join()

    failed = [at for at, status, _ in seen if status != 200]
    after = [(status, model) for at, status, model in seen if at > failed[-1]]
    assert after
    assert set(after) == {(200, OLD)}
    assert failed[-1] - failed[0] < 15  # three on an idle machine
    change = endpoints.history("flight_delay")[-1]
    assert (change.action, change.actor) == ("rollback", "serving host")
    assert change.trace is not None
    assert replay(change.trace).trace() == change.trace
    assert loaded == [BROKEN]  # and not the old one again


def test_a_promoted_model_that_works_stays(host, endpoints):
    endpoints.change("flight_delay", "challenge", generation=1, reason="try", challenger=NEW)
    endpoints.change("flight_delay", "promote", generation=2, reason="better")
    features = {"carrier": "UA", "hour": 7}

    statuses = set()
    for _ in range(12):
        host.poll()
        statuses |= {host._lane.decide(features=features).status for _ in range(10)}
        time.sleep(0.1)

    assert statuses == {200}
    assert endpoints.route("flight_delay").champion == NEW
    assert host.table().previous.ref == OLD
    assert [guard.model for guard in host.table().guards] == [NEW]
