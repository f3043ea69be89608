"""This module thins verdicts that held, of which nothing but their number will be asked.

A verdict is kept whole where something hangs on it: it changed the route, a person acted or spoke
on it, it is the first or the last of its comparison, or nothing later knew as much. Of the other
ones that held, all of the last days are kept, and of every day before the last one. Of what is
thinned its line stays: number, moment, actor, action and the digest of its trace, so that whoever
has a copy can prove it, and so that no number is ever given twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from headrace.clock import current_clock
from headrace.content import canonical_json, document_digest
from headrace.errors import DataError
from headrace.settings import settings
from serving._endpoint_records import Judgement

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from serving.endpoints import Endpoints

THINNED = "headrace verdict thinned 1"
KEEP_DAYS = 30.0


@dataclass(frozen=True, kw_only=True)
class Line:
    """This is what decides whether a verdict is kept whole.

    Args:
        number: The verdict's number.
        experiment: Of which comparison.
        at: When it was said.
        action: What it said; "" where its trace has none.
        rule: Hash of the rule.
        as_of: Whose moment's knowledge it used, as ISO time; "" of guardrails alone.
        blocks: How many blocks it knew.
        digest: The sha256 of its trace.
        is_thinned: Whether its trace is gone already.
    """

    number: int
    experiment: str
    at: datetime
    action: str
    rule: str
    as_of: str
    blocks: int
    digest: str
    is_thinned: bool = False

    @classmethod
    def of(cls, judgement: Judgement) -> Line:
        """Return the line of a verdict, of any format."""
        trace = judgement.trace
        gathered = _mapping(trace.get("gathered"))
        evidence = _mapping(gathered.get("primary") if gathered else trace.get("evidence"))
        is_all = not gathered or gathered.get("scope") == "all"
        as_of = (gathered or evidence).get("as_of") if is_all else ""
        return cls(
            number=judgement.number,
            experiment=judgement.experiment,
            at=judgement.at,
            action=str(trace.get("action") or ""),
            rule=str(trace.get("rule_hash") or ""),
            as_of=str(as_of or ""),
            blocks=len(evidence.get("blocks") or ()),
            digest=document_digest(trace),
            is_thinned=trace.get("format") == THINNED,
        )


def thinnable(
    lines: Iterable[Line], *, before: datetime, used: frozenset[str], spoken: Iterable[datetime]
) -> list[tuple[Line, int]]:
    """Return the verdicts of one comparison that need not be kept whole; it is pure.

    Each comes with the number of one that is kept and knew at least as much.

    Args:
        lines: All of its verdicts, oldest first.
        before: Only what was said before this moment is thinned.
        used: Digests of the traces that changes of the route rest on.
        spoken: When people said something to the comparison: what they were shown is kept.
    """
    told = list(lines)
    if not told:
        return []
    kept = {told[0].number, told[-1].number}
    for moment in spoken:
        kept |= {line.number for line in [each for each in told if each.at <= moment][-1:]}
    of_day = {line.at.astimezone(UTC).date(): line.number for line in told}
    kept |= set(of_day.values())
    kept |= {line.number for line in told if line.digest in used or line.action != "hold"}
    kept |= {line.number for line in told if line.at >= before}
    found = []
    for at, line in enumerate(told):
        if line.number in kept or line.is_thinned:
            continue
        whole = (later for later in islice(told, at + 1, None) if later.number in kept)
        by = next((later.number for later in whole if _knows_more(later, line)), None)
        if by is not None:
            found.append((line, by))
    return found


def thin(
    endpoints: Endpoints, name: str, *, keep_days: float = KEEP_DAYS, dry_run: bool = False
) -> tuple[list[Line], int]:
    """Thin the verdicts of an endpoint; what is done is done again without harm.

    Args:
        endpoints: Where they are recorded.
        name: The endpoint.
        keep_days: Of how many of the last days all are kept, at least 1.
        dry_run: Whether only to say which it would be.

    Returns:
        The verdicts that were thinned, oldest first, and how many bytes their traces were.

    Raises:
        UnknownNameError: There is no such endpoint.
    """
    from sqlalchemy import select

    from serving._endpoint_tables import verdict

    now = current_clock().now()
    before = now - timedelta(days=keep_days)
    used = frozenset(
        document_digest(change.trace)
        for change in endpoints.history(name)
        if change.trace is not None
    )
    query = select(verdict.c.experiment).where(verdict.c.endpoint == name, verdict.c.at < before)
    with endpoints.database.reading() as connection:
        experiments = sorted(set(connection.scalars(query)))
    found: list[tuple[Line, int]] = []
    for experiment in experiments:
        spoken = [each.at for each in endpoints.consents(name, experiment)]
        with endpoints.database.reading() as connection:
            lines = [Line.of(each) for each in _oldest_first(connection, name, experiment)]
        found += thinnable(lines, before=before, used=used, spoken=spoken)
    found.sort(key=lambda each: each[0].number)
    size = 0
    for line, by in found:
        size += _size(endpoints, line)
        if not dry_run:
            _shorten(endpoints, line, by, now)
    return [line for line, _ in found], size


def require_whole(judgement: Judgement) -> Judgement:
    """Return a verdict whose trace is there.

    Raises:
        DataError: It was thinned.
    """
    trace = judgement.trace
    if trace.get("format") != THINNED:
        return judgement
    raise DataError(
        f"Verdict {judgement.number} at '{judgement.endpoint}', which said '{trace['action']}' on "
        f"{judgement.at:%Y-%m-%d %H:%M} UTC, was thinned on {trace['thinned_at'][:10]} by "
        f"{trace['thinned_by']}: it changed nothing, and verdict {trace['superseded_by']} knew "
        f"more. The sha256 of its trace was {trace['digest']}.",
        remedy=f"Replay verdict {trace['superseded_by']}, or a copy of the trace from a backup.",
    )


def _oldest_first(connection: Connection, name: str, experiment: str) -> Iterator[Judgement]:
    """Yield verdicts one by one: a year of them does not fit into memory."""
    from sqlalchemy import select

    from serving._endpoint_tables import verdict

    of = select(verdict).where(verdict.c.endpoint == name, verdict.c.experiment == experiment)
    for row in connection.execute(of.order_by(verdict.c.number)).yield_per(50):
        yield Judgement(**row._mapping)


def _size(endpoints: Endpoints, line: Line) -> int:
    """Return how many bytes the trace of a verdict is."""
    return len(canonical_json(endpoints.judgement(line.number).trace))


def _shorten(endpoints: Endpoints, line: Line, by: int, now: datetime) -> None:
    """Put what stays of a verdict in the place of its trace."""
    from sqlalchemy import update

    from serving._endpoint_tables import verdict

    trace: dict[str, Any] = {
        "format": THINNED,
        "action": line.action,
        "rule_hash": line.rule,
        "digest": line.digest,
        "superseded_by": by,
        "thinned_at": now.isoformat(),
        "thinned_by": settings().actor,
    }
    with endpoints.database.writing() as connection:
        connection.execute(
            update(verdict).where(verdict.c.number == line.number).values(trace=trace)
        )


def _knows_more(later: Line, line: Line) -> bool:
    """Return whether a later verdict by the same rule knew at least as many blocks."""
    if later.is_thinned or later.rule != line.rule or later.blocks < line.blocks:
        return False
    return not line.as_of or later.as_of >= line.as_of


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
