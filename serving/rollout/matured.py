"""This module watches the outcomes that arrive, and has it said when a comparison has new evidence.

The serving host asks it every few seconds. It reads each outcome once, where it stopped before, and
keeps in a file of each endpoint how far it came and what is still to be said: neither a restart nor
a Prefect that is away loses anything, and 60,000 outcomes are said as one. What somebody judged
meanwhile is not said any more.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from headrace.clock import as_us, current_clock
from headrace.decisions import Position, Tail
from headrace.errors import HeadraceError
from headrace.settings import Settings
from serving.hosted import decisions_folder
from serving.rollout.guarded import rule_in
from serving.rollout.maturing import (
    Matured,
    begun,
    heard_more,
    is_judged,
    is_to_be_said,
    said,
)
from serving.rollout.ruling import FORMAT
from serving.rollout.telling import Teller
from serving.rule import Rule

if TYPE_CHECKING:
    from serving.endpoints import Endpoints

EVENT = "headrace.outcomes.matured"
_COMMAND = (sys.executable, "-m", "flows._matured_told")
_AT_A_TIME = 20_000
_log = logging.getLogger("headrace.serving")


@dataclass(eq=False)
class _Followed:
    """This is one endpoint whose outcomes are read."""

    rule: Rule
    replayed: bool
    tail: Tail
    seen: Matured
    telling: Matured | None = None  # what was known when it was begun to be said
    trouble: str = ""
    saved: dict[str, Any] = field(default_factory=dict)


class MaturedWatch:
    """This reads outcomes of endpoints that compare by a rule.

    Args:
        endpoints: What is declared.
        of: Where everything lies.
        teller: Has it said; None for a process of its own for each.
    """

    def __init__(self, endpoints: Endpoints, of: Settings, teller: Teller | None = None) -> None:
        self._endpoints = endpoints
        self._settings = of
        self._teller = Teller(_COMMAND) if teller is None else teller
        self._teller.told = self._was_said
        self._followed: dict[str, _Followed] = {}
        self._revision = -1

    def look(self) -> None:
        """Read what is new, and have said what is worth another look; it waits for nobody."""
        revision = self._endpoints.revision()
        if revision != self._revision:
            self._settle()
            self._revision = revision
        for name, each in self._followed.items():
            try:
                self._follow(name, each)
            except (HeadraceError, OSError, ValueError, KeyError) as error:
                _say(name, each, error)
        self._teller.look()

    def stop(self) -> None:
        """Close the logs; what was not said is said when the host is back."""
        for each in self._followed.values():
            each.tail.close()
        self._followed.clear()
        self._teller.stop()
        self._revision = -1

    def _settle(self) -> None:
        """Follow the endpoints that compare by a rule, and no others."""
        wanted = set()
        for name in self._endpoints.names():
            route, spec = self._endpoints.route(name), self._endpoints.spec(name)
            rule = rule_in(spec)
            experiments = tuple(sorted(rival.experiment for rival in route.rivals))
            if rule is None or not experiments:
                continue
            wanted.add(name)
            known = self._followed.get(name)
            if known is not None and known.rule == rule and known.seen.experiments == experiments:
                continue
            if known is not None:
                known.tail.close()
            self._followed[name] = self._begun(name, rule, spec.clock == "replayed", experiments)
        for name in self._followed.keys() - wanted:
            self._followed.pop(name).tail.close()

    def _begun(self, name: str, rule: Rule, replayed: bool, of: tuple[str, ...]) -> _Followed:
        folder = decisions_folder(self._settings, name)
        kept = _read(seen_file(self._settings, name))
        position = None if kept is None else kept[0]
        tail = Tail.open(folder, position, kinds=["outcome"])
        if kept is not None and kept[1].experiments == of:
            return _Followed(rule=rule, replayed=replayed, tail=tail, seen=kept[1])
        if position is None:
            tail.skip_to_newest()
        seen = begun(of, 0 if replayed else _now(), rule)
        return _Followed(rule=rule, replayed=replayed, tail=tail, seen=seen)

    def _follow(self, name: str, each: _Followed) -> None:
        payloads, _, position = each.tail.poll_payloads(_AT_A_TIME)
        told = [orjson.loads(payload) for payload in payloads]
        now = _now()
        seen = heard_more(each.seen, told, rule=each.rule, now=now, replayed=each.replayed)
        if is_to_be_said(seen, now=now, replayed=each.replayed):
            if self._is_judged(name, seen, each):
                seen = said(seen, now=None)
            else:
                self._keep(name, each, position, seen)  # whoever says it reads it there
                if not self._teller.is_to_tell(name):
                    each.telling = seen
                    self._teller.tell(name)
        self._keep(name, each, position, seen)
        each.trouble = ""

    def _is_judged(self, name: str, seen: Matured, of: _Followed) -> bool:
        """Return whether every comparison was judged with all of it meanwhile."""
        for experiment in seen.experiments:
            newest = self._endpoints.judgements(name, experiment, last=1)
            trace = newest[0].trace if newest else {}
            gathered = trace.get("gathered") or {}
            if trace.get("format") != FORMAT or gathered.get("scope") != "all":
                return False
            ruled = as_us(datetime.fromisoformat(gathered["as_of"])), as_us(newest[0].at)
            if not is_judged(seen, of.rule, as_of=ruled[0], at=ruled[1], replayed=of.replayed):
                return False
        return True

    def _was_said(self, name: str) -> None:
        """Note that it was said; what came in between is for the next time."""
        each = self._followed.get(name)
        kept = _read(seen_file(self._settings, name))
        if each is None or kept is None:
            return
        self._keep(name, each, kept[0], said(each.seen, now=_now(), of=each.telling))
        each.telling = None

    def _keep(self, name: str, each: _Followed, position: Position, seen: Matured) -> None:
        each.seen = seen
        document = {"position": position.to_json(), "seen": seen.to_json()}
        if document != each.saved:
            path = seen_file(self._settings, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            half = path.with_suffix(".half")
            half.write_bytes(orjson.dumps(document))
            half.replace(path)
            each.saved = document


def seen_file(of: Settings, name: str) -> Path:
    """Return the file that says what became known of an endpoint."""
    return of.home / "serving" / "matured" / f"{name}.json"


def matured_of(of: Settings, name: str) -> Matured | None:
    """Return what became known of an endpoint and is still to be said; None where nothing is."""
    kept = _read(seen_file(of, name))
    return None if kept is None or kept[1].since is None else kept[1]


def _read(path: Path) -> tuple[Position, Matured] | None:
    """Return what was kept; None where nothing was, or what cannot be read: it begins anew."""
    with suppress(OSError, ValueError, KeyError, TypeError, HeadraceError):
        document = orjson.loads(path.read_bytes())
        return Position.from_json(document["position"]), Matured.from_json(document["seen"])
    return None


def _now() -> int:
    return as_us(current_clock().now())


def _say(name: str, each: _Followed, error: Exception) -> None:
    trouble = f"{type(error).__name__}: {error}"
    if trouble != each.trouble:
        each.trouble = trouble
        _log.error("Outcomes of '%s': %s", name, trouble)
