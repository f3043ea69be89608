"""This module says which runs' artifacts are kept, and works out from lineage what they reach."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from headrace.errors import ParameterError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from headrace.lineage import Lineage

KEEP_TAG = "keep"
_OPEN = ("running", "paused")
_AGE = re.compile(r"(\d{1,5})([dhw])")
_LAST = re.compile(r"last=(\d{1,6})")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


@dataclass(frozen=True, kw_only=True)
class Keep:
    """This says which runs that have ended keep what they read and made.

    Args:
        newer_than: Runs that ended less than this ago; zero keeps none for its age.
        last: So many of the newest completed runs of each flow; zero keeps none for that.
    """

    newer_than: timedelta = timedelta(0)
    last: int = 0

    @classmethod
    def parse(cls, rules: Sequence[str]) -> Keep:
        """Return what words such as `30d` and `last=5` say together; without words, just these.

        Raises:
            ParameterError: A word is neither.
        """
        keep = cls()
        for rule in rules or ("30d", "last=5"):
            if age := _AGE.fullmatch(rule):
                newer_than = int(age[1]) * _UNITS[age[2]]
                keep = cls(newer_than=max(keep.newer_than, newer_than), last=keep.last)
            elif last := _LAST.fullmatch(rule):
                keep = cls(newer_than=keep.newer_than, last=max(keep.last, int(last[1])))
            else:
                raise ParameterError(
                    f"'{rule}' does not say which runs to keep.",
                    remedy="give an age, such as 30d, 12h or 8w, or how many of each flow, such as "
                    "last=5; given together they add up.",
                )
        return keep


@dataclass(frozen=True, kw_only=True)
class Reach:
    """This is what is kept.

    Args:
        digests: The artifacts that something kept has read, made or come from.
        recorded: Every artifact that lineage knows.
        runs: Reason to the number of runs that are kept for it; a run may have several.
    """

    digests: frozenset[str]
    recorded: frozenset[str]
    runs: Mapping[str, int]


def reach(lineage: Lineage, keep: Keep, *, now: datetime, roots: Collection[str]) -> Reach:
    """Return what is reached by the runs that are kept, and by all that led to the roots.

    Args:
        lineage: Where the records lie.
        keep: Which runs that have ended are kept; those that run or wait, and those tagged `keep`,
            are kept in any case.
        now: The moment that ages are counted back from, aware.
        roots: Digests or ids of invocations that are kept with everything that led to them.
    """
    from sqlalchemy import select

    from headrace.lineage import tables
    from headrace.lineage.closure import ancestors

    with lineage.database.reading() as connection:
        reasons = _kept_runs(connection, keep, now)
        runs = set().union(*reasons.values())
        digests = _touched(connection, sorted(runs)) | ancestors(connection, roots)
        recorded = frozenset(connection.scalars(select(tables.artifact.c.digest)))
    return Reach(
        digests=frozenset(digests),
        recorded=recorded,
        runs={reason: len(kept) for reason, kept in reasons.items()},
    )


def _kept_runs(connection: Connection, keep: Keep, now: datetime) -> dict[str, set[str]]:
    from sqlalchemy import select

    from headrace.lineage.tables import run, run_tag

    kept: dict[str, set[str]] = {"running or paused": set(), "recent": set(), "newest": set()}
    newest: dict[str, int] = defaultdict(int)
    columns = (run.c.id, run.c.flow, run.c.state, run.c.started_at, run.c.ended_at)
    query = select(*columns).order_by(run.c.started_at.desc(), run.c.id.desc())
    for name, flow, state, started_at, ended_at in connection.execute(query):
        if state in _OPEN:
            kept["running or paused"].add(name)
        if keep.newer_than and now - (ended_at or started_at) < keep.newer_than:
            kept["recent"].add(name)
        if state == "completed" and newest[flow] < keep.last:
            newest[flow] += 1
            kept["newest"].add(name)
    tagged = select(run_tag.c.run_id).where(run_tag.c.name == KEEP_TAG)
    return kept | {"tagged": set(connection.scalars(tagged))}


def _touched(connection: Connection, runs: Sequence[str]) -> set[str]:
    """Return the artifacts that runs read, made or passed on, and those they ask about."""
    from sqlalchemy import select

    from headrace.lineage.closure import chunks
    from headrace.lineage.tables import approval, edge, invocation

    found: set[str] = set()
    for chunk in chunks(runs):
        read = select(edge.c.earlier).join_from(edge, invocation, edge.c.later == invocation.c.id)
        made = select(edge.c.later).join_from(edge, invocation, edge.c.earlier == invocation.c.id)
        asked = select(approval.c.about).where(approval.c.run_id.in_(chunk))
        here = invocation.c.run_id.in_(chunk)
        found.update(connection.scalars(read.where(here, edge.c.sort == "input").distinct()))
        passed = made.where(here, edge.c.sort.in_(("output", "repeat")))
        found.update(connection.scalars(passed.distinct()))
        found.update(_values(connection.scalars(asked)))
    return found


def _values(documents: Iterable[Mapping[str, str]]) -> Iterable[str]:
    for document in documents:
        yield from document.values()
