"""This module brings a version of a view up to date online: in batches, and on from where it was.

Rows known since the last time are enough where the rows known by then are still the same; else all
are written, and those that the store has already cost a look. Every batch is a transaction that
also says how far it got. With the last one the version becomes whole.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from features import _online_catalogue as catalogue
from features import _online_tables as tables
from features._online_batch import EVENT, UNTIL, Batch, BatchEncoder, key_name
from features._online_bulk import BulkTable
from features._online_catalogue import Filled, Work
from features._online_file import OnlineFile
from features._online_layout import Layout
from features._online_source import NOTHING, Counted, RowSource, Window
from headrace.errors import DamagedArtifactError, StoreError

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 10_000  # entities in a transaction
_READ = 20_000  # rows at a time
_STEPS = 20  # how often it is said how far it is
_END = (1 << 63) - 1  # of time
Say = Callable[[str], None]
Until = list[tuple[bytes, int | None]]  # entity key and the moment, None where it holds on


@dataclass(frozen=True, kw_only=True)
class Target:
    """This is what is brought up to date.

    Args:
        layout: How the view's rows are laid out.
        number: Number of its version.
        space: The online space.
        path: The file of the online store.
    """

    layout: Layout
    number: int
    space: str
    path: Path

    @property
    def table(self) -> str:
        """The table with the values."""
        return tables.table_name(self.space, self.layout.name, self.number)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """This is what a materialization did.

    Args:
        since_us: Rows known by this moment were online already; None when all were looked at.
        rows: How many rows were known by the moment asked for.
        entities: Of how many entities.
        written: How many entities got a row that the store had not.
        older: For how many the store had a newer event.
        resumed: Whether it went on with what was stopped before.
    """

    since_us: int | None
    rows: int
    entities: int
    written: int
    older: int
    resumed: bool

    @property
    def same(self) -> int:
        """How many entities had their row already."""
        return self.entities - self.written - self.older


def bring_up(
    target: Target, source: RowSource, *, until_us: int, now_us: int, full: bool, say: Say
) -> Outcome:
    """Write what is missing online of a version of a view, as known at a moment.

    Args:
        target: What is brought up to date.
        source: The rows of the view, checked.
        until_us: The moment; rows known later are left out.
        now_us: The present moment.
        full: Whether to look at all rows, whatever was done before.
        say: Told how far it is.

    Raises:
        StoreError: The store cannot be written, or another process materializes the same. What
            was readable stays so, and the next run goes on where this one stopped.
    """
    with _alone(target), contextlib.closing(OnlineFile(target.path, wait_seconds=5.0)) as file:
        run = _Run(target, source, file, say)
        return run.bring_up(until_us=until_us, now_us=now_us, full=full)


class _Run:
    """This is one run on one table, which it has to itself."""

    def __init__(self, target: Target, source: RowSource, file: OnlineFile, say: Say) -> None:
        self._target, self._source, self._file, self._say = target, source, file, say
        self._encoder = BatchEncoder(target.layout)
        names = [column.name for column in target.layout.columns]
        self._bulk = BulkTable(file.connection, target.table, names)

    def bring_up(self, *, until_us: int, now_us: int, full: bool) -> Outcome:
        """Do what the function `bring_up` does."""
        filled = self._claimed()
        work = filled.work
        moments = {until_us, filled.until_us, *([work.since_us, work.until_us] if work else [])}
        moments |= {_END} if self._target.layout.lapses else set()
        known_by = self._source.known_by([m for m in moments if m is not None])
        stages = _stages(filled, known_by, until_us=until_us, full=full)
        written = older = 0
        for stage in stages:
            done, filled = self._stage(stage, filled, known_by[stage.until_us], now_us)
            written, older = written + done.written, older + done.older
        return Outcome(
            since_us=stages[0].since_us,
            rows=known_by[until_us].rows,
            entities=filled.entities,
            written=written,
            older=older,
            resumed=stages[0] is work,
        )

    def _claimed(self) -> Filled:
        target, execute = self._target, self._file.execute
        with self._file.transaction():
            catalogue.claim(execute, target.space, target.layout.name, target.number, whole=False)
            return catalogue.filled(execute, target.table)

    def _stage(
        self, work: Work, before: Filled, known: Counted, now_us: int
    ) -> tuple[Work, Filled]:
        """Write a window, or the rest of it; return what was done, and how far the table is."""
        rows = int(work.rows.partition(":")[0])
        chunks = self._chunks(work)
        chunk, told = next(chunks, None), work.taken * _STEPS // max(rows, 1)
        while True:
            following = next(chunks, None) if chunk else None
            with self._explained(work, rows), self._file.transaction():
                if chunk:
                    work = self._written(chunk, work)
                after = replace(before, work=work)
                if following is None:
                    after = self._finished(work, known, now_us)
                catalogue.set_filled(self._file.execute, self._target.table, after)
            if work.taken * _STEPS // max(rows, 1) > told:
                told = work.taken * _STEPS // rows
                self._say(f"{work.taken:,} of {rows:,} rows, {work.entities:,} entities")
            if following is None:
                return work, after
            chunk = following

    def _chunks(self, work: Work) -> Iterator[_Chunk]:
        """Yield the rows to write of a window, enough of them at a time, encoded."""
        window = Window(since_us=work.since_us, until_us=work.until_us)
        held: list[pa.RecordBatch] = []
        taken = 0
        for rows, looked_at in self._source.batches(window, after=work.last, size=_READ):
            held.append(rows)
            taken += looked_at
            if sum(each.num_rows for each in held) >= BATCH:
                yield self._chunk(held, taken)
                held, taken = [], 0
        if held:
            yield self._chunk(held, taken)

    def _chunk(self, held: list[pa.RecordBatch], taken: int) -> _Chunk:
        import pyarrow as pa

        rows = pa.Table.from_batches(held).combine_chunks()
        batches = rows.to_batches()
        if not batches:
            return _Chunk(None, None, taken, [])
        keys = range(len(self._target.layout.keys))
        last = [batches[0].column(key_name(i))[-1].as_py() for i in keys]
        batch, until = encoded(self._encoder, self._target.layout, batches[0])
        return _Chunk(batch, last, taken, until)

    def _written(self, chunk: _Chunk, work: Work) -> Work:
        if chunk.batch is None:
            return replace(work, taken=work.taken + chunk.taken)
        done = self._bulk.write(chunk.batch)
        self._bulk.lapse(chunk.until, known_us=work.until_us)
        return replace(
            work,
            last=chunk.last,
            taken=work.taken + chunk.taken,
            entities=work.entities + len(chunk.batch),
            written=work.written + done.written,
            older=work.older + done.older,
        )

    def _finished(self, work: Work, known: Counted, now_us: int) -> Filled:
        execute, table = self._file.execute, self._target.table
        catalogue.mark_whole(execute, table)
        if self._target.layout.lapses:
            self._bulk.hold_on(work.until_us)
        # of a part of the rows nobody knows of how many other entities the rest is
        entities = work.entities
        if work.since_us is not None:
            entities = execute(tables.count_entities(table)).fetchone()[0]
        return Filled(
            until_us=work.until_us, past=str(known), at_us=now_us, entities=entities, work=None
        )

    @contextlib.contextmanager
    def _explained(self, work: Work, rows: int) -> Iterator[None]:
        """Say of an error how far it got, and that nothing is lost."""
        try:
            yield
        except DamagedArtifactError:
            raise
        except StoreError as error:
            if not work.taken:
                raise
            remedy = error.remedy.partition(", then")[0].rstrip(".")
            raise StoreError(
                f"{error.problem} Of view '{self._target.layout.name}' {work.taken:,} of {rows:,} "
                "rows were done.",
                remedy=f"{remedy}, then materialize again: it goes on from there.",
            ) from error


@dataclass(frozen=True, slots=True)
class _Chunk:
    """These are rows to write in one transaction.

    Args:
        batch: The rows, None for none.
        last: The key of the last one.
        taken: How many rows of the source were looked at for them.
        until: From when on what entities have no longer holds.
    """

    batch: Batch | None
    last: list[str | int] | None
    taken: int
    until: Until


def encoded(encoder: BatchEncoder, layout: Layout, rows: pa.RecordBatch) -> tuple[Batch, Until]:
    """Return rows that `RowSource.batches` gives as they are stored, and until when they hold.

    Args:
        encoder: Encodes the rows of the view.
        layout: How they are laid out.
        rows: One for each entity; where values lapse, some say only until when.
    """
    if not layout.lapses:
        return encoder.encode(rows), []
    until = list(zip(encoder.keys(rows), rows.column(UNTIL).to_pylist(), strict=True))
    return encoder.encode(rows.filter(rows.column(EVENT).is_valid())), until


def _stages(
    filled: Filled, known_by: Mapping[int, Counted], *, until_us: int, full: bool
) -> list[Work]:
    """Return what is to be done: perhaps the rest of what was stopped, then what came since.

    Args:
        filled: How far the table is.
        known_by: What the rows are by the moments that `filled` names, and by `until_us`.
        until_us: As known at this moment.
        full: Whether to look at all rows.
    """

    def window(since: int | None, until: int) -> str:
        counted = str(known_by[until] - (NOTHING if since is None else known_by[since]))
        # where values lapse, the rows to come say when
        return counted if _END not in known_by else f"{counted}:{known_by[_END] - known_by[until]}"

    past_is_same = filled.until_us is not None and str(known_by[filled.until_us]) == filled.past
    work, stages, since = filled.work, [], None
    if work is not None and work.until_us <= until_us:
        same_rows = window(work.since_us, work.until_us) == work.rows
        wanted = work.since_us is None or (past_is_same and not full)
        if same_rows and wanted:
            stages, since = [work], work.until_us
    if not stages and past_is_same and not full and (filled.until_us or 0) <= until_us:
        since = filled.until_us
    if not stages or since != until_us:
        stages.append(Work(since_us=since, until_us=until_us, rows=window(since, until_us)))
    return stages


@contextlib.contextmanager
def _alone(target: Target) -> Iterator[None]:
    """Keep other processes and threads from materializing into the same table."""
    import fcntl

    path = target.path.with_name(f".{target.table}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "w", encoding="utf-8")  # noqa: SIM115  closed below
    except OSError as error:
        raise StoreError(
            f"The folder {path.parent} cannot be written: {error.strerror or error}.",
            remedy="Check the folder and who may write there, then try again.",
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                f"View '{target.layout.name}' is being materialized into the online space "
                f"'{target.space}' by another process or thread.",
                remedy="Let the other one finish, then try again.",
            ) from None
        yield
