"""This module takes out of a recorded verdict what people look at; it judges nothing again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from serving._endpoint_records import Judgement

if TYPE_CHECKING:
    from serving.endpoints import Endpoints

_MOST_BLOCKS = 400  # a page has no more points across than that


def newest_shown(endpoints: Endpoints, name: str) -> list[dict[str, Any]]:
    """Return what is shown of the newest verdict on each challenger of an endpoint.

    Raises:
        UnknownNameError: There is no such endpoint.
    """
    found = []
    for rival in endpoints.route(name).rivals:
        judged = endpoints.judgements(name, rival.experiment, last=1)
        if judged:
            found.append(shown_of(judged[0], rival.model))
    return found


def shown_of(judgement: Judgement, model: str) -> dict[str, Any]:
    """Return what is shown of a verdict, JSON-like; what it lacks is None or empty.

    Args:
        judgement: The verdict; of either format.
        model: The challenger that it is about.

    Returns:
        number, at, actor, model, champion, experiment, stage, action, share, rule, block, metric,
        alpha, needed (log evidence), checks, blocks (start and z of each, the newest 400), bounds,
        crossed, requests, effective, expected.
    """
    trace = judgement.trace
    gathered = _mapping(trace.get("gathered"))
    evidence = _mapping(gathered.get("primary") if gathered else trace.get("evidence"))
    state = _mapping(trace.get("state"))
    rule, design = _mapping(trace.get("rule")), _mapping(evidence.get("design"))
    better: Mapping[str, Any] = next(
        (c for c in _list(trace.get("checks")) if c.get("name") == "challenger is better"), {}
    )
    return {
        "number": judgement.number,
        "at": judgement.at.isoformat(),
        "actor": judgement.actor,
        "model": model,
        "champion": state.get("champion", evidence.get("champion")),
        "experiment": state.get("experiment", evidence.get("experiment")),
        "stage": state.get("stage"),
        "action": trace.get("action"),
        "share": trace.get("share"),
        "rule": rule.get("name"),
        "metric": rule.get("metric"),
        "block": rule.get("block"),
        "alpha": trace.get("alpha", rule.get("alpha")),
        "needed": _mapping(better.get("figures")).get("needed"),
        "checks": [
            {name: check.get(name) for name in ("name", "state", "action", "sentence")}
            for check in _list(trace.get("checks"))
        ],
        "blocks": [
            {"start": block.get("start"), "z": block.get("z")}
            for block in _list(evidence.get("blocks"))[-_MOST_BLOCKS:]
        ],
        "bounds": _list(trace.get("bounds"))[-_MOST_BLOCKS:],
        "crossed": trace.get("crossed"),
        "requests": design.get("requests"),
        "effective": design.get("effective"),
        "expected": _mapping(trace.get("expected")).get("sentence"),
    }


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    kept = value if isinstance(value, list) else []
    return [each for each in kept if isinstance(each, Mapping)]
