"""This module does what else the host has to: keys, bandits, histories, Prometheus's targets."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from headrace.clock import current_clock
from headrace.errors import HeadraceError
from headrace.settings import Settings
from serving.access_step import AccessStep
from serving.bandit_moves import move_all
from serving.host_history import write_history
from serving.hosted import notices_folder
from serving.lane.metrics_targets import write_targets

if TYPE_CHECKING:
    from serving.endpoints import Endpoints, Lane

_KEYS_SECONDS = 0.5
_BANDITS_SECONDS = 2.0
_HISTORIES_SECONDS = 1.0
_log = logging.getLogger("headrace.serving")


class Chores:
    """These are done beside keeping lanes; one that fails keeps no other up.

    Args:
        endpoints: What is declared.
        of: Where everything lies.
    """

    def __init__(self, endpoints: Endpoints, of: Settings) -> None:
        self._endpoints = endpoints
        self._settings = of
        self._folder = notices_folder(of)
        self._access = AccessStep(self._folder) if of.asks_for_keys else None
        self._targets_file = of.home / "serving" / "prometheus.json"
        self._targets: dict[str, Lane] | None = None
        self._due = {"keys": 0.0, "bandits": 0.0, "histories": 0.0}
        self._stale: set[str] = set()

    def changed(self, endpoint: str) -> None:
        """Note that an endpoint has another history than before."""
        self._stale.add(endpoint)

    def do(self, lanes: Mapping[str, Lane]) -> None:
        """Do what is due.

        Args:
            lanes: How the lanes stand.
        """
        now = current_clock().monotonic()
        if self._access is not None and self._is_due("keys", _KEYS_SECONDS, now):
            access, replicas = self._access, {n: len(lane.replicas) for n, lane in lanes.items()}
            _try("keys", lambda: access.apply(replicas))
        if self._is_due("bandits", _BANDITS_SECONDS, now):
            _try("bandits", lambda: move_all(self._endpoints, self._settings))
        if self._stale and self._is_due("histories", _HISTORIES_SECONDS, now):
            _try("histories", self._write_histories)
        if lanes != self._targets:
            _try("targets", lambda: self._write_targets(lanes))

    def stop(self) -> None:
        """Leave no target behind."""
        _try("targets", lambda: self._write_targets({}))

    def _is_due(self, chore: str, every: float, now: float) -> bool:
        due = now >= self._due[chore]
        if due:
            self._due[chore] = now + every
        return due

    def _write_histories(self) -> None:
        for name in sorted(self._stale):
            experiment = self._endpoints.route(name).experiment
            verdict = None if experiment is None else self._endpoints.verdict(name, experiment)
            write_history(self._folder, name, self._endpoints.history(name, last=50), verdict)
            self._stale.discard(name)

    def _write_targets(self, lanes: Mapping[str, Lane]) -> None:
        write_targets(self._targets_file, lanes)
        self._targets = dict(lanes)


def _try(chore: str, do: Callable[[], object]) -> None:
    try:
        do()
    except (HeadraceError, OSError) as error:
        _log.error("%s: %s", chore, error)
