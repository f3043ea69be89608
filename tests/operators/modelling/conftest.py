from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from headrace import TestSet, TrainSet, ValidationSet
from headrace.schemas import Column, TableSchema

CARRIERS = ("AA", "B6", "UA")


def trips_schema(**changes: Any) -> TableSchema:
    """This is the schema of the synthetic trips; a keyword replaces a column, None drops it."""
    columns: dict[str, Column | None] = {
        "trip": Column(name="trip", dtype="string", role="entity"),
        "decided_at": Column(name="decided_at", dtype="timestamp", role="decision_time"),
        "label": Column(name="label", dtype="int", role="label"),
        "wind": Column(name="wind", dtype="float", nullable=True, role="feature", unit="m/s"),
        "hour": Column(name="hour", dtype="int", role="feature"),
        "carrier": Column(name="carrier", dtype="string", nullable=True, role="feature"),
        "weekend": Column(name="weekend", dtype="bool", role="feature"),
    }
    columns |= changes
    return TableSchema(name="Trips", columns=tuple(c for c in columns.values() if c is not None))


def trips(rows: int, *, seed: int, first_day: str = "2013-01-01", days: int = 30) -> pd.DataFrame:
    """These are trips that are late more often with wind, in the evening, and on carrier UA."""
    draw = np.random.default_rng(seed)
    minutes = np.sort(draw.integers(0, days * 1440, rows))
    wind = draw.normal(0, 1, rows)
    hour = draw.integers(5, 23, rows)
    carrier = draw.integers(0, 3, rows)
    odds = 1.5 * wind + 0.1 * (hour - 14) + np.array([-0.5, 0.0, 0.8])[carrier] - 0.8
    frame = pd.DataFrame(
        {
            "trip": [f"{seed}-{i}" for i in range(rows)],
            "decided_at": pd.Timestamp(first_day, tz="UTC") + pd.to_timedelta(minutes, unit="min"),
            "label": (draw.random(rows) < 1 / (1 + np.exp(-odds))).astype("int64"),
            "wind": np.where(draw.random(rows) < 0.1, np.nan, wind),
            "hour": hour,
            "carrier": np.array(CARRIERS, dtype=object)[carrier],
            "weekend": draw.random(rows) < 2 / 7,
        }
    )
    frame.loc[frame.index % 17 == 0, "carrier"] = None
    return frame


@pytest.fixture(scope="session")
def data() -> SimpleNamespace:
    """These are the makers of synthetic trips, and one set of each kind."""
    schema = trips_schema()
    frames = {
        "train": trips(3_000, seed=1),
        "validation": trips(1_500, seed=2, first_day="2013-02-01"),
        "test": trips(2_000, seed=3, first_day="2013-03-05", days=40),
    }
    return SimpleNamespace(
        schema=trips_schema,
        trips=trips,
        frames=frames,
        train=TrainSet.of(frames["train"], schema=schema),
        validation=ValidationSet.of(frames["validation"], schema=schema),
        test=TestSet.of(frames["test"], schema=schema),
    )


@pytest.fixture(scope="session")
def split() -> Callable[..., tuple[Any, Any, Any]]:
    """This splits a table of numbers by position into train, validation and test."""

    def parts(matrix: Any, label: Any, dtype: Any) -> tuple[Any, Any, Any]:
        names = [f"x{i}" for i in range(matrix.shape[1])]
        frame = pd.DataFrame(matrix, columns=names).assign(label=label)
        columns = [Column(name=n, dtype="float", role="feature") for n in names]
        schema = TableSchema(
            name="Numbers", columns=(*columns, Column(name="label", dtype=dtype, role="label"))
        )
        first, second = int(len(frame) * 0.6), int(len(frame) * 0.8)
        return (
            TrainSet.of(frame[:first], schema=schema),
            ValidationSet.of(frame[first:second], schema=schema),
            TestSet.of(frame[second:], schema=schema),
        )

    return parts
