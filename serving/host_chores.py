"""This module does what else the host has to: keys, bandits, histories, Prometheus's targets."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from headrace.clock import current_clock
from headrace.errors import HeadraceError
from headrace.settings import Settings, settings
from serving.access_step import AccessStep
from serving.bandit_moves import move_all
from serving.host_history import write_history
from serving.hosted import notices_folder
from serving.lane.metrics_targets import write_targets
from serving.rollout._course import by_a_rule
from serving.rollout.matured import MaturedWatch
from serving.rollout.resident import Resident
from serving.rollout.shown import newest_shown
from serving.rollout.telling import Teller

if TYPE_CHECKING:
    from serving.endpoints import Endpoints, Lane

_KEYS_SECONDS = 0.5
_BANDITS_SECONDS = 2.0
_HISTORIES_SECONDS = 1.0
_VERDICTS_SECONDS = 2.0
_GUARDRAILS_SECONDS = 0.5
_OUTCOMES_SECONDS = 5.0
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
        self._due = {"keys": 0.0, "bandits": 0.0, "histories": 0.0, "verdicts": 0.0}
        self._due |= {"guardrails": 0.0, "outcomes": 0.0}
        self._teller = Teller()
        self._resident = Resident(endpoints, self._folder, acted=self._teller.tell)
        self._matured = MaturedWatch(endpoints, of) if of.judge_on_outcomes else None
        self._has_begun = False
        self._judged: dict[str, int] = {}
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
        if self._is_due("guardrails", _GUARDRAILS_SECONDS, now):
            _try("guardrails", self._judge)
        if self._access is not None and self._is_due("keys", _KEYS_SECONDS, now):
            access, replicas = self._access, {n: len(lane.replicas) for n, lane in lanes.items()}
            _try("keys", lambda: access.apply(replicas))
        if self._is_due("bandits", _BANDITS_SECONDS, now):
            _try("bandits", lambda: move_all(self._endpoints, self._settings))
        if self._is_due("verdicts", _VERDICTS_SECONDS, now):
            _try("verdicts", self._note_verdicts)
        if self._matured is not None and self._is_due("outcomes", _OUTCOMES_SECONDS, now):
            _try("outcomes", self._matured.look)
        if self._stale and self._is_due("histories", _HISTORIES_SECONDS, now):
            _try("histories", self._write_histories)
        if lanes != self._targets:
            _try("targets", lambda: self._write_targets(lanes))

    def stop(self) -> None:
        """Leave no target behind, and no count unwritten."""
        _try("guardrails", self._resident.stop)
        self._teller.stop()
        if self._matured is not None:
            _try("outcomes", self._matured.stop)
        _try("targets", lambda: self._write_targets({}))

    def _is_due(self, chore: str, every: float, now: float) -> bool:
        # one that is due later than it can be is so by a clock that went back
        due = now >= self._due[chore] or self._due[chore] - now > every
        if due:
            self._due[chore] = now + every
        return due

    def _note_verdicts(self) -> None:
        """Find endpoints that were judged since, which makes no change."""
        newest = self._endpoints.newest_verdicts()
        self._stale |= {name for name, number in newest.items() if self._judged.get(name) != number}
        self._judged = newest

    def _judge(self) -> None:
        if not self._has_begun:  # what the host did before it ended may not have been told
            for name in self._endpoints.names():
                last = self._endpoints.history(name, last=1)
                if last and last[0].actor == settings().actor and by_a_rule(last[0]):
                    self._teller.tell(name)
            self._has_begun = True
        self._resident.look()
        self._teller.look()

    def _write_histories(self) -> None:
        for name in sorted(self._stale):
            verdicts = newest_shown(self._endpoints, name)
            write_history(self._folder, name, self._endpoints.history(name, last=50), verdicts)
            self._stale.discard(name)

    def _write_targets(self, lanes: Mapping[str, Lane]) -> None:
        write_targets(self._targets_file, lanes)
        self._targets = dict(lanes)


def _try(chore: str, do: Callable[[], object]) -> None:
    try:
        do()
    except (HeadraceError, OSError) as error:
        _log.error("%s: %s", chore, error)
