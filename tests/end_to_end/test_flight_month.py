"""The flow of one month of flights, on the real data, beside plain pandas."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.flight_month import flight_month, report_month
from headrace.settings import using_settings
from headrace.testing import check_operator
from operators import nycflights13 as nyc


@pytest.mark.slow
def test_a_month_is_reported_as_plain_pandas_counts_it(tmp_path: Path) -> None:
    with using_settings(home=tmp_path):
        run = flight_month.run(month="2013-02", late_minutes=30)
        report = run.returned().document
        again = flight_month.run(month="2013-02", late_minutes=30)
        raw = nyc.read_flights().frame()

    february = raw[raw["month"] == 2]
    landed = february["arr_delay"].notna()
    assert report["flights"] == len(february)
    assert report["shares"] == {
        "late": pytest.approx((february["arr_delay"][landed] > 30).mean()),
        "cancelled": pytest.approx(february["dep_time"].isna().mean()),
        "diverted": pytest.approx((~landed & february["dep_time"].notna()).mean()),
    }
    assert report["passed"] is True
    assert report["told"].startswith("2013-02: 24,951 flights, ")
    assert again.pure_executed() == 0
    check_operator(
        report_month,
        run["label_by_outcome.labels"],
        run["label_by_outcome.report"],
        run["validate.report"],
        month="2013-02",
    )
