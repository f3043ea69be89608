"""Our offline store stands on Feast's interface as it is in one version; here that is held."""

from __future__ import annotations

import inspect
import tomllib
from importlib.metadata import version
from pathlib import Path

import prometheus_client  # noqa: F401  before Feast, whose import puts metrics into files otherwise
import pytest
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob

from features._feast_offline_job import AsofRetrievalJob
from features.feast_offline import FEAST_VERSION, AsofOfflineStore, AsofOfflineStoreConfig

MOVED = (
    "Feast's interface has moved. Read what is new in feast/infra/offline_stores/offline_store.py, "
    "make features/feast_offline.py do it or refuse it with a remedy, run Feast's own universal "
    "tests of offline stores against it, then write the new interface here."
)
STORE = {
    "clear_monitoring_baseline": "config, project, feature_view_name=, feature_name=, "
    "data_source_type=",
    "compute_monitoring_metrics": "config, data_source, feature_columns, timestamp_field, "
    "start_date=, end_date=, histogram_bins=, top_n=",
    "ensure_filter_by_created_timestamp_supported": "self",
    "ensure_monitoring_tables": "config",
    "get_historical_features": "config, feature_views, feature_refs, entity_df, registry, project, "
    "full_feature_names=",
    "get_monitoring_max_timestamp": "config, data_source, timestamp_field",
    "get_table_column_names_and_types_from_data_source": "self, config, data_source",
    "offline_write_batch": "config, feature_view, table, progress",
    "pull_all_from_table_or_query": "config, data_source, join_key_columns, feature_name_columns, "
    "timestamp_field, created_timestamp_column=, start_date=, end_date=",
    "pull_latest_from_table_or_query": "config, data_source, join_key_columns, "
    "feature_name_columns, timestamp_field, created_timestamp_column, start_date, end_date",
    "query_monitoring_metrics": "config, project, metric_type, filters=, start_date=, end_date=",
    "save_monitoring_metrics": "config, metric_type, metrics",
    "validate_data_source": "self, config, data_source",
    "write_logged_features": "config, data, source, logging_config, registry",
}
JOB = {
    "_to_arrow_internal": "self, timeout=",
    "_to_df_internal": "self, timeout=",
    "full_feature_names": "self",
    "metadata": "self",
    "on_demand_feature_views": "self",
    "persist": "self, storage, allow_overwrite=, timeout=",
    "supports_remote_storage_export": "self",
    "to_arrow": "self, validation_reference=, timeout=",
    "to_df": "self, validation_reference=, timeout=",
    "to_feast_df": "self, validation_reference=, timeout=",
    "to_ray_dataset": "self",
    "to_remote_storage": "self",
    "to_sql": "self",
    "to_tensor": "self, kind=, default_value=, timeout=",
}
# what the base class does itself, with what we give it
STORE_KEPT = {
    "ensure_filter_by_created_timestamp_supported",
    "get_table_column_names_and_types_from_data_source",
    "validate_data_source",
}
JOB_KEPT = {"to_arrow", "to_df", "to_feast_df", "to_ray_dataset", "to_tensor"}


def interface(kind: type) -> dict[str, str]:
    found = {}
    for name, member in vars(kind).items():
        function = member.fget if isinstance(member, property) else member
        function = getattr(function, "__func__", function)
        if inspect.isfunction(function) and not name.startswith("__"):
            found[name] = parameters(function)
    return found


def parameters(function: object) -> str:
    given = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
    return ", ".join(p.name if p.default is p.empty else f"{p.name}=" for p in given)


def test_feast_is_the_version_that_the_store_was_written_for():
    pins = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))

    assert f"feast[duckdb]=={FEAST_VERSION}" in pins["project"]["dependencies"], MOVED
    assert version("feast") == FEAST_VERSION, MOVED


@pytest.mark.parametrize(
    ("theirs", "written"), [(OfflineStore, STORE), (RetrievalJob, JOB)], ids=["store", "job"]
)
def test_feasts_interface_is_as_it_was(theirs, written):
    assert interface(theirs) == written, MOVED


@pytest.mark.parametrize(
    ("ours", "theirs", "kept"),
    [(AsofOfflineStore, OfflineStore, STORE_KEPT), (AsofRetrievalJob, RetrievalJob, JOB_KEPT)],
    ids=["store", "job"],
)
def test_everything_is_ours_or_known_to_be_done_by_the_base(ours, theirs, kept):
    inherited = {n for n in interface(theirs) if getattr(ours, n) is getattr(theirs, n)}

    assert inherited == kept


@pytest.mark.parametrize("name", sorted(set(STORE) - STORE_KEPT))
def test_a_method_takes_what_feast_gives_it(name):
    ours = parameters(getattr(AsofOfflineStore, name))

    assert ours.startswith(STORE[name])


def test_none_of_feasts_own_joins_is_inherited():
    classes = [c.__module__ for c in AsofOfflineStore.__mro__]

    assert classes == [
        "features.feast_offline",
        "feast.infra.offline_stores.offline_store",
        "abc",
        "builtins",
    ]
    assert AsofOfflineStoreConfig().late_rows == "hidden"
