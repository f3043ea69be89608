"""This flow answers: which orders were late, and what was known of their shop beforehand?"""

from __future__ import annotations

from typing import Annotated, Any

from headrace import Examples, Report, flow
from operators.build import build
from operators.compute_features import compute_features
from operators.label_by_outcome import label_by_outcome
from pydantic import Field

from acme.features.shop_history import shop_history
from acme.operators.count_late import count_late
from acme.operators.read_orders import read_orders


@flow(grants=["file:data/*"])
def late_orders(
    *, path: str = "data/orders.csv", late_days: Annotated[float, Field(gt=0)] = 4.0
) -> tuple[Examples[Any], Report]:
    """Label late orders, and join what was known of their shop when they were made.

    Args:
        path: A CSV file of orders, below `data/`.
        late_days: An order is late when it took more than this many days.
    """
    orders = read_orders(path=path)
    # An order that may still arrive is not labelled "in time": hence the window.
    labels, _ = label_by_outcome(orders, outcome="days", above=late_days, window_hours=30 * 24.0)
    history = compute_features(orders, view=shop_history)
    return build(labels, [history]), count_late(labels)
