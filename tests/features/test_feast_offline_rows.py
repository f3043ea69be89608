"""What our offline store for Feast reads whole and writes: ranges, pushes, data sets, logs."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import prometheus_client  # noqa: F401  before Feast, whose import puts metrics into files otherwise
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import (
    Entity,
    FeatureService,
    FeatureStore,
    FeatureView,
    Field,
    FileSource,
    PushSource,
    RepoConfig,
    ValueType,
)
from feast.data_format import DeltaFormat
from feast.data_source import PushMode
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.feature_logging import LoggingConfig
from feast.infra.offline_stores.file_source import (
    FileLoggingDestination,
    SavedDatasetFileStorage,
)
from feast.infra.offline_stores.offline_utils import get_offline_store_from_config
from feast.monitoring.monitoring_service import MonitoringService
from feast.types import Int64

from features.feast_offline import AsofOfflineStore
from headrace.errors import BoundaryError, DefinitionError

# Feast and the ibis beneath it use what their dependencies have deprecated
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
START = datetime(2026, 3, 1, tzinfo=UTC)
US = pa.timestamp("us", tz="UTC")
customer = Entity(name="customer", join_keys=["customer"], value_type=ValueType.STRING)


def at(hour: float) -> datetime:
    return START + timedelta(hours=hour)


def scores(*rows: tuple[str | None, float, float, int], unit: str = "us") -> pa.Table:
    kind = pa.timestamp(unit, tz="UTC")
    return pa.table(
        {
            "customer": pa.array([r[0] for r in rows], pa.string()),
            "event_time": pa.array([at(r[1]) for r in rows], kind),
            "known_time": pa.array([at(r[2]) for r in rows], kind),
            "score": pa.array([r[3] for r in rows], pa.int64()),
        }
    )


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return a_store(tmp_path)


def a_store(folder: Path, **offline: Any) -> FeatureStore:
    config = RepoConfig(
        project="shop",
        provider="local",
        repo_path=folder,
        registry=str(folder / "registry.db"),
        offline_store={"type": "features.feast_offline.AsofOfflineStore", **offline},
        online_store={"type": "sqlite", "path": str(folder / "online.db")},
        materialization={"pull_latest_features": True},
        entity_key_serialization_version=3,
    )
    return FeatureStore(config=config)


def a_source(store: FeatureStore, *files: pa.Table, name: str = "ratings", **more: Any):
    folder = Path(store.config.repo_path) / name
    folder.mkdir()
    for number, table in enumerate(files):
        pq.write_table(table, folder / f"{number}.parquet")
    times = {"timestamp_field": "event_time", "created_timestamp_column": "known_time"}
    return FileSource(name=name, path=name, **(times | more))


def a_view(source: Any, **more: Any) -> FeatureView:
    given: dict[str, Any] = {"name": "ratings", "entities": [customer], "ttl": timedelta(0)}
    schema = [Field(name="score", dtype=Int64)]
    return FeatureView(source=source, schema=schema, **(given | more))


def asked(*rows: tuple[Any, float]) -> pd.DataFrame:
    return pd.DataFrame(
        {"customer": [r[0] for r in rows], "event_timestamp": [at(r[1]) for r in rows]}
    )


def pulled(store: FeatureStore, source: FileSource, *, latest: bool, **more: Any) -> pa.Table:
    given: dict[str, Any] = {
        "config": store.config,
        "data_source": source,
        "join_key_columns": ["customer"],
        "feature_name_columns": ["score"],
        "timestamp_field": "event_time",
        "created_timestamp_column": "known_time",
        "start_date": at(1),
        "end_date": at(5),
    } | more
    offline = get_offline_store_from_config(store.config.offline_store)
    pull = "pull_latest_from_table_or_query" if latest else "pull_all_from_table_or_query"
    return getattr(offline, pull)(**given).to_arrow()


def rows_of(table: pa.Table) -> list[tuple[Any, ...]]:
    return sorted(
        (r["customer"], r["event_time"], r["score"])
        for r in table.select(["customer", "event_time", "score"]).to_pylist()
    )


EVENTS = scores(
    ("ann", 0.9, 0.9, 1),
    ("ann", 1, 1, 2),
    ("ann", 5, 5, 3),
    ("ann", 5, 5.1, 4),  # known after the range
    ("ben", 2, 3, 5),
    ("ben", 2, 4, 6),  # corrects the one before
    ("ben", 5.1, 5.1, 7),
)


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_a_range_has_both_ends_and_what_was_known_at_its_end(store, unit):
    source = a_source(store, EVENTS.cast(scores(unit=unit).schema))

    table = pulled(store, source, latest=False)

    expected = [("ann", 1, 2), ("ann", 5, 3), ("ben", 2, 5), ("ben", 2, 6)]
    assert rows_of(table) == [(who, at(hour), score) for who, hour, score in expected]


def test_the_latest_row_is_the_newest_event_as_known_at_the_end(store):
    table = pulled(store, a_source(store, EVENTS), latest=True)

    assert rows_of(table) == [("ann", at(5), 3), ("ben", at(2), 6)]


def test_feasts_reading_of_a_range_also_has_what_was_known_later(tmp_path):
    store = a_store(tmp_path, late_rows="used")

    table = pulled(store, a_source(store, EVENTS), latest=True)

    assert rows_of(table) == [("ann", at(5), 4), ("ben", at(2), 6)]


def test_of_equals_the_last_row_of_the_last_file_is_the_latest(store):
    first = scores(("ann", 2, 2, 1), ("ann", 2, 2, 2))
    second = scores(("ann", 2, 2, 3), ("ann", 2, 2, 4))

    assert rows_of(pulled(store, a_source(store, first, second), latest=True))[0][2] == 4


def test_a_range_may_be_open_and_its_times_without_a_zone(store):
    naive = EVENTS.cast(pa.schema([(f.name, _naive(f.type)) for f in EVENTS.schema]))
    source = a_source(store, naive)
    noon = datetime(2026, 3, 1, 5)

    everything = pulled(store, source, latest=False, start_date=None, end_date=None)
    until = pulled(store, source, latest=False, start_date=None, end_date=noon)

    assert (everything.num_rows, until.num_rows) == (7, 5)


def _naive(kind: pa.DataType) -> pa.DataType:
    return pa.timestamp(kind.unit) if pa.types.is_timestamp(kind) else kind


def test_rows_about_everybody_get_the_key_that_feast_has_for_them(store):
    table = pulled(store, a_source(store, EVENTS), latest=True, join_key_columns=[])

    assert table["__dummy_id"].to_pylist() == [""]
    assert table["score"].to_pylist() == [3]


def test_a_pull_says_its_sql(store):
    source = a_source(store, EVENTS)
    file = Path(store.config.repo_path) / "ratings" / "0.parquet"

    job = AsofOfflineStore.pull_latest_from_table_or_query(
        store.config, source, ["customer"], ["score"], "event_time", "known_time", at(0), at(0.5)
    )

    assert job.to_sql() == job.explain()
    assert job.to_sql() == (
        'SELECT "customer", "score", "event_time", "known_time"\n'
        f"FROM read_parquet(['{file}'])\n"
        'WHERE epoch_us("event_time") >= 1772323200000000\n'
        '  AND epoch_us("event_time") <= 1772325000000000\n'
        '  AND epoch_us("known_time") <= 1772325000000000\n'
        'QUALIFY row_number() OVER (PARTITION BY "customer" ORDER BY "event_time" DESC NULLS LAST,'
        ' "known_time" DESC NULLS LAST, file_index DESC, file_row_number DESC) = 1'
    )


def test_feast_materializes_what_was_known_at_the_end(store):
    view = a_view(a_source(store, EVENTS))
    store.apply([customer, view])

    store.materialize(at(1), at(5))

    answer = store.get_online_features(
        ["ratings:score"], [{"customer": "ann"}, {"customer": "ben"}, {"customer": "zoe"}]
    )
    assert answer.to_dict()["score"] == [3, 6, None]


def test_pushed_rows_are_added_beside_what_is_there_and_read_with_it(store):
    source = a_source(store, scores(("ann", 1, 1, 1)))
    store.apply([customer, a_view(PushSource(name="pushes", batch_source=source))])
    before = {f: f.read_bytes() for f in Path(store.config.repo_path, "ratings").rglob("*.parquet")}

    for score in (2, 3):  # the same time twice: the one pushed last counts
        store.push("pushes", scores(("ann", 30, 30, score)).to_pandas(), to=PushMode.OFFLINE)
    store.push(
        "pushes", scores(("ann", 2, 2, 4), ("ben", 49, 49, 5)).to_pandas(), to=PushMode.OFFLINE
    )

    table = store.get_historical_features(
        asked(("ann", 1), ("ann", 3), ("ann", 31), ("ben", 50)), ["ratings:score"]
    ).to_arrow()
    assert table["score"].to_pylist() == [1, 4, 3, 5]
    assert all(file.read_bytes() == content for file, content in before.items())
    folders = sorted(
        f.name for f in Path(store.config.repo_path, "ratings").iterdir() if f.is_dir()
    )
    assert folders == ["2026-03-01", "2026-03-02", "2026-03-03"]


def test_rows_that_the_source_cannot_hold_are_refused_and_nothing_is_written(store):
    view = a_view(a_source(store, scores(("ann", 1, 1, 1))))
    wrong = scores(("ann", 2, 2, 2)).set_column(3, "score", pa.array(["much"]))
    other = scores(("ann", 2, 2, 2)).select(["event_time", "customer", "known_time", "score"])

    with pytest.raises(BoundaryError) as kind:
        AsofOfflineStore.offline_write_batch(store.config, view, wrong, None)
    with pytest.raises(BoundaryError) as order:
        AsofOfflineStore.offline_write_batch(store.config, view, other, None)

    assert "was pushed rows that its source cannot hold: Failed to parse string" in str(kind.value)
    assert str(order.value) == (
        "Feature view 'ratings' was pushed the columns event_time, customer, known_time, score, "
        "but its source has customer, event_time, known_time, score.\n"
        "  Fix: Push rows with the columns of the source, in its order."
    )
    assert [f.name for f in Path(store.config.repo_path, "ratings").iterdir()] == ["0.parquet"]


def test_a_push_never_rewrites_a_whole_file(store):
    a_source(store, scores(("ann", 1, 1, 1)))
    file = Path(store.config.repo_path, "ratings", "0.parquet")
    view = a_view(FileSource(name="one", path=str(file), timestamp_field="event_time"))

    with pytest.raises(DefinitionError) as error:
        AsofOfflineStore.offline_write_batch(store.config, view, scores(("ann", 2, 2, 2)), None)

    assert str(error.value) == (
        f"Feature view 'ratings' reads one file, {file}: each push would have to write all of it "
        "anew.\n  Fix: Move the file into a folder and make the folder the path of the FileSource."
    )


def test_a_folder_that_is_not_there_yet_can_be_pushed_to(store):
    source = FileSource(
        name="new", path="new", timestamp_field="event_time", created_timestamp_column="known_time"
    )
    told: list[int] = []

    AsofOfflineStore.offline_write_batch(
        store.config, a_view(source), scores(("ann", 2, 2, 2), ("ben", 2, 2, 1)), told.append
    )

    assert pulled(store, source, latest=False).num_rows == 2
    assert told == [2]


@pytest.mark.parametrize("path", ["kept/orders.parquet", "kept/orders"])
def test_a_saved_data_set_is_read_again(store, path):
    store.apply([customer, a_view(a_source(store, EVENTS))])
    job = store.get_historical_features(asked(("ben", 4), ("ann", 2)), ["ratings:score"])

    store.create_saved_dataset(job, name="orders", storage=SavedDatasetFileStorage(path=path))

    kept = store.get_saved_dataset("orders").to_df().sort_values("customer")
    assert kept["score"].tolist() == [2, 6]
    assert set(kept.columns) == {"customer", "event_timestamp", "score"}


@pytest.mark.parametrize("path", ["kept.parquet", "kept"])
def test_a_saved_data_set_is_overwritten_only_when_that_is_allowed(store, path):
    store.apply([customer, a_view(a_source(store, EVENTS))])
    storage = SavedDatasetFileStorage(path=path)
    one = store.get_historical_features(asked(("ben", 4)), ["ratings:score"])
    two = store.get_historical_features(asked(("ann", 2)), ["ratings:score"])
    one.persist(storage)

    with pytest.raises(SavedDatasetLocationAlreadyExists):
        two.persist(storage)
    kept = pq.read_table(Path(store.config.repo_path, path))
    two.persist(storage, allow_overwrite=True)

    assert kept["score"].to_pylist() == [6]
    assert pq.read_table(Path(store.config.repo_path, path))["score"].to_pylist() == [2]
    assert not [f for f in Path(store.config.repo_path).iterdir() if f.name.startswith(".")]


def test_a_data_set_that_is_no_parquet_is_refused(store):
    store.apply([customer, a_view(a_source(store, EVENTS))])
    job = store.get_historical_features(asked(("ben", 4)), ["ratings:score"])
    storage = SavedDatasetFileStorage(path="kept", file_format=DeltaFormat())

    with pytest.raises(DefinitionError) as error:
        job.persist(storage)

    assert str(error.value) == (
        "A saved data set cannot be written as SavedDatasetFileStorage of DeltaFormat.\n"
        "  Fix: Use SavedDatasetFileStorage(path=...), which is Parquet."
    )


def test_a_result_is_exported_to_the_staging_location(tmp_path):
    store = a_store(tmp_path, staging_location="staging")
    store.apply([customer, a_view(a_source(store, EVENTS))])
    job = store.get_historical_features(asked(("ben", 4)), ["ratings:score"])

    files = job.to_remote_storage()

    assert job.supports_remote_storage_export()
    assert [pq.read_table(file)["score"].to_pylist() for file in files] == [[6]]
    assert Path(files[0]).is_relative_to(tmp_path / "staging")


def test_what_a_job_cannot_do_is_refused(store):
    store.apply([customer, a_view(a_source(store, EVENTS))])
    job = store.get_historical_features(asked(("ben", 4)), ["ratings:score"])

    with pytest.raises(DefinitionError) as sql:
        job.to_sql()
    with pytest.raises(DefinitionError) as export:
        job.to_remote_storage()
    with pytest.raises(DefinitionError) as timeout:
        job.to_df(timeout=3)

    assert str(sql.value) == (
        "This join is not run as SQL: it searches the rows known at each moment itself.\n"
        "  Fix: Use to_arrow() or to_df() for the result, explain() for what is done."
    )
    assert str(export.value) == (
        "There is no place to export to.\n"
        "  Fix: Give the offline store a `staging_location`, a folder."
    )
    assert str(timeout.value) == (
        "The ASOF offline store cannot stop after a timeout of 3 s.\n"
        "  Fix: Leave out the timeout; a flow's operator may have one."
    )
    assert not job.supports_remote_storage_export()


@pytest.mark.parametrize("as_file", [True, False])
def test_logged_features_are_added_and_read_again(store, tmp_path, as_file):
    view = a_view(a_source(store, EVENTS))
    destination = FileLoggingDestination(path="logs", partition_by=["__log_date"])
    service = FeatureService(
        name="served", features=[view], logging_config=LoggingConfig(destination=destination)
    )
    store.apply([customer, view, service])
    for hour in (1, 30):
        logs = _logs(hour)
        pq.write_table(logs, tmp_path / "one.parquet")
        store.write_logged_features(tmp_path / "one.parquet" if as_file else logs, service)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        job = store._get_provider().retrieve_feature_service_logs(
            feature_service=service,
            start_date=at(0),
            end_date=at(2),
            config=store.config,
            registry=store.registry,
        )

    assert job.to_arrow()["ratings__score"].to_pylist() == [1]
    assert sorted(f.name for f in (tmp_path / "logs").iterdir()) == ["2026-03-01", "2026-03-02"]


def _logs(hour: int) -> pa.Table:
    return pa.table(
        {
            "customer": ["ann"],
            "ratings__score": pa.array([hour], pa.int64()),
            "ratings__score__timestamp": pa.array([at(hour)], US),
            "ratings__score__status": pa.array([2], pa.int32()),
            "__log_timestamp": pa.array([at(hour)], US),
            "__log_date": pa.array([at(hour).date()], pa.date32()),
            "__request_id": ["r"],
        }
    )


def test_feast_measures_features_over_all_files_of_a_folder(store):
    source = a_source(store, EVENTS, scores(("zoe", 3, 3, 100)))
    store.apply([customer, a_view(source)])

    MonitoringService(store).compute_metrics(
        project="shop", feature_view_name="ratings", start_date=at(0).date(), end_date=at(0).date()
    )

    measured = AsofOfflineStore.query_monitoring_metrics(store.config, "shop", "feature")
    assert [m["feature_name"] for m in measured] == ["score"]
    assert (measured[0]["row_count"], measured[0]["max_val"]) == (8, 100)
    newest = AsofOfflineStore.get_monitoring_max_timestamp(store.config, source, "event_time")
    assert newest == at(5.1)


def test_a_baseline_of_what_was_measured_can_be_cleared(store):
    store.apply([customer, a_view(a_source(store, EVENTS))])
    MonitoringService(store).compute_metrics(
        project="shop", feature_view_name="ratings", set_baseline=True
    )

    before = AsofOfflineStore.query_monitoring_metrics(store.config, "shop", "feature")
    AsofOfflineStore.clear_monitoring_baseline(store.config, "shop", "ratings")
    after = AsofOfflineStore.query_monitoring_metrics(store.config, "shop", "feature")

    assert [bool(m["is_baseline"]) for m in (*before, *after)] == [True, False]
    assert before[0]["metric_date"] is not None


def test_values_are_described_in_a_range(store):
    source = a_source(store, EVENTS)

    described = AsofOfflineStore.compute_monitoring_metrics(
        store.config,
        source,
        [("score", "numeric"), ("customer", "categorical")],
        "event_time",
        start_date=at(1),
        end_date=at(5),
    )

    assert [(m["feature_name"], m["row_count"]) for m in described] == [
        ("score", 5),
        ("customer", 5),
    ]
