"""This module makes a home with registered flight models, for the benchmarks of serving."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks._flights import MAY_LACK, VIEWS, FlightData, flight_data, requests, two_models
from benchmarks._processes import Started, started
from benchmarks._servers import servers
from headrace import Model, Report
from headrace.settings import Settings

if TYPE_CHECKING:
    from serving.lane.notices import ShadowNotice

ENDPOINT = "flight_delay"
DECIDE = f"/v1/{ENDPOINT}/decide"
_BODIES = 2_000
_SHADOW_WITHIN_SECONDS = 60


@dataclass(frozen=True, kw_only=True, eq=False)
class Home:
    """This is a home with two registered versions of a flight model.

    Args:
        settings: Where it is, and its services.
        data: The flights.
        models: The two models.
        reports: What `register` said of them.
    """

    settings: Settings
    data: FlightData
    models: tuple[Model, Model]
    reports: tuple[Report, Report]

    @property
    def refs(self) -> tuple[str, str]:
        """The two versions, as "name/3"."""
        first, second = (f"{r.document['name']}/{r.document['version']}" for r in self.reports)
        return first, second

    @property
    def bundle(self) -> Path:
        """The folder of the first version's bundle."""
        from serving.bundles import folder_of

        return folder_of(self.refs[0])

    def describe(self) -> dict[str, Any]:
        """Return what is served, for the detail of a result."""
        from operators.bundle import bundle_choice

        card = self.models[0].card
        return {
            "features": len(card.features),
            "flavor": card.flavor,
            "runtime": bundle_choice(self.bundle).small,
        }

    def requests(self) -> list[dict[str, Any]]:
        """Return real requests, with all features of the model."""
        return requests(self.data, self.models[0], _BODIES)

    def bodies(self) -> Path:
        """Return a file of requests as a client sends them, one a line."""
        return self.written("decide", self.requests())

    def written(self, name: str, bodies: list[Any]) -> Path:
        """Return a file of bodies, one a line."""
        path = self.settings.home / "bench" / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(body) + "\n" for body in bodies), encoding="utf-8")
        return path


@contextlib.contextmanager
def home(*services: str) -> Iterator[Home]:
    """Start MLflow and more services in a new home, train two models and register them."""
    from serving.register import register_challenger

    with servers("mlflow", *services) as configured:
        data = flight_data()
        first, second = two_models(data)
        reports = (
            register_challenger(first, name=ENDPOINT),
            register_challenger(second, name=ENDPOINT),
        )
        yield Home(settings=configured, data=data, models=(first, second), reports=reports)


def deployed(of: Home, *, with_challenger: bool = False, **options: Any) -> Report:
    """Serve the first version at the endpoint, with the second one in shadow if that is wanted."""
    from serving.deploy import deploy

    champion, second = of.reports
    return deploy(
        champion,
        [second] if with_challenger else [],
        endpoint=ENDPOINT,
        views=list(VIEWS),
        may_lack=MAY_LACK,
        **options,
    )


def lane_of() -> tuple[str, int]:
    """Return where the endpoint listens, and the process of its replica."""
    from serving.endpoints import Endpoints

    lane = Endpoints().lane(ENDPOINT)
    if lane is None or lane.url is None or lane.pid is None:
        raise RuntimeError("The endpoint's lane does not listen.")
    return lane.url, lane.pid


def shadow_of(of: Home) -> ShadowNotice:
    """Return what the endpoint's shadow says of itself, when it has its challenger."""
    from serving.hosted import notices_folder
    from serving.lane.notices import read_shadow

    ends = time.monotonic() + _SHADOW_WITHIN_SECONDS
    while time.monotonic() < ends:
        notice = read_shadow(notices_folder(of.settings), ENDPOINT)
        if notice is not None and notice.model is not None:
            return notice
        time.sleep(0.05)
    raise RuntimeError(f"The challenger was not loaded in {_SHADOW_WITHIN_SECONDS} s.")


def service_pid(of: Home) -> int:
    """Return the process of the service that holds Ray Serve."""
    from flows import _services

    (pid,) = (s.pid for s in _services.status(of=of.settings) if s.name == "serving")
    if pid is None:
        raise RuntimeError("The service 'serving' does not run.")
    return pid


@contextlib.contextmanager
def lane_process(of: Home, log: str) -> Iterator[Started]:
    """Start a lane of the first version in a plain process; `log` is "real" or "none"."""
    from features.online import online_file
    from features.online_lookup import lookup_of
    from serving.hosted import notices_folder
    from serving.lane.table import Guarded, LaneTable, Served

    mark = f"{log}-{uuid.uuid4().hex[:6]}"
    folder = of.settings.home / "bench" / mark
    folder.mkdir(parents=True)
    table = LaneTable(
        endpoint=ENDPOINT,
        generation=1,
        champion=Served(ref=of.refs[0], folder=of.bundle),
        challenger=None,
        experiment=None,
        lookups=tuple(lookup_of(view) for view in VIEWS),
        clock="live",
        may_lack=frozenset(MAY_LACK),
        online=online_file(),
        space="headrace",
        log=folder / "log",
        notices=notices_folder(of.settings),
        # counted as after a promotion: the more work
        guards=(Guarded(model=of.refs[0], experiment="bench", limits_ms=(50.0,)),),
    )
    path = folder / "table.json"
    path.write_text(json.dumps(table.to_json()), encoding="utf-8")
    with started("_lane_process", str(path), log) as process:
        yield process
