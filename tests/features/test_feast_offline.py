"""Feast's own SDK on our offline store: each entity row gets what was known at its moment."""

from __future__ import annotations

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
    RepoConfig,
    RequestSource,
    ValueType,
)
from feast.data_format import DeltaFormat
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64, String
from hypothesis import given, settings
from hypothesis import strategies as st

from features._feast_offline_entities import rows_of_frame
from features._feast_offline_join import JoinedView, join_views, joined_views
from features._feast_offline_source import ParquetRows
from features.join import NO_MATCH, Facts, match_as_known
from headrace.errors import BoundaryError, DefinitionError, StoreError, UnknownNameError

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


def at(hour: float) -> datetime:
    return START + timedelta(hours=hour)


def hours(*values: float | None) -> pa.Array:
    return pa.array([None if v is None else at(v) for v in values], US)


def a_store(folder: Path, **offline: Any) -> FeatureStore:
    config = RepoConfig(
        project="shop",
        provider="local",
        repo_path=folder,
        registry={
            "registry_type": "sql",
            "path": f"sqlite:///{folder}/registry.db",
            "enable_online_feature_view_versioning": True,
        },
        offline_store={"type": "features.feast_offline.AsofOfflineStore", **offline},
        online_store={"type": "sqlite", "path": str(folder / "online.db")},
        entity_key_serialization_version=3,
    )
    return FeatureStore(config=config)


def rows_in(folder: Path, name: str, table: pa.Table, **source: Any) -> FileSource:
    """Write a source's rows into a folder of its own below the store's."""
    (folder / name).mkdir(exist_ok=True)
    pq.write_table(table, folder / name / "1.parquet")
    given = {"timestamp_field": "event_time", "created_timestamp_column": "known_time"} | source
    return FileSource(name=name, path=name, **given)


customer = Entity(name="customer", join_keys=["customer"], value_type=ValueType.STRING)


def a_view(source: FileSource, *features: Field, **more: Any) -> FeatureView:
    given: dict[str, Any] = {"name": source.name, "entities": [customer], "ttl": timedelta(0)}
    fields = list(features) or [Field(name="score", dtype=Int64)]
    return FeatureView(source=source, schema=fields, online=False, **(given | more))


def scores(**columns: list[Any]) -> pa.Table:
    return pa.table(
        {
            "customer": columns["customer"],
            "event_time": hours(*columns["event"]),
            "known_time": hours(*columns["known"]),
            "score": pa.array(columns["score"], pa.int64()),
        }
    )


def asked(*rows: tuple[Any, float]) -> pd.DataFrame:
    return pd.DataFrame(
        {"customer": [r[0] for r in rows], "event_timestamp": [at(r[1]) for r in rows]}
    )


# the second row of ann corrects the first, at 14 o'clock
RATINGS = scores(
    customer=["ann", "ann", "ben", "ann"],
    event=[8, 8, 9, 10],
    known=[9, 14, 9, 11],
    score=[3, 1, 7, 4],
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """A store with a view of ratings, known late and corrected."""
    folder = tmp_path_factory.mktemp("shop")
    store = a_store(folder)
    ratings = a_view(rows_in(folder, "ratings", RATINGS))
    brief = a_view(
        rows_in(folder, "brief", RATINGS), Field(name="score", dtype=Int64), ttl=timedelta(hours=2)
    )
    everybody = a_view(
        rows_in(
            folder,
            "everybody",
            pa.table(
                {
                    "event_time": hours(0, 9),
                    "known_time": hours(0, 12),
                    "rate": [1.5, 2.5],
                }
            ),
        ),
        Field(name="rate", dtype=Float64),
        entities=[],
    )
    store.apply([customer, ratings, brief, everybody])
    return store


def read(store: FeatureStore, rows: Any, *features: str, **more: Any) -> pa.Table:
    return store.get_historical_features(rows, list(features), **more).to_arrow()


def test_a_correction_is_not_seen_before_it_was_known(shop):
    table = read(shop, asked(("ann", 8.5), ("ann", 10), ("ann", 15)), "ratings:score")

    assert table["score"].to_pylist() == [None, 3, 4]


def test_no_row_is_lost_and_order_and_duplicates_are_kept(shop):
    rows = asked(("ben", 20), ("zoe", 20), ("ann", 10), (None, 20), ("ann", 10), ("ben", 20))

    table = read(shop, rows, "ratings:score")

    assert table["score"].to_pylist() == [7, None, 3, None, 3, 7]
    assert table["customer"].to_pylist() == rows["customer"].tolist()
    assert table.column_names == ["customer", "event_timestamp", "score"]


def test_feasts_reading_can_be_chosen_for_a_store(tmp_path):
    store = a_store(tmp_path, late_rows="used")
    store.apply([customer, a_view(rows_in(tmp_path, "ratings", RATINGS))])
    rows = asked(("ann", 8.5), ("ann", 10), ("ann", 15))

    leaky = read(store, rows, "ratings:score")
    filtered = read(store, rows, "ratings:score", filter_by_created_timestamp=True)

    assert leaky["score"].to_pylist() == [1, 4, 4]
    assert filtered["score"].to_pylist() == [None, 3, 4]


def test_asking_feast_to_filter_changes_nothing_by_default(shop):
    rows = asked(("ann", 8.5), ("ann", 10))

    assert read(shop, rows, "ratings:score", filter_by_created_timestamp=True).equals(
        read(shop, rows, "ratings:score")
    )


def test_a_row_about_the_future_is_not_used_although_it_is_known(tmp_path):
    store = a_store(tmp_path)
    forecast = scores(customer=["ann", "ann"], event=[1, 9], known=[0, 0], score=[1, 9])
    store.apply([customer, a_view(rows_in(tmp_path, "forecast", forecast))])

    table = read(store, asked(("ann", 0.5), ("ann", 8), ("ann", 9)), "forecast:score")

    assert table["score"].to_pylist() == [None, 1, 9]


def test_a_ttl_ends_after_its_last_microsecond_and_no_older_row_takes_over(shop):
    rows = pd.DataFrame(
        {
            "customer": ["ben"] * 2,
            "event_timestamp": [at(11), at(11) + timedelta(microseconds=1)],
        }
    )

    table = read(shop, rows, "brief:score")

    assert table["score"].to_pylist() == [7, None]


def test_of_rows_about_one_event_the_one_created_last_counts_then_the_last_one(tmp_path):
    store = a_store(tmp_path)
    table = scores(
        customer=["ann", "ann", "ben", "ben"], event=[1] * 4, known=[3, 2, 2, 2], score=[1, 2, 3, 4]
    )
    store.apply([customer, a_view(rows_in(tmp_path, "twice", table))])

    joined = read(store, asked(("ann", 5), ("ben", 5)), "twice:score")

    assert joined["score"].to_pylist() == [1, 4]


def test_a_source_without_created_times_is_known_from_its_event_on(tmp_path):
    store = a_store(tmp_path)
    source = rows_in(tmp_path, "plain", RATINGS, created_timestamp_column="")
    store.apply([customer, a_view(source)])

    table = read(store, asked(("ann", 7), ("ann", 8), ("ann", 20)), "plain:score")

    assert table["score"].to_pylist() == [None, 1, 4]


def test_a_view_about_everybody_needs_no_key(shop):
    table = read(shop, asked(("ann", 10), (None, 12)), "everybody:rate", "ratings:score")

    assert table["rate"].to_pylist() == [1.5, 2.5]
    assert table["score"].to_pylist() == [3, None]


def test_full_names_carry_the_view_and_let_two_views_have_the_same_feature(shop):
    refs = ("ratings:score", "brief:score")

    table = read(shop, asked(("ann", 13)), *refs, full_feature_names=True)

    assert table.column_names[2:] == ["ratings__score", "brief__score"]
    assert table["ratings__score"].to_pylist() == [4]
    assert table["brief__score"].to_pylist() == [None]


def test_a_view_is_joined_twice_under_two_names_and_keys(shop):
    ratings = shop.get_feature_view("ratings")
    service = FeatureService(
        name="pair",
        features=[
            ratings.with_name("buyer").with_join_key_map({"customer": "buyer_id"}),
            ratings.with_name("seller").with_join_key_map({"customer": "seller_id"}),
        ],
    )
    shop.apply([service])
    rows = pd.DataFrame({"buyer_id": ["ann"], "seller_id": ["ben"], "event_timestamp": [at(12)]})

    table = shop.get_historical_features(rows, service, full_feature_names=True).to_arrow()

    assert table["buyer__score"].to_pylist() == [4]
    assert table["seller__score"].to_pylist() == [7]


def test_mapped_fields_are_read_by_the_names_that_the_files_have(tmp_path):
    store = a_store(tmp_path)
    table = RATINGS.rename_columns(["cust_no", "happened", "seen", "pts"])
    source = rows_in(
        tmp_path,
        "mapped",
        table,
        timestamp_field="happened",
        created_timestamp_column="seen",
        field_mapping={"cust_no": "customer", "pts": "score"},
    )
    store.apply([customer, a_view(source)])

    joined = read(store, asked(("ann", 10), ("ben", 10)), "mapped:score")

    assert joined["score"].to_pylist() == [3, 7]


def test_an_earlier_version_of_a_view_is_read_by_its_number(tmp_path):
    store = a_store(tmp_path)
    store.apply([customer, a_view(rows_in(tmp_path, "one", RATINGS), name="rating")])
    tens = RATINGS.set_column(3, "score", pa.array([30, 10, 70, 40]))
    tens = tens.append_column("place", pa.array(["1", "2", "3", "4"]))
    wider = [Field(name="score", dtype=Int64), Field(name="place", dtype=String)]
    store.apply([a_view(rows_in(tmp_path, "two", tens), *wider, name="rating")])
    rows = asked(("ann", 10))
    number = max(v["version_number"] for v in store.list_feature_view_versions("rating"))

    old = read(store, rows, "rating@v0:score")
    new = read(store, rows, f"rating@v{number}:score")
    current = read(store, rows, "rating:score", full_feature_names=True)

    assert number > 0
    assert [old["score"][0].as_py(), new["score"][0].as_py()] == [3, 30]
    assert current["rating__score"].to_pylist() == [30]


def test_a_query_gives_the_entity_rows_and_may_read_a_source_by_name(shop):
    query = """
        SELECT customer, max(event_time) + INTERVAL 1 HOUR AS event_timestamp, 1 AS label
        FROM ratings GROUP BY customer ORDER BY customer DESC
    """

    table = read(shop, query, "ratings:score")

    assert table["customer"].to_pylist() == ["ben", "ann"]
    assert table["score"].to_pylist() == [7, 4]
    assert table["label"].to_pylist() == [1, 1]


def test_a_range_gives_a_row_for_each_moment_at_which_something_was_learnt(shop):
    table = read(shop, None, "ratings:score", start_date=at(9), end_date=at(13))

    assert table.to_pylist() == [
        {"customer": "ann", "event_timestamp": at(9), "score": 3},
        {"customer": "ben", "event_timestamp": at(9), "score": 7},
        {"customer": "ann", "event_timestamp": at(11), "score": 4},
    ]


def test_a_range_of_two_views_has_the_moments_of_both(shop):
    table = read(shop, None, "ratings:score", "everybody:rate", start_date=at(11), end_date=at(12))

    assert [(r["customer"], r["score"], r["rate"]) for r in table.to_pylist()] == [
        ("ann", 4, 1.5),
        (None, None, 2.5),
    ]


@pytest.mark.parametrize(
    "moments",
    [
        pytest.param([datetime(2026, 3, 1, 10)], id="without a zone"),
        pytest.param(["2026-03-01T10:00:00"], id="text"),
        pytest.param([pd.Timestamp("2026-03-01T15:30:00+05:30")], id="another zone"),
    ],
)
def test_moments_are_put_in_utc(shop, moments):
    rows = pd.DataFrame({"customer": ["ann"], "event_timestamp": moments})

    table = read(shop, rows, "ratings:score")

    assert table["event_timestamp"].cast(US).to_pylist() == [at(10)]
    assert table["score"].to_pylist() == [3]
    assert rows["event_timestamp"].tolist() == moments  # what was given is as it was


def test_the_only_time_among_the_columns_is_the_moment(shop):
    rows = asked(("ann", 10)).rename(columns={"event_timestamp": "ordered_at"})

    assert read(shop, rows, "ratings:score")["score"].to_pylist() == [3]


def test_whole_numbers_that_pandas_made_floats_of_are_still_keys(tmp_path):
    store = a_store(tmp_path)
    account = Entity(name="account", join_keys=["account"], value_type=ValueType.INT64)
    table = pa.table(
        {"account": [1, 2], "event_time": hours(0, 0), "known_time": hours(0, 0), "score": [1, 2]}
    )
    source = rows_in(tmp_path, "accounts", table)
    store.apply([account, a_view(source, entities=[account])])
    rows = pd.DataFrame({"account": [2, None, 1], "event_timestamp": [at(1)] * 3})

    assert read(store, rows, "accounts:score")["score"].to_pylist() == [2, None, 1]


def test_on_demand_features_are_computed_from_features_and_the_request(shop):
    @on_demand_feature_view(
        sources=[
            shop.get_feature_view("ratings"),
            RequestSource(name="request", schema=[Field(name="bonus", dtype=Int64)]),
        ],
        schema=[Field(name="total", dtype=Int64)],
        mode="python",
    )
    def with_bonus(inputs: dict[str, Any]) -> dict[str, Any]:
        pairs = zip(inputs["score"], inputs["bonus"], strict=True)
        return {"total": [None if s is None else s + b for s, b in pairs]}

    shop.apply([with_bonus])
    rows = asked(("ann", 10), ("ann", 1)).assign(bonus=[10, 10])

    table = read(shop, rows, "ratings:score", "with_bonus:total")

    assert table["total"].to_pylist() == [13, None]


def test_the_job_says_what_was_asked_and_what_it_does(shop):
    job = shop.get_historical_features(asked(("ann", 10), ("ann", 15)), ["brief:score"])

    assert job.metadata.features == ["brief:score"]
    assert job.metadata.keys == ["customer"]
    assert (job.metadata.min_event_timestamp, job.metadata.max_event_timestamp) == (at(10), at(15))
    assert job.explain() == (
        "2 entity rows, each at its 'event_timestamp':\n"
        "- brief: score; joined on customer; the greatest 'event_time', known by then "
        "('known_time'); of equals the greatest 'known_time', then the last row; none if older "
        "than 2:00:00; from 1 file of source 'brief'"
    )
    assert job.to_df()["score"].tolist()[0] == 3


def test_no_entity_rows_give_no_rows(shop):
    table = read(shop, asked(("ann", 10)).iloc[:0], "ratings:score")

    assert table.num_rows == 0
    assert table.column_names == ["customer", "event_timestamp", "score"]


def refused(kind: type[Exception], work: Any) -> str:
    with pytest.raises(kind) as error:
        work()
    return str(error.value)


def test_what_the_entity_rows_lack_is_said(shop):
    rows = asked(("ann", 10)).rename(columns={"customer": "client"})
    numbers = asked((7, 10))

    missing = refused(BoundaryError, lambda: read(shop, rows, "ratings:score"))
    other = refused(BoundaryError, lambda: read(shop, numbers, "ratings:score"))

    assert missing == (
        "The entity rows have no column 'customer', on which feature view 'ratings' is joined. "
        "They have: client, event_timestamp.\n  Fix: Add the column 'customer'."
    )
    assert other == (
        "The key 'customer' is int64 in the entity rows but string in the rows of feature view "
        "'ratings'.\n  Fix: Give it the same type on both sides."
    )


def test_a_column_that_would_occur_twice_is_refused(shop):
    rows = asked(("ann", 10)).assign(score=1)

    assert refused(BoundaryError, lambda: read(shop, rows, "ratings:score")) == (
        "The result would have two columns 'score', one of them of feature view 'ratings'.\n"
        "  Fix: Ask with full_feature_names=True, give the view another name "
        "(`view.with_name(...)`), or rename the column of the entity rows."
    )


def test_a_query_that_fails_is_refused(shop):
    said = refused(DefinitionError, lambda: read(shop, "SELECT * FROM nowhere", "ratings:score"))

    assert said.startswith("The query for the entity rows fails: Catalog Error: Table with name")
    assert said.endswith(
        "  Fix: Write one SELECT in DuckDB's SQL; it may read Parquet files, and the project's "
        "sources by name."
    )


def test_rows_that_are_no_data_frame_are_refused(shop):
    said = refused(DefinitionError, lambda: read(shop, RATINGS, "ratings:score"))

    assert said == (
        "Entity rows cannot be a Table.\n"
        "  Fix: Give a pandas data frame, a SELECT as text, or None with a range of dates."
    )


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        pytest.param(
            {"file_format": DeltaFormat()},
            DefinitionError,
            "Feature view 'v' has a FileSource of DeltaFormat, which the ASOF offline store does "
            "not read.\n  Fix: Write the rows as Parquet and use `ParquetFormat()`.",
            id="another format",
        ),
        pytest.param(
            {"path": "s3://bucket/rows"},
            DefinitionError,
            "Feature view 'v' lies at s3://bucket/rows, and the ASOF offline store reads and "
            "writes local files.\n  Fix: Use a path, such as a folder where that storage is "
            "mounted.",
            id="another place",
        ),
        pytest.param(
            {"created_timestamp_column": "know_time"},
            UnknownNameError,
            "There is no column of source 'rows' 'know_time'. Did you mean 'known_time' or "
            "'event_time'?\n"
            "  Fix: Name a column that the Parquet files have, or map it with `field_mapping`.",
            id="a wrong column",
        ),
    ],
)
def test_a_source_that_cannot_be_read_is_refused(tmp_path, change, kind, said):
    source = rows_in(tmp_path, "rows", RATINGS)
    given = {"path": source.path, "timestamp_field": "event_time"} | change
    view = a_view(FileSource(name="rows", **given), name="v")
    store = a_store(tmp_path)

    def plan() -> None:
        joined_views(store.config, [view], {"v": ["score"]}, full_names=False, as_known=True)

    assert refused(kind, plan) == said


def test_a_source_without_files_is_refused(tmp_path):
    store = a_store(tmp_path)
    store.apply([customer, a_view(rows_in(tmp_path, "rows", RATINGS))])
    (tmp_path / "rows" / "1.parquet").unlink()

    said = refused(StoreError, lambda: read(store, asked(("ann", 1)), "rows:score"))

    assert said == (
        f"Feature view 'rows' reads Parquet files from {tmp_path / 'rows'}, where there are none.\n"
        "  Fix: Write its rows there first, or correct the path of its source."
    )


def test_an_on_demand_view_that_feast_computes_only_online_is_refused(shop):
    @on_demand_feature_view(
        sources=[shop.get_feature_view("ratings")],
        schema=[Field(name="twice", dtype=Int64)],
        mode="python",
        singleton=True,
    )
    def one_by_one(inputs: dict[str, Any]) -> dict[str, Any]:
        return {"twice": 2 * (inputs["score"] or 0)}

    shop.apply([one_by_one])

    said = refused(DefinitionError, lambda: read(shop, asked(("ann", 9)), "one_by_one:twice"))

    assert said == (
        "On-demand feature view 'one_by_one' computes one row at a time (`singleton=True`), which "
        'Feast does online only.\n  Fix: Write it with mode="python" and lists of values: the same '
        "code runs online."
    )


minutes = st.integers(-300, 600)
people = st.sampled_from(["ann", "ben", None])
NANOSECONDS = pa.timestamp("ns", tz="UTC")


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.tuples(people, minutes, st.integers(0, 300), st.integers(0, 5)), max_size=12),
    asking=st.lists(st.tuples(people, minutes), min_size=1, max_size=8),
    layout=st.tuples(st.sampled_from(["ms", "us", "ns"]), st.booleans(), st.integers(1, 4)),
    ttl=st.sampled_from([None, 90]),
)
def test_feast_reads_what_our_own_join_gives(tmp_path_factory, rows, asking, layout, ttl):
    unit, zoned, group_size = layout
    scale = {"ms": 60_000, "us": 60_000_000, "ns": 60_000_000_000}[unit]
    times = {
        "event_time": [r[1] * scale for r in rows],
        "known_time": [(r[1] + r[2]) * scale for r in rows],
        "expires": [(r[1] + (ttl or 10**6)) * scale for r in rows],
    }
    kind = pa.timestamp(unit, tz="UTC")
    table = pa.table(
        {
            "customer": pa.array([r[0] for r in rows], pa.string()),
            **{name: pa.array(values, pa.int64()).cast(kind) for name, values in times.items()},
            "score": pa.array([r[3] for r in rows], pa.int64()),
        }
    )
    frame = pd.DataFrame(
        {
            "customer": pd.Series([a[0] for a in asking], dtype=object),
            "event_timestamp": pd.to_datetime([a[1] for a in asking], unit="m", utc=True),
        }
    )
    file = tmp_path_factory.mktemp("rows") / "1.parquet"
    written = table if zoned else table.cast(_without_zone(table.schema))
    pq.write_table(written, file, row_group_size=group_size)
    view = JoinedView(
        name="v",
        source=ParquetRows(name="v", files=(file,), schema=pq.read_schema(file)),
        keys={"customer": "customer"},
        event="event_time",
        known="known_time",
        as_known=True,
        ttl=None if ttl is None else timedelta(minutes=ttl),
        taken={"score": "score"},
    )
    entities = rows_of_frame(frame)

    joined = join_views(entities, [view])

    facts = Facts(rows=table, keys=("customer",), expires="expires")
    ours = match_as_known(_typed(entities.table), facts, at="event_timestamp")
    assert joined["score"].to_pylist() == [None if f == NO_MATCH else rows[f][3] for f in ours]


def _typed(table: pa.Table) -> pa.Table:
    return table.set_column(0, "customer", table["customer"].cast(pa.string()))


def _without_zone(schema: pa.Schema) -> pa.Schema:
    kinds = [pa.timestamp(k.unit) if pa.types.is_timestamp(k) else k for k in schema.types]
    return pa.schema(list(zip(schema.names, kinds, strict=True)))
