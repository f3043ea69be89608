"""Reading online by name and by many: the same values as Feast gives, and what there is not."""

from __future__ import annotations

import importlib
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features._online_by_feast import ByFeast
from features.online import OnlineStore, online_file
from features.online_lookup import lookup_of
from features.online_read import OnlineFeatures, read_online
from features.online_reader import OnlineReader
from features.publish import publish
from features.publish_on_demand import publish_on_demand
from features.store import PROJECT, feature_store
from features.view import Entity, FeatureView
from headrace import Table
from headrace.clock import VirtualClock, using_clock
from headrace.errors import DataError, DefinitionError, LeakageError, UnknownNameError
from headrace.schemas import Column, TableSchema
from headrace.settings import using_settings

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
NOON_US = 1_714_564_800_000_000
AT = NOON + timedelta(hours=1)
US = pa.timestamp("us", tz="UTC")


def as_given(source: pa.Table) -> pa.Table:
    return source


everything = FeatureView(
    name="everything",
    entities=(Entity(name="tail", column="tail"), Entity(name="leg", column="leg", dtype="int")),
    source=TableSchema(name="Source", columns=(Column(name="tail", dtype="string"),)),
    features=(
        Column(name="is_late", dtype="bool"),
        Column(name="seats", dtype="int"),
        Column(name="delay", dtype="float"),
        Column(name="gate", dtype="string"),
        Column(name="maker", dtype="category"),
        Column(name="built", dtype="timestamp"),
        Column(name="serviced", dtype="date"),
    ),
    compute=as_given,
    owner="flights",
    description="One feature of every type.",
    ttl=timedelta(hours=6),
)
everybody = replace(
    everything,
    name="everybody",
    entities=(),
    features=(Column(name="open", dtype="int"),),
    ttl=None,
)
NAMES = [c.name for c in everything.columns]
REFS = [f"everything:{name}" for name in NAMES]


def rows(seed: int, count: int = 40) -> pa.Table:
    pick = random.Random(seed)  # noqa: S311

    def some(make: Any) -> list[Any]:
        return [None if pick.random() < 0.2 else make() for _ in range(count)]

    events = [NOON - timedelta(microseconds=pick.randrange(3 * 10**10)) for _ in range(count)]
    built = [datetime.fromtimestamp(pick.randrange(-(10**9), 10**9), UTC) for _ in range(count)]
    days = [date(1970, 1, 1) + timedelta(days=pick.randrange(-9999, 9999)) for _ in range(count)]
    return pa.table(
        {
            "tail": [f"N{i}" if i % 3 else f"Ñ{i}" for i in range(count)],
            "leg": pa.array([i - 5 for i in range(count)], pa.int64()),
            "event_time": pa.array(events, US),
            "known_time": pa.array([e + timedelta(minutes=1) for e in events], US),
            "expires_at": pa.array([e + timedelta(hours=6) for e in events], US),
            "is_late": pa.array(some(lambda: pick.random() < 0.5), pa.bool_()),
            "seats": pa.array(some(lambda: pick.randrange(-(1 << 63), 1 << 63)), pa.int64()),
            "delay": pa.array(some(lambda: pick.uniform(-1e9, 1e9)), pa.float64()),
            "gate": some(lambda: "é" * pick.randrange(90)),
            "maker": pa.array(some(lambda: pick.choice("AB")), pa.string()).dictionary_encode(),
            "built": pa.array(some(lambda: pick.choice(built)), US),
            "serviced": pa.array(some(lambda: pick.choice(days)), pa.date32()),
        }
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("home")
    with using_settings(home=folder), using_clock(VirtualClock(AT)):
        publish(Table.of(rows(0), schema=everything.schema), view=everything)
        yield folder


@pytest.fixture
def online(home: Path) -> Iterator[OnlineStore]:
    with using_clock(VirtualClock(AT)), OnlineStore(online_file(), PROJECT) as store:
        store.clear()
        yield store
        store.clear()


def asked(table: pa.Table) -> list[dict[str, Any]]:
    """Every entity, one twice, and one that there is not."""
    pairs = table.select(["tail", "leg"]).to_pylist()
    return [*pairs, pairs[3], {"tail": "N0", "leg": 1 << 40}]


@pytest.mark.parametrize("seed", range(4))
def test_our_reader_and_feast_give_the_same_of_random_rows(online, seed):
    online.push(everything, rows(seed))
    entities = asked(rows(seed))
    columns = {name: [each[name] for each in entities] for name in ("tail", "leg")}

    ours = read_online(REFS, entities)
    by_feast = ByFeast("everything", NAMES, lookup_of(everything)).read(
        columns, NOON_US + 3_600_000_000
    )
    raw = feature_store().get_online_features(REFS, entities).to_dict()

    statuses = by_feast.statuses()
    assert ours.features == dict(zip(NAMES, by_feast.columns, strict=True))
    assert ours.statuses == dict(zip(NAMES, statuses, strict=True))
    assert {"present", "null", "unknown", "expired"} == set(statuses[0])
    # Feast itself also gives what has expired, and the midnight that begins a date
    gone = [state == "expired" for state in statuses[0]]
    assert any(
        raw["gate"][i] is not None and ours.features["gate"][i] is None
        for i, g in enumerate(gone)
        if g
    )
    for name in NAMES:
        kept = [None if g else value for g, value in zip(gone, raw[name], strict=True)]
        if name == "serviced":
            kept = [None if v is None else v.date() for v in kept]
        assert ours.features[name] == kept


def test_many_are_read_as_each_is_read_alone(online):
    online.push(everything, rows(9))
    entities = [*asked(rows(9)), {"tail": None, "leg": 1}]
    at_us = NOON_US + 3_600_000_000

    with OnlineReader(online_file(), PROJECT, [lookup_of(everything, ["gate", "seats"])]) as reader:
        alone = [reader.read(0, each, at_us) for each in entities]
        many = reader.read_many(0, entities, at_us)

    assert many.status == [each.status for each in alone]
    assert many.event_us == [each.event_us for each in alone]
    assert many.known_us == [each.known_us for each in alone]
    assert [list(row) for row in zip(*many.columns, strict=True)] == [
        each.values or [None, None] for each in alone
    ]


def test_more_entities_than_a_statement_takes_are_one_snapshot(online):
    wide = replace(everybody, name="legs", entities=(everything.entities[1],))
    online.push_rows(wide, [(i, NOON_US, NOON_US, i * 2) for i in range(9000)])

    with OnlineReader(online_file(), PROJECT, [lookup_of(wide)]) as reader:
        found = reader.read_many(0, {"leg": list(range(9001))}, NOON_US)

    assert found.columns == [[*(i * 2 for i in range(9000)), None]]
    assert found.status[-2:] == ["present", "unknown"]


def test_found_values_are_an_arrow_table_of_the_declared_types_and_a_matrix(online):
    online.push(everything, rows(5))
    lookup = lookup_of(everything, ["delay", "maker", "serviced"])
    numbers = lookup_of(everything, ["delay"])

    with OnlineReader(online_file(), PROJECT, [lookup, numbers]) as reader:
        table = reader.read_many(0, [{"tail": "?", "leg": 1}], NOON_US).table()
        matrix = reader.read_many(1, [{"tail": "?", "leg": 1}, {"tail": "?", "leg": 2}], NOON_US)

    assert table.schema.types == [pa.float64(), pa.dictionary(pa.int32(), pa.string()), pa.date32()]
    assert matrix.matrix().shape == (2, 1)


def test_a_view_about_everybody_answers_each_row(online):
    online.push_rows(everybody, [(NOON_US, NOON_US, 7)])

    with OnlineReader(online_file(), PROJECT, [lookup_of(everybody)]) as reader:
        assert reader.read(0, {}, NOON_US).values == [7]
        assert reader.read_many(0, [{"a": 1}, {"a": 2}], NOON_US).columns == [[7, 7]]
        assert reader.read_many(0, {}, NOON_US).columns == [[7]]


def test_what_is_not_online_is_told_from_an_entity_that_is_not(online):
    before = read_online("everything", {"tail": ["N1"], "leg": [-4]})
    online.push(everything, rows(1))
    after = read_online("everything:gate", {"tail": ["?"], "leg": [-4]})

    assert set(before.statuses["gate"]) == {"not_materialized"}
    assert after.statuses == {"gate": ["unknown"]}


def test_a_later_read_than_the_moment_asked_for_is_refused(online):
    online.push(everything, rows(1))

    with pytest.raises(LeakageError):
        read_online("everything", asked(rows(1)), at=NOON - timedelta(hours=9))


def test_a_table_that_feasts_own_store_wrote_is_read_by_feasts_times(tmp_path):
    file = tmp_path / "online.db"
    lookup = replace(lookup_of(replace(everybody, ttl=timedelta(hours=1)), number=0), view="gates")
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(
            "CREATE TABLE headrace_gates (entity_key BLOB, feature_name TEXT, value BLOB, "
            "value_text TEXT, vector_value BLOB, event_ts timestamp, created_ts timestamp, "
            "PRIMARY KEY(entity_key, feature_name))"
        )
        reader = OnlineReader(file, PROJECT, [lookup])
        empty = reader.read(0, {}, NOON_US)
        from features._online_keys import ENTITYLESS
        from features._online_times import feast_seconds

        connection.execute(
            "INSERT INTO headrace_gates VALUES (?, 'open', ?, '7', NULL, ?, NULL)",
            (ENTITYLESS, b"\x20\x07", feast_seconds(NOON_US)),
        )
    found = reader.read(0, {}, NOON_US)
    later = reader.read_many(0, [{}], NOON_US + 3_600_000_001)
    reader.close()

    assert empty.status == "not_materialized"  # Feast makes tables before anything is in them
    assert (found.values, found.event_us, found.known_us) == ([7], NOON_US, NOON_US)
    assert later.status == ["expired"]


@pytest.mark.parametrize(
    ("refs", "entities", "kind", "message"),
    [
        pytest.param(
            "everything:gat",
            {"tail": ["N1"], "leg": [1]},
            UnknownNameError,
            "There is no feature in view 'everything@v0' called 'gat'. Did you mean 'gate'?\n"
            "  Fix: Name features that this version of the view has.",
            id="an unknown column",
        ),
        pytest.param(
            "everything@v7",
            {"tail": ["N1"], "leg": [1]},
            UnknownNameError,
            "View 'everything' has no published version v7; it has v0.\n"
            "  Fix: Name one of its versions, or none for the current one.",
            id="an unknown version",
        ),
        pytest.param(
            ["everything:gate", "everything@v0:gate"],
            {"tail": ["N1"], "leg": [1]},
            DefinitionError,
            "Two of the features asked for are called 'gate': of 'everything' and of "
            "'everything@v0'.\n"
            "  Fix: Ask for full_names=True, or for one version of a view at a time.",
            id="one name twice",
        ),
        pytest.param(
            "everything:gate",
            {"tail": ["N1", "N2"], "leg": [1]},
            DataError,
            "The keys of view 'everything' differ in length: {'tail': 2, 'leg': 1}.\n"
            "  Fix: Give each key column a value for each entity.",
            id="columns of two lengths",
        ),
        pytest.param(
            "everything:gate",
            {"tail": ["N1"]},
            DataError,
            "The key 'leg' of view 'everything' is missing among ['tail']; it should be an "
            "integer of 64 bits.\n"
            "  Fix: Give each key column a value of its type, or null where there is no entity.",
            id="a missing key",
        ),
    ],
)
def test_what_cannot_be_read_is_named(online, refs, entities, kind, message):
    online.push(everything, rows(1))

    with pytest.raises(kind) as error:
        read_online(refs, entities)

    assert str(error.value) == message


def test_the_same_features_are_read_again_and_again(online):
    online.push(everything, rows(1))

    with OnlineFeatures(["everything@v0:gate"], full_names=True) as features:
        first = features.read([{"tail": "N1", "leg": -4}])
        online.push(everything, rows(1))
        second = features.read(pa.table({"tail": ["N1"], "leg": [-4]}))

    assert list(first.features) == ["everything__gate"]
    assert first.to_dict() == second.to_dict()
    assert first.table().column_names == ["tail", "leg", "everything__gate"]


PLANES = '''
from typing import Any, Protocol

from features.on_demand import OnDemandView
from headrace import Schema


class Asked(Schema, Protocol):
    """This is what a request says."""

    extra: float


class Wait(Schema, Protocol):
    """This is what is computed."""

    wait: float


def wait_of(values: dict[str, list[Any]]) -> dict[str, list[Any]]:
    pairs = zip(values["delay"], values["extra"], strict=True)
    return {"wait": [None if d is None or e is None else d + e for d, e in pairs]}


waits = OnDemandView(
    name="waits",
    request=Asked,
    views={"everything": ["delay"]},
    features=Wait,
    compute=wait_of,
    owner="flights",
    description="How long a passenger waits.",
)
'''


def test_an_on_demand_view_is_computed_by_feast_of_what_is_online(
    online, tmp_path, monkeypatch: pytest.MonkeyPatch
):
    root = tmp_path / "planes"
    root.mkdir()
    (root / "__init__.py").touch()
    (root / "waits.py").write_text(PLANES)
    monkeypatch.syspath_prepend(tmp_path)
    table = rows(1)
    online.push(everything, table)
    delays = dict(zip(table["tail"].to_pylist(), table["delay"].to_pylist(), strict=True))
    fresh = [  # what Feast computes of what has expired is not judged
        each for each in table.to_pylist() if each["expires_at"] >= AT
    ][:6]
    entities = [{"tail": each["tail"], "leg": each["leg"], "extra": 2.5} for each in fresh]
    entities += [entities[0] | {"extra": None}, entities[0] | {"tail": "N0"}]

    with using_settings(roots=(root,)):
        publish_on_demand([], view=importlib.import_module("planes.waits").waits)
        found = read_online(["everything:delay", "waits:wait"], entities)
        raw = feature_store().get_online_features(["waits:wait"], entities).to_dict()

    known = [delays[each["tail"]] for each in fresh]
    expected = [None if delay is None else delay + 2.5 for delay in known]
    assert any(value is not None for value in expected)
    assert found.features == {"delay": [*known, known[0], None], "wait": [*expected, None, None]}
    assert found.statuses["wait"] == ["null" if v is None else "present" for v in raw["wait"]]
    assert found.features["wait"] == raw["wait"]


def test_lists_that_only_feasts_registry_has_are_read_through_feast(online, tmp_path):
    from feast import Entity as FeastEntity
    from feast import FeatureView as FeastView
    from feast import Field, FileSource, ValueType
    from feast.types import Array, Float64, Int64, String

    events = [NOON, NOON - timedelta(hours=9)]
    frame = pa.table(
        {
            "plane": ["N1", "N2"],
            "event_timestamp": pa.array(events, US),
            "created": pa.array(events, US),
            "weights": [[1.5, 2.5], [0.5]],
            "words": [["a", "é"], ["b"]],
            "flights": pa.array([3, 4], pa.int64()),
        }
    )
    file = tmp_path / "planes.parquet"
    pq.write_table(frame, file)
    plane = FeastEntity(name="plane", join_keys=["plane"], value_type=ValueType.STRING)
    fleet = FeastView(
        name="fleet",
        entities=[plane],
        ttl=timedelta(hours=6),
        schema=[
            Field(name="plane", dtype=String),
            Field(name="weights", dtype=Array(Float64)),
            Field(name="words", dtype=Array(String)),
            Field(name="flights", dtype=Int64),
        ],
        source=FileSource(
            name="fleet",
            path=str(file),
            timestamp_field="event_timestamp",
            created_timestamp_column="created",
        ),
    )
    store = feature_store()
    store.apply([plane, fleet])
    store.write_to_online_store("fleet", frame.to_pandas())

    found = read_online("fleet", {"plane": ["N1", "N2", "N3", None]})

    assert found.to_dict() == {
        "plane": ["N1", "N2", "N3", None],
        "weights": [[1.5, 2.5], None, None, None],
        "words": [["a", "é"], None, None, None],
        "flights": [3, None, None, None],
    }
    assert found.statuses["weights"] == ["present", "expired", "unknown", "unknown"]
    # without a look at the ttl Feast itself gives the same
    raw = store.get_online_features(["fleet:weights"], [{"plane": "N1"}, {"plane": "N2"}])
    assert raw.to_dict()["weights"] == [[1.5, 2.5], [0.5]]
    assert found.table()["weights"].to_pylist() == [[1.5, 2.5], None, None, None]
