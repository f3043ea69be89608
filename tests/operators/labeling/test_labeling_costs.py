"""These tests specify what labels cost, what the next would bring, and when a loop ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import Report, Votes
from headrace.errors import DataError
from headrace.labels.columns import Vote
from headrace.testing import check_operator
from operators._proportions import at_least
from operators.labeling_costs import (
    RoundQuality,
    expected_gain,
    labeling_costs,
    learning_curve,
    proven_quality,
    stop_reason,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def votes_of(*rows: dict[str, Any]) -> Votes[Vote]:
    """Votes, of which each row says what is not usual of it."""
    usual = {
        "entity": "1",
        "rater": "ada",
        "source": "person",
        "label": "a",
        "skipped": None,
        "confidence": None,
        "slice": "chosen",
        "gold": None,
        "as_of": NOON,
        "voted_at": NOON,
        "seconds": 4.0,
        "suggested": None,
        "suggested_by": None,
        "suggestion_shown": False,
        "schema_version": "0" * 12,
        "batch": "one",
    }
    full = [{**usual, "voted_at": NOON + timedelta(seconds=i), **r} for i, r in enumerate(rows)]
    return Votes[Vote].of({name: [row[name] for row in full] for name in usual})


def rounds_of(
    floor: float, height: float, power: float, seed: int, **of: int
) -> list[RoundQuality]:
    """Eight rounds of 40 labels each of a curve that is known, judged on ever more items."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(1, 9):
        judged = of.get("judged", 100) + 20 * number
        error = min(floor + height * (40 * number) ** -power, 0.95)
        right = judged - int(rng.binomial(judged, error))
        made.append(RoundQuality(labels=40 * number, right=right, judged=judged))
    return made


def test_a_vote_counts_its_seconds_but_not_the_time_that_somebody_was_away():
    votes = votes_of(
        {"entity": "1", "seconds": 4.0},
        {"entity": "2", "seconds": 3600.0},
        {"entity": "2", "seconds": None, "rater": "bob"},
        {"entity": "3", "seconds": 5.0, "label": None, "skipped": "unclear"},
        {"entity": "3", "seconds": None, "source": "model", "rater": "model:1"},
    )

    human = labeling_costs(votes, idle_seconds=60.0).document["human"]

    assert human == {
        "votes": 3,
        "skips": 1,
        "items": 2,
        "seconds": pytest.approx(4 + 60 + 5 + 23),  # the vote that nobody timed is the mean
        "median": 5.0,
        "mean": pytest.approx(23.0),
        "per_item": pytest.approx(46.0),
        "capped": 1,
        "untimed": 1,
    }


def test_each_batch_has_its_own_costs_in_the_order_of_its_first_vote():
    votes = votes_of(
        {"batch": "b", "seconds": 2.0},
        {"batch": "a", "entity": "2", "seconds": 8.0},
        {"batch": "b", "entity": "3", "seconds": 4.0},
    )

    batches = labeling_costs(votes).document["batches"]

    assert [(b["batch"], b["items"], b["seconds"]) for b in batches] == [
        ("b", 2, 6.0),
        ("a", 1, 8.0),
    ]


def test_cost_in_money_is_of_what_is_known_alone():
    votes = votes_of({"seconds": 36.0})
    report = Report.of({"labels": 1, "right": 1, "judged": 2, "machine_seconds": 72.0})

    free = labeling_costs(votes).document
    paid = labeling_costs(
        votes, [report], rate_per_hour=30.0, machine_rate_per_hour=5.0, currency="EUR"
    ).document
    untimed = labeling_costs(votes_of({"seconds": None}), rate_per_hour=30.0).document

    assert free["cost"] is None
    assert paid["machine_seconds"] == 72.0
    assert paid["cost"] == {
        "currency": "EUR",
        "people": pytest.approx(0.3),
        "machine": pytest.approx(0.1),
        "total": pytest.approx(0.4),
    }
    assert untimed["cost"]["total"] is None
    assert untimed["human"]["seconds"] is None
    assert untimed["unknown"][0] == "Nobody timed a vote, so what people cost is not known."


def test_quality_is_told_by_gold_items_and_by_raters_who_agree_each_with_an_interval():
    gold = [{"entity": f"g{i}", "gold": "a", "label": "a" if i < 18 else "b"} for i in range(20)]
    pairs = [
        {"entity": f"p{i}", "rater": rater, "label": "a" if rater == "ada" or i < 6 else "b"}
        for i in range(10)
        for rater in ("ada", "bob")
    ]

    quality = labeling_costs(votes_of(*gold, *pairs)).document["quality"]

    assert quality["gold"]["votes"] == 20
    assert quality["gold"]["value"] == pytest.approx(0.9)
    assert (quality["gold"]["low"], quality["gold"]["high"]) == (
        pytest.approx(0.699, abs=1e-3),
        pytest.approx(0.972, abs=1e-3),
    )
    assert quality["agreement"]["items"] == 10
    assert quality["agreement"]["value"] == pytest.approx(0.6)
    assert quality["agreement"]["low"] < 0.3
    assert quality["agreement"]["high"] > 0.9


def test_a_curve_is_not_known_from_fewer_than_three_rounds():
    two = rounds_of(0.05, 0.9, 0.5, seed=1)[:2]

    curve = learning_curve(two)

    assert not curve.known
    assert curve.why == "2 rounds of different numbers of labels; a curve needs 3."
    assert expected_gain(curve, labels=80, more=40) is None
    assert curve.quality(80) is None


@pytest.mark.parametrize(
    ("floor", "height", "power"),
    [
        pytest.param(0.02, 2.0, 0.8, id="falling fast to a floor"),
        pytest.param(0.05, 0.9, 0.4, id="falling slowly"),
        pytest.param(0.20, 0.5, 0.5, id="a high floor"),
        pytest.param(0.00, 3.0, 1.0, id="no floor"),
    ],
)
def test_the_interval_of_the_gain_holds_the_true_gain_as_often_as_it_says(floor, height, power):
    """100 loops a curve; exact 80 % intervals would hold it fewer than 66 times by 1 in 2,000.

    The control, the middle 40 % of the same draws, must not hold it as often.
    """
    true = height * (320**-power - 360**-power)

    held = control = 0
    for seed in range(100):
        curve = learning_curve(rounds_of(floor, height, power, seed), seed=seed)
        gain = expected_gain(curve, labels=320, more=40)
        narrow = expected_gain(replace(curve, confidence=0.4), labels=320, more=40)
        held += gain.low <= true <= gain.high
        control += narrow.low <= true <= narrow.high

    assert held >= 66
    assert control < 66


def test_more_labels_never_cost_accuracy_on_a_curve():
    curve = learning_curve(rounds_of(0.05, 0.9, 0.4, seed=2))

    values = [curve.quality(labels).value for labels in (40, 100, 400, 4000)]

    assert values == sorted(values)
    assert (
        expected_gain(curve, labels=320, more=400).value
        > expected_gain(curve, labels=320, more=40).value
    )


@given(st.integers(0, 200), st.integers(1, 20))
def test_what_is_proven_is_below_what_is_seen_and_less_after_more_looks(right, looks):
    rounds = [RoundQuality(labels=10 * (i + 1), right=right, judged=200) for i in range(looks)]

    proven = proven_quality(rounds)

    assert proven <= right / 200
    assert proven_quality([*rounds, rounds[-1]]) <= proven


def test_a_target_is_reached_when_the_lower_limit_reaches_it():
    almost = [RoundQuality(labels=100, right=91, judged=100)]
    surely = [RoundQuality(labels=100, right=960, judged=1000)]

    assert stop_reason(almost, next_labels=50, target=0.9) is None
    stop = stop_reason(surely, next_labels=50, target=0.9)
    assert stop.reason == "target"
    assert stop.why == ("The accuracy on 1,000 random items is at least 0.946; the target is 0.9.")


def test_looking_after_every_round_does_not_stop_below_the_target_more_than_one_time_in_twenty():
    """300 loops of 20 looks at models that are just below the target, 0.9.

    Looking anew each time with a plain 95 % limit stops far more often: that is the control.
    """
    rng = np.random.default_rng(6)
    stopped = plain = 0
    for _ in range(300):
        answers = np.cumsum(rng.random((20, 40)) < 0.899)[39::40]
        rounds = [
            RoundQuality(labels=10 * (k + 1), right=int(right), judged=40 * (k + 1))
            for k, right in enumerate(answers)
        ]
        looks = range(1, 21)
        stopped += any(stop_reason(rounds[:k], target=0.9) for k in looks)
        plain += any(at_least(r.right, r.judged, confidence=0.95) >= 0.9 for r in rounds)

    assert stopped <= 15
    assert plain > 30


def test_a_loop_ends_before_the_batch_that_is_over_the_budget():
    rounds = rounds_of(0.05, 0.9, 0.5, seed=1)

    goes_on = stop_reason(
        rounds, next_labels=50, spent_seconds=900, next_seconds=100, budget_seconds=1000
    )
    ends = stop_reason(
        rounds, next_labels=50, spent_seconds=901, next_seconds=100, budget_seconds=1000
    )

    assert goes_on is None
    assert ends.reason == "budget"
    assert ends.why == (
        "901 s of people are spent and the next batch takes about 100 s; 1,000 s may be."
    )


def test_a_loop_ends_when_rounds_in_a_row_show_that_more_labels_bring_nothing():
    flat = [RoundQuality(labels=40 * k, right=950 * k, judged=1000 * k) for k in range(1, 7)]
    rising = rounds_of(0.02, 3.0, 0.5, seed=3)

    assert stop_reason(flat, next_labels=40, least_gain=0.005).reason == "no_gain"
    assert stop_reason(rising, next_labels=40, least_gain=0.002) is None
    # what is not known is no reason: a curve of the round before needs three rounds too
    assert stop_reason(flat[:3], next_labels=40, least_gain=0.005) is None
    assert stop_reason(flat, next_labels=None, least_gain=0.005) is None


def test_a_loop_ends_when_nothing_is_left():
    assert stop_reason([], next_labels=50, left=0).reason == "exhausted"
    assert stop_reason([], next_labels=50, left=1) is None


def test_the_report_puts_rounds_next_batch_and_reason_to_stop_together():
    seen = rounds_of(0.05, 0.9, 0.5, seed=4)
    reports = [Report.of({**vars(r), "model": "x", "machine_seconds": 2.0}) for r in seen]
    votes = votes_of(*({"entity": str(i), "seconds": 6.0} for i in range(10)))

    going = labeling_costs(votes, reports, next_items=50, left=100)
    ended = labeling_costs(votes, reports, next_items=50, budget_seconds=100.0)

    document = going.document
    assert going.passed
    assert document["stop"] is None
    assert document["next"]["labels"] == 40  # as many as the last round added
    assert document["next"]["seconds"] == pytest.approx(300.0)
    assert 0 < document["next"]["gain"]["value"] < 0.05
    assert len(document["rounds"]) == 8
    assert document["machine_seconds"] == 16.0
    assert document["proven"] < document["rounds"][-1]["accuracy"]["value"]
    assert not ended.passed
    assert ended.document["stop"]["reason"] == "budget"


def test_before_the_first_vote_there_is_nothing_to_say_and_no_reason_to_stop():
    report = labeling_costs(votes_of(), budget_seconds=100.0).document

    assert report["human"]["seconds"] == 0.0
    assert report["quality"]["gold"] is None
    assert report["proven"] is None
    assert report["stop"] is None


def test_a_budget_that_nobody_can_count_is_said_not_to_be_counted():
    report = labeling_costs(votes_of({"seconds": None}), budget_seconds=1.0).document
    assumed = labeling_costs(
        votes_of({"seconds": None}), budget_seconds=1.0, assumed_seconds=5.0
    ).document

    assert report["stop"] is None
    assert report["unknown"][0] == (
        "Nobody timed a vote, so what people cost is not known and the budget was not looked at."
    )
    assert assumed["stop"]["reason"] == "budget"


def test_a_round_that_cannot_be_is_refused():
    with pytest.raises(DataError) as missing:
        labeling_costs(votes_of(), [Report.of({"labels": 5, "right": 3})])
    with pytest.raises(DataError) as impossible:
        RoundQuality(labels=5, right=4, judged=3)

    assert str(missing.value) == (
        "The report of round 1 has no count 'judged', but None.\n"
        "  Fix: Give `labels`, `right` and `judged` of the random slice as whole numbers."
    )
    assert str(impossible.value) == (
        "A round of 5 labels, 4 right of 3 judged cannot be.\n"
        "  Fix: Give at least one label and one judged item, and at most as many right."
    )


def test_it_keeps_the_contract_of_operators():
    reports = [Report.of(vars(r)) for r in rounds_of(0.05, 0.9, 0.5, seed=4)]

    check_operator(labeling_costs, votes_of({}, {"entity": "2"}), reports, target=0.9)
