"""Traffic is dealt by hash: the same unit to the same model, by exactly the shares it was told."""

from __future__ import annotations

import json
from collections import Counter
from math import sqrt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import ParameterError
from serving.traffic import BUCKETS, Bandit, Span, Traffic, redealt, unit_of

MODELS = ("late/2", "late/3", "late/4")


@st.composite
def dealt_shares(draw: st.DrawFn) -> dict[str, float]:
    """Shares of some challengers, in whole buckets, together at most everything."""
    left, shares = BUCKETS, {}
    for model in draw(st.lists(st.sampled_from(MODELS), unique=True)):
        count = draw(st.integers(0, left))
        left -= count
        shares[model] = count / BUCKETS
    return shares


def owners(traffic: Traffic) -> list[str | None]:
    found: list[str | None] = [None] * BUCKETS
    for span in traffic.spans:
        for bucket in range(span.start, span.end):
            assert found[bucket] is None
            found[bucket] = span.model
    return found


def split(salt: str = "salt", **shares: float) -> Traffic:
    named = {f"late/{number[1:]}": share for number, share in shares.items()}
    return redealt(Traffic(design="ab", unit=("tail",), salt=salt), named)


@given(first=dealt_shares(), second=dealt_shares())
@settings(max_examples=40, deadline=None)
def test_other_shares_are_exact_and_move_no_bucket_that_could_stay(first, second):
    before = redealt(Traffic(design="ab", salt="s"), first)

    after = redealt(before, second)

    had, has = owners(before), owners(after)
    counts = Counter(has)
    assert {m: counts[m] for m in MODELS} == {m: round(second.get(m, 0) * BUCKETS) for m in MODELS}
    old = Counter(had)
    for model in MODELS:
        kept = sum(a == b == model for a, b in zip(had, has, strict=True))
        assert kept == min(old[model], counts[model]), "a model keeps whom it had"
    champions = old[None]
    gained = sum(max(0, counts[model] - old[model]) for model in MODELS)
    passed_on = sum(
        a != b and a is not None and b is not None for a, b in zip(had, has, strict=True)
    )
    assert passed_on == max(0, gained - champions), "from one to another only for want of others"
    assert after.shares() == {model: share for model, share in second.items() if share}


@given(shares=dealt_shares(), steps=st.lists(dealt_shares(), max_size=3))
@settings(max_examples=25, deadline=None)
def test_whoever_has_a_challenger_keeps_it_while_all_shares_grow(shares, steps):
    traffic = redealt(Traffic(design="ramp", salt="s"), shares)
    for step in steps:
        now = traffic.shares()
        grown = {model: max(now.get(model, 0), step.get(model, 0)) for model in MODELS}
        if sum(round(share * BUCKETS) for share in grown.values()) > BUCKETS:
            continue
        had = owners(traffic)

        traffic = redealt(traffic, grown)

        has = owners(traffic)
        assert all(a is None or a == b for a, b in zip(had, has, strict=True))


@given(salt=st.text(max_size=80), share=st.sampled_from([0.01, 0.1, 0.5, 0.9]))
@settings(max_examples=25, deadline=None)
def test_of_many_units_a_model_meets_its_share_within_binomial_bounds(salt, share):
    owner = owners(split(salt, m2=share))
    count = 4_000

    bucket_of = Traffic(design="ab", salt=salt).bucket_of
    met = sum(owner[bucket_of(f"N{number}")] is not None for number in range(count))

    assert abs(met - count * share) <= 5 * sqrt(count * share * (1 - share))


def test_another_salt_deals_independently_of_the_first():
    units = [f"N{number}" for number in range(20_000)]
    one, two = split("one", m2=0.5), split("two", m2=0.5)
    of_one, of_two = owners(one), owners(two)

    both = Counter(
        (of_one[one.bucket_of(unit)] is None, of_two[two.bucket_of(unit)] is None) for unit in units
    )

    expected = len(units) / 4
    chi_squared = sum((count - expected) ** 2 / expected for count in both.values())
    assert len(both) == 4
    assert chi_squared < 16.3  # three degrees of freedom, one in a thousand


def test_every_process_makes_the_same_bucket_of_a_unit():
    """Pinned: another hash would deal all running experiments anew."""
    traffic = Traffic(design="ab", salt="3f2a9c01b7de")

    assert [traffic.bucket_of(unit) for unit in ("N14228", "N1", "é", "")] == [
        1379,
        6446,
        9110,
        739,
    ]


@given(shares=dealt_shares())
@settings(max_examples=20, deadline=None)
def test_traffic_travels_as_json_and_is_the_same(shares):
    thompson = redealt(Traffic(design="thompson", salt="s", bandit=Bandit(outcome="late")), shares)
    ramp = redealt(Traffic(design="ramp", salt="s", unit=("a", "b"), steps=(0.01, 0.5)), shares)

    for each in (thompson, ramp):
        assert Traffic.from_json(json.loads(json.dumps(each.to_json()))) == each


@pytest.mark.parametrize(
    ("entity", "columns", "unit"),
    [
        pytest.param({"tail": "N1", "origin": "EWR"}, ("tail",), "N1", id="one column"),
        pytest.param({"flight": 17}, ("flight",), "17", id="a number"),
        pytest.param({"a": "1", "b": 2}, ("a", "b"), "1\x1f2", id="two columns"),
        pytest.param({"a": "1\x1f2"}, ("a",), "1\x1f2", id="as the text of one column"),
        pytest.param({"tail": None}, ("tail",), None, id="not known"),
        pytest.param({}, ("tail",), None, id="not there"),
        pytest.param({"a": "1", "b": None}, ("a", "b"), None, id="one of two not known"),
        pytest.param({"tail": "N1"}, (), None, id="no columns"),
    ],
)
def test_a_unit_is_what_its_columns_say(entity, columns, unit):
    assert unit_of(entity, columns) == unit


@pytest.mark.parametrize(
    ("make", "problem", "remedy"),
    [
        pytest.param(
            lambda: Traffic(design="cannary", salt="s"),  # type: ignore[arg-type]
            "Traffic cannot be dealt by 'cannary'. Did you mean 'canary'?",
            "Give 'ab', 'canary', 'ramp' or 'thompson'.",
            id="design",
        ),
        pytest.param(
            lambda: Traffic(design="thompson", salt="s"),
            "Traffic dealt by 'thompson' was given no bandit.",
            "Give one for 'thompson', and none for any other design.",
            id="no bandit",
        ),
        pytest.param(
            lambda: Traffic(design="ab", salt="s", bandit=Bandit()),
            "Traffic dealt by 'ab' was given a bandit.",
            "Give one for 'thompson', and none for any other design.",
            id="a bandit too many",
        ),
        pytest.param(
            lambda: Traffic(design="ab", salt="s", patience_ms=0),
            "A challenger's answer cannot be waited for 0 ms.",
            "Give more than 0 and at most 10,000 milliseconds.",
            id="no patience",
        ),
        pytest.param(
            lambda: Traffic(design="ab", salt="s", patience_ms=float("nan")),
            "A challenger's answer cannot be waited for nan ms.",
            "Give more than 0 and at most 10,000 milliseconds.",
            id="patience that is no number",
        ),
        pytest.param(
            lambda: Traffic(design="ramp", salt="s", steps=(0.1, 0.1)),
            "The steps 0.1, 0.1 do not make a ramp of traffic dealt by 'ramp'.",
            "Give growing shares above 0 and at most 1, to a 'ramp' alone.",
            id="steps that do not grow",
        ),
        pytest.param(
            lambda: Traffic(design="ab", salt="s", steps=(0.1,)),
            "The steps 0.1 do not make a ramp of traffic dealt by 'ab'.",
            "Give growing shares above 0 and at most 1, to a 'ramp' alone.",
            id="steps without a ramp",
        ),
        pytest.param(
            lambda: Bandit(floor=0),
            "Thompson sampling cannot have a floor of 0, shares every 60 seconds and a window of "
            "0 hours.",
            "Give a floor above 0 and at most 0.5, more than 0 seconds, and no negative window.",
            id="floor",
        ),
        pytest.param(
            lambda: Bandit(direction="upwards"),  # type: ignore[arg-type]
            "A reward cannot be better in the direction 'upwards'.",
            "Give 'up' where more is better, or 'down'.",
            id="direction",
        ),
        pytest.param(
            lambda: split(m2=0.7, m3=0.4),
            "The shares late/2 70.00%, late/3 40.00% are more than all traffic together.",
            "Give shares whose sum is at most 1; the champion has the rest.",
            id="too much",
        ),
        pytest.param(
            lambda: split(m2=-0.1),
            "late/2 cannot have the share -0.1 of the traffic.",
            "Give a share from 0 to 1, such as 0.05 for 5 %.",
            id="negative",
        ),
        pytest.param(
            lambda: split(m2=0.00001),
            "late/2 cannot have the share 1e-05: the smallest is 0.0001.",
            "Give a larger share, or none.",
            id="too small",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_the_remedy(make: Any, problem: str, remedy: str):
    with pytest.raises(ParameterError) as caught:
        make()

    assert (caught.value.problem, caught.value.remedy) == (problem, remedy)


def test_neighbouring_buckets_of_a_model_are_one_span():
    traffic = split(m2=0.1, m3=0.2)

    assert traffic.spans == (
        Span(model="late/2", start=0, end=1_000),
        Span(model="late/3", start=1_000, end=3_000),
    )
