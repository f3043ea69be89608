"""This module computes what is known now of the entities that pushed rows are about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from features._online_encoded import Row, RowEncoder
from features._online_rows import plain_rows
from features._stream_log import StreamLog
from features._stream_rows import (
    Given,
    entity_keys,
    history_of,
    plain_columns,
    source_times,
)
from features.view import FeatureView
from features.windows import Windows
from headrace.clock import from_us
from headrace.errors import LeakageError

if TYPE_CHECKING:
    import pyarrow as pa

_TOGETHER = 1000  # entities computed at a time


@dataclass(frozen=True, kw_only=True)
class Arriving:
    """This is what a push adds.

    Args:
        table: All its rows, in the columns of the source.
        rows: Those that are new, each with whether a later word was known already.
        affected: For each entity the positions of the rows that may change what is known of it.
        superseding: What the rows that count are about.
    """

    table: pa.Table
    rows: Sequence[tuple[Given, bool]]
    affected: dict[bytes, list[int]]
    superseding: set[bytes]


@dataclass(frozen=True, kw_only=True)
class State:
    """This is what is known of entities at a moment.

    Args:
        rows: Rows of the view, as the online store takes them.
        due: When what is known of each entity changes next though nothing comes in; None for never.
    """

    rows: list[Row] = field(default_factory=list)
    due: dict[bytes, int | None] = field(default_factory=dict)


def judged(log: StreamLog, table: pa.Table, given: Sequence[Given]) -> Arriving:
    """Return what of a push is new, and whom it concerns.

    A row that says what one in the log said is left out. One is outdated where a later word about
    the same is known already, or comes with it; of two equally late the last one given counts.
    """
    versions = log.versions({g.identity for g in given if g.identity is not None})
    known_best = {identity: max(v[0] for v in found) for identity, found in versions.items()}
    digests = {(i, digest) for i, found in versions.items() for _, digest, _ in found}
    new: list[Given] = []
    for each in given:
        if each.identity is not None:
            said = (each.identity, each.digest)
            if said in digests:
                continue
            digests.add(said)
        new.append(each)
    last: dict[bytes, Given] = {}
    for each in new:
        if each.identity is None or each.known_us < known_best.get(each.identity, each.known_us):
            continue
        best = last.get(each.identity)
        if best is None or each.known_us >= best.known_us:
            last[each.identity] = each
    rows: list[tuple[Given, bool]] = []
    affected: dict[bytes, list[int]] = {}
    for each in new:
        outdated = each.identity is not None and last.get(each.identity) is not each
        rows.append((each, outdated))
        if outdated:
            continue
        keys = {each.key}
        if each.identity is not None:
            keys |= {key for _, _, key in versions.get(each.identity, ())}
        for key in keys:
            affected.setdefault(key, []).append(each.position)
    return Arriving(table=table, rows=rows, affected=affected, superseding=set(last))


def state_after(
    view: FeatureView, log: StreamLog, arriving: Arriving, *, now_us: int
) -> tuple[State, list[bytes]]:
    """Return what is known of the entities that a push concerns once it is in the log.

    Args:
        view: The view.
        log: Its log, to which the push is not added yet.
        arriving: The push.
        now_us: The present moment.
    """
    import pyarrow as pa

    keys, state = list(arriving.affected), State()
    if not isinstance(view.compute, Windows):
        counting = [g.position for g, outdated in arriving.rows if not outdated]
        made = view.rows(
            _received(view, arriving.table.take(pa.array(counting, pa.int64())), now_us)
        )
        state.rows.extend(_encodable(view, made, now_us=now_us))
        state.due.update(dict.fromkeys(keys))
        return state, keys
    for begin in range(0, len(keys), _TOGETHER):
        part = keys[begin : begin + _TOGETHER]
        positions = sorted({p for key in part for p in arriving.affected[key]})
        history = log.history(
            part,
            after_us=_since(view, log, part, now_us),
            but_now=(now_us, arriving.superseding),
        )
        arrived = _received(view, arriving.table.take(pa.array(positions, pa.int64())), now_us)
        _add_known(view, state, pa.concat_tables([history, arrived]), part, now_us=now_us)
    return state, keys


def state_now(view: FeatureView, log: StreamLog, keys: Sequence[bytes], *, now_us: int) -> State:
    """Return what is known of entities by what is in the log."""
    state = State()
    windows = isinstance(view.compute, Windows)
    history = log.history(
        keys,
        after_us=_since(view, log, keys, now_us) if windows else None,
        but_now=(now_us, set()),
    )
    if windows:
        _add_known(view, state, history, keys, now_us=now_us)
    else:
        state.rows.extend(_encodable(view, view.rows(history), now_us=now_us))
        state.due.update(dict.fromkeys(keys))
    return state


def _since(view: FeatureView, log: StreamLog, keys: Sequence[bytes], now_us: int) -> int | None:
    """Return the event time from which on rows may matter; None for the beginning."""
    from features._window_rows import microseconds

    length = microseconds(history_of(view))
    if length is None:
        return None
    # a change that is overdue is computed too, or an entity of which nothing is left kept its row
    due = log.earliest_due(keys)
    return (now_us if due is None else min(due, now_us)) - length - 1


def _add_known(
    view: FeatureView, state: State, source: pa.Table, keys: Sequence[bytes], *, now_us: int
) -> None:
    """Add each entity's newest row by now, and the moment of the first after it."""
    import numpy as np
    import pyarrow as pa

    made = view.rows(source)
    state.due.update(dict.fromkeys(keys))
    if not made.num_rows:
        return
    # rows are ordered by entity and time: find the first of each entity, then its first to come
    time = made.column(view.known_time).cast(pa.int64()).to_numpy()
    new = np.zeros(made.num_rows, dtype=np.bool_)
    new[0] = True
    for key in view.keys:
        column = made.column(key).combine_chunks()
        codes = column.dictionary_encode().indices.to_numpy()
        new[1:] |= codes[1:] != codes[:-1]
    firsts = np.flatnonzero(new)
    past = np.add.reduceat((time <= now_us).astype(np.int64), firsts)
    ends = np.append(firsts[1:], made.num_rows)
    heads = made.select(view.keys).take(pa.array(firsts))
    names = entity_keys(
        view, dict(zip(heads.column_names, plain_columns(heads), strict=True)), len(firsts)
    )
    asked, newest = set(keys), []
    for name, first, before, end in zip(names, firsts, past, ends, strict=True):
        if name not in asked:
            continue  # only a version of one of its rows was read
        if before:
            newest.append(int(first + before - 1))
        state.due[name] = int(time[first + before]) if first + before < end else None
    rows = made.take(pa.array(newest, pa.int64()))
    state.rows.extend(_encodable(view, rows, now_us=now_us))


def _received(view: FeatureView, rows: pa.Table, now_us: int) -> pa.Table:
    """Return rows that are known from now on: before, nobody here could have used them."""
    import pyarrow as pa

    known = source_times(view)[1]
    position = rows.schema.get_field_index(known)
    now = pa.repeat(pa.scalar(now_us).cast(pa.timestamp("us", tz="UTC")), rows.num_rows)
    return rows.set_column(position, rows.schema.field(position), now)


def _encodable(view: FeatureView, rows: pa.Table, *, now_us: int) -> list[Row]:
    """Return rows as the online store takes them, which it then will.

    Raises:
        LeakageError: A row is not known yet.
        DataError: A value cannot be stored.
    """
    plain = plain_rows(view, rows)
    encoder = RowEncoder(view)
    first = len(view.keys) + 1
    for row in plain:
        if row[first] > now_us:
            raise LeakageError(
                f"View '{view.name}' computes from a pushed row one that is known at "
                f"{from_us(row[first]).isoformat()}, but the present is "
                f"{from_us(now_us).isoformat()}.",
                remedy="Let the view's function take the known time of its source.",
            )
        encoder.encode(row, now_us=now_us)
    return plain
