"""This benchmark counts what it costs a lane to look ten features up instead of being given them.

One lane in a plain process, with its log; every other round its requests bring the ten features
themselves. The features are ten columns of one view in SQLite, of 2,000 entities. Beside it, ten
features of five views, which are five reads.
"""

from __future__ import annotations

import contextlib
import json
import random
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._processes import Started, started
from benchmarks._rounds import CONNECTIONS, Measured, Subject, measured
from features.view import Entity, FeatureView
from headrace.clock import as_us, current_clock
from headrace.schemas import Column, TableSchema
from headrace.settings import using_settings

_ROUNDS, _SECONDS = 9, 3.0
_FEATURES, _ASKED, _ENTITIES = 10, 5, 2_000
_GOAL_MS = 0.2


def as_given(source: Any) -> Any:
    """Return rows as they are."""
    return source


def run() -> Iterator[dict[str, Any]]:
    """Yield the CPU milliseconds that looking ten features up adds to a request."""
    with (
        tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder,
        contextlib.ExitStack() as s,
    ):
        home = Path(folder)
        s.enter_context(using_settings(home=home))
        subjects = []
        for name, views in (("one_view", 1), ("five_views", 5)):
            lane = s.enter_context(_lane(home / name, _views(views)))
            for kind in ("given", "looked_up"):
                subjects.append(_subject(home / name, f"{name}_{kind}", kind, lane))
        found = measured(subjects, rounds=_ROUNDS, seconds=_SECONDS)
    given = found["one_view_given"]
    yield {
        "name": "lookup_cost",
        "value": round(_added_ms(found, "one_view"), 4),
        "unit": "CPU ms a request, added",
        "baseline": "the same request with all features given, CPU ms",
        "baseline_value": round(given.median / 1000, 4),
        "ratio": round(found["one_view_looked_up"].against(given), 3),
        "higher_is_better": False,
        "goal": {"at_most": _GOAL_MS},
        "detail": {
            "rounds": _ROUNDS,
            "seconds": _SECONDS,
            "connections": CONNECTIONS,
            "features_looked_up": _FEATURES,
            "features_given_always": _ASKED,
            "entities_in_store": _ENTITIES,
            "five_views_added_ms": round(_added_ms(found, "five_views"), 4),
            **{name: each.to_json() for name, each in found.items()},
        },
    }


def _added_ms(found: dict[str, Measured], name: str) -> float:
    pairs = zip(found[f"{name}_looked_up"].cost, found[f"{name}_given"].cost, strict=True)
    return statistics.median(a - b for a, b in pairs) / 1000


def _subject(folder: Path, name: str, kind: str, lane: Started) -> Subject:
    return Subject(
        name=name,
        url=lane.said["url"],
        pid=lane.pid,
        path="/v1/drivers/decide",
        bodies=folder / f"{kind}.jsonl",
    )


@contextlib.contextmanager
def _lane(folder: Path, views: Sequence[FeatureView]) -> Iterator[Started]:
    """Start a lane whose model takes the views' features, and write the bodies of requests."""
    from features.online import OnlineStore
    from features.online_lookup import lookup_of
    from operators.bundle import write_bundle
    from serving.lane.table import LaneTable, Served

    folder.mkdir(parents=True)
    pick = random.Random(2013)  # noqa: S311  not a secret
    now = as_us(current_clock().now() - timedelta(hours=1))
    values = [[pick.random() for _ in range(_FEATURES)] for _ in range(_ENTITIES)]
    width = _FEATURES // len(views)
    with OnlineStore(folder / "online.db", "headrace") as store:
        for place, view in enumerate(views):
            own = slice(place * width, (place + 1) * width)
            store.push_rows(view, [(n, now, now, *row[own]) for n, row in enumerate(values)])
    write_bundle(folder / "bundle", _model(views))
    asked = {f"asked_{n}": 0.5 for n in range(_ASKED)}
    names = [column.name for view in views for column in view.columns]
    bodies: dict[str, list[dict[str, Any]]] = {"given": [], "looked_up": []}
    for driver in pick.sample(range(_ENTITIES), 1_000):
        looked_up = dict(zip(names, values[driver], strict=True))
        bodies["given"].append({"entity": {"driver": driver}, "features": asked | looked_up})
        bodies["looked_up"].append({"entity": {"driver": driver}, "features": asked})
    for kind, found in bodies.items():
        text = "".join(json.dumps(body) + "\n" for body in found)
        (folder / f"{kind}.jsonl").write_text(text, encoding="utf-8")
    table = LaneTable(
        endpoint="drivers",
        generation=1,
        champion=Served(ref="drivers/1", folder=folder / "bundle"),
        challenger=None,
        experiment=None,
        lookups=tuple(lookup_of(view, number=0) for view in views),
        clock="live",
        may_lack=frozenset(),
        online=folder / "online.db",
        space="headrace",
        log=folder / "log",
        notices=folder / "lanes",
    )
    (folder / "table.json").write_text(json.dumps(table.to_json()), encoding="utf-8")
    with started("_lane_process", str(folder / "table.json"), "real") as process:
        yield process


def _views(count: int) -> list[FeatureView]:
    """Return so many views with ten features together."""
    names = [f"feature_{n}" for n in range(_FEATURES)]
    width = _FEATURES // count
    return [
        FeatureView(
            name=f"drivers_{place}_of_{count}",
            entities=(Entity(name="driver", column="driver", dtype="int"),),
            source=TableSchema(name="Drivers", columns=(Column(name="driver", dtype="int"),)),
            features=tuple(
                Column(name=name, dtype="float")
                for name in names[place * width : (place + 1) * width]
            ),
            compute=as_given,
            owner="benchmarks",
            description=f"{width} features of drivers.",
            ttl=timedelta(days=30),
        )
        for place in range(count)
    ]


def _model(views: Sequence[FeatureView]) -> Any:
    """Return a model of the views' features and some that are asked of the request."""
    import pandas as pd

    from headrace import TrainSet, ValidationSet
    from operators.train_xgboost import train_xgboost

    draw, count = np.random.default_rng(2013), 2_000
    sources: dict[str, str | None] = {f"asked_{n}": None for n in range(_ASKED)}
    sources |= {column.name: view.name for view in views for column in view.columns}
    frame = pd.DataFrame({name: draw.random(count) for name in sources})
    chance = frame[list(sources)].mean(axis=1) + 0.1 * draw.standard_normal(count)
    frame["tipped"] = (chance > 0.5).astype(int)
    frame["ride"] = [str(n) for n in range(count)]
    frame["at"] = pd.Timestamp("2013-01-01", tz="UTC") + pd.to_timedelta(range(count), "h")
    features = [
        Column(name=name, dtype="float", role="feature", source=source)
        for name, source in sources.items()
    ]
    schema = TableSchema(
        name="Rides",
        columns=(
            Column(name="ride", dtype="string", role="entity"),
            Column(name="at", dtype="timestamp", role="decision_time"),
            Column(name="tipped", dtype="int", role="label"),
            *features,
        ),
    )
    return train_xgboost(
        TrainSet.of(frame[:1_500], schema=schema),
        ValidationSet.of(frame[1_500:], schema=schema),
        task="classification",
    )
