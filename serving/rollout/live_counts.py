"""This module sums what replicas counted for guardrails, through restarts of them and of the host.

A replica says how much it counted since it began. Beside the sums lies how much of each replica is
in them: only what it says beyond that is added, so that nothing counts twice, in whatever order
notices are read, lost or read again. The functions on counts are pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from serving.rule_guardrails import ErrorRate, Latency

if TYPE_CHECKING:
    from headrace.lineage.database import Database

Counts = dict[str, Any]
PARTS = ("answers", "shadow")

BEGINS_EVERY = 1000
"""After so many trials evidence has another beginning; see `serving.rollout.live_evidence`."""

_NEWEST_KEPT = 8


def grown(
    counts: Mapping[str, Any] | None,
    told: Mapping[str, Any],
    *,
    part: str,
    writer: str,
) -> Counts:
    """Return counts with what a replica says, less what of it is in them already.

    Args:
        counts: What was counted so far; None for nothing.
        told: What the replica counted since it began: trials, failures, calls, slow.
        part: "answers", or "shadow".
        writer: Name of the replica, which no other one ever has.
    """
    before: Mapping[str, Any] = counts or {}
    marks = dict(before.get("marks", {}))
    mark = marks.get(writer, {})
    marks[writer] = _merged(mark, told, max)
    news = _merged(told, mark, lambda now, known: max(0, now - known))
    sums = {name: before.get(name) or _NOTHING for name in PARTS}
    sums[part] = _merged(sums[part], news, lambda a, b: a + b)
    after: Counts = {**sums, "marks": marks, "begins": list(before.get("begins", ()))}
    return after | {"begins": _begun(after)}


def without_marks(counts: Mapping[str, Any], gone: Collection[str]) -> Counts:
    """Return counts that know nothing of replicas that will never say anything again."""
    marks = {name: mark for name, mark in counts["marks"].items() if name not in gone}
    return {**counts, "marks": marks}


def live_figures(guardrail: ErrorRate | Latency, live: Mapping[str, Any]) -> Counts:
    """Return the figures of a guardrail, as its check reads them; empty where nothing is known.

    Of latency a trial is a call, which may hold several answers: they share what it took.

    Args:
        guardrail: Which one.
        live: Counts of a guarded model.
    """
    if isinstance(guardrail, ErrorRate):
        trials, broken = _sum(live, "trials"), _sum(live, "failures")
        since = [
            [each["number"], trials - each["trials"], broken - each["failures"]]
            for each in live.get("begins", ())
        ]
        return {"trials": trials, "failures": broken} | ({"since": since} if since else {})
    limit = f"{guardrail.max_ms:g}"
    trials = _sum(live, "calls")
    counted = [live.get(part, {}) for part in PARTS]
    if any(each.get("calls") and limit not in each["slow"] for each in counted):
        return {}
    slow = sum(each.get("slow", {}).get(limit, 0) for each in counted)
    since = [
        [each["number"], trials - each["calls"], slow - each["slow"].get(limit, 0)]
        for each in live.get("begins", ())
    ]
    figures = {"trials": trials, "slow": slow}
    figures |= {"max_ms": guardrail.max_ms, "quantile": guardrail.quantile}
    return figures | ({"since": since} if since else {})


def counts_of(database: Database, endpoint: str, experiment: str, model: str) -> Counts | None:
    """Return what was counted of a guarded model; None where nothing was.

    Args:
        database: Where it is kept.
        endpoint: The endpoint.
        experiment: The comparison, or the champion's reign.
        model: The model, as "name/3".

    Returns:
        answers and shadow, each with trials, failures, calls and slow (limit in ms: calls);
        begins: the sums at later beginnings of the evidence.
    """
    found = stored_counts(database, endpoint, experiment, model)
    return None if found is None else {k: v for k, v in found.items() if k != "marks"}


def stored_counts(database: Database, endpoint: str, experiment: str, model: str) -> Counts | None:
    """Return the counts of a guarded model with replicas' marks; None where there are none.

    Args:
        database: Where they are kept.
        endpoint: The endpoint.
        experiment: The comparison, or the champion's reign.
        model: The model, as "name/3".
    """
    from sqlalchemy import select

    from serving._endpoint_tables import guard

    query = select(guard.c.counts).where(
        guard.c.endpoint == endpoint, guard.c.experiment == experiment, guard.c.model == model
    )
    with database.reading() as connection:
        found: Counts | None = connection.execute(query).scalar_one_or_none()
    return found


def store_counts(
    database: Database, endpoint: str, rows: Sequence[tuple[str, str, Mapping[str, Any]]]
) -> None:
    """Replace the counts of guarded models of an endpoint, all in one transaction.

    Args:
        database: Where they are kept.
        endpoint: The endpoint.
        rows: Experiment, model and counts of each.

    Raises:
        HeadraceError: They cannot be written; those of before stay.
    """
    from sqlalchemy import delete, insert

    from headrace.clock import current_clock
    from serving._endpoint_tables import guard

    at = current_clock().now()
    with database.writing() as connection:
        for experiment, model, counts in rows:
            key = {"endpoint": endpoint, "experiment": experiment, "model": model}
            same = [guard.c[name] == value for name, value in key.items()]
            connection.execute(delete(guard).where(*same))
            connection.execute(insert(guard).values(**key, counts=dict(counts), at=at))


_NOTHING: Mapping[str, Any] = {"trials": 0, "failures": 0, "calls": 0, "slow": {}}


def _merged(one: Mapping[str, Any], other: Mapping[str, Any], how: Any) -> Counts:
    """Return two counts put together, number by number; what one lacks is 0."""
    a, b = one.get("slow", {}), other.get("slow", {})
    return {
        **{name: how(one.get(name, 0), other.get(name, 0)) for name in ("trials", "failures")},
        "calls": how(one.get("calls", 0), other.get("calls", 0)),
        "slow": {name: how(a.get(name, 0), b.get(name, 0)) for name in sorted({*a, *b})},
    }


def _sum(counts: Mapping[str, Any], name: str) -> int:
    return sum(counts.get(part, {}).get(name, 0) for part in PARTS)


def _begun(counts: Counts) -> list[Counts]:
    """Return the later beginnings, with another one where there were trials enough since."""
    begins: list[Counts] = counts["begins"]
    last = begins[-1]["trials"] if begins else 0
    if _sum(counts, "trials") < last + BEGINS_EVERY:
        return begins
    slow = _merged(counts["answers"], counts["shadow"], lambda a, b: a + b)
    number = begins[-1]["number"] + 1 if begins else 1
    return _thinned([*begins, {"number": number, **slow}])


def _thinned(begins: list[Counts]) -> list[Counts]:
    """Return the newest beginnings, and of the older ones the fewer the older they are."""
    newest = begins[-1]["number"]
    kept, last = [], 0
    for each in begins:
        age = newest - each["number"]
        step = 1 << max(0, age.bit_length() - 3)
        if age < _NEWEST_KEPT or each["number"] - last >= step:
            kept.append(each)
            last = each["number"]
    return kept
