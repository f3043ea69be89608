"""An example for every operator; `check_operator` holds it to the laws that operators keep."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from headrace import Labels
from headrace.testing import check_operator

from acme.flows.late_orders import late_orders
from acme.operators.count_late import count_late
from acme.operators.read_orders import read_orders

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_read_orders_keeps_the_contract() -> None:
    check_operator(read_orders, path=str(Path(__file__).parent.parent / "data" / "orders.csv"))


def test_an_order_that_took_a_day_and_a_half_took_one_and_a_half_days(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text(
        "order,shop,pieces,ordered_at,delivered_at\n"
        "A1,north,2,2026-01-01T12:00:00Z,2026-01-03T00:00:00Z\n"
    )

    orders = read_orders(path=str(file))

    assert orders.frame()["days"].tolist() == [1.5]


def test_count_late_keeps_the_contract() -> None:
    check_operator(count_late, _labels(0, 1))


def test_late_orders_are_counted() -> None:
    counted = count_late(_labels(0, 1, 1))

    assert counted.document == {"passed": True, "orders": 3, "late": 2}


def test_the_flow_fits_together() -> None:
    assert late_orders.plan().problems == ()


def _labels(*late: int) -> Labels:
    count = len(late)
    return Labels.of(
        {
            "order": [f"A{number}" for number in range(count)],
            "ordered_at": [NOON] * count,
            "label_known_at": [NOON + timedelta(days=9)] * count,
            "label": list(late),
        }
    )
