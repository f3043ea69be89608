"""This module feeds a view with rows of its source as they come: a stream, defined only once.

`push` keeps the rows and computes, with the view's own `compute`, what is now known of the entities
they are about, for the online store. `stream_source` gives the rows back as a source: computed from
it, the view has at each moment the values that were online then. A row counts from when it came in,
since nobody here could have used it before.

What leaves a window changes a feature though nothing comes in. `advance` brings that online: call
it on a schedule. Until it has run, `features/stream_reader.py` gives what is overdue as expired.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from features._files import locked
from features._online_tables import LIVE
from features._published import number_of
from features._stream_log import StreamLog, stream_file
from features._stream_rows import as_source, batch_digest, given_rows, require_stream
from features._stream_state import judged, state_after, state_now
from features._view_rules import require_name
from features.online import OnlineStore, online_file
from features.view import FeatureView
from headrace.clock import as_us, current_clock, from_us
from headrace.errors import ParameterError, StoreError

if TYPE_CHECKING:
    import pyarrow as pa

    from features._stream_rows import Rows

__all__ = ["Advanced", "PushedRows", "advance", "catch_up", "push", "stream_source"]
_TOGETHER = 1000  # entities brought online at a time


@dataclass(frozen=True, kw_only=True)
class PushedRows:
    """This is what became of rows that were pushed.

    Args:
        rows: How many were given.
        new: How many of them the log had not.
        outdated: How many of the new ones a later word on the same had made needless.
        entities: How many entities they changed.
        written: How many rows the online store took.
    """

    rows: int
    new: int
    outdated: int
    entities: int
    written: int

    @property
    def repeated(self) -> int:
        """How many were in the log already."""
        return self.rows - self.new


@dataclass(frozen=True, kw_only=True)
class Advanced:
    """This is what bringing a view up to a moment did.

    Args:
        until: The moment.
        entities: How many entities had something due, or a push not finished.
        written: How many rows the online store took.
    """

    until: datetime
    entities: int
    written: int


def push(
    view: FeatureView, rows: Rows, *, batch: str | None = None, space: str = LIVE
) -> PushedRows:
    """Keep rows of a view's source, and bring what they change online; all of them or none.

    The same batch again changes nothing, nor does a row that the log has: one that says the same
    under the same id (`row_id` of `Windows`), or for a function about the same entity and event.

    Args:
        view: A view with `stream=True`.
        rows: Rows of its source: a table, a frame or dicts.
        batch: Id of the batch, for whom a batch may say what another did; None takes the content.
        space: The online space: "headrace" for live decisions.

    Raises:
        DefinitionError: The view takes no pushed rows.
        BoundaryError: The rows do not fit the source.
        DataError: A key, a time or an id is null, or a feature cannot be stored.
        LeakageError: A row is known before it happened, or not known yet.
        StoreError: The log or the online store cannot be written.
    """
    require_stream(view)
    now_us = current_clock().now_us()
    table = as_source(view, rows, now_us=now_us)
    given = given_rows(view, table)
    if batch is None:
        batch = batch_digest(given)
    nothing = PushedRows(rows=len(given), new=0, outdated=0, entities=0, written=0)
    with _open(view, space) as (log, store):
        now_us = max(now_us, current_clock().now_us())  # others may have pushed meanwhile
        _require_forward(log, view, now_us)
        _bring(view, log, store, now_us, due=False)
        if not given or log.has_batch(batch):
            return nothing
        arriving = judged(log, table, given)
        state, keys = state_after(view, log, arriving, now_us=now_us)
        log.append(arriving.rows, table, batch=batch, received_us=now_us, due=state.due)
        written = store.push_rows(view, state.rows).written if state.rows else 0
        log.settle(state.due)
    return PushedRows(
        rows=len(given),
        new=len(arriving.rows),
        outdated=sum(outdated for _, outdated in arriving.rows),
        entities=len(keys),
        written=written,
    )


def advance(view: FeatureView, *, until: datetime | None = None, space: str = LIVE) -> Advanced:
    """Bring online what changed because time passed, and pushes that were not finished.

    Args:
        view: A view with `stream=True`.
        until: Up to when; None for now.
        space: The online space.

    Raises:
        DefinitionError: The view takes no pushed rows.
        ParameterError: `until` has no zone or lies in the future.
        StoreError: The log or the online store cannot be written.
    """
    require_stream(view)
    moment = current_clock().now() if until is None else until
    if moment.tzinfo is None or moment > current_clock().now():
        wrong = "a time without a zone" if moment.tzinfo is None else "in the future"
        raise ParameterError(
            f"The argument 'until' is {moment.isoformat()}, {wrong}.",
            remedy="Leave it out to advance to the present.",
        )
    with _open(view, space) as (log, store):
        entities, written = _bring(view, log, store, as_us(moment), due=True)
    return Advanced(until=moment, entities=entities, written=written)


def catch_up(view: FeatureView, *, everything: bool = False, space: str = LIVE) -> Advanced:
    """Finish pushes whose process ended between keeping the rows and writing them online.

    Args:
        view: A view with `stream=True`.
        everything: Whether to bring every entity online anew, as after the store was lost.
        space: The online space.

    Raises:
        DefinitionError: The view takes no pushed rows.
        StoreError: The log or the online store cannot be written.
    """
    require_stream(view)
    moment = current_clock().now()
    with _open(view, space) as (log, store):
        if everything:
            log.require_online(number_of(view), again=True)
        entities, written = _bring(view, log, store, as_us(moment), due=False)
    return Advanced(until=moment, entities=entities, written=written)


def stream_source(
    view: FeatureView,
    *,
    history: pa.Table | None = None,
    as_received: bool = True,
    space: str = LIVE,
) -> pa.Table:
    """Return all rows that were pushed to a view, as its source.

    Args:
        view: A view with `stream=True`.
        history: Rows from before the stream, which come first. Where ids say which rows are the
            same, they may overlap.
        as_received: Whether a row is known from when it came in, so that the view's rows are what
            was online; else from when it says, as if it had come at once.
        space: The online space that they were pushed for.

    Raises:
        DefinitionError: The view takes no pushed rows.
        BoundaryError: `history` does not fit the source.
    """
    import pyarrow as pa

    from headrace.conform import conform

    require_stream(view)
    file = stream_file(online_file().parent, view.name, space)
    if file.exists():
        with StreamLog(file, view) as log:
            rows = log.all_rows(as_received=as_received)
    else:
        rows = conform(
            pa.table({name: pa.nulls(0) for name in view.source_schema.names}),
            view.source_schema,
            where="Nothing",
        )
    if history is None:
        return rows
    where = f"The history of view '{view.name}'"
    return pa.concat_tables([conform(history, view.source_schema, where=where), rows])


@contextmanager
def _open(view: FeatureView, space: str) -> Iterator[tuple[StreamLog, OnlineStore]]:
    """Open log and store of a view, one process and thread at a time."""
    require_name("Online space", space)
    path = online_file()
    file = stream_file(path.parent, view.name, space)
    with (
        locked(file.parent, file.stem),
        StreamLog(file, view) as log,
        OnlineStore(path, space) as store,
    ):
        log.require_online(number_of(view))
        yield log, store


def _bring(
    view: FeatureView, log: StreamLog, store: OnlineStore, now_us: int, *, due: bool
) -> tuple[int, int]:
    """Bring entities online that wait for it, and with `due` those whose time has come."""
    entities = written = 0
    while keys := log.waiting(due_us=now_us if due else None, limit=_TOGETHER):
        state = state_now(view, log, keys, now_us=now_us)
        if state.rows:
            written += store.push_rows(view, state.rows).written
        log.settle(state.due)
        entities += len(keys)
    return entities, written


def _require_forward(log: StreamLog, view: FeatureView, now_us: int) -> None:
    last = log.last_received()
    if last is not None and last > now_us:
        raise StoreError(
            f"The clock stands at {from_us(now_us).isoformat()}, before the last push to view "
            f"'{view.name}' at {from_us(last).isoformat()}.",
            remedy="Set the clock right and push again; nothing of this was kept.",
        )
