"""This module is the serving host: the process that keeps lanes as the database declares them.

`headrace up` runs it as the service "serving": `python -m serving.host`. It looks at the database
for endpoints that changed, has Ray Serve run them in a process beside it, and writes down where
each lane listens. Whoever promotes or asks needs the database only.
"""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType
from typing import TYPE_CHECKING

from headrace.clock import current_clock
from headrace.errors import HeadraceError
from headrace.settings import Settings, settings, using_settings
from serving.bundles import folder_of
from serving.compacting import Compactor
from serving.host_reconciler import Reconciler
from serving.hosted import decisions_folder, notices_folder, ready_file, say_ready
from serving.lane.table import Compared, LaneTable, Served

if TYPE_CHECKING:
    from serving.endpoints import EndpointSpec
    from serving.routing import Route

_POLL_SECONDS = 0.05
_COMPACTION_SECONDS = 30.0
_FIRST_LANES_SECONDS = 90.0
_ACTOR = "serving host"
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
    from serving.placement import Placement

    challenger = route.challenger
    placement = Placement(**(spec.placement or {}))
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
        also=tuple(
            Compared(
                model=Served(ref=rival.model, folder=folder_of(rival.model)),
                experiment=rival.experiment,
            )
            for rival in route.also
        ),
        traffic=route.traffic,
        hop=placement.hop,
        outcomes=spec.outcomes,
        replicas=placement.bounds,
        shared=placement.shared,
        previous=_served_if_there(route.previous),
    )


def _served_if_there(ref: str | None) -> Served | None:
    """Return a model that is only kept ready; one without a bundle is no reason not to serve."""
    if ref is None:
        return None
    try:
        return Served(ref=ref, folder=folder_of(ref))
    except HeadraceError:
        return None


def main() -> None:
    """Serve until told to stop, and say in `run/serving.ready` of the home while lanes answer."""
    of = settings()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    ends = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        ends.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    from serving.endpoints import Endpoints

    reconciler = Reconciler(Endpoints(), of, table_of)
    try:
        # what the host changes by itself is recorded as its own doing
        with using_settings(actor=_ACTOR):
            _serve(reconciler, of, ends)
    finally:
        ready_file(of).unlink(missing_ok=True)
        reconciler.stop()


def _serve(reconciler: Reconciler, of: Settings, ends: threading.Event) -> None:
    clock = current_clock()
    begun, compacted, is_ready = clock.monotonic(), clock.monotonic(), False
    compactor = Compactor(of)
    while not ends.wait(_POLL_SECONDS):
        try:
            reconciler.poll()
        except HeadraceError as error:  # the database may be locked or full for a while
            _log.error("%s", error)
            ends.wait(1)
        now = clock.monotonic()
        # a lane that never comes up keeps nobody from the others; Ray that is not up keeps all
        patient = now - begun < _FIRST_LANES_SECONDS
        ready = reconciler.ready() or (reconciler.ray_is_up and (is_ready or not patient))
        if ready != is_ready:
            is_ready = ready
            if ready:
                say_ready(of)
            else:
                begun = now
                ready_file(of).unlink(missing_ok=True)
        if now - compacted > _COMPACTION_SECONDS:
            compacted = now
            compactor.look()
    compactor.stop()


if __name__ == "__main__":
    main()
