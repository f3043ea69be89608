"""This module turns what is declared in the database into routing tables, one an endpoint."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from headrace.capacity import capacity_of
from headrace.errors import HeadraceError
from headrace.settings import Settings
from serving.hop_room import require_room
from serving.host_code import code_digest
from serving.hosted import notices_folder
from serving.lane.table import LaneTable
from serving.rollout.guarded import guards_of, rule_in

if TYPE_CHECKING:
    from serving.endpoints import Change, Endpoints, EndpointSpec
    from serving.route import Route

MakeTable = Callable[..., LaneTable]
_NEW_CODE = ("declare", "redeploy")
_log = logging.getLogger("headrace.serving")


class Desired:
    """These are the tables that lanes are to answer with.

    An edit of the code alone changes no table. When a flow deploys, or somebody asks for a
    redeploy, the code is looked at again; a promotion, which has to be quick, replaces no replica.

    Args:
        endpoints: What is declared.
        of: Where everything lies.
        table_of: Makes the table of a route and a spec.
    """

    def __init__(self, endpoints: Endpoints, of: Settings, table_of: MakeTable) -> None:
        self._endpoints = endpoints
        self._settings = of
        self._table_of = table_of
        self._ports_file = notices_folder(of) / "ports.json"
        self._ports = self._read_ports()
        self.tables: dict[str, LaneTable] = {}
        self.failed: dict[str, tuple[int, str]] = {}

    def read(self) -> bool:
        """Read what is declared now, and return whether a table changed.

        `failed` has the generation and the reason of each endpoint that cannot have its table.
        """
        tables: dict[str, LaneTable] = {}
        failed = {}
        has = capacity_of(self._settings)
        # those that run have their place before those that are new
        for name in sorted(self._endpoints.names(), key=lambda n: (n not in self.tables, n)):
            route, spec = self._endpoints.route(name), self._endpoints.spec(name)
            known = self.tables.get(name)
            try:
                table = self._table(route, spec, known)
                beside = [each.hop for each in tables.values() if each.hop is not None]
                require_room(name, table.hop, beside, has)
                tables[name] = table
            except HeadraceError as error:
                _log.error("Endpoint '%s': %s", name, error)
                failed[name] = route.generation, str(error)
                if known is not None:
                    tables[name] = known
        changed = tables != self.tables
        self.tables, self.failed = tables, failed
        return changed

    def remember_ports(self, ports: Mapping[str, int]) -> None:
        """Keep where endpoints listen, so that they are found there after a restart."""
        new = self._ports | {name: port for name, port in ports.items() if port}
        if new != self._ports:
            self._ports = new
            half = self._ports_file.with_suffix(".half")
            half.parent.mkdir(parents=True, exist_ok=True)
            half.write_text(json.dumps(new), encoding="utf-8")
            half.replace(self._ports_file)

    def _table(self, route: Route, spec: EndpointSpec, known: LaneTable | None) -> LaneTable:
        if known is not None and known.generation == route.generation:
            return known
        # of a lane that runs, the port it was first given: the table changes with what it says
        port = self._ports.get(route.endpoint, 0) if known is None else known.port
        table = self._table_of(route, spec, self._settings, port=port)
        changes = self._endpoints.history(route.endpoint)
        code = self._code(table, known, changes)
        return replace(table, code=code, guards=guards_of(route, rule_in(spec), changes))

    def _code(self, table: LaneTable, known: LaneTable | None, changes: Sequence[Change]) -> str:
        if known is not None and not any(
            change.action in _NEW_CODE and change.generation > known.generation
            for change in changes
        ):
            return known.code
        asked = [change.generation for change in changes if change.action == "redeploy"]
        return f"{code_digest(table.on_demand)}-{max(asked, default=0)}"

    def _read_ports(self) -> dict[str, int]:
        try:
            told = json.loads(self._ports_file.read_text(encoding="utf-8"))
            return {str(name): int(port) for name, port in told.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}
