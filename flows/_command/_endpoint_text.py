"""This module shows endpoints to people: in a table, or one with all that is known of it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from textwrap import indent
from typing import Any

from flows._command import _screen
from flows._command._endpoint_evidence import write_evidence
from headrace.errors import HeadraceError
from headrace.settings import settings
from serving.endpoints import Change, Endpoints, EndpointSpec, Judgement, Lane
from serving.hosted import is_up, notices_folder
from serving.lane.notices import ShadowNotice, read_shadow
from serving.routing import Route


@dataclass(frozen=True, kw_only=True)
class Shown:
    """This is what is shown of an endpoint.

    Args:
        route: What it answers with.
        spec: How it reads its inputs.
        lane: How its process was last seen; None if it never was.
        is_served: Whether the serving host runs; a lane without one is a memory.
        shadow: What the shadow's process says of itself; None without one.
        judged: Challenger to the newest verdict on it, where there is one.
        history: Its changes, oldest first.
    """

    route: Route
    spec: EndpointSpec
    lane: Lane | None
    is_served: bool
    shadow: ShadowNotice | None
    judged: Mapping[str, Judgement]
    history: Sequence[Change]

    @classmethod
    def of(cls, endpoints: Endpoints, name: str) -> Shown:
        """Return what is known of an endpoint.

        Raises:
            UnknownNameError: There is no such endpoint.
        """
        route, is_served = endpoints.route(name), is_up()
        judged = {
            rival.model: verdicts[0]
            for rival in route.rivals
            if (verdicts := endpoints.judgements(name, rival.experiment, last=1))
        }
        return cls(
            route=route,
            spec=endpoints.spec(name),
            lane=endpoints.lane(name),
            is_served=is_served,
            shadow=read_shadow(notices_folder(settings()), name) if is_served else None,
            judged=judged,
            history=endpoints.history(name),
        )

    @property
    def state(self) -> str:
        """Whether it answers, in a word or two."""
        if not self.is_served:
            return "not served"
        return "unknown" if self.lane is None else self.lane.state

    @property
    def url(self) -> str | None:
        """Where it answers; None where it does not."""
        return self.lane.url if self.lane is not None and self.is_served else None

    def summary(self) -> dict[str, Any]:
        """Return the route and where it is served, as JSON-like data."""
        return self.route.to_json() | {"state": self.state, "url": self.url}

    def to_json(self) -> dict[str, Any]:
        """Return everything, as JSON-like data."""
        changes = [change_json(change) for change in self.history]
        return self.summary() | {
            "spec": self.spec.to_json(),
            "lane": None if self.lane is None else asdict(self.lane),
            "shadow": None if self.shadow is None else asdict(self.shadow),
            "verdict": asdict(first)
            if (first := self.judged.get(self.route.challenger or ""))
            else None,
            "verdicts": {model: asdict(each) for model, each in self.judged.items()},
            "history": changes,
        }


def change_json(change: Change) -> dict[str, Any]:
    """Return a change as JSON-like data."""
    return asdict(change) | {
        "before": None if change.before is None else change.before.to_json(),
        "after": change.after.to_json(),
        "spec": change.spec.to_json() if change.spec else None,
    }


def write_list(found: Sequence[Shown]) -> None:
    """Write endpoints as a table."""
    _screen.write_table(
        ["endpoint", "champion", "challenger", "generation", "state", "address"],
        [
            [
                shown.route.endpoint,
                shown.route.champion,
                _challengers(shown.route),
                shown.route.generation,
                shown.state,
                shown.url,
            ]
            for shown in found
        ],
    )


def write_endpoint(shown: Shown) -> None:
    """Write all that is known of an endpoint."""
    _write_route(shown)
    write_evidence(shown.judged)
    _screen.write()
    _screen.write("History:")
    write_history(shown.history)
    if shown.url is not None:
        _screen.write()
        _write_example(shown)


def _write_route(shown: Shown) -> None:
    route, spec = shown.route, shown.spec
    _screen.write(f"{route.endpoint}: {route.champion} answers")
    shares = {} if route.traffic is None else route.traffic.shares()
    if route.held is not None:
        _screen.write(f"  held         no rule promotes or ramps here: {route.held}")
    for rival in route.rivals:
        does = f"answers {shares[rival.model]:.4g}" if rival.model in shares else "in shadow"
        if rival == route.watched:
            does = "watches the promotion from shadow"
        _screen.write(f"  challenger   {rival.model} {does}, experiment {rival.experiment}")
    if route.traffic is not None:
        unit = ", ".join(route.traffic.unit)
        by = f"units of {unit}" if unit else "each request by itself"
        _screen.write(f"  traffic      '{route.traffic.design}', {by}")
    if route.previous is not None:
        _screen.write(f"  previous     {route.previous} answered before the last promotion")
    views = ", ".join(str(lookup.get("view")) for lookup in spec.lookups) or "no view"
    _screen.write(f"  inputs       {spec.clock} clock, space '{spec.space}', looked up in {views}")
    _screen.write(f"  generation   {route.generation}")
    _write_lane(shown)
    _write_log(shown)


def _write_log(shown: Shown) -> None:
    """Write how much the endpoint's log holds, if its lane answers."""
    from serving.client import Client

    if shown.url is None:
        return
    try:
        with Client(shown.route.endpoint, url=shown.url, patience_seconds=0.5) as client:
            log = client.about()["log"]
    except HeadraceError:  # the lane's own line says how it stands
        return
    _screen.write(
        f"  log          {log['decisions']:,} decisions, {log['outcomes']:,} outcomes, "
        f"{log['bytes'] / 1e6:,.0f} MB in {log['segments']:,} segments"
    )


def _write_lane(shown: Shown) -> None:
    lane, shadow = shown.lane, shown.shadow
    if not shown.is_served:
        _screen.write("  lane         not served: start the services with `headrace up`")
    elif lane is None:
        _screen.write("  lane         the serving host has not reported on it yet")
    else:
        where = f" at {lane.url}, process {lane.pid}" if lane.url else ""
        _screen.write(f"  lane         {lane.state} generation {lane.generation}{where}")
        if lane.message:
            _screen.write(indent(lane.message, " " * 15))
        for replica in lane.replicas if len(lane.replicas) > 1 else ():
            _screen.write(
                f"  replica      generation {replica.generation} at {replica.url}, "
                f"process {replica.pid}"
            )
    figures = shadow.figures if shadow is not None else ()
    for each in figures:
        if each.model not in {rival.model for rival in shown.route.rivals}:
            continue
        whose = f"{each.model}: " if len(figures) > 1 else ""
        _screen.write(
            f"  shadow       {whose}{each.scored:,} decisions scored, {each.failed:,} of them "
            f"failed, {each.dropped:,} left out, {each.behind:,} bytes of the log behind"
        )
        if each.message:
            _screen.write(indent(each.message, " " * 15))


def write_history(history: Sequence[Change]) -> None:
    """Write changes of an endpoint, the newest first."""
    _screen.write_table(
        ["  generation", "at (UTC)", "by", "action", "champion", "challenger", "reason"],
        [
            [
                f"  {change.generation}",
                f"{change.at:%Y-%m-%d %H:%M:%S}",
                change.actor,
                change.action,
                change.after.champion,
                _challengers(change.after),
                change.reason,
            ]
            for change in reversed(history)
        ],
    )


def _challengers(route: Route) -> str | None:
    """Return who challenges, with the shares of those that answer; None for nobody."""
    shares = {} if route.traffic is None else route.traffic.shares()
    said = [
        f"{rival.model} ({shares[rival.model]:.4g})" if rival.model in shares else rival.model
        for rival in route.rivals
    ]
    return ", ".join(said) or None


def _write_example(shown: Shown) -> None:
    """Write a request that can be sent as it stands, with features of the champion's card."""
    from serving.bundles import card_of

    _screen.write("Ask it:")
    try:
        example = card_of(shown.route.champion).example
    except HeadraceError:  # not registered from here: what it takes is known to the lane alone
        example = {}
    features = {name: values[0] for name, values in example.items() if values}
    if features:
        body = shlex.quote(json.dumps({"features": features}, ensure_ascii=False))
        address = f"{shown.url}/v1/{shown.route.endpoint}/decide"
        _screen.write(f"  curl -s {address} -H 'Content-Type: application/json' -d {body}")
    _screen.write(f"  what it takes: {shown.url}/openapi.json")
