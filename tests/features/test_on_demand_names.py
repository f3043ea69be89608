"""On-demand views are found like any view, and share one name space with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.airport_weather import airport_weather
from features.catalog import catalog
from features.flight_calendar import flight_calendar
from features.on_demand_names import on_demand_view
from headrace.errors import DefinitionError, UnknownNameError
from operators.build import build
from serving.deploy import deploy

TWICE = """
from dataclasses import replace
from features.airport_weather import airport_weather
from features.flight_calendar import flight_calendar
calendar = replace(flight_calendar, name="airport_weather")
"""


def test_the_catalogue_tells_the_two_sorts_apart():
    found = catalog()

    assert flight_calendar in found.on_demand
    assert airport_weather in found.views
    assert not {view.name for view in found.views} & {view.name for view in found.on_demand}


def test_a_view_is_found_by_name_and_another_is_offered():
    assert on_demand_view("flight_calendar") is flight_calendar

    with pytest.raises(UnknownNameError) as error:
        on_demand_view("flight_calender")
    assert str(error.value) == (
        "There is no on-demand view 'flight_calender'. Did you mean 'flight_calendar'?\n"
        "  Fix: Use the name of an on-demand view in a `features` folder under one of the roots in "
        "headrace.toml."
    )


def test_a_feature_view_is_no_on_demand_view():
    with pytest.raises(UnknownNameError, match="'airport_weather': it is a feature view"):
        on_demand_view("airport_weather")
    check = next(p for p in build.signature.parameters if p.name == "on_demand").check
    assert "it is a feature view" in str(check(["airport_weather"])[1])


def test_an_endpoint_takes_both_sorts_by_name():
    check = next(p for p in deploy.signature.parameters if p.name == "views").check

    assert check(["airport_weather", "flight_calendar"])[0] == [airport_weather, flight_calendar]
    assert "There is no feature view 'airport_wether'" in str(check(["airport_wether"])[1])


def test_one_name_is_not_given_to_both_sorts(tmp_path: Path):
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / "twice_named.py").write_text(TWICE)

    with pytest.raises(DefinitionError, match="Two feature views are called 'airport_weather'"):
        catalog([tmp_path])
