"""This module joins Feast's feature views to entity rows, each value as it was known then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from features._feast_offline_source import ParquetRows, file_source, parquet_rows
from features._join_inputs import alike, microseconds
from features._join_search import NO_MATCH, Search
from headrace.errors import BoundaryError, DefinitionError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa
    from feast.feature_view import FeatureView
    from feast.repo_config import RepoConfig

    from features._feast_offline_entities import EntityRows

    Column: TypeAlias = pa.Array | pa.ChunkedArray
    Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class JoinedView:
    """This is a feature view as it is joined.

    Args:
        name: Its name in messages.
        source: Its rows.
        keys: For each column of the entity rows that it is joined on, the column of its rows.
        event: The column with the time that a row is about.
        known: The column with the time from which a row could be used; None where none is said.
        as_known: Whether rows that became known after the entity row's moment are left out.
        ttl: How long after its event a row may be used; None for ever.
        taken: For each column of the result the column of its rows.
    """

    name: str
    source: ParquetRows
    keys: dict[str, str]
    event: str
    known: str | None
    as_known: bool
    ttl: timedelta | None
    taken: dict[str, str]

    def usable(self, skip: Any = None) -> Iterator[tuple[int, pa.RecordBatch, _Times]]:
        """Yield the rows' keys and times, with the position of the first of them."""
        columns = [*self.keys.values(), self.event, *([self.known] if self.known else [])]
        for position, batch in self.source.batches(list(dict.fromkeys(columns)), skip=skip):
            yield position, batch, self._times(batch)

    def history(self) -> tuple[dict[str, pa.Array], pa.Array]:
        """Return the keys of all rows, and from when on each could be used, in microseconds."""
        import pyarrow as pa

        keys: dict[str, list[pa.Array]] = {name: [] for name in self.keys}
        usable: list[pa.Array] = []
        for _, batch, times in self.usable():
            usable.append(times.usable)
            for name, source in self.keys.items():
                keys[name].append(batch.column(source))
        columns = {n: pa.chunked_array(keys[n], self._kind(s)) for n, s in self.keys.items()}
        return columns, pa.chunked_array(usable, pa.int64())

    def explained(self) -> str:
        """Return in words how the view is joined."""
        keys = ", ".join(self.keys) or "nothing: one row for everybody"
        known = f", known by then ('{self.known}')" if self.known and self.as_known else ""
        ties = f"; of equals the greatest '{self.known}'" if self.known else ""
        ttl = f"; none if older than {self.ttl}" if self.ttl else ""
        files = len(self.source.files)
        return (
            f"- {self.name}: {', '.join(self.taken) or 'no features'}; joined on {keys}; the "
            f"greatest '{self.event}'{known}{ties}, then the last row{ttl}; from {files} "
            f"{'file' if files == 1 else 'files'} of source '{self.source.name}'"
        )

    def _kind(self, column: str) -> pa.DataType:
        return self.source.schema.field(column).type

    def _times(self, batch: pa.RecordBatch) -> _Times:
        import pyarrow.compute as pc

        event = _instants(batch, self.event, self.name, round_up=False)
        if self.known is None:
            return _Times(event=event, usable=event, known=event)
        known = _instants(batch, self.known, self.name, round_up=True)
        if not self.as_known:
            # as Feast: the time only decides between rows about one event, a null comes last
            return _Times(event=event, usable=event, known=known.fill_null(-(1 << 63) + 1))
        usable = pc.max_element_wise(event, known, skip_nulls=False)
        return _Times(event=event, usable=usable, known=known)


@dataclass(frozen=True, kw_only=True)
class _Times:
    event: Column
    usable: Column
    known: Column


def joined_views(
    config: RepoConfig,
    views: Sequence[FeatureView],
    asked: Mapping[str, Sequence[str]],
    *,
    full_names: bool,
    as_known: bool,
) -> tuple[JoinedView, ...]:
    """Return how the features of some views are joined.

    Args:
        config: Says where relative paths begin.
        views: The views, as Feast projects them.
        asked: The features asked of each view, by the name that Feast uses in references.
        full_names: Whether columns of the result are named "view__feature".
        as_known: Whether rows that became known too late are left out.
    """
    from feast.feature_view import DUMMY_ENTITY_ID

    joined = []
    for view in views:
        asked_by = f"Feature view '{view.name}'"
        batch_source = file_source(view.batch_source, asked_by=asked_by)
        source = parquet_rows(config, batch_source, asked_by=asked_by)
        projection: Any = view.projection
        shown = projection.name_alias or view.name
        features = dict.fromkeys(asked.get(projection.name_to_use(), ()))
        names = [e.name for e in view.entity_columns if e.name != DUMMY_ENTITY_ID]
        created = batch_source.created_timestamp_column
        one = JoinedView(
            name=view.name,
            source=source,
            keys={projection.join_key_map.get(n, n): source.column(n) for n in names},
            event=source.column(batch_source.timestamp_field),
            known=source.column(created) if created else None,
            as_known=as_known,
            ttl=view.ttl or None,  # Feast takes zero for no limit
            taken={f"{shown}__{f}" if full_names else f: source.column(f) for f in features},
        )
        joined.append(one)
    return tuple(joined)


def join_views(rows: EntityRows, views: Sequence[JoinedView]) -> pa.Table:
    """Return the entity rows, all and in order, with the features of the views beside them.

    Raises:
        BoundaryError: A key is missing or of another type, or a column would occur twice.
    """
    import pyarrow as pa

    table = rows.table
    columns = {name: table.column(name) for name in table.column_names}
    for view in views:
        found = _search(rows, view)
        sources = list(dict.fromkeys(view.taken.values()))
        taken = view.source.take(sources, found) if sources else table
        for name, source in view.taken.items():
            if name in columns:
                raise BoundaryError(
                    f"The result would have two columns '{name}', one of them of feature view "
                    f"'{view.name}'.",
                    remedy="Ask with full_feature_names=True, give the view another name "
                    "(`view.with_name(...)`), or rename the column of the entity rows.",
                )
            columns[name] = taken.column(source)
    return pa.table(columns)


def _search(rows: EntityRows, view: JoinedView) -> Ints:
    """Return for each entity row the position of its row of the view, `NO_MATCH` for none."""
    import pyarrow.compute as pc

    decided = microseconds(rows.table.column(rows.moment), round_up=False)
    search = Search(_keys_of(rows.table, view), decided)
    for position, batch, times in view.usable(_Unneeded(view, search)):
        search.add(
            [batch.column(name) for name in view.keys.values()],
            event=times.event,
            usable=times.usable,
            known=times.known,
            position=position,
        )
    found, event = search.found()
    if view.ttl is not None:
        age = pc.fill_null(decided, 0).to_numpy() - event
        found[(found != NO_MATCH) & (age > view.ttl // timedelta(microseconds=1))] = NO_MATCH
    return found


def _keys_of(table: pa.Table, view: JoinedView) -> list[Column]:
    """Return the entity rows' key columns in the types of the view's."""
    import pyarrow as pa

    keys: list[Column] = []
    for name, source in view.keys.items():
        if name not in table.column_names:
            raise BoundaryError(
                f"The entity rows have no column '{name}', on which feature view '{view.name}' is "
                f"joined. They have: {', '.join(table.column_names)}.",
                remedy=f"Add the column '{name}'.",
            )
        column, kind = table.column(name), view.source.schema.field(source).type
        if pa.types.is_floating(column.type) and pa.types.is_integer(kind):
            column = _whole(column, kind, name)
        if pa.types.is_null(column.type):
            column = column.cast(kind)
        if not alike(column.type, kind):
            raise BoundaryError(
                f"The key '{name}' is {column.type} in the entity rows but {kind} in the rows of "
                f"feature view '{view.name}'.",
                remedy="Give it the same type on both sides.",
            )
        keys.append(column)
    return keys


def _whole(column: pa.ChunkedArray, kind: pa.DataType, name: str) -> pa.ChunkedArray:
    """Return numbers that pandas made floats of because some are missing as the integers."""
    import pyarrow as pa
    import pyarrow.compute as pc

    missing = pc.is_nan(column)
    try:
        return pc.if_else(missing, pa.scalar(None, column.type), column).cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise BoundaryError(
            f"The key '{name}' has fractions in the entity rows, but is {kind} in the features: "
            f"{error}.",
            remedy="Give it the same type on both sides.",
        ) from error


class _Unneeded:
    """This says of a row group, by its statistics, that no entity row can use any of its rows."""

    def __init__(self, view: JoinedView, search: Search) -> None:
        self._event, self._search, self._ttl = view.event, search, view.ttl

    def __call__(self, group: Any) -> bool:
        ends = _ends_of(group, self._event)
        if ends is None:
            return False
        oldest, newest = ends
        if oldest > self._search.last:
            return True
        if self._ttl is None:
            return False
        # the newest usable event decides, and when it has expired the older ones have
        return newest < self._search.first - self._ttl // timedelta(microseconds=1)


def _ends_of(group: Any, column: str) -> tuple[int, int] | None:
    """Return the least and the greatest time of a row group, in microseconds, if it says them."""
    import pyarrow as pa

    for i in range(group.num_columns):
        described = group.column(i)
        if described.path_in_schema == column:
            statistics = described.statistics
            if statistics is None or not statistics.has_min_max:
                return None
            try:
                ends = pa.array([statistics.min, statistics.max])
                low, high = microseconds(ends, round_up=False).to_pylist()
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError, AttributeError):
                return None
            return low, high
    return None


def _instants(batch: pa.RecordBatch, name: str, view: str, *, round_up: bool) -> Column:
    """Return a time column as microseconds; without a zone it is UTC, as Feast takes it."""
    import pyarrow as pa

    column = batch.column(name)
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("us"))
    if not pa.types.is_timestamp(column.type):
        raise DefinitionError(
            f"The rows of feature view '{view}' have the time '{name}' as {column.type}.",
            remedy="Write it as a timestamp, such as timestamp[us, tz=UTC].",
        )
    return microseconds(column, round_up=round_up)
