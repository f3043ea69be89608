"""This module keeps lanes as the database says, one look at a time, whatever died meanwhile."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import psutil

from headrace.clock import current_clock
from headrace.errors import HeadraceError
from headrace.settings import Settings
from serving.host_chores import Chores
from serving.host_desired import Desired, MakeTable
from serving.host_front import FrontKeeper
from serving.host_glance import Glance
from serving.host_holder import AppStanding, process_of
from serving.host_keeper import RayKeeper
from serving.host_notices import NoticeBoard
from serving.host_out import record_outs
from serving.host_replicas import DRAIN_SECONDS
from serving.host_scaling import Scaler
from serving.host_seen import lane_as_seen
from serving.hosted import holder_file, notices_folder
from serving.lane.notices import LaneNotice, shadow_file

if TYPE_CHECKING:
    from serving.endpoints import Endpoints, Lane

_WELL = AppStanding(failed=False, message="")
_log = logging.getLogger("headrace.serving")


class Reconciler:
    """This keeps the lanes of one installation.

    Args:
        endpoints: What is declared.
        of: Where everything lies.
        table_of: Makes the table of a route and a spec.
    """

    def __init__(self, endpoints: Endpoints, of: Settings, table_of: MakeTable) -> None:
        self._endpoints = endpoints
        self._folder = notices_folder(of)
        self._desired = Desired(endpoints, of, table_of)
        self._board = NoticeBoard(self._folder)
        self._ray = RayKeeper(holder_file(of))
        self._front = FrontKeeper(of)
        self._chores = Chores(endpoints, of)
        self._glance = Glance(of.database_url)
        self._scaler = Scaler()
        self._seen: dict[str, Lane] = {}
        self._revision = -1
        self._old: dict[int, psutil.Process] = {}
        self._sent_away = 0.0

    def poll(self) -> None:
        """Apply what changed, look after Ray and the front, and note what lanes say."""
        if self._revision < 0 or self._glance.is_news():
            revision = self._endpoints.revision()
            if revision != self._revision:
                self._read()
                self._revision = revision
        self._ray.poll()
        looked = self._board.look(self._desired.tables)
        living = {name: self._board.living(name) for name in self._desired.tables}
        if looked and self._scaler.look(self._desired.tables, living):
            self._keep()
        self._front.keep({name: _urls(notices) for name, notices in living.items()})
        for name, notices in living.items():
            self._observe(name, notices)
        self._replace_old(living)
        self._chores.do(self._seen)
        if looked and any(
            [record_outs(self._endpoints, name, notices) for name, notices in living.items()]
        ):
            self._revision = -1

    def ready(self) -> bool:
        """Return whether Ray runs and every lane answers with its table, or said why not."""
        return self.ray_is_up and all(
            name in self._seen and self._seen[name].state != "starting"
            for name in self._desired.tables
        )

    @property
    def ray_is_up(self) -> bool:
        """Whether Ray runs, as far as is known."""
        return self._ray.is_up

    def ailing(self) -> str:
        """Return what ails Ray or the front; empty when nothing does."""
        return self._ray.why or self._front.why

    def stop(self) -> None:
        """Drain the lanes, end Ray and the front, and note that no lane answers any more."""
        self._ray.stop()
        self._front.stop()
        self._chores.stop()
        for name, table in self._desired.tables.items():
            lane = lane_as_seen(table, ())
            self._note(name, replace(lane, state="stopped"))

    def _read(self) -> None:
        known = dict(self._desired.tables)
        if self._desired.read():
            for name, table in self._desired.tables.items():
                if table != known.get(name):
                    self._chores.changed(name)
                if name not in known:
                    shadow_file(self._folder, name).unlink(missing_ok=True)
            self._board.forget()
            self._keep()
        for name, (generation, message) in self._desired.failed.items():
            if name not in self._desired.tables:
                from serving.endpoints import Lane

                at = current_clock().now()
                lane = Lane(state="failed", generation=generation, message=message, at=at)
                self._endpoints.observe(name, lane)

    def _keep(self) -> None:
        self._ray.keep(list(self._desired.tables.values()), self._scaler.counts)

    def _observe(self, name: str, notices: tuple[LaneNotice, ...]) -> None:
        table = self._desired.tables[name]
        wanted = self._scaler.wanted(table)
        generation, message = self._desired.failed.get(name, (table.generation, ""))
        standing = self._ray.states.get(table.app, _WELL)
        lane = lane_as_seen(
            replace(table, generation=generation),
            notices,
            refused=self._board.refused(name, generation) or message,
            broken=standing.message if standing.failed else "",
            ailing=self.ailing() or ("" if len(_urls(notices)) >= wanted else standing.message),
            front=self._front.url,
        )
        if lane.state == "serving" and len(lane.replicas) >= wanted:
            self._board.clear(name)
        self._note(name, lane)
        self._desired.remember_ports({name: notices[0].port} if notices else {})

    def _replace_old(self, living: Mapping[str, Sequence[LaneNotice]]) -> None:
        """Send replicas of a Ray that died away as soon as new ones answer, and end them then.

        They are those of a Ray that this host has lost, and what a host that was killed has left.
        """
        if not self._ray.is_up:
            found = (process_of(n.pid) for of in living.values() for n in of)
            self._old = {process.pid: process for process in found if process is not None}
            self._sent_away = 0.0  # those that answer now wait for their own successors
            return
        if not (self._old or self._ray.old) or not self._ray.is_told:
            return
        now = current_clock().monotonic()
        if not self._sent_away:
            if all(self._is_replaced(name, notices) for name, notices in living.items()):
                for name in living:
                    self._board.send_away(name, set(self._old))
                self._sent_away = now
        elif now - self._sent_away > DRAIN_SECONDS:
            self._ray.retire()
            for process in self._old.values():
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            self._old, self._sent_away = {}, 0.0

    def _is_replaced(self, name: str, notices: Sequence[LaneNotice]) -> bool:
        new = [n for n in notices if n.pid not in self._old and n.generation > 0]
        return len(new) >= self._scaler.wanted(self._desired.tables[name])

    def _note(self, name: str, lane: Lane) -> None:
        if self._seen.get(name) != lane:
            self._seen[name] = lane
            try:
                self._endpoints.observe(name, replace(lane, at=current_clock().now()))
            except HeadraceError:
                self._seen.pop(name, None)  # it is noted at the next look
                raise


def _urls(notices: tuple[LaneNotice, ...]) -> list[str]:
    return [n.url for n in notices if n.url is not None and n.generation > 0]
