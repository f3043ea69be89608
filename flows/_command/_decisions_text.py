"""This module says in words and JSON what a decision log holds and what is damaged in it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from flows._command import _screen

if TYPE_CHECKING:
    from headrace.decisions import Retained
    from headrace.decisions.repairing import Damage
    from headrace.decisions.summary import LogSummary

_PATIENCE_SECONDS = 2.0
_MOST_IDS = 20


class Patience:
    """This says what is going on, every two seconds, while a block takes its time.

    Args:
        shown: Where to.
        what: What is going on.
    """

    def __init__(self, shown: _screen.Activity, what: str) -> None:
        self._shown, self._what = shown, what
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._tell, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()

    def _tell(self) -> None:
        seconds = 0.0
        while not self._done.wait(_PATIENCE_SECONDS):
            seconds += _PATIENCE_SECONDS
            self._shown.doing(f"{self._what}: {seconds:.0f} s")


def moment(given: str | None, option: str) -> datetime | None:
    """Return the moment that a text names, in UTC where it names no zone.

    Raises:
        ParameterError: It names none.
    """
    from headrace.errors import ParameterError

    if given is None:
        return None
    try:
        found = datetime.fromisoformat(given)
    except ValueError:
        raise ParameterError(
            f"'{given}' is no moment for {option}.",
            remedy="Give a day or a moment, such as 2026-01-31 or 2026-01-31T18:00+01:00.",
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def size(count: int) -> str:
    """Return a number of bytes for people."""
    value = float(count)
    for unit in ("bytes", "KB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{value:,.0f} {unit}" if unit == "bytes" else f"{value:,.1f} {unit}"


def summary(name: str, log: LogSummary) -> dict[str, Any]:
    """Return what a log holds as JSON-like data."""
    said = {key: value for key, value in vars(log).items() if key not in ("first", "last")}
    return {"endpoint": name, **said, "oldest": _iso(log.first), "newest": _iso(log.last)}


def dropping(drops: Retained) -> dict[str, Any]:
    """Return what would be dropped as JSON-like data."""
    return {**vars(drops), "limit": _iso(drops.limit)}


def damage(found: Damage) -> dict[str, Any]:
    """Return a damage as JSON-like data."""
    lost = [{"kind": kind, "id": name} for kind, name in found.lost]
    return {**vars(found), "lost": lost, "aside": found.aside and str(found.aside)}


def write_list(found: Mapping[str, LogSummary]) -> None:
    """Write a line for each log."""
    heads = ["endpoint", "decisions", "shadows", "outcomes", "size", "oldest (UTC)", "newest (UTC)"]
    rows = [
        [
            name,
            f"{log.decisions:,}",
            f"{log.shadows:,}",
            f"{log.outcomes:,}",
            size(log.segment_bytes + log.file_bytes + log.retired_bytes),
            _shown(log.first),
            _shown(log.last),
        ]
        for name, log in found.items()
    ]
    _screen.write_table(heads, rows)


def write_log(
    name: str, log: LogSummary, kept: Mapping[str, Any] | None, drops: Retained | None
) -> None:
    """Write what a log holds and how long it is kept."""
    _screen.write(
        f"'{name}' has logged {log.decisions:,} decisions, {log.shadows:,} shadow scores and "
        f"{log.outcomes:,} outcomes, from {_shown(log.first)} to {_shown(log.last)} UTC."
    )
    _screen.write(
        f"  Segments: {log.segments:,} of {size(log.segment_bytes)}, {log.unsealed:,} of them open."
    )
    waiting = f"; {size(log.retired_bytes)} are removed soon" if log.retired_bytes else ""
    _screen.write(f"  Parquet:  {log.files:,} files of {size(log.file_bytes)}{waiting}.")
    if kept is None or drops is None:
        _screen.write("  Nothing is ever dropped: the endpoint has no retention.")
        return
    least = f", at least the newest {kept['at_least_decisions']:,}"
    _screen.write(
        f"  Kept for {kept['keep_days']:g} days{least if kept['at_least_decisions'] else ''}; what "
        f"was logged since {_shown(drops.limit)} UTC stays."
    )
    _screen.write(
        f"  Would be dropped now: {drops.decisions:,} decisions, {drops.shadows:,} shadow scores, "
        f"{drops.outcomes:,} outcomes ({size(drops.bytes)})."
    )
    if drops.spared:
        _screen.write(
            f"  Older, and kept for a running experiment or to keep enough: {drops.spared:,}."
        )


def write_damages(name: str, damages: Sequence[Damage], *, dry_run: bool) -> None:
    """Write what is damaged, what is lost by that, and where it was put."""
    if not damages:
        _screen.write(f"The log of '{name}' is not damaged.")
        return
    for each in damages:
        what = "were cut off" if each.is_cut else "are damaged"
        _screen.write(
            f"{each.segment}: bytes {each.start:,} to {each.end:,} {what}; {_lost(each)}."
        )
        if each.aside:
            _screen.write(f"  Set aside: {each.aside}")
    if dry_run:
        _screen.write(f"Nothing was changed. `headrace decisions repair {name}` sets it aside.")
    else:
        _screen.write(f"The log of '{name}' opens again; what is lost stays lost.")


def _lost(each: Damage) -> str:
    if not each.lost:
        return "what they held cannot be read"
    kinds = Counter(kind or "record" for kind, _ in each.lost)
    counts = ", ".join(f"{many:,} {kind}" for kind, many in kinds.items())
    ids = ", ".join(name for _, name in each.lost[:_MOST_IDS])
    more = f" and {len(each.lost) - _MOST_IDS:,} more" if len(each.lost) > _MOST_IDS else ""
    return f"lost: {counts} ({ids}{more})"


def _iso(us: int | None) -> str | None:
    from headrace.clock import from_us

    return None if us is None else from_us(us).isoformat()


def _shown(us: int | None) -> str:
    from headrace.clock import from_us

    return "-" if us is None else f"{from_us(us):%Y-%m-%d %H:%M}"
