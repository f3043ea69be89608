from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features._search_words import Vocabulary, edits_allowed, edits_between
from features.airport_weather import airport_weather
from features.carrier_history import carrier_history
from features.search import ColumnRecord, EntityRecord, FeatureIndex, ViewRecord, record_of, search
from headrace.errors import ParameterError, UnknownNameError

AIRPORT = EntityRecord(name="airport", column="origin", description="Where a flight begins.")
WEATHER = ViewRecord(
    name="airport_weather",
    owner="flight-delay",
    description="Hourly observations, published late.",
    entities=(AIRPORT,),
    tags=("hourly",),
    columns=(
        ColumnRecord(name="temp", unit="°F", description="Air temperature."),
        ColumnRecord(name="wind_speed", unit="m/s", description="Mean speed of the wind."),
        ColumnRecord(name="pilot", dtype="string", sensitivity="personal"),
    ),
)
WIND = ViewRecord(
    name="wind",
    owner="grid",
    description="What a turbine gave.",
    columns=(ColumnRecord(name="kw"),),
)
RECORD = ViewRecord(
    name="carrier_record",
    owner="flight-delay",
    description="Landings against the wind and with it.",
    columns=(ColumnRecord(name="late_share", dtype="float"),),
)
OLD = ViewRecord(
    name="windy",
    owner="grid",
    description="The old wind.",
    columns=(ColumnRecord(name="gust"),),
    stage="deprecated",
    replaced_by="wind",
)
INDEX = FeatureIndex([WEATHER, WIND, RECORD, OLD])


def found(asked: str, index: FeatureIndex = INDEX) -> list[str]:
    return [hit.reference for hit in index.search(asked, limit=None).hits]


def test_a_name_beats_a_column_beats_a_description_and_what_is_deprecated_comes_last():
    hits = INDEX.search("wind").hits

    assert [(hit.reference, hit.why[0].field) for hit in hits] == [
        ("wind", "name"),
        ("airport_weather:wind_speed", "column"),
        ("carrier_record", "description"),
        ("windy", "name"),
    ]
    assert (hits[-1].stage, hits[-1].replaced_by) == ("deprecated", "wind")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        pytest.param("wether", "airport_weather", id="a letter left out"),
        pytest.param("weaather", "airport_weather", id="a letter twice"),
        pytest.param("waether", "airport_weather", id="two letters swapped"),
        pytest.param("weatger", "airport_weather", id="another letter"),
        pytest.param("WEATHER", "airport_weather", id="another case"),
        pytest.param("wéather", "airport_weather", id="an accent"),
        pytest.param("airport_wether", "airport_weather", id="in one word of a name"),
        pytest.param("airportweather", "airport_weather", id="written together"),
        pytest.param("temprature", "airport_weather:temp", id="in a description"),
        pytest.param("tmp", "airport_weather:temp", id="three letters of four"),
        pytest.param("airport_weather:temp", "airport_weather:temp", id="a reference"),
        pytest.param("observation hour", "airport_weather", id="beginnings"),
        pytest.param("speeds", "airport_weather:wind_speed", id="a plural"),
        pytest.param("m/s", "airport_weather:wind_speed", id="a unit"),
        pytest.param("share of late ones", "carrier_record:late_share", id="with fillers"),
        pytest.param("peed wind", "airport_weather:wind_speed", id="the middle of a word"),
        pytest.param("origin hourly", "airport_weather", id="an entity's column and a tag"),
        pytest.param("flight-delay share", "carrier_record:late_share", id="an owner"),
    ],
)
def test_what_is_meant_comes_first(typed, meant):
    assert found(typed)[0] == meant


def test_exact_words_come_before_those_that_are_alike():
    records = [
        ViewRecord(name="delays", description="a"),
        ViewRecord(name="relay", description="b"),
        ViewRecord(name="other", description="A delay."),
    ]

    hits = FeatureIndex(records).search("delay").hits

    assert [(hit.view, hit.why[0].how) for hit in hits] == [
        ("delays", "beginning"),
        ("other", "word"),
        ("relay", "alike"),
    ]


def test_each_hit_says_why():
    [hit] = INDEX.search("speed owner:flight-delay unit:M/S", limit=1).hits

    assert hit.to_json() == {
        "reference": "airport_weather:wind_speed",
        "view": "airport_weather",
        "column": "wind_speed",
        "description": "Mean speed of the wind.",
        "owner": "flight-delay",
        "unit": "m/s",
        "dtype": "float",
        "stage": "active",
        "replaced_by": "",
        "why": [{"word": "speed", "met": "speed", "field": "column", "how": "word", "edits": 0}],
        "missing": [],
    }


def test_where_nothing_has_all_words_the_nearest_say_what_is_missing():
    hits = INDEX.search("late banana").hits

    assert (hits[0].reference, hits[0].missing) == ("carrier_record:late_share", ("banana",))
    assert found("zzzzzzz") == []


@pytest.mark.parametrize(
    ("asked", "references"),
    [
        ("owner:grid", ["wind", "windy"]),
        ("owner:grid stage:active", ["wind"]),
        ("entity:airport", ["airport_weather"]),
        ("entity:origin", ["airport_weather"]),
        ("tag:hour*", ["airport_weather"]),
        ("sensitivity:personal", ["airport_weather:pilot"]),
        ("unit:m/s unit:°F", ["airport_weather:temp", "airport_weather:wind_speed"]),
        ("stage:active wind owner:grid", ["wind"]),
        ("stage:proposed", None),
    ],
)
def test_filters_leave_what_fits(asked, references):
    if references is None:
        assert found(asked) == []
    else:
        assert sorted(found(asked)) == references


def test_a_filter_that_is_none_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError) as error:
        INDEX.search("ownr:grid wind")

    assert str(error.value) == (
        "There is no filter 'ownr:'. Did you mean 'owner:'?\n"
        "  Fix: Use one of owner:, entity:, tag:, stage:, unit:, sensitivity:, or put a blank in "
        "place of the colon to look for words."
    )


def test_a_value_that_nobody_has_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError) as error:
        INDEX.search("owner:grit")

    assert str(error.value) == (
        "There is no feature with the owner 'grit'. Did you mean 'grid'?\n  Fix: Use a known owner."
    )


def test_a_filter_without_a_value_is_refused():
    with pytest.raises(ParameterError) as error:
        INDEX.search("wind owner: grid")

    assert str(error.value) == (
        "The filter 'owner:' has no value.\n"
        "  Fix: Write the value behind the colon without a blank, as in owner:VALUE."
    )


def test_a_value_with_blanks_is_quoted_in_a_text_and_one_word_from_a_shell():
    index = FeatureIndex([ViewRecord(name="sales", owner="Shop floor")])

    in_text = index.search('owner:"shop floor"')
    from_shell = index.search(["owner:shop floor", "sales"])

    assert [hit.view for hit in (*in_text.hits, *from_shell.hits)] == ["sales", "sales"]


def test_real_views_are_found_by_what_they_say():
    views = [airport_weather, carrier_history]

    by_typo = search("humidty", views)
    by_words = search("airline late week", views)

    assert by_typo.hits[0].reference == "airport_weather:humid"
    assert by_words.hits[0].reference == "carrier_history:late_share_week"


def test_a_limit_leaves_the_best_and_the_total_stays():
    few, all_of_them = INDEX.search("wind", limit=2), INDEX.search("wind", limit=None)

    assert few.hits == all_of_them.hits[:2]
    assert (few.total, all_of_them.total) == (4, 4)


def test_a_record_survives_json():
    record = record_of(airport_weather)

    assert type(record).from_json(record.to_json()) == record


def _edits(one: str, other: str) -> int:
    """Optimal string alignment as its definition says it, slowly."""
    if not one or not other:
        return len(one) + len(other)
    best = min(
        _edits(one[:-1], other) + 1,
        _edits(one, other[:-1]) + 1,
        _edits(one[:-1], other[:-1]) + (one[-1] != other[-1]),
    )
    if len(one) > 1 and len(other) > 1 and one[-1] == other[-2] and one[-2] == other[-1]:
        best = min(best, _edits(one[:-2], other[:-2]) + 1)
    return best


letters = st.text("abc", max_size=5)


@given(letters, letters, st.integers(0, 3))
def test_edits_are_counted_as_their_definition_says(one, other, at_most):
    edits = _edits(one, other)

    assert edits_between(one, other, at_most) == (edits if edits <= at_most else None)


@given(st.lists(st.text("abcdef", min_size=1, max_size=10), max_size=30), st.data())
def test_no_word_that_is_alike_is_missed(words, data):
    word = data.draw(st.sampled_from(words) if words else st.just("abc"))
    position = data.draw(st.integers(0, len(word)))
    typed = word[:position] + data.draw(st.sampled_from("abcxyz")) + word[position:]
    allowed = edits_allowed(typed)

    vocabulary = Vocabulary(words)
    known = {met for met, _, _ in (*vocabulary.exactly(typed), *vocabulary.alike(typed))}

    if len(typed) >= 4:  # shorter ones have a rule of their own
        assert {w for w in words if edits_between(typed, w, allowed) is not None} <= known


def test_what_is_exact_is_found_among_many():
    seeded = random.Random(1)  # noqa: S311
    words = {"".join(seeded.choices("abcdefgh", k=seeded.randint(3, 9))) for _ in range(500)}
    vocabulary = Vocabulary(words)

    for part in ("abc", "de", "h"):
        met = {word: how for word, how, _ in vocabulary.exactly(part)}
        assert set(met) == {
            w for w in words if w.startswith(part) or (len(part) >= 3 and part in w)
        }
