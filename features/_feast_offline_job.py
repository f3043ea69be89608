"""This module runs what was asked of the offline store, when its result is wanted."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata

from features._feast_offline_source import local_path
from features._feast_offline_write import save_dataset, write_parts
from headrace.errors import DefinitionError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from feast.on_demand_feature_view import OnDemandFeatureView
    from feast.repo_config import RepoConfig
    from feast.saved_dataset import SavedDatasetStorage


class AsofRetrievalJob(RetrievalJob):
    """This is a question to the offline store; each call for its result answers it anew.

    Args:
        config: The feature store's configuration.
        answer: Computes the result without on-demand features.
        sql: Says it as SQL, if it can be said so.
        explained: What is done, for people.
        metadata: What was asked; None for whole tables.
        full_feature_names: Whether columns are named "view__feature".
        on_demand_feature_views: What is computed from the result.
    """

    def __init__(
        self,
        config: RepoConfig,
        answer: Callable[[], pa.Table],
        *,
        explained: str,
        sql: str | None = None,
        metadata: RetrievalMetadata | None = None,
        full_feature_names: bool = False,
        on_demand_feature_views: Sequence[OnDemandFeatureView] = (),
    ) -> None:
        super().__init__()
        for view in on_demand_feature_views:
            _require_columns_at_once(view)
        self._config = config
        self._answer = answer
        self._sql = sql
        self._explained = explained
        self._metadata = metadata
        self._full_feature_names = full_feature_names
        self._on_demand_feature_views = list(on_demand_feature_views)

    @property
    def full_feature_names(self) -> bool:
        """Whether columns are named "view__feature"."""
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        """What is computed from the result."""
        return self._on_demand_feature_views

    @property
    def metadata(self) -> RetrievalMetadata | None:
        """What was asked; None for whole tables."""
        return self._metadata

    def explain(self) -> str:
        """Return what is done, for people."""
        return self._explained

    def to_sql(self) -> str:
        """Return the DuckDB SQL that is run.

        Raises:
            DefinitionError: It is no SQL: the join as known at each moment.
        """
        if self._sql is None:
            raise DefinitionError(
                "This join is not run as SQL: it searches the rows known at each moment itself.",
                remedy="Use to_arrow() or to_df() for the result, explain() for what is done.",
            )
        return self._sql

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        _refuse_timeout(timeout)
        return self._answer()

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        frame: pd.DataFrame = self._to_arrow_internal(timeout).to_pandas()
        return frame

    def persist(
        self,
        storage: SavedDatasetStorage,
        allow_overwrite: bool = False,
        timeout: int | None = None,
    ) -> None:
        """Write the result, with its on-demand features, as a saved data set.

        Raises:
            DefinitionError: The storage is no Parquet on this machine's disks.
            SavedDatasetLocationAlreadyExists: There is something, and it may not be overwritten.
        """
        _refuse_timeout(timeout)
        save_dataset(self._config, self.to_arrow, storage, allow_overwrite=allow_overwrite)

    def supports_remote_storage_export(self) -> bool:
        """Say whether `to_remote_storage` has a place to write to."""
        return self._config.offline_store.staging_location is not None

    def to_remote_storage(self) -> list[str]:
        """Write the result as Parquet files into a new folder of the staging location.

        Returns:
            The files, of at most a million rows each.

        Raises:
            DefinitionError: No staging location is configured.
        """
        staging: str | None = self._config.offline_store.staging_location
        if staging is None:
            raise DefinitionError(
                "There is no place to export to.",
                remedy="Give the offline store a `staging_location`, a folder.",
            )
        folder = local_path(self._config, staging, asked_by="The staging location")
        return [str(file) for file in write_parts(self.to_arrow(), folder / uuid.uuid4().hex)]


def _refuse_timeout(timeout: Any) -> None:
    if timeout is not None:
        raise DefinitionError(
            f"The ASOF offline store cannot stop after a timeout of {timeout} s.",
            remedy="Leave out the timeout; a flow's operator may have one.",
        )


def _require_columns_at_once(view: OnDemandFeatureView) -> None:
    if getattr(view, "singleton", False):
        problem = "computes one row at a time (`singleton=True`), which Feast does online only"
    elif view.mode == "substrait":
        problem = "is written for Substrait, which the ASOF offline store does not run"
    else:
        return
    raise DefinitionError(
        f"On-demand feature view '{view.name}' {problem}.",
        remedy='Write it with mode="python" and lists of values: the same code runs online.',
    )
