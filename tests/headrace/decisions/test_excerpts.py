"""These tests specify excerpts of decisions: what is not parsed is what nobody asks for."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.decisions.excerpts import Excerpts

KEPT = ("id", "columns", "features")
SAID = ("experiment", "model")
letters = st.text(max_size=4)
values = st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.sampled_from([0.5]), letters)
nested = st.dictionaries(
    st.sampled_from(["features", "overridden", "score", "model", "x"]),
    st.one_of(values, st.lists(values, max_size=2), st.dictionaries(letters, values, max_size=2)),
    max_size=2,
)


@st.composite
def decisions(draw: st.DrawFn) -> dict[str, Any]:
    """A decision as a lane writes it, with texts and objects that look like parts of one."""
    texts = st.sampled_from(["a", '],"overridden":', ',"score":', "}", "]", "\\", '"'])
    return {
        "kind": "decision",
        "id": draw(st.one_of(texts, st.text(min_size=1, max_size=4))),
        "entity": draw(st.one_of(nested, st.dictionaries(texts, texts, max_size=2))),
        "columns": draw(st.integers(1, 2)),
        "features": draw(st.lists(st.one_of(values, texts, nested), max_size=4)),
        "overridden": draw(st.lists(texts, max_size=2)),
        "missing": [],
        "experiment": draw(st.sampled_from(["first", "second"])),
        "model": draw(st.sampled_from(["flight_delay/1", "flight_delay/2"])),
        "score": draw(values),
        "answer": draw(nested),
    }


@given(st.lists(st.lists(decisions(), min_size=1, max_size=3), max_size=3))
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_an_excerpt_says_of_each_decision_what_the_decision_says(rounds):
    excerpts = Excerpts()

    for documents in rounds:
        found = excerpts.of([orjson.dumps(each) for each in documents])

        said = [
            [*(each[name] for name in KEPT), *(shared[name] for name in SAID)]
            for shared, group in found
            for each in group
        ]
        asked = [[each[name] for name in (*KEPT, *SAID)] for each in documents]
        assert sorted(map(repr, said)) == sorted(map(repr, asked))


def test_decisions_that_say_the_same_after_their_features_are_one_group_in_their_order():
    shared = {"overridden": ["wind"], "missing": [], "experiment": "first", "model": "m/1"}
    after = {"score": 0.5, "answer": {"probability": 0.5}}
    payloads = [
        orjson.dumps({"id": f"UA{n}", "columns": 7, "features": [n], **shared, **after})
        for n in range(3)
    ]
    excerpts = Excerpts()
    excerpts.of(payloads)

    [(said, documents)] = excerpts.of(payloads)

    assert said == shared
    assert documents == [{"id": f"UA{n}", "columns": 7, "features": [n]} for n in range(3)]


def test_what_is_no_json_is_refused_and_not_guessed():
    with pytest.raises(orjson.JSONDecodeError):
        Excerpts().of([b'{"id":"UA1","columns":7,"features":[1'])
