"""This module is the serving host: the process that holds Ray Serve and keeps lanes as declared.

`headrace up` runs it as the service "serving": `python -m serving.host`. It looks at the database
for endpoints that changed, applies them through `serving.deployment`, and writes down where each
lane listens. Whoever promotes or asks needs the database only.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from types import FrameType
from typing import TYPE_CHECKING, Any

from headrace.clock import current_clock, from_us
from headrace.errors import HeadraceError
from headrace.settings import Settings, settings
from serving import deployment
from serving.bundles import folder_of
from serving.compacting import Compactor
from serving.hosted import decisions_folder, notices_folder, ready_file, say_ready
from serving.lane.notices import LaneNotice, lane_file, read_lane, shadow_file
from serving.lane.table import LaneTable, Served

if TYPE_CHECKING:
    from serving._endpoint_records import LaneState
    from serving.endpoints import Endpoints, EndpointSpec, Lane
    from serving.routing import Route

_POLL_SECONDS = 0.05
_POLLS_PER_LOOK_AT_SERVE = 20
_COMPACTION_SECONDS = 30.0
_FIRST_LANES_SECONDS = 90.0
_UNSAID = from_us(0)
_log = logging.getLogger("headrace.serving")


def table_of(route: Route, spec: EndpointSpec, of: Settings, *, port: int = 0) -> LaneTable:
    """Return the routing table of an endpoint.

    Args:
        route: What it answers with.
        spec: How it reads its inputs.
        of: Where everything lies.
        port: The port that its clients know.

    Raises:
        UnknownNameError: A model has no bundle.
    """
    from features.on_demand_call import OnDemandCall
    from features.online_lookup import Lookup

    challenger = route.challenger
    return LaneTable(
        endpoint=route.endpoint,
        generation=route.generation,
        champion=Served(ref=route.champion, folder=folder_of(route.champion)),
        challenger=None
        if challenger is None
        else Served(ref=challenger, folder=folder_of(challenger)),
        experiment=route.experiment,
        lookups=tuple(Lookup.from_json(entry) for entry in spec.lookups),
        on_demand=tuple(OnDemandCall.from_json(entry) for entry in spec.on_demand),
        clock=spec.clock,
        may_lack=frozenset(spec.may_lack),
        online=of.home / "features" / "online.db",
        space=spec.space,
        log=decisions_folder(of, route.endpoint),
        notices=notices_folder(of),
        port=port,
        durability=of.decision_durability,
    )


class Host:
    """This keeps the lanes of one installation as the database says.

    Args:
        endpoints: What is declared.
        of: Where everything lies.
    """

    def __init__(self, endpoints: Endpoints, of: Settings) -> None:
        self._endpoints = endpoints
        self._settings = of
        self._tables: dict[str, LaneTable] = {}
        self._seen: dict[str, Lane] = {}
        self._revision = -1
        self._polls = 0

    def poll(self) -> None:
        """Apply what changed, and note what lanes say."""
        revision = self._endpoints.revision()
        if revision != self._revision:
            self._apply()
            self._revision = revision
        self._polls += 1
        failed: Mapping[str, str] = {}
        if self._polls % _POLLS_PER_LOOK_AT_SERVE == 0:
            failed = {n: s.message for n, s in deployment.states().items() if s.failed}
        for endpoint, table in self._tables.items():
            self._observe(endpoint, table, failed.get(endpoint))

    def settled(self) -> bool:
        """Return whether every declared lane answers with its table, or has said why not."""
        return all(
            name in self._seen and self._seen[name].state != "starting" for name in self._tables
        )

    def stopped(self) -> None:
        """Note that no lane answers any more."""
        for endpoint, table in self._tables.items():
            self._note(endpoint, _lane("stopped", table.generation))

    def _apply(self) -> None:
        tables = {}
        for name in self._endpoints.names():
            route = self._endpoints.route(name)
            lane = self._endpoints.lane(name)
            port = int(lane.url.rsplit(":", 1)[1]) if lane is not None and lane.url else 0
            known = self._tables.get(name)
            try:
                tables[name] = table_of(
                    route,
                    self._endpoints.spec(name),
                    self._settings,
                    # of a lane that runs, the port it was first given: the app stays the same
                    port=port if known is None else known.port,
                )
            except HeadraceError as error:
                _log.error("Endpoint '%s': %s", name, error)
                self._note(name, _lane("failed", route.generation, message=str(error)))
                if known is not None:
                    tables[name] = known
        if tables != self._tables:
            for name in tables.keys() - self._tables.keys():
                lane_file(notices_folder(self._settings), name).unlink(missing_ok=True)
                shadow_file(notices_folder(self._settings), name).unlink(missing_ok=True)
            self._tables = tables
            deployment.deploy(list(tables.values()))

    def _observe(self, endpoint: str, table: LaneTable, broken: str | None) -> None:
        notice = read_lane(table.notices, endpoint)
        url, pid = (notice.url, notice.pid) if notice else (None, None)
        if notice is None or notice.generation < table.generation:
            failure = _failure(notice, table) or broken
            state: LaneState = "failed" if failure else "starting"
            lane = _lane(state, table.generation, url=url, pid=pid, message=failure or "")
        else:
            lane = _lane("serving", notice.generation, url=url, pid=pid)
        self._note(endpoint, lane)

    def _note(self, endpoint: str, lane: Lane) -> None:
        if self._seen.get(endpoint) != lane:
            self._seen[endpoint] = lane
            self._endpoints.observe(endpoint, replace(lane, at=current_clock().now()))


def _lane(state: LaneState, generation: int, **more: Any) -> Lane:
    """Return how a lane is seen; when, is filled in where it is noted."""
    from serving.endpoints import Lane

    return Lane(state=state, generation=generation, at=_UNSAID, **more)


def _failure(notice: LaneNotice | None, table: LaneTable) -> str | None:
    if notice is not None and notice.failed == table.generation:
        return notice.message
    return None


def main() -> None:
    """Serve until told to stop, and say in `run/serving.ready` of the home when lanes answer."""
    of = settings()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    ends = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        ends.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    from serving.endpoints import Endpoints

    endpoints = Endpoints()
    try:
        deployment.start(of)
    except HeadraceError as error:
        sys.exit(f"{error}")
    signal.signal(signal.SIGTERM, end)  # Ray has put handlers of its own in their place
    signal.signal(signal.SIGINT, end)
    host = Host(endpoints, of)
    try:
        _serve(host, of, ends)
    finally:
        ready_file(of).unlink(missing_ok=True)
        host.stopped()
        deployment.stop()


def _serve(host: Host, of: Settings, ends: threading.Event) -> None:
    clock = current_clock()
    begun, compacted, is_ready = clock.monotonic(), clock.monotonic(), False
    compactor = Compactor(of)
    while not ends.wait(_POLL_SECONDS):
        try:
            host.poll()
        except HeadraceError as error:  # the database may be locked or full for a while
            _log.error("%s", error)
            ends.wait(1)
        patient = clock.monotonic() - begun < _FIRST_LANES_SECONDS
        if not is_ready and (host.settled() or not patient):
            is_ready = True
            say_ready(of)
        if clock.monotonic() - compacted > _COMPACTION_SECONDS:
            compacted = clock.monotonic()
            compactor.look()
    compactor.stop()


if __name__ == "__main__":
    main()
