"""This module is a flow of a user's own: small enough for a test, with what a real one has."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Protocol

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from headrace import (
    Col,
    Evaluation,
    Report,
    Schema,
    TestSet,
    TrainSet,
    ValidationSet,
    flow,
    operator,
)
from headrace.control import when
from headrace.recording import say
from operators.approve import approve
from operators.evaluate import evaluate
from operators.select import select
from operators.train_sklearn import train_sklearn
from operators.train_xgboost import train_xgboost


class Apple(Schema, Protocol):
    """This is an apple that was looked at on the tree and cut open a day later."""

    apple: Annotated[str, Col(role="entity")]
    seen_at: Annotated[datetime, Col(role="decision_time")]
    cut_at: Annotated[datetime, Col(role="known_time")]
    ripe: Annotated[int, Col(role="label")]
    redness: Annotated[float, Col(role="feature", known_at="seen_at")]
    firmness: Annotated[float, Col(role="feature", unit="kg", known_at="seen_at")]
    sort: Annotated[str, Col(role="feature", known_at="seen_at")]


class Trees(BaseModel):
    """How the trees of the model are grown."""

    model_config = ConfigDict(extra="forbid")

    count: Annotated[int, Field(ge=1, le=200, description="Most trees.")] = 20
    depth: Annotated[int, Field(ge=1, le=8, description="Most splits from root to leaf.")] = 3


@operator()
def pick_apples(
    *, count: Annotated[int, Field(ge=60)]
) -> tuple[TrainSet[Apple], ValidationSet[Apple], TestSet[Apple]]:
    """Pick apples and put them into three baskets, the last picked into the last."""
    random = np.random.default_rng(7)
    redness = random.uniform(0, 1, count)
    seen_at = pd.Timestamp("2013-08-01", tz="UTC") + pd.to_timedelta(np.arange(count), "h")
    frame = pd.DataFrame(
        {
            "apple": [f"apple-{n}" for n in range(count)],
            "seen_at": seen_at,
            "cut_at": seen_at + pd.Timedelta(days=1),
            "ripe": (redness + random.normal(0, 0.2, count) > 0.5).astype(int),
            "redness": redness,
            "firmness": random.normal(8, 1, count),
            "sort": random.choice(["Boskoop", "Elstar"], count),
        }
    )
    half, most = count // 2, 3 * count // 4
    train, validation, test = frame[:half], frame[half:most], frame[most:]
    say(f"{len(train)} apples to train with, {len(test)} to test with")
    return TrainSet.of(train), ValidationSet.of(validation), TestSet.of(test)


@operator(effect=True)
def ship(evaluation: Evaluation, *, to: str) -> Report:
    """Ship what is ripe."""
    say(f"a crate to {to}")
    return Report.of({"shipped": evaluation.document["rows"], "to": to})


@flow
def ripeness(
    *,
    count: Annotated[int, Field(ge=100, le=2000)] = 600,
    trees: Trees = Trees(),  # noqa: B008  a frozen default of a form
    metric: Literal["log_loss", "auc", "brier"] = "log_loss",
    to: str = "market",
) -> Report:
    """Learn from apples that were cut open which ones on the tree are ripe.

    Args:
        count: How many apples to pick.
        trees: How the trees of the model are grown.
        metric: What the models are compared by.
        to: Where to ship what is ripe.
    """
    train, validation, test = pick_apples(count=count)
    grown = train_xgboost(train, validation, n_estimators=trees.count, max_depth=trees.depth)
    drawn = train_sklearn(train, validation, estimator="logistic_regression")
    selected, _ = select([grown, drawn], validation, metric=metric)
    return ship(evaluate(selected, test, slices=["sort"]), to=to)


@flow
def tasting(*, count: Annotated[int, Field(ge=100, le=2000)] = 400, to: str = "market") -> Report:
    """Ship what is ripe if somebody who tasted it agrees.

    Args:
        count: How many apples to pick.
        to: Where to ship what is ripe.
    """
    train, validation, test = pick_apples(count=count)
    drawn = train_sklearn(train, validation, estimator="logistic_regression")
    selected, _ = select([drawn], validation, metric="log_loss")
    evaluation = evaluate(selected, test)
    tasted = approve([evaluation], question="Do these apples taste ripe?")
    with when(tasted):
        shipped = ship(evaluation, to=to)
    return shipped
