"""This module runs Feast's materialization so that nobody reads a version of a view half filled.

`batch_engine={"type": "features.feast_online.WholeVersionsEngine"}`: Feast's own local engine, with
the beginning and the end of a materialization told to the online store, which alone sees batches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from feast.infra.common.materialization_job import MaterializationJobStatus
from feast.infra.compute_engines.local.compute import LocalComputeEngine, LocalComputeEngineConfig

from features._feast_online_store import BulkSqliteOnlineStore

if TYPE_CHECKING:
    from feast.infra.common.materialization_job import MaterializationTask
    from feast.infra.compute_engines.local.job import LocalMaterializationJob
    from feast.infra.registry.base_registry import BaseRegistry


class WholeVersionsEngineConfig(LocalComputeEngineConfig):
    """This is the configuration of `WholeVersionsEngine`; it has no options of its own."""

    type: Literal["features.feast_online.WholeVersionsEngine"] = (
        "features.feast_online.WholeVersionsEngine"  # type: ignore[assignment]
    )


class WholeVersionsEngine(LocalComputeEngine):
    """This is Feast's local engine; a version that it fills is read once it is whole."""

    def _materialize_one(
        self, registry: BaseRegistry, task: MaterializationTask, **kwargs: Any
    ) -> LocalMaterializationJob:
        store, view = self.online_store, task.feature_view
        if not isinstance(store, BulkSqliteOnlineStore) or not view.online:
            return super()._materialize_one(registry, task, **kwargs)
        store.begin_version(self.repo_config, view)
        job = super()._materialize_one(registry, task, **kwargs)
        if job.status() == MaterializationJobStatus.SUCCEEDED:
            store.end_version(self.repo_config, view)
        return job
