"""This module makes the rows that features are joined to: a data frame, a query, or a range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from features._feast_offline_sql import connected, microsecond, parquet_scan, quoted
from headrace.errors import BoundaryError, DefinitionError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from feast.repo_config import RepoConfig

MOMENT = "event_timestamp"


@dataclass(frozen=True, kw_only=True)
class EntityRows:
    """These are the rows that features are joined to, in the order that is kept.

    Args:
        table: All their columns.
        moment: The column with the moment for which features are wanted, in UTC.
    """

    table: pa.Table
    moment: str

    @property
    def others(self) -> list[str]:
        """The columns other than the moment."""
        return [name for name in self.table.column_names if name != self.moment]

    def span(self) -> tuple[datetime | None, datetime | None]:
        """The first and the last moment; nothing where there are no rows."""
        import pyarrow.compute as pc

        ends = pc.min_max(self.table.column(self.moment)).as_py()
        return _to_microseconds(ends["min"]), _to_microseconds(ends["max"])


def _to_microseconds(moment: Any) -> datetime | None:
    if moment is None:
        return None
    plain: datetime = moment.to_pydatetime(warn=False) if hasattr(moment, "nanosecond") else moment
    return plain


def rows_of_frame(frame: pd.DataFrame) -> EntityRows:
    """Return the rows of a data frame; it is not changed.

    Moments without a zone are taken as UTC, as Feast does; text is read as a time.

    Raises:
        BoundaryError: The moments are no times.
    """
    import pandas as pd
    import pyarrow as pa
    from feast.infra.offline_stores.offline_utils import infer_event_timestamp_from_entity_df

    moment = infer_event_timestamp_from_entity_df(dict(frame.dtypes))
    try:
        moments = pd.to_datetime(frame[moment], utc=True)
    except (ValueError, TypeError) as error:
        raise BoundaryError(
            f"The entity rows' column '{moment}' holds what is no time: {error}.",
            remedy="Give timestamps, such as pandas' datetime64[us, UTC].",
        ) from error
    table = pa.Table.from_pandas(frame.assign(**{moment: moments}), preserve_index=False)
    return EntityRows(table=table.replace_schema_metadata(None), moment=moment)


def rows_of_query(config: RepoConfig, text: str, sources: dict[str, Sequence[str]]) -> EntityRows:
    """Return the rows that a DuckDB query gives, in its order.

    Args:
        config: The query's relative paths begin in its repository's folder.
        text: One SELECT.
        sources: Tables that it may read: for a name, Parquet files.

    Raises:
        DefinitionError: The query fails.
    """
    import duckdb

    with connected(config) as connection:
        try:
            for name, files in sources.items():
                scan = parquet_scan(files)
                view = f"CREATE TEMP VIEW {quoted(name)} AS SELECT * FROM {scan}"  # noqa: S608  quoted
                connection.execute(view)
            table = connection.sql(text).to_arrow_table()
        except (duckdb.Error, AttributeError) as error:
            raise DefinitionError(
                f"The query for the entity rows fails: {error}.",
                remedy="Write one SELECT in DuckDB's SQL; it may read Parquet files, and the "
                "project's sources by name.",
            ) from error
    return _with_moment(table)


def _with_moment(table: pa.Table) -> EntityRows:
    """Find the column of moments as Feast does, by name or as the only time, and put it in UTC."""
    import pyarrow as pa
    from feast.errors import EntityTimestampInferenceException

    times = [f.name for f in table.schema if pa.types.is_timestamp(f.type)]
    moment = MOMENT if MOMENT in table.column_names else times[0] if len(times) == 1 else None
    if moment is None:
        raise EntityTimestampInferenceException(MOMENT)
    position = table.column_names.index(moment)
    column = table.column(moment)
    unit = column.type.unit if pa.types.is_timestamp(column.type) else "us"
    try:
        column = column.cast(pa.timestamp(unit, tz="UTC"))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BoundaryError(
            f"The entity rows' column '{moment}' holds what is no time: {error}.",
            remedy="Give timestamps.",
        ) from error
    return EntityRows(table=table.set_column(position, moment, column), moment=moment)


def rows_of_range(
    histories: Sequence[tuple[dict[str, pa.Array], pa.Array]], start: datetime, end: datetime
) -> EntityRows:
    """Return one row for each moment in a range at which something about an entity changed.

    Args:
        histories: For each view its entities' key columns, and when each row could be used, in
            microseconds since 1970.
        start: The first moment.
        end: The last moment.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    low, high = microsecond(start), microsecond(end)
    parts = []
    for keys, usable in histories:
        inside = pc.and_(pc.greater_equal(usable, low), pc.less_equal(usable, high))
        rows = pa.table({**keys, MOMENT: usable}).filter(inside)
        parts.append(rows.group_by(rows.column_names).aggregate([]))
    table = pa.concat_tables(parts, promote_options="permissive")
    names = [name for name in table.column_names if name != MOMENT]
    table = table.group_by([*names, MOMENT]).aggregate([])
    table = table.sort_by([(MOMENT, "ascending"), *((name, "ascending") for name in names)])
    moments = table.column(MOMENT).cast(pa.timestamp("us", tz="UTC"))
    position = table.column_names.index(MOMENT)
    return EntityRows(table=table.set_column(position, MOMENT, moments), moment=MOMENT)
