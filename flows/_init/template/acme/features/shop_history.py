"""This view holds how a shop's last orders went, from the moment each was delivered."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Protocol

import pyarrow as pa
from features.sql import query
from features.view import Entity, FeatureView
from headrace import Col, Schema

from acme.operators.read_orders import Orders

SHOP = Entity(name="shop", column="shop", description="A shop that takes orders.")


class ShopHistory(Schema, Protocol):
    """This is what was known of a shop when an order of it had been delivered."""

    last_days: Annotated[float, Col(unit="d", description="Days that the last order took.")]
    mean_days: Annotated[float, Col(unit="d", description="Mean of its last five orders.")]


def deliveries(orders: pa.Table) -> pa.Table:
    """Make each delivery an update of its shop, over what was known at that moment."""
    return query(
        """
        SELECT shop, delivered_at AS event_time, delivered_at AS known_time, days AS last_days,
            avg(days) OVER (so_far ROWS BETWEEN 4 PRECEDING AND CURRENT ROW) AS mean_days
        FROM orders
        WINDOW so_far AS (PARTITION BY shop ORDER BY delivered_at, "order")
        ORDER BY shop, delivered_at, "order"
        """,
        instants=("event_time", "known_time"),
        orders=orders,
    )


shop_history = FeatureView(
    name="shop_history",
    entities=(SHOP,),
    source=Orders,
    features=ShopHistory,
    compute=deliveries,
    ttl=timedelta(days=60),
    owner="acme",
    description="How long a shop's last orders took, as known when they were delivered.",
    tags=("orders", "history"),
)
