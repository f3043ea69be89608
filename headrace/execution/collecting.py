"""This module collects garbage: it removes from the store what nothing that is kept reaches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from headrace.clock import current_clock
from headrace.execution.abandoned import close_abandoned
from headrace.execution.keeping import Keep, Reach, reach
from headrace.store import garbage
from headrace.store.garbage import Piece
from headrace.store.occupancy import StoreInUseError, alone

if TYPE_CHECKING:
    from headrace.lineage import Lineage
    from headrace.store import LocalStore

# What lineage does not know may have been put by hand a moment ago, and is given a day.
_UNRECORDED = timedelta(days=1)
# Nobody who takes part in a run writes while we are alone; others get an hour.
_ABANDONED = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Share:
    """This is how much there is of one sort: pieces, bytes, and the oldest and newest of them."""

    count: int
    bytes: int
    oldest: datetime
    newest: datetime


@dataclass(frozen=True, kw_only=True)
class Collected:
    """This says what was collected, or would be.

    Args:
        dry_run: Whether it was only worked out.
        removed: Sort to what went.
        kept: Sort to what stayed.
        runs: Reason to the number of runs that are kept for it.
        digests: The artifacts that went.
    """

    dry_run: bool
    removed: Mapping[str, Share]
    kept: Mapping[str, Share]
    runs: Mapping[str, int]
    digests: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return this as JSON-like data."""
        shares = {
            part: {sort: vars(share) for sort, share in found.items()}
            for part, found in (("removed", self.removed), ("kept", self.kept))
        }
        return {"dry_run": self.dry_run, **shares, "kept_runs": dict(self.runs)} | {
            "digests": list(self.digests)
        }


def collect(
    store: LocalStore,
    lineage: Lineage,
    *,
    keep: Keep,
    roots: Callable[[], Collection[str]] = tuple,
    dry_run: bool = False,
) -> Collected:
    """Remove artifacts that nothing kept reaches, and what killed writers have left behind.

    Records stay: lineage explains what was removed as it did before, and a flow that needs it makes
    it again.

    Args:
        store: Where the artifacts lie.
        lineage: Where the records lie.
        keep: Which runs that have ended keep their artifacts.
        roots: Returns the digests or ids of invocations that are kept with everything that led to
            them; asked when nobody can add to them any more.
        dry_run: Whether to remove nothing and only say what would go; flows may run meanwhile.

    Raises:
        StoreInUseError: Flows run; nothing was removed.
        StoreError: The directory does not let us remove something.
    """
    close_abandoned(lineage)
    try:
        with nullcontext() if dry_run else alone(store.root):
            if not dry_run and lineage.running():
                raise _in_use(store, lineage)
            now = current_clock().now()
            reached = reach(lineage, keep, now=now, roots=roots())
            going, staying = _parted(store, reached, keep, now)
            if not dry_run:
                garbage.remove(store.root, going)
    except StoreInUseError:
        raise _in_use(store, lineage) from None
    return Collected(
        dry_run=dry_run,
        removed=shares(going),
        kept=shares(staying),
        runs=reached.runs,
        digests=tuple(p.name for p in going if p.sort not in ("abandoned", "set aside")),
    )


def shares(pieces: Iterable[Piece]) -> dict[str, Share]:
    """Return how much there is of each sort, the largest first."""
    sorts: defaultdict[str, list[Piece]] = defaultdict(list)
    for piece in pieces:
        sorts[piece.sort].append(piece)
    found = {
        sort: Share(
            count=len(members),
            bytes=sum(piece.bytes for piece in members),
            oldest=min(piece.since for piece in members),
            newest=max(piece.since for piece in members),
        )
        for sort, members in sorts.items()
    }
    return dict(sorted(found.items(), key=lambda item: -item[1].bytes))


def _parted(
    store: LocalStore, reached: Reach, keep: Keep, now: datetime
) -> tuple[list[Piece], list[Piece]]:
    going: list[Piece] = []
    staying: list[Piece] = []
    for piece in garbage.objects(store.root):
        known = piece.name in reached.recorded
        stays = piece.name in reached.digests or not (known or now - piece.since > _UNRECORDED)
        (staying if stays else going).append(piece)
    for piece in garbage.leftovers(store.root):
        grace = _ABANDONED if piece.sort == "abandoned" else keep.newer_than
        (staying if now - piece.since < grace else going).append(piece)
    return going, staying


def _in_use(store: LocalStore, lineage: Lineage) -> StoreInUseError:
    runs = lineage.running()
    shown = ", ".join(f"run:{run.id[:12]} ({run.flow})" for run in runs[:5])
    more = f" and {len(runs) - 5} more" if len(runs) > 5 else ""
    who = f" by {shown}{more}" if runs else ""
    return StoreInUseError(
        f"The store at '{store.root}' is in use{who}; nothing was removed.",
        remedy="wait until it has ended, then collect again; --dry-run works meanwhile.",
    )
