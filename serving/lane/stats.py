"""This module says how a lane does, as a document: for its page, and for programs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from headrace.clock import from_us
from serving.lane.histogram import quantile
from serving.lane.notices import read_shadow
from serving.lane.snapshot import Snapshot

if TYPE_CHECKING:
    from serving.lane.app import LaneApp
    from serving.lane.deciding import Decider

_QUANTILES = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}


def stats_of(lane: LaneApp) -> dict[str, Any]:
    """Return how a lane does now and did in the last five minutes, as JSON-like data."""
    summed = lane.watch.siblings.sum()
    log = lane.log.stats()
    document: dict[str, Any] = {
        "endpoint": lane.endpoint,
        "pid": os.getpid(),
        "replicas": summed.pids,
        "at": from_us(summed.second * 1_000_000).isoformat(),
        "began": from_us(summed.began * 1_000_000).isoformat(),
        "generation": 0,
        "champion": None,
        "compared": [],
        "traffic": None,
        "recent": {
            "seconds": len(summed.answered),
            "answered": summed.answered,
            "refused": summed.refused,
            "failed": summed.failed,
        },
        "latency": _latency(summed),
        "in_flight": summed.in_flight,
        "requests": _split(summed.requests, "path", "status"),
        "refusals": summed.refusals,
        "decisions": summed.decisions,
        "repeated": summed.repeats,
        "fallbacks": _split(summed.fallbacks, "model", "reason"),
        "outcomes": summed.outcomes,
        "log": asdict(log),
        "verdicts": [],
        "changes": [],
    }
    if lane.decider is not None:
        document |= _standing(lane.decider, summed.breakers)
    return document


def _standing(decider: Decider, breakers: Mapping[str, str]) -> dict[str, Any]:
    """Return what a lane answers with, and how it came to that."""
    table, champion = decider.table, decider.champion
    changes = read_history(table.notices, table.endpoint)
    verdicts = read_history(table.notices, table.endpoint, "verdicts")
    running = {each.experiment for each in table.compared}
    shares = table.traffic.shares() if table.traffic is not None else {}
    notice = read_shadow(table.notices, table.endpoint)
    figures = {} if notice is None else {each.model: each for each in notice.figures}
    return {
        "generation": table.generation,
        "clock": table.clock,
        "champion": {
            "model": champion.ref,
            "runtime": champion.scorer.runtime,
            "since": _since(changes, champion.ref),
        },
        "compared": [
            {
                "model": each.model.ref,
                "experiment": each.experiment,
                "share": shares.get(each.model.ref, 0.0),
                "breaker": breakers.get(each.model.ref, "closed"),
                "shadow": asdict(figures[each.model.ref]) if each.model.ref in figures else None,
            }
            for each in table.compared
        ],
        "traffic": None
        if table.traffic is None
        else {"design": table.traffic.design, "unit": list(table.traffic.unit)},
        "verdicts": [each for each in verdicts if each.get("experiment") in running],
        "changes": changes,
    }


def read_history(folder: Path, endpoint: str, what: str = "changes") -> list[dict[str, Any]]:
    """Return what the serving host wrote down of an endpoint, the newest first.

    Args:
        folder: Where notices lie.
        endpoint: The endpoint.
        what: "changes" of its route, or "verdicts" on its challengers.
    """
    try:
        told = orjson.loads((folder / f"{endpoint}.history.json").read_bytes())[what]
    except (OSError, ValueError, KeyError, TypeError):  # the host has not written it yet
        return []
    return [each for each in told if isinstance(each, dict)] if isinstance(told, list) else []


def _since(changes: list[dict[str, Any]], champion: str) -> str | None:
    """Return when the champion began to answer without a break; None where it is not known."""
    since = None
    for change in changes:
        if change.get("champion") != champion:
            return since
        since = change.get("at")
    # only the newest changes are written down: it may have begun before them
    began_here = bool(changes) and changes[-1].get("generation") == 1
    return since if began_here else None


def _latency(summed: Snapshot) -> dict[str, dict[str, float]]:
    """Return quantiles of the durations of each path that was asked lately."""
    return {
        path: {
            "count": sum(counts),
            **{name: round(quantile(counts, q) * 1000, 3) for name, q in _QUANTILES.items()},
        }
        for path, counts in summed.took.items()
        if any(counts)
    }


def _split(counts: Mapping[str, int], first: str, second: str) -> list[dict[str, Any]]:
    """Return counts by two names that are joined by a blank, as rows."""
    rows = []
    for name, count in counts.items():
        a, _, b = name.rpartition(" ")
        rows.append({first: a, second: b, "count": count})
    return rows
