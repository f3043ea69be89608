"""This module is Feast's offline store on this machine's Parquet files, true in time by default.

`offline_store={"type": "features.feast_offline.AsofOfflineStore"}` makes Feast's own SDK use it.
Each entity row gets the newest event that was known at its moment: where a source has a
`created_timestamp_column`, rows created later are not seen, whether `filter_by_created_timestamp`
is asked for or not. Feast's reading, in which that column only decides between rows about one
event, is `offline_store={..., "late_rows": "used"}`. The join is the one of `features.join`.

What the store cannot do is refused with a remedy; no join of Feast's is ever used instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from feast.infra.offline_stores.duckdb import DuckDBOfflineStore, DuckDBOfflineStoreConfig
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalMetadata

from features._feast_offline_asked import features_asked, require_all_found, require_readable
from features._feast_offline_entities import (
    EntityRows,
    rows_of_frame,
    rows_of_query,
    rows_of_range,
)
from features._feast_offline_job import AsofRetrievalJob
from features._feast_offline_join import JoinedView, join_views, joined_views
from features._feast_offline_pull import Pull
from features._feast_offline_source import file_source, local_path, parquet_rows
from features._feast_offline_write import append_logs, append_rows
from headrace.errors import DefinitionError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from feast.data_source import DataSource
    from feast.feature_logging import LoggingConfig, LoggingSource
    from feast.feature_view import FeatureView
    from feast.infra.registry.base_registry import BaseRegistry
    from feast.repo_config import RepoConfig

FEAST_VERSION = "0.67.0"


class AsofOfflineStoreConfig(DuckDBOfflineStoreConfig):
    """This is the configuration of `AsofOfflineStore`.

    Args:
        type: The dotted name of the store.
        late_rows: "hidden": a row counts from its created time on; "used": Feast's reading, in
            which a row counts from its event time on, also when nobody could know it yet.
        staging_location: Folder that `to_remote_storage` writes to.
    """

    type: str = "features.feast_offline.AsofOfflineStore"
    late_rows: Literal["hidden", "used"] = "hidden"


class AsofOfflineStore(OfflineStore):
    """This joins feature views over Parquet files to entity rows, as known at their moments."""

    supports_filter_by_created_timestamp = True

    @staticmethod
    def get_historical_features(  # noqa: PLR0917  Feast's interface
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
        **kwargs: Any,
    ) -> AsofRetrievalJob:
        """Join features to entity rows; every row is kept, in its place.

        Args:
            config: The feature store's configuration.
            feature_views: The views, as Feast projects them.
            feature_refs: The features, "view:feature" or "view@vN:feature".
            entity_df: Rows with the join keys and a moment; or one SELECT for DuckDB, which may
                read the project's file sources by name; or None for a row at each moment between
                `start_date` and `end_date` at which something about an entity changed.
            registry: Feast's registry.
            project: The project.
            full_feature_names: Whether columns are named "view__feature".
            filter_by_created_timestamp: Whether late rows are hidden although the store is
                configured to use them.
            **kwargs: `start_date` and `end_date`.
        """
        from feast.utils import _get_requested_on_demand_feature_views

        unknown = kwargs.keys() - {"start_date", "end_date"}
        if unknown:
            raise DefinitionError(
                f"The ASOF offline store does not know {', '.join(sorted(unknown))}.",
                remedy="Leave it out; if Feast gives it, the store is older than this Feast.",
            )
        asked = features_asked(feature_refs)
        views = joined_views(
            config,
            feature_views,
            asked,
            full_names=full_feature_names,
            as_known=filter_by_created_timestamp or _hides_late_rows(config),
        )
        # not from the registry's cache, which may not have heard yet of what the views come from
        on_demand = _get_requested_on_demand_feature_views(
            feature_refs, project, registry, allow_cache=False
        )
        require_all_found(asked, [*feature_views, *on_demand])
        require_readable(config, asked, feature_views)
        rows, span = _entity_rows(
            config,
            entity_df,
            views=views,
            feature_views=feature_views,
            registry=registry,
            dates=kwargs,
        )
        return AsofRetrievalJob(
            config,
            lambda: join_views(rows, views),
            explained=_explained(rows, views),
            metadata=RetrievalMetadata(
                features=feature_refs,
                keys=rows.others,
                min_event_timestamp=span[0],
                max_event_timestamp=span[1],
            ),
            full_feature_names=full_feature_names,
            on_demand_feature_views=on_demand,
        )

    @staticmethod
    def pull_latest_from_table_or_query(  # noqa: PLR0917  Feast's interface
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> AsofRetrievalJob:
        """Read the newest row of each entity among the events of a range, as known at its end."""
        return _pulled(
            config,
            data_source,
            keys=join_key_columns,
            features=feature_name_columns,
            event=timestamp_field,
            known=created_timestamp_column,
            start=start_date,
            end=end_date,
            latest=True,
        )

    @staticmethod
    def pull_all_from_table_or_query(  # noqa: PLR0917  Feast's interface
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> AsofRetrievalJob:
        """Read all rows about the events of a range, as known at its end."""
        return _pulled(
            config,
            data_source,
            keys=join_key_columns,
            features=feature_name_columns,
            event=timestamp_field,
            known=created_timestamp_column,
            start=start_date,
            end=end_date,
        )

    @staticmethod
    def offline_write_batch(
        config: RepoConfig,
        feature_view: FeatureView,
        table: pa.Table,
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Add rows to the folder that a view's batch source reads; nothing there is rewritten."""
        append_rows(config, feature_view, table)
        if progress is not None:
            progress(table.num_rows)

    @staticmethod
    def write_logged_features(
        config: RepoConfig,
        data: pa.Table | Path,
        source: LoggingSource,
        logging_config: LoggingConfig,
        registry: BaseRegistry,
    ) -> None:
        """Add logged features to the folder of their feature service's logs."""
        append_logs(config, data, logging_config)

    @staticmethod
    def compute_monitoring_metrics(  # noqa: PLR0917  Feast's interface
        config: RepoConfig,
        data_source: DataSource,
        feature_columns: list[tuple[str, str]],
        timestamp_field: str,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        histogram_bins: int = 20,
        top_n: int = 10,
    ) -> list[dict[str, Any]]:
        """Describe the values of features in a range, as Feast's DuckDB store does."""
        described: list[dict[str, Any]] = DuckDBOfflineStore.compute_monitoring_metrics(
            config=config,
            data_source=_all_files(config, data_source),
            feature_columns=feature_columns,
            timestamp_field=timestamp_field,
            start_date=start_date,
            end_date=end_date,
            histogram_bins=histogram_bins,
            top_n=top_n,
        )
        return described

    @staticmethod
    def get_monitoring_max_timestamp(
        config: RepoConfig, data_source: DataSource, timestamp_field: str
    ) -> datetime | None:
        """Return the newest event time of a source; None where it has no rows."""
        newest: datetime | None = DuckDBOfflineStore.get_monitoring_max_timestamp(
            config, _all_files(config, data_source), timestamp_field
        )
        return newest

    @staticmethod
    def ensure_monitoring_tables(config: RepoConfig) -> None:
        """Make the files that keep what is measured of features."""
        DuckDBOfflineStore.ensure_monitoring_tables(config)

    @staticmethod
    def save_monitoring_metrics(
        config: RepoConfig, metric_type: str, metrics: list[dict[str, Any]]
    ) -> None:
        """Keep what was measured of features."""
        DuckDBOfflineStore.save_monitoring_metrics(config, metric_type, metrics)

    @staticmethod
    def query_monitoring_metrics(  # noqa: PLR0917  Feast's interface
        config: RepoConfig,
        project: str,
        metric_type: str,
        filters: dict[str, Any] | None = None,
        start_date: date | None = None,
        end_date: date | None = None,
    ) -> list[dict[str, Any]]:
        """Return what was measured of features."""
        kept: list[dict[str, Any]] = DuckDBOfflineStore.query_monitoring_metrics(
            config, project, metric_type, filters, start_date, end_date
        )
        return kept

    @staticmethod
    def clear_monitoring_baseline(
        config: RepoConfig,
        project: str,
        feature_view_name: str | None = None,
        feature_name: str | None = None,
        data_source_type: str | None = None,
    ) -> None:
        """Make what was measured of features no longer the baseline."""
        DuckDBOfflineStore.clear_monitoring_baseline(
            config, project, feature_view_name, feature_name, data_source_type
        )


def _hides_late_rows(config: RepoConfig) -> bool:
    return bool(config.offline_store.late_rows == "hidden")


def _entity_rows(
    config: RepoConfig,
    entity_df: pd.DataFrame | str | None,
    *,
    views: Sequence[JoinedView],
    feature_views: Sequence[FeatureView],
    registry: BaseRegistry,
    dates: dict[str, datetime],
) -> tuple[EntityRows, tuple[datetime | None, datetime | None]]:
    """Return the rows to join to, and the range of their moments."""
    import pandas as pd
    from feast.utils import compute_non_entity_date_range

    if entity_df is None:
        start, end = compute_non_entity_date_range(
            list(feature_views), dates.get("start_date"), dates.get("end_date")
        )
        return rows_of_range([v.history() for v in views], start, end), (start, end)
    if isinstance(entity_df, pd.DataFrame):
        rows = rows_of_frame(entity_df)
    elif isinstance(entity_df, str):
        rows = rows_of_query(config, entity_df, _named_sources(config, entity_df, registry))
    else:
        raise DefinitionError(
            f"Entity rows cannot be a {type(entity_df).__name__}.",
            remedy="Give a pandas data frame, a SELECT as text, or None with a range of dates.",
        )
    return rows, rows.span()


def _named_sources(config: RepoConfig, query: str, registry: BaseRegistry) -> dict[str, Any]:
    """Return the files of the project's sources that a query may mean."""
    from feast import FileSource

    found = {}
    for source in registry.list_data_sources(config.project):
        if isinstance(source, FileSource) and source.name in query:
            rows = parquet_rows(config, source, asked_by=f"Source '{source.name}'")
            found[source.name] = rows.files
    return found


def _pulled(
    config: RepoConfig,
    data_source: DataSource,
    *,
    keys: Sequence[str],
    features: Sequence[str],
    event: str,
    known: str | None,
    start: datetime | None,
    end: datetime | None,
    latest: bool = False,
) -> AsofRetrievalJob:
    pull = Pull(
        source=parquet_rows(config, data_source, asked_by=f"Source '{data_source.name}'"),
        keys=keys,
        features=features,
        event=event,
        known=known or None,
        as_known=_hides_late_rows(config),
        start=start,
        end=end,
        latest=latest,
    )
    sql = pull.sql()
    return AsofRetrievalJob(config, lambda: pull.table(config), sql=sql, explained=sql)


def _all_files(config: RepoConfig, data_source: DataSource) -> DataSource:
    """Return a file source whose path DuckDB reads, also where it is a folder."""
    from feast import FileSource
    from feast.data_format import ParquetFormat

    asked_by = f"Source '{data_source.name}'"
    source = file_source(data_source, asked_by=asked_by)
    path = local_path(config, source.path, asked_by=asked_by)
    return FileSource(
        name=data_source.name,
        path=str(path / "**" / "*.parquet" if path.is_dir() else path),
        file_format=ParquetFormat(),
        timestamp_field=data_source.timestamp_field,
    )


def _explained(rows: EntityRows, views: Sequence[JoinedView]) -> str:
    """Return in words what a join does."""
    lines = [f"{rows.table.num_rows:,} entity rows, each at its '{rows.moment}':"]
    return "\n".join([*lines, *(view.explained() for view in views)])
