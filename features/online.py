"""This module writes the online store: Feast's SQLite table, where a newer event is never lost.

Feast's own writer takes whatever comes last. This one takes for each entity the newest event, of
equal events the one known last, so that what is read is what the point-in-time join gives; it
writes all features of a row or none, many rows in one transaction, and refuses what is not known
yet. `features/online_reader.py` reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from features import _online_catalogue as catalogue
from features import _online_tables as tables
from features._online_encoded import Encoded, Row, RowEncoder, newest
from features._online_file import OnlineFile
from features._online_rows import conformed, latest_as_known, plain_rows
from features._online_times import instant_of
from features._published import number_of
from features._view_rules import require_name
from features.view import FeatureView
from headrace.clock import current_clock
from headrace.errors import DefinitionError, ParameterError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["OnlineStore", "Pushed", "Row", "online_file", "plain_rows"]


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """This is what became of the rows that were pushed to a view.

    Args:
        rows: How many were given.
        written: How many of them the store now has and had not before.
        older: How many an entity's newer event, or a later word on it, made needless.
    """

    rows: int
    written: int
    older: int

    @property
    def same(self) -> int:
        """How many the store had already."""
        return self.rows - self.written - self.older


def online_file() -> Path:
    """Return the file of this installation's online store."""
    from headrace.settings import settings

    return settings().home / "features" / "online.db"


class OnlineStore:
    """This writes one space of the online store; threads take turns.

    A crash of the process loses nothing that was pushed; a power failure may lose the last pushes,
    which `materialize` brings back. Rows go to the version that a view has now; beside an earlier
    version that is online, a new one is read only once it is materialized.

    Args:
        path: The file; it is made when it does not exist.
        space: Whose features these are: "headrace" for live decisions, another name, in lower-case
            letters, digits and underscores, for a replay.
        wait_seconds: How long to wait for another writer.

    Raises:
        DefinitionError: The space has a name that cannot be one.
        StoreError: The file cannot be opened.
        DamagedArtifactError: It is no online store, or is damaged.
    """

    def __init__(self, path: Path, space: str, *, wait_seconds: float = 5.0) -> None:
        require_name("Online space", space)
        self._space = space
        self._views: dict[str, _ReadyView] = {}
        self._file = OnlineFile(path, wait_seconds=wait_seconds)

    def push(self, view: FeatureView, rows: pa.Table) -> Pushed:
        """Write rows of a view in one transaction; none of an older event replaces a newer one.

        Args:
            view: The view.
            rows: Its rows, in any order; `expires_at` may be missing.

        Raises:
            BoundaryError: The rows do not fit the view, or a key is null.
            LeakageError: A row is known before it happened, or not known yet.
            DataError: A value cannot be stored.
            StoreError: The file cannot be written; nothing of the push is.
        """
        return self.push_rows(view, plain_rows(view, rows))

    def push_rows(self, view: FeatureView, rows: Sequence[Row]) -> Pushed:
        """Write plain rows of a view; see `push`. The fast way for a few rows at a time.

        Args:
            view: The view.
            rows: Each with the view's keys, event time, known time and features, in the order that
                the view declares; instants as whole microseconds since 1970 UTC, dates as
                `datetime.date`. `plain_rows` makes them.
        """
        return self._write([(view, rows)], again=False)[0]

    def push_many(
        self, views_and_rows: Sequence[tuple[FeatureView, pa.Table | Sequence[Row]]]
    ) -> list[Pushed]:
        """Write rows of several views in one transaction, which readers see whole or not at all.

        Args:
            views_and_rows: Views with their rows, as a table or plain.
        """
        plain = [(view, _plain(view, rows)) for view, rows in views_and_rows]
        return self._write(plain, again=False)

    def begin_again(
        self, views_and_rows: Sequence[tuple[FeatureView, pa.Table]], as_of: datetime
    ) -> list[Pushed]:
        """Replace all that the space holds by what was known at a moment, in one transaction.

        Args:
            views_and_rows: Views with all their rows; those not known at `as_of` are left out.
            as_of: The moment, aware.

        Raises:
            DefinitionError: The space is the live one.
            ParameterError: `as_of` has no zone.
        """
        if self._space == tables.LIVE:
            raise DefinitionError(
                f"The online space '{tables.LIVE}' is the live one and does not begin again.",
                remedy="Replay into a space of its own; `materialize` brings the live one up to "
                "date.",
            )
        if as_of.tzinfo is None:
            raise ParameterError(
                f"The argument 'as_of' is {as_of.isoformat()}, a time without a zone.",
                remedy="Say the zone, for example with tzinfo=UTC.",
            )
        plain = []
        for view, rows in views_and_rows:
            latest = latest_as_known(view, conformed(view, rows), as_of)
            plain.append((view, plain_rows(view, latest)))
        return self._write(plain, again=True)

    def clear(self) -> None:
        """Remove all rows of this space, of every view and version."""
        with self._file.transaction():
            self._empty()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> OnlineStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _write(
        self, views_and_rows: Sequence[tuple[FeatureView, Sequence[Row]]], *, again: bool
    ) -> list[Pushed]:
        now_us = instant_of(current_clock().now())
        with self._file.lock:
            work = []
            for view, rows in views_and_rows:
                ready = self._ready(view)
                encode = ready.encoder.encode
                work.append((ready, [encode(row, now_us=now_us) for row in rows]))
            with self._file.transaction():
                if again:
                    self._empty()
                for ready, _ in work:
                    self._claim(ready, whole=True if again else None)
                pushed = [self._push(ready, rows) for ready, rows in work]
            for ready, _ in work:
                ready.claimed = True
            return pushed

    def _push(self, ready: _ReadyView, rows: Sequence[Encoded]) -> Pushed:
        execute = self._file.execute
        written = same = 0
        for row in newest(rows) if len(rows) > 1 else rows:
            fact = (row.event_us, row.known_us, row.digest)
            if execute(ready.upsert_fact, (row.key, *fact)).rowcount == 1:
                execute(ready.upsert_values, (row.key, *row.cells))
                written += 1
            elif execute(ready.select_fact, (row.key,)).fetchone() == fact:
                same += 1
        return Pushed(rows=len(rows), written=written, older=len(rows) - written - same)

    def _ready(self, view: FeatureView) -> _ReadyView:
        ready = self._views.get(view.name)
        if ready is None or ready.view is not view:
            ready = self._views[view.name] = _ReadyView(self._space, view)
        return ready

    def _claim(self, ready: _ReadyView, *, whole: bool | None) -> None:
        """Make the view's tables unless they are there; another process may have removed them."""
        execute = self._file.execute
        if not ready.claimed or tables.state_of(execute, ready.table) is None:
            catalogue.claim(execute, self._space, ready.view.name, ready.number, whole=whole)

    def _empty(self) -> None:
        execute = self._file.execute
        catalogue.prepare(execute)
        for (table,) in execute(tables.OWNED, (self._space,)).fetchall():
            if execute(tables.IS_THERE, (table,)).fetchone()[0]:  # Feast may have dropped it
                for statement in tables.delete_all(table):
                    execute(statement)
            catalogue.forget(execute, table)


class _ReadyView:
    """This is a view made ready to be written: its encoder and its statements."""

    def __init__(self, space: str, view: FeatureView) -> None:
        self.view = view
        self.claimed = False  # whether its tables were made sure of
        self.number = number_of(view)
        self.table = tables.table_name(space, view.name, self.number)
        self.encoder = RowEncoder(view)
        self.upsert_fact = tables.upsert_fact(self.table)
        self.select_fact = tables.select_fact(self.table)
        self.upsert_values = tables.upsert_values(self.table, [c.name for c in view.columns])


def _plain(view: FeatureView, rows: pa.Table | Sequence[Row]) -> Sequence[Row]:
    return rows if isinstance(rows, list | tuple) else plain_rows(view, rows)
