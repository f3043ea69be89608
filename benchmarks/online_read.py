"""Features online: ours against Feast's SDK, from the same SQLite file and the same Redis.

Both are asked for the same features of the same entities, by name, and give a dictionary of
columns; all that can be worked out once, the registry too, has been. CPU seconds of the process
that asks. The rows are ours, in Feast's layout; Feast reads them with its own stores.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from features.view import Entity, FeatureView
from headrace.clock import current_clock
from headrace.schemas import Column, DType, TableSchema
from headrace.settings import using_settings

_SHAPES = ((1, 10), (10, 10), (100, 50))
_ENTITIES = 2_000
_ROUNDS = 15
_ROUND_SECONDS = 0.06
_TYPES: tuple[DType, ...] = ("float", "float", "int", "float", "string", "float", "bool", "float")
_NULLS = 0.05
Read = Callable[[list[dict[str, Any]]], dict[str, list[Any]]]


def as_given(source: pa.Table) -> pa.Table:
    """Return rows as they are."""
    return source


def run() -> Iterator[dict[str, Any]]:
    """Yield a row for each store and shape."""
    with _redis() as url:
        for store, address in (("sqlite", None), ("redis", url)):
            if store == "redis" and address is None:
                for entities, features in _SHAPES:
                    yield _row(store, entities, features, None, {"why": "no redis-server here"})
                continue
            with (
                tempfile.TemporaryDirectory() as home,
                using_settings(home=Path(home), features_online_url=address),
            ):
                for features in sorted({width for _, width in _SHAPES}):
                    _publish(_view(features), address)
                for entities, features in _SHAPES:
                    yield _measured(store, entities, _view(features), Path(home))


def _measured(store: str, entities: int, view: FeatureView, home: Path) -> dict[str, Any]:
    from features.online_read import OnlineFeatures

    feast = _feast(home)
    refs = [f"{view.name}:{column.name}" for column in view.columns]

    def theirs(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = feast.get_online_features(refs, rows).to_dict()
        return found

    with OnlineFeatures(refs) as features:

        def ours(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
            return features.read(rows).to_dict()

        pick = random.Random(entities)  # noqa: S311  not a secret
        asked = [
            [{"driver": driver} for driver in pick.sample(range(_ENTITIES + 20), entities)]
            for _ in range(20)
        ]
        for rows in asked:
            if ours(rows) != theirs(rows):
                raise RuntimeError(f"{store}: Feast and we read other values for {rows}")
        times = {
            name: max(1, round(_ROUND_SECONDS / len(asked) / _seconds(read, asked, 1)))
            for name, read in (("ours", ours), ("feast", theirs))
        }
        pairs = []
        for number in range(_ROUNDS):
            turn = [("ours", ours), ("feast", theirs)]
            seen = {
                name: _seconds(read, asked, times[name])
                for name, read in (turn if number % 2 else reversed(turn))
            }
            pairs.append((seen["feast"], seen["ours"]))
    detail = {
        "rounds": _ROUNDS,
        "calls_a_round": {name: count * len(asked) for name, count in times.items()},
        "entities_in_store": _ENTITIES,
        "feast_ms": round(statistics.median(pair[0] for pair in pairs) * 1e3, 4),
        "ours_ms": round(statistics.median(pair[1] for pair in pairs) * 1e3, 4),
        "ratios": [round(a / b, 2) for a, b in sorted(pairs, key=lambda pair: pair[0] / pair[1])],
    }
    ratio = statistics.median(a / b for a, b in pairs)
    return _row(store, entities, len(view.columns), ratio, detail)


def _seconds(read: Read, asked: list[list[dict[str, Any]]], times: int) -> float:
    """Return the CPU seconds of a call."""
    begun = time.process_time()
    for _ in range(times):
        for rows in asked:
            read(rows)
    return (time.process_time() - begun) / (times * len(asked))


def _row(
    store: str, entities: int, features: int, ratio: float | None, detail: dict[str, Any]
) -> dict[str, Any]:
    small = store == "sqlite" and features == 10
    return {
        "name": f"online_read.{store}_{entities}x{features}",
        "value": None if ratio is None else round(ratio, 2),
        "unit": "times less CPU",
        "baseline": "Feast's get_online_features(...).to_dict() of the same entities, ms",
        "baseline_value": detail.get("feast_ms"),
        "ratio": None if ratio is None else round(ratio, 2),
        "higher_is_better": True,
        "goal": {"at_least": 4.0 if small else 3.0},
        "detail": detail,
    }


def _view(width: int) -> FeatureView:
    return FeatureView(
        name=f"drivers_{width}",
        entities=(Entity(name="driver", column="driver", dtype="int"),),
        source=TableSchema(name="Drivers", columns=(Column(name="driver", dtype="int"),)),
        features=tuple(
            Column(name=f"feature_{i}", dtype=_TYPES[i % len(_TYPES)]) for i in range(width)
        ),
        compute=as_given,
        owner="benchmarks",
        description=f"{width} features of drivers.",
        ttl=timedelta(days=30),
    )


def _publish(view: FeatureView, address: str | None) -> None:
    """Register a view with Feast, and write its rows online."""
    from features.online import OnlineStore, online_file
    from features.publish import publish
    from features.redis_store import RedisOnlineStore
    from headrace import Table

    table = _rows(view)
    publish(Table.of(table, schema=view.schema), view=view)
    if address is None:
        with OnlineStore(online_file(), "headrace") as store:
            store.push(view, table)
    else:
        with RedisOnlineStore(address, "headrace") as redis:
            redis.push(view, table)


def _rows(view: FeatureView) -> pa.Table:
    pick = random.Random(2013)  # noqa: S311  not a secret
    made: dict[DType, Callable[[], Any]] = {
        "float": pick.random,
        "int": lambda: pick.randrange(-1000, 1_000_000),
        "string": lambda: pick.choice(("gold", "silver", "bronze, since 2011")),
        "bool": lambda: pick.random() < 0.5,
    }
    kinds = {"float": pa.float64(), "int": pa.int64(), "string": pa.string(), "bool": pa.bool_()}
    event = current_clock().now().replace(microsecond=0) - timedelta(hours=1)
    instants = {
        "event_time": event, "known_time": event, "expires_at": event + timedelta(days=30),
    }  # fmt: skip
    columns: dict[str, Any] = {"driver": pa.array(range(_ENTITIES), pa.int64())}
    for name, moment in instants.items():
        columns[name] = pa.array([moment] * _ENTITIES, pa.timestamp("us", tz="UTC"))
    for column in view.columns:
        make = made[column.dtype]
        values = [None if pick.random() < _NULLS else make() for _ in range(_ENTITIES)]
        columns[column.name] = pa.array(values, kinds[column.dtype])
    return pa.table(columns)


def _feast(home: Path) -> Any:
    """Open Feast's own store on what is published, its registry in memory as in a server."""
    from features._feast_config import online_config, registry_config
    from features.store import feature_store

    feature_store()  # imports Feast as the door does
    from feast import FeatureStore, RepoConfig

    folder = home / "features"
    config = RepoConfig(
        project="headrace",
        provider="local",
        repo_path=folder,
        registry={**registry_config(folder / "registry.db"), "cache_ttl_seconds": 3600},
        online_store=online_config({"type": "sqlite", "path": str(folder / "online.db")}),
        entity_key_serialization_version=3,
    )
    return FeatureStore(config=config)


@contextlib.contextmanager
def _redis() -> Iterator[str | None]:
    """Start a Redis of our own; None where it is not installed."""
    program = shutil.which("redis-server")
    if program is None:
        yield None
        return
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [
            program,
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            folder,
        ]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            _wait_for(port)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()
            server.wait()


def _wait_for(port: int) -> None:
    begun = datetime.now(UTC)
    while datetime.now(UTC) - begun < timedelta(seconds=20):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError("redis-server did not start within 20 seconds")
