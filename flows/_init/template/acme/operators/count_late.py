"""This operator counts late orders."""

from __future__ import annotations

from typing import Any

from headrace import Labels, Report, operator


@operator()
def count_late(labels: Labels[Any]) -> Report:
    """Count how many orders were late.

    Args:
        labels: Orders, labelled 1 when late.
    """
    late = int(labels.frame()["label"].sum())
    return Report.of({"passed": True, "orders": labels.rows, "late": late})
