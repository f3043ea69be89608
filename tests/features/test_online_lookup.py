"""What is looked up online: plain values that travel as JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from features.airport_weather import airport_weather
from features.online_lookup import Lookup, lookup_of
from features.tail_history import tail_history
from features.view import Entity
from headrace.errors import DefinitionError, UnknownNameError


def test_a_lookup_of_features_keeps_the_order_asked_for():
    lookup = lookup_of(airport_weather, ["wind_gust", "temp"])

    assert lookup == Lookup(
        view="airport_weather",
        keys=(("origin", "string"),),
        features=("wind_gust", "temp"),
        dtypes=("float", "float"),
        ttl_us=6 * 3_600_000_000,
    )


def test_a_lookup_of_a_view_has_all_its_features():
    lookup = lookup_of(tail_history)

    assert lookup.features == tuple(c.name for c in tail_history.columns)
    assert lookup.dtypes == tuple(c.dtype for c in tail_history.columns)


def test_a_lookup_travels_as_json():
    view = replace(
        airport_weather,
        entities=(*airport_weather.entities, Entity(name="runway", column="runway", dtype="int")),
        ttl=None,
    )
    lookup = lookup_of(view)

    assert Lookup.from_json(json.loads(json.dumps(lookup.to_json()))) == lookup
    assert lookup.keys == (("origin", "string"), ("runway", "int"))
    assert lookup.ttl_us is None


def test_an_unknown_feature_gets_the_nearest():
    with pytest.raises(UnknownNameError) as error:
        lookup_of(airport_weather, ["temp", "wind_speeds"])

    assert str(error.value) == (
        "There is no feature in view 'airport_weather' called 'wind_speeds'. "
        "Did you mean 'wind_speed' or 'wind_gust'?\n"
        "  Fix: Name features that the view's definition has."
    )


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        pytest.param(
            {"keys": (("origin", "float"),)},
            "the keys [('origin', 'float')]; each needs a type, 'string' or 'int'",
            id="a key of another type",
        ),
        pytest.param({"number": -1}, "the version number -1", id="before the first version"),
        pytest.param({"dtypes": ()}, "1 features but 0 types", id="without types"),
        pytest.param(
            {"dtypes": ("real",)}, "a feature of the unknown type 'real'", id="of an unknown type"
        ),
    ],
)
def test_a_lookup_that_contradicts_itself_is_refused(changes, wrong):
    with pytest.raises(DefinitionError) as error:
        replace(lookup_of(airport_weather, ["temp"]), **changes)

    assert str(error.value) == (
        f"The lookup in view 'airport_weather' has {wrong}.\n"
        "  Fix: Make it with lookup_of(view, features)."
    )
