"""A first flow: will a parcel arrive late? Data, labels, two models, one selected, one test.

    python examples/01_first_flow.py                        # run it as a script
    headrace run --local examples/01_first_flow.py          # the same, from the command line
    headrace plan examples/01_first_flow.py                 # check it; nothing runs

A flow is a function that calls operators. It is read once without data (the plan), every edge is
checked, and then each operator runs as soon as its inputs exist. Run it twice: the second time
nothing is computed again.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Protocol

import numpy as np
import pandas as pd

from headrace import Col, Evaluation, Schema, Table, flow, operator
from operators.build import build
from operators.evaluate import evaluate
from operators.label_by_outcome import label_by_outcome
from operators.select import select
from operators.split import split_by_time
from operators.train_sklearn import train_sklearn


# A schema says what a table holds: types, units, and for every value when it became known.
class Parcels(Schema, Protocol):
    parcel: Annotated[str, Col(role="entity")]
    sent_at: Annotated[datetime, Col(role="decision_time")]
    distance: Annotated[float, Col(role="feature", unit="km", known_at="sent_at")]
    pieces: Annotated[int, Col(role="feature", known_at="sent_at")]
    arrived_at: Annotated[datetime, Col(role="known_time")]
    hours_late: Annotated[float, Col(unit="h", known_at="arrived_at")]


# An operator is a typed function. Called on its own it just runs: try `parcels(count=5).frame()`.
@operator()
def parcels(*, count: int, seed: int | None = None) -> Table[Parcels]:
    """Make up parcels that are the later the farther they go, a hundred a day.

    Args:
        count: Number of parcels.
        seed: In a flow it is given by the run, and is part of the cache key.
    """
    draw = np.random.default_rng(seed)
    sent_at = pd.date_range("2026-01-01", periods=count, freq="864s", tz="UTC")
    distance = draw.uniform(10, 900, count)
    pieces = draw.integers(1, 6, count)
    hours_late = distance / 100 + pieces + draw.normal(0, 3, count) - 8
    arrived_at = sent_at + pd.to_timedelta(30 + hours_late, unit="h")
    frame = pd.DataFrame({"parcel": [f"P{i:05}" for i in range(count)], "sent_at": sent_at})
    frame = frame.assign(distance=distance, pieces=pieces, hours_late=hours_late)
    return Table[Parcels].of(frame.assign(arrived_at=arrived_at.astype("datetime64[us, UTC]")))


@flow
def late_parcels(*, count: int = 9_000, late_hours: float = 2.0) -> Evaluation:
    """Train two models that say which parcels arrive late, and test the better one, once.

    Args:
        count: Number of parcels, a hundred a day.
        late_hours: A parcel is late when it arrives more than this many hours late.
    """
    # A parcel whose outcome is not known yet is never labelled "on time": hence the window.
    labels, _ = label_by_outcome(
        parcels(count=count), outcome="hours_late", above=late_hours, window_hours=100.0
    )
    # Fit on the past, select on what follows, test on the end.
    train, validation, test, _ = split_by_time(
        build(labels, []), validation_from=date(2026, 2, 10), test_from=date(2026, 3, 5)
    )
    models = [
        train_sklearn(train, validation, estimator="logistic_regression"),
        train_sklearn(train, validation, estimator="hist_gradient_boosting"),
    ]
    selected, _ = select(models, validation, metric="log_loss")
    return evaluate(selected, test)


if __name__ == "__main__":
    run = late_parcels.run()  # in this process, without any server
    tested = run.returned().document

    print(f"tested on {tested['rows']:,} parcels of {tested['blocks']} days")
    for metric in ("auc", "log_loss"):
        value, low, high = (tested["metrics"][metric][key] for key in ("value", "low", "high"))
        print(f"{metric}: {value:.2f}, between {low:.2f} and {high:.2f}")
    print(f"{run.count('executed')} nodes executed, {run.count('cached')} cached")
