"""This module holds flows of the bundled operators with which nothing is wrong."""

from __future__ import annotations

from typing import Any

from benchmarks._plan_corpus import bundled_parts as b
from benchmarks._plan_corpus import right
from headrace import Evaluation, Examples, Model, flow
from operators.build import build
from operators.evaluate import evaluate
from operators.train_xgboost import train_xgboost


@right
@flow(grants=b.GRANTS)
def flights_from_end_to_end() -> Evaluation:
    """Label, build, split, fit, select and test."""
    rows = b.flights()
    train, validation, test = b.sets(build(b.labels(rows), b.views(rows)))
    chosen = b.selected(train, validation)
    return evaluate(chosen, test, slices=["carrier"], timezone="America/New_York")


@right
@flow(grants=b.GRANTS)
def a_few_features_only() -> Examples[Any]:
    """Take some of the views' features."""
    rows = b.flights()
    return build(b.labels(rows), b.views(rows), select=["airport_weather:wind_speed"])


@right
@flow(grants=b.GRANTS)
def no_views_at_all() -> Model:
    """Fit on what the request brings."""
    train, validation, _ = b.sets(build(b.labels(b.flights()), []))
    return train_xgboost(train, validation)


@right
@flow(grants=b.GRANTS)
def labels_whose_columns_nobody_knows() -> Model:
    """Leave the check of the columns to the run."""
    rows = b.flights()
    made = build(b.relabelled(b.labels(rows)), b.views(rows))
    train, validation, _ = b.sets(made)
    return train_xgboost(train, validation)
