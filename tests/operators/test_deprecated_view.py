from __future__ import annotations

from dataclasses import replace
from typing import Any

from features.airport_weather import airport_weather
from features.nycflights13 import Weather
from headrace import Table, flow, operator
from operators.compute_features import compute_features

OLD = replace(
    airport_weather, name="old_weather", stage="deprecated", replaced_by="airport_weather"
)


@operator()
def read_weather() -> Table[Weather]:
    """Read the weather."""
    raise AssertionError("planned only")


@flow
def on_the_old_view() -> Table[Any]:
    """Compute a view that its owner gave up."""
    return compute_features(read_weather(), view=OLD)


def test_a_flow_with_a_deprecated_view_is_told_what_to_use_and_may_run():
    planned = on_the_old_view.plan_with({})

    assert planned.problems == ()
    [warning] = [told for told in planned.warnings if "old_weather' is deprecated" in told]
    assert "View 'old_weather' is deprecated." in warning
    assert "Use 'airport_weather' instead." in warning
