"""Beyond a chain of calls: run this only if, run that otherwise, and run it for each part.

    python examples/03_conditions_and_partitions.py

A flow body never sees data, so it cannot say `if report.passed:` or loop over months that only the
data knows. It says `when(report)`, `otherwise(report)` and `map_over(operator, parts)` instead, and
the plan shows both branches before anything runs.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Protocol

from headrace import (
    Col,
    Partitions,
    Report,
    Schema,
    Table,
    flow,
    map_over,
    operator,
    otherwise,
    when,
)


class Sales(Schema, Protocol):
    sold_at: Annotated[datetime, Col(role="event_time")]
    amount: Annotated[float | None, Col(unit="EUR")]


@operator()
def sales() -> Table[Sales]:
    """Give five sales of three months; one lacks its amount."""
    days = ["2026-01-05", "2026-01-20", "2026-02-03", "2026-02-14", "2026-03-01"]
    times = [datetime.fromisoformat(f"{day}T12:00:00+00:00") for day in days]
    return Table[Sales].of({"sold_at": times, "amount": [10.0, 20.0, None, 5.0, 7.0]})


# A report with `passed` can steer a flow.
@operator()
def enough_amounts(rows: Table[Sales], *, at_least: float) -> Report:
    """Say whether the share of sales with an amount is large enough."""
    share = float(rows.frame()["amount"].notna().mean())
    return Report.of({"passed": share >= at_least, "share": share})


# Partitions are artifacts by name, as many as the data says.
@operator()
def by_month(rows: Table[Sales]) -> Partitions[Table[Sales]]:
    """Part sales by their month."""
    frame = rows.frame()
    months = frame["sold_at"].dt.strftime("%Y-%m")
    return Partitions.of({m: Table[Sales].of(part) for m, part in frame.groupby(months)})


@operator()
def total(rows: Table[Sales]) -> Report:
    """Add up the amounts of one month."""
    return Report.of({"passed": True, "total": float(rows.frame()["amount"].sum())})


@operator()
def apology(checked: Report) -> Report:
    """Say why there are no totals."""
    return Report.of({"passed": False, "why": f"amounts for {checked.document['share']:.0%} only"})


@flow
def monthly_totals(*, at_least: float = 0.8) -> tuple[Partitions[Report], Report]:
    """Add up sales by month if enough of them have an amount.

    Args:
        at_least: The share of sales that must have an amount, from 0 to 1.
    """
    rows = sales()
    checked = enough_amounts(rows, at_least=at_least)
    with when(checked):
        totals = map_over(total, by_month(rows))
    with otherwise(checked):
        sorry = apology(checked)
    return totals, sorry


if __name__ == "__main__":
    print(monthly_totals.plan().table())
    for at_least in (0.8, 0.9):
        run = monthly_totals.run(at_least=at_least)
        totals, sorry = run.returned()  # what was skipped is None

        print()
        print(f"at least {at_least:.0%}:")
        for path, outcome in run.outcomes.items():
            print(f"  {path}: {outcome.state}")
        for month, report in (totals.items if totals else {}).items():
            print(f"  {month}: {report.document['total']:g} EUR")
        if sorry:
            print(f"  {sorry.document['why']}")
