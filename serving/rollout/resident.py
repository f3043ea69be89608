"""This module takes back what proves to be broken while it answers, twice a second, in the host.

It sums what replicas counted, judges the guardrails that need no outcome, and changes the route by
compare and swap on the generation that it looked at. Whatever happens in between, the route is the
old one or the new one. Nobody is waited for but the database: registry and events come later.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.clock import current_clock
from headrace.errors import HeadraceError
from serving.lane.guard_notice import GuardNotice
from serving.rollout.gathered import Figures, Gathered
from serving.rollout.guard_board import GuardBoard
from serving.rollout.guarded import Ward, live_guardrails, wards_of
from serving.rollout.live_counts import (
    Counts,
    grown,
    live_figures,
    store_counts,
    stored_counts,
    without_marks,
)

if TYPE_CHECKING:
    from serving.endpoints import Endpoints
    from serving.rollout.ruling import Ruling
    from serving.routing import Route

_STORE_SECONDS = 5.0
_log = logging.getLogger("headrace.serving")
Acted = Callable[[str], None]


@dataclass(eq=False)
class _Watched:
    """This is what is known of one endpoint."""

    counts: dict[tuple[str, str], Counts] = field(default_factory=dict)  # by experiment and model
    unstored: set[tuple[str, str]] = field(default_factory=set)
    unjudged: set[tuple[str, str]] = field(default_factory=set)
    is_new: bool = False  # of something that is counted nothing is written down yet
    gone: dict[str, Path] = field(default_factory=dict)  # of replicas that ended, by their writer
    trouble: str = ""
    generation: int = -1
    wards: list[Ward] = field(default_factory=list)


class Resident:
    """This judges the live guardrails of all endpoints.

    Args:
        endpoints: What is declared.
        folder: Where replicas leave their counts.
        acted: Is called with the name of each endpoint that was changed.
    """

    def __init__(self, endpoints: Endpoints, folder: Path, acted: Acted = lambda _: None) -> None:
        self._endpoints = endpoints
        self._board = GuardBoard(folder)
        self._acted = acted
        self._watched: dict[str, _Watched] = {}
        self._stored_at = current_clock().monotonic()

    def look(self) -> list[Route]:
        """Count what is new, and take back what is proven to be broken; return the routes since.

        One endpoint that cannot be judged keeps no other from it, and is judged again next time.
        """
        found = self._board.look()
        for notice in found.notices:
            self._watched.setdefault(notice.endpoint, _Watched())
        changed = []
        for name in list(self._watched):
            told = [notice for notice in found.notices if notice.endpoint == name]
            try:
                route = self._judge(name, told, found.gone.get(name, {}))
            except Exception as error:  # whatever it is, the others are judged
                self._board.again(told)
                _say(name, self._watched[name], error)
                continue
            self._watched[name].trouble = ""
            if route is not None:
                changed.append(route)
        self._store_now_and_then()
        return changed

    def stop(self) -> None:
        """Write down what is counted."""
        self._store(self._watched)

    def _judge(
        self, name: str, told: Iterable[GuardNotice], gone: Mapping[str, Path]
    ) -> Route | None:
        watched = self._watched[name]
        watched.gone.update(gone)
        for notice in told:
            self._count(name, watched, notice)
        if not watched.unjudged:
            return None
        generation = self._endpoints.route(name).generation
        if generation != watched.generation:
            watched.wards, watched.generation = wards_of(self._endpoints, name), generation
        for ward in watched.wards:
            key = ward.guard.experiment, ward.guard.model
            if key in watched.unjudged:
                ruling = _ruling(ward, watched.counts[key])
                if ruling.action == "rollback":
                    return self._act(name, watched, ward, ruling)
        watched.unjudged.clear()
        return None

    def _count(self, name: str, watched: _Watched, notice: GuardNotice) -> None:
        for row in notice.rows:
            key = str(row["experiment"]), str(row["model"])
            before = watched.counts.get(key)
            if before is None:
                before = stored_counts(self._endpoints.database, name, *key)
                watched.is_new |= before is None
            after = grown(before, row, part=notice.part, writer=notice.writer)
            watched.counts[key] = after
            if after != before:
                watched.unstored.add(key)
                watched.unjudged.add(key)

    def _act(self, name: str, watched: _Watched, ward: Ward, ruling: Ruling) -> Route | None:
        """Change the route; the trace stands in its history, whatever comes after."""
        from serving.endpoints import OvertakenError
        from serving.route import RoutingError

        state, trace = ruling.state, ruling.trace()
        is_champion = state.stage == "watch"
        try:
            route = self._endpoints.change(
                name,
                "rollback" if is_champion else "withdraw",
                generation=state.generation,
                reason=_reason(ruling),
                trace=trace,
                challenger=None if is_champion else state.challenger,
            )
        except (OvertakenError, RoutingError) as error:  # it is looked at as it is now, at once
            _log.warning("Endpoint '%s': %s", name, error)
            watched.generation = -1
            return None
        _log.warning("Endpoint '%s': %s is taken back: %s", name, ward.guard.model, _reason(ruling))
        watched.generation = -1
        self._acted(name)
        self._store([name])
        self._endpoints.record_verdict(name, state.experiment, trace)
        return route

    def _store_now_and_then(self) -> None:
        now = current_clock().monotonic()
        # a clock that went back must not keep anything from being written
        if not 0 <= now - self._stored_at < _STORE_SECONDS:
            self._stored_at = now
            self._store(list(self._watched))
            return
        # a look at a new champion takes missing counts for unknown, and would hold for their sake
        new = [name for name, watched in self._watched.items() if watched.is_new]
        for name in new:
            self._watched[name].is_new = False  # if it fails, it is tried with the others
        self._store(new)

    def _store(self, names: Iterable[str]) -> None:
        """Write counts down; notices of processes that ended are removed only when that is done."""
        for name in names:
            watched = self._watched[name]
            rows = [(*key, watched.counts[key]) for key in sorted(watched.unstored)]
            try:
                store_counts(self._endpoints.database, name, rows)
            except HeadraceError as error:  # counts are in notices too: later is no loss
                _log.error("Counts of '%s': %s", name, error)
                continue
            watched.unstored.clear()
            _forget_gone(watched)


def _forget_gone(watched: _Watched) -> None:
    """Remove what ended processes left, and with it what is known of how much was counted."""
    for path in watched.gone.values():
        with suppress(OSError):
            path.unlink(missing_ok=True)
    gone = {writer for writer, path in watched.gone.items() if not path.exists()}
    for key, counts in watched.counts.items():
        if gone & counts["marks"].keys():
            watched.counts[key] = without_marks(counts, gone)
            watched.unstored.add(key)
    watched.gone = {w: path for w, path in watched.gone.items() if w not in gone}


def _say(name: str, watched: _Watched, error: Exception) -> None:
    """Log what went wrong, once for as long as it is the same."""
    trouble = f"{type(error).__name__}: {error}"
    if trouble != watched.trouble:
        watched.trouble = trouble
        known = isinstance(error, HeadraceError)
        _log.error("Guardrails of '%s': %s", name, trouble, exc_info=None if known else error)


def _ruling(ward: Ward, counts: Mapping[str, Any]) -> Ruling:
    from serving.rollout.assess import assess

    figures = tuple(
        Figures(metric=each.metric, counts=live_figures(each, counts))
        for each in live_guardrails(ward.rule)
    )
    now = current_clock().now()
    gathered = Gathered(as_of=now, scope="live", primary=None, figures=figures)
    return assess(ward.rule, gathered, ward.state)


def _reason(ruling: Ruling) -> str:
    why = next((c.sentence for c in ruling.checks if c.action == "rollback"), "")
    return f"the rule '{ruling.rule.name}': {why}"
