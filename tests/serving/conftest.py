"""A real small model and its evaluation, and a real MLflow server."""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import numpy as np
import pandas as pd
import pytest

from headrace import (
    Col,
    Evaluation,
    Schema,
    SelectedModel,
    TestSet,
    TrainSet,
    ValidationSet,
)
from operators.evaluate import evaluate
from operators.select import select
from operators.train_xgboost import train_xgboost

if TYPE_CHECKING:
    from headrace.settings import Settings


class Late(Schema, Protocol):
    flight: Annotated[str, Col(role="entity")]
    decided_at: Annotated[datetime, Col(role="decision_time")]
    known_at: Annotated[datetime, Col(role="known_time")]
    late: Annotated[int, Col(role="label")]
    wind: Annotated[float, Col(role="feature", unit="m/s", known_at="decided_at")]


def _flights(kind: Any, seed: int, rows: int) -> Any:
    random = np.random.default_rng(seed)
    wind = random.normal(8, 3, rows)
    decided_at = pd.Timestamp("2013-01-01", tz="UTC") + pd.to_timedelta(np.arange(rows) * 6, "h")
    frame = pd.DataFrame(
        {
            "flight": [f"{seed}/{n}" for n in range(rows)],
            "decided_at": decided_at,
            "known_at": decided_at + pd.Timedelta(days=1),
            "late": (wind + random.normal(0, 2, rows) > 9).astype(int),
            "wind": wind,
        }
    )
    return kind[Late].of(frame)


def _tested(depth: int) -> tuple[SelectedModel, Evaluation]:
    train, validation = _flights(TrainSet, 1, 200), _flights(ValidationSet, 2, 100)
    fitted = train_xgboost(train, validation, n_estimators=5, max_depth=depth)
    selected, _ = select([fitted], validation)
    return selected, evaluate(selected, _flights(TestSet, 3, 120))


@pytest.fixture(scope="session")
def tested() -> tuple[SelectedModel, Evaluation]:
    """A selected model and its evaluation."""
    return _tested(1)


@pytest.fixture(scope="session")
def better() -> tuple[SelectedModel, Evaluation]:
    """Another selected model and its evaluation."""
    return _tested(3)


@pytest.fixture(scope="session")
def servers() -> Iterator[Settings]:
    """A real MLflow server alone, for the whole run: nothing here runs in Prefect."""
    from flows import _services
    from headrace.settings import settings

    _services.up(only=("mlflow",))
    yield settings()
    _services.down()


@pytest.fixture
def name(servers: Settings) -> str:
    """A name in the registry of a real server that no other test uses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # mlflow warns of itself while it is imported
        import mlflow.pyfunc  # noqa: F401
    return f"late_flights-{uuid.uuid4().hex[:8]}"
