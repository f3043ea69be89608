"""These laws hold for labels by observation, whatever was decided, observed, corrected and late.

An oracle in plain loops says for each decision what becomes of it; the operator must say the same.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Protocol

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace import Col, Schema, Table
from headrace.errors import DataError
from operators._observation_join import NOBODY, Earliest
from operators.label_by_outcome import label_by_outcome

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
_VOID = "observed without an outcome"


class Offers(Schema, Protocol):
    row: Annotated[int, Col(known_at="made_at")]
    person: Annotated[str | None, Col(role="entity")]
    made_at: Annotated[datetime, Col(role="decision_time")]


class Purchases(Schema, Protocol):
    number: str
    person: Annotated[str | None, Col(role="entity")]
    bought_at: Annotated[datetime, Col(role="event_time")]
    told_at: Annotated[datetime, Col(role="known_time")]
    amount: float | None


@dataclass(frozen=True, kw_only=True)
class Purchase:
    """One row of observations; hours count from noon."""

    person: str | None
    event: int
    delay: int
    amount: float | None
    number: int

    @property
    def known(self) -> int:
        return self.event + self.delay


@dataclass(frozen=True, kw_only=True)
class Newest:
    """One observation as the oracle sees it at a moment."""

    person: str | None
    event: int
    heard: int
    valued: int | None
    since: int
    row: int
    amount: float | None


@dataclass(frozen=True, kw_only=True)
class Case:
    offers: list[tuple[str | None, int]]
    purchases: list[Purchase]
    window: int
    as_of: int
    touch: Literal["last", "all"]
    attribution: Literal["last", "first"]
    ids: bool


# few people and hours, so that decisions share observations, and moments coincide
people = st.sampled_from(["ann", "ann", "bob", "bob", None])
purchases = st.builds(
    Purchase,
    person=people,
    event=st.integers(-1, 9),
    delay=st.integers(0, 4),
    amount=st.sampled_from([None, 1.0, 2.0, 9.0, 10.0]),
    number=st.integers(0, 2),
)
cases = st.builds(
    Case,
    offers=st.lists(st.tuples(people, st.integers(0, 6)), min_size=3, max_size=10),
    purchases=st.lists(purchases, min_size=8, max_size=24),
    window=st.integers(1, 6),
    as_of=st.integers(4, 14),
    touch=st.sampled_from(["last", "all"]),
    attribution=st.sampled_from(["last", "first"]),
    ids=st.booleans(),
)


def at(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


def hours(moment: datetime) -> float:
    return (moment - NOON) / timedelta(hours=1)


def offers_of(case: Case) -> Table[Offers]:
    return Table[Offers].of(
        {
            "row": list(range(len(case.offers))),
            "person": [person for person, _ in case.offers],
            "made_at": [at(made) for _, made in case.offers],
        }
    )


def identity(case: Case, one: Purchase) -> str:
    """Two rows are versions of one observation when this is equal."""
    return f"{one.person}/{one.event}/{one.number if case.ids else 0}"


def purchases_of(case: Case) -> Table[Purchases]:
    return Table[Purchases].of(
        {
            "number": [identity(case, each) for each in case.purchases],
            "person": [each.person for each in case.purchases],
            "bought_at": [at(each.event) for each in case.purchases],
            "told_at": [at(each.known) for each in case.purchases],
            "amount": [each.amount for each in case.purchases],
        }
    )


def newest(case: Case, as_of: float) -> list[Newest]:
    groups: dict[str, list[int]] = {}
    for row, each in enumerate(case.purchases):
        if each.known <= as_of:
            groups.setdefault(identity(case, each), []).append(row)
    found = []
    for rows in groups.values():
        told = sorted(rows, key=lambda row: (case.purchases[row].known, row))
        amounts = [case.purchases[row].amount for row in told]
        begins = len(told) - 1
        while begins and amounts[begins - 1] == amounts[-1]:
            begins -= 1
        valued = [
            case.purchases[row].known for row in told if case.purchases[row].amount is not None
        ]
        first = case.purchases[told[0]]
        found.append(
            Newest(
                person=first.person,
                event=first.event,
                heard=first.known,
                valued=None if amounts[-1] is None else min(valued),
                since=case.purchases[told[begins]].known,
                row=told[begins],
                amount=amounts[-1],
            )
        )
    return found


def owners(case: Case, one: Newest) -> list[int]:
    """Whom an observation may belong to, however long after them it happened."""
    before = [
        row
        for row, (person, made) in enumerate(case.offers)
        if person is not None and person == one.person and made <= one.event
    ]
    if case.touch == "all" or not before:
        return before
    return [max(before, key=lambda row: (case.offers[row][1], row))]


def fate(
    case: Case, row: int, as_of: float, observed: list[Newest]
) -> tuple[str, float | None, int | None]:
    """What becomes of a decision: its fate, its outcome, and since when that is known."""
    closes = case.offers[row][1] + case.window
    if closes > as_of:
        return "immature", None, None
    mine = [one for one in observed if row in owners(case, one)]
    within = [one for one in mine if one.event <= closes]
    in_time = [one for one in within if one.valued is not None and one.valued <= closes]
    if in_time:
        choose = min if case.attribution == "first" else max
        chosen = choose(in_time, key=lambda one: (one.event, one.heard, one.row))
        return "labelled", chosen.amount, chosen.since
    if any(one.heard <= closes for one in within):
        return _VOID, None, None
    late = any(one.valued is not None for one in mine)
    return ("known after the window" if late else "no outcome"), None, None


def label(
    case: Case, as_of: float | None = None, **changes: Any
) -> tuple[list[Any], dict[str, Any]]:
    """The operator's labels as (row, label, known), and its report; nothing where there is none."""
    asked = {
        "outcome": "amount",
        "window_hours": case.window,
        "as_of": at(case.as_of if as_of is None else as_of),
        "touch": case.touch,
        "attribution": case.attribution,
        "observation_id": "number" if case.ids else None,
        "short_window": "warn",
    }
    try:
        made, report = label_by_outcome(offers_of(case), purchases_of(case), **(asked | changes))
    except DataError as error:
        if not re.match(r"No row can be labelled|.* there is one class only", error.problem):
            raise
        return [], {}
    rows = made.arrow().to_pylist()
    return [(r["row"], r["label"], hours(r["label_known_at"])) for r in rows], report.document


def fates(case: Case, as_of: float) -> list[tuple[str, float | None, int | None]]:
    observed = newest(case, as_of)
    return [fate(case, row, as_of, observed) for row in range(len(case.offers))]


def labelled(found: Sequence[tuple[str, float | None, int | None]]) -> list[Any]:
    return [(row, *rest) for row, (what, *rest) in enumerate(found) if what == "labelled"]


@settings(max_examples=150, deadline=None)
@given(case=cases)
def test_labels_are_those_of_plain_loops_and_every_row_has_one_fate(case: Case):
    expected = fates(case, case.as_of)

    made, report = label(case)

    assert made == labelled(expected)
    if not made:
        return
    assert report["labelled"] + report["immature"] + report["censored"] == len(case.offers)
    named = [what for what, *_ in expected if what not in ("labelled", "immature")]
    assert report["censored_by_reason"] == {what: named.count(what) for what in sorted(set(named))}
    uses = dict(report["observations"])
    assert uses.pop("rows") == sum(uses.values()) == len(case.purchases)


@settings(max_examples=60, deadline=None)
@given(case=cases)
def test_what_fills_a_closed_window_is_negative_and_nothing_else_is(case: Case):
    expected = fates(case, case.as_of)
    missing = ("no outcome", "known after the window")
    wanted = [
        (row, int(what == "labelled" and (amount or 0) > 5), since)
        if what == "labelled"
        else (row, 0, case.offers[row][1] + case.window)
        for row, (what, amount, since) in enumerate(expected)
        if what in ("labelled", *missing)
    ]

    made, report = label(case, above=5.0, on_missing="negative")

    if len({each for _, each, _ in wanted}) < 2:
        assert (made, report) == ([], {})
        return
    assert made == wanted
    assert report["filled"] == sum(what in missing for what, *_ in expected)
    assert report["labelled"] + report["immature"] + report["censored"] == len(case.offers)


@settings(max_examples=60, deadline=None)
@given(case=cases)
def test_lags_are_those_of_decisions_that_were_old_enough_to_show_them(case: Case):
    made, report = label(case)
    observed = newest(case, case.as_of)
    ages = [case.as_of - decided for _, decided in case.offers]
    mature = sorted(age for age in ages if age >= case.window)
    watched = mature[len(mature) // 2] if mature else 0
    lags = []
    for row, (_, decided) in enumerate(case.offers):
        told = [one.valued for one in observed if row in owners(case, one)]
        lag = min((each - decided for each in told if each is not None), default=None)
        if ages[row] >= watched and lag is not None and lag <= watched:
            lags.append(lag)

    if not made:
        return
    lag = report["lag"]
    assert (lag["watched_hours"], lag["known"]) == (watched, len(lags))
    assert lag["decisions"] == sum(age >= watched for age in ages)
    within = sum(each <= case.window for each in lags)
    assert lag["joined_share"] == (within / len(lags) if lags else None)
    if lags:
        middle = sorted(lags)[math.ceil(len(lags) / 2) - 1]
        assert lag["hours"]["p50"] == middle


@settings(max_examples=60, deadline=None)
@given(case=cases)
def test_no_label_rests_on_what_was_not_known_in_time(case: Case):
    made, _ = label(case)

    versions = newest(case, case.as_of)
    for row, _, since in made:
        person, decided = case.offers[row]
        closes = decided + case.window
        assert decided <= since <= case.as_of
        assert closes <= case.as_of
        # since then it holds; it was told first, perhaps otherwise, before the window closed
        assert any(
            one.person == person and one.since == since and (one.valued or 0) <= closes
            for one in versions
        )


@settings(max_examples=60, deadline=None)
@given(case=cases, later=st.integers(1, 12))
def test_a_mature_label_changes_with_time_only_where_it_was_corrected(case: Case, later: int):
    before, _ = label(case)
    after, report = label(case, case.as_of + later)

    if not after:  # all that was labelled was corrected to null
        expected = fates(case, case.as_of + later)
        assert all(expected[row][0] == _VOID for row, *_ in before)
        return
    newer = {row: (each, since) for row, each, since in after}
    changed = [row for row, *was in before if newer.get(row) != tuple(was)]
    gone = [row for row in changed if row not in newer]
    assert len(changed) - len(gone) <= report["corrected"]
    assert len(gone) <= report["censored_by_reason"].get(_VOID, 0)
    assert all(newer[row][1] > case.as_of for row in changed if row in newer)


@settings(max_examples=60, deadline=None)
@given(case=cases)
def test_what_is_known_later_does_not_exist(case: Case):
    known = [each for each in case.purchases if each.known <= case.as_of]

    made, report = label(case)
    (blind, without) = label(replace(case, purchases=known))

    assert blind == made
    assert [each for each in without if without[each] != report[each]] in ([], ["observations"])


@settings(max_examples=60, deadline=None)
@given(moments=st.lists(st.integers(0, 9), min_size=1, max_size=20), data=st.data())
def test_the_earliest_of_a_stretch_is_the_first_of_the_least(moments: list[int], data: Any):
    ends = st.integers(0, len(moments))
    stretches = data.draw(st.lists(st.tuples(ends, ends), min_size=1, max_size=20))
    low, high = (np.array(each) for each in zip(*stretches, strict=True))

    found = Earliest(np.array(moments)).of(low, high)

    assert found.tolist() == [
        min(range(first, end), key=lambda row: moments[row], default=NOBODY)
        for first, end in stretches
    ]
