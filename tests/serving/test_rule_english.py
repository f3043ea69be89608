"""A rule says itself in English: every field, and what it means for who is tried next."""

from __future__ import annotations

from typing import Any

import pytest

from serving.rule import Rule

PLAIN: dict[str, Any] = {"name": "delay-v1", "metric": "log_loss", "label_window_hours": 48}
RANDOMISED: dict[str, Any] = {
    "name": "shop", "metric": "outcome", "direction": "higher", "design": "randomised",
    "label_window_hours": 24,
}  # fmt: skip


def line(number: int, **fields: Any) -> str:
    return Rule(**(PLAIN | fields)).english().splitlines()[number]


def lines_with(word: str, **fields: Any) -> list[str]:
    said = Rule(**(RANDOMISED | fields)).english().splitlines()
    return [each for each in said if word in each]


def test_a_plain_rule_says_itself_in_english() -> None:
    rule = Rule(**PLAIN, min_effect=0.01, timezone="America/New_York")

    assert rule.english() == (
        "Rule 'delay-v1':\n"
        "The challenger is promoted when its log loss is more than 0.01 times the champion's below "
        "it, shown by a confidence sequence over days in America/New_York, which promotes an equal "
        "challenger with probability at most 0.05, however often one looks. No decision counts "
        "with a loss above 13.8155.\n"
        "That probability, 0.05, is shared among all challengers that are ever tried against one "
        "champion: the first is judged at 0.025, the second at 0.008333, the third at 0.004167, "
        "the j-th at 0.05 / (j (j + 1)); those that begin together share theirs evenly.\n"
        "Both models score the same decisions, and one of them answers (paired shadow): for "
        "outcomes that the answer does not change.\n"
        "A decision counts 48 hours after it was made. A decision without an outcome by then is "
        "left out. An outcome that is known to be null is left out.\n"
        "Until there are 20 days with 1000 decisions that have both scores and an outcome, it is "
        "held. It is held too while outcomes are known for less than 0.9 of the decisions, it "
        "scored less than 0.95 of them, or the newest is more than 168 hours older than the label "
        "window and a day make it, and when days turn out to be too short to be independent.\n"
        "It is withdrawn when more than 0.01 of its shadow scores are errors or no numbers, beyond "
        "chance (at most 0.001 for a challenger within that limit).\n"
        "It stays in shadow, or at the share that people or a deployment give it, until it is "
        "promoted.\n"
        "What is missing, stale or not a number is never a success.\n"
        "Of all checks the worst decides: rollback, then invalidate, hold, ramp, promote."
    )


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        pytest.param({}, "log loss is below the champion's, shown", id="lower"),
        pytest.param({"metric": "auc"}, "ROC curve is above the champion's, shown", id="higher"),
        pytest.param(
            {"metric": "auc", "min_effect": 0.02},
            "more than 0.02 times the champion's above it, shown",
            id="higher by a share",
        ),
        pytest.param(
            {"metric": "mae", "min_effect": 2.5, "effect": "absolute"},
            "mean absolute error is more than 2.5 below the champion's, shown",
            id="lower by so much",
        ),
        pytest.param(
            {"metric": "pinball", "quantile": 0.9},
            "its pinball loss of the 0.9 quantile is below",
            id="a quantile",
        ),
        pytest.param({"block": "hour"}, "confidence sequence over hours, which", id="hours"),
        pytest.param(
            {"block": "week"},
            "confidence sequence over weeks in UTC, from Monday on, which",
            id="weeks",
        ),
        pytest.param(
            {"metric": "auc", "block": "count", "block_size": 1500},
            "over blocks of 1,500 decisions of either outcome, which",
            id="counted for ranks",
        ),
        pytest.param(
            {"metric": "ndcg", "block": "count", "block_size": 300},
            "its NDCG is above the champion's, shown by a confidence sequence over blocks of 300 "
            "lists, which",
            id="lists",
        ),
        pytest.param({"clip": 4.6}, "with a loss above 4.6.", id="clip"),
        pytest.param(
            {"test": "group_sequential", "looks": 4, "max_blocks": 60},
            "shown by O'Brien and Fleming's group-sequential test over days in UTC, which promotes "
            "an equal challenger with probability at most 0.05. There are 4 looks, after 15, 30, "
            "45 and 60 days; between them and after the last nothing is won. No decision",
            id="looks",
        ),
        pytest.param(
            {"test": "group_sequential", "looks": 1, "max_blocks": 60},
            "There is one look, after 60 days.",
            id="one look",
        ),
        pytest.param(
            {"test": "group_sequential", "looks": 20, "max_blocks": 100},
            "There are 20 looks, after 5, 10 and so on up to 100 days;",
            id="many looks",
        ),
    ],
)
def test_what_is_compared_and_how(fields, said) -> None:
    assert said in line(1, **fields)


def test_whether_those_tried_share_their_chance_is_said() -> None:
    assert line(2, alpha=0.06) == (
        "That probability, 0.06, is shared among all challengers that are ever tried against one "
        "champion: the first is judged at 0.03, the second at 0.01, the third at 0.005, the j-th "
        "at 0.06 / (j (j + 1)); those that begin together share theirs evenly."
    )
    assert line(2, tries="each") == (
        "Every challenger is judged at 0.05 by itself: of many that are equal to the champion, "
        "some one is promoted with a greater probability than that."
    )


def test_what_is_left_to_chance_in_a_randomised_design() -> None:
    assert lines_with("randomised") == [
        "Decisions are dealt to the models at random, each by itself, and each model counts with "
        "those dealt to it, whoever answered them in the end (randomised): for outcomes that the "
        "answer may change."
    ]
    assert lines_with("randomised", unit=["customer", "shop"], covariate="before") == [
        "Units, made by 'customer' and 'shop', are dealt to the models at random, and each model "
        "counts with those dealt to it, whoever answered them in the end (randomised): for "
        "outcomes that the answer may change. Luck is taken out of the outcomes by what a unit's "
        "mean outcome was in the four weeks before the experiment (CUPED)."
    ]
    assert lines_with("CUPED", covariate="spent")[0].endswith(
        "Luck is taken out of the outcomes by the feature 'spent' (CUPED)."
    )


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("exclude", "A decision without an outcome by then is left out."),
        ("hold", "While any decision has no outcome by then, the challenger is held."),
        ("zero", "A decision without an outcome by then counts with 0: it has not happened."),
    ],
)
def test_what_becomes_of_a_missing_outcome(missing, said) -> None:
    assert line(4, missing_outcomes=missing, outcome="landed") == (
        f"A decision counts 48 hours after it was made. {said} An outcome that is known to be null "
        "is left out. The outcome is 'landed'."
    )


def test_how_long_an_experiment_lasts() -> None:
    said = line(5, min_days=28, max_days=90, on_expiry="withdraw")

    assert "1000 decisions that have both scores and an outcome, and it has lasted 28 days, it" in (
        said
    )
    assert said.endswith(" If it has not won within 90 days, it is withdrawn.")
    assert line(5, max_days=90).endswith(" If it has not won within 90 days, it is held for good.")


GUARDRAILS = {
    "error_rate": (
        {"max": 0.02},
        "when more than 0.02 of its answers are errors, no numbers or too late, beyond chance (at "
        "most 0.001 for one within that limit), it is withdrawn, or rolled back where it has been "
        "promoted and is watched (looked at every second).",
    ),
    "latency": (
        {"max_ms": 50, "quantile": 0.95, "on_breach": "hold"},
        "when more than 0.05 of its answers take more than 50 ms, beyond chance (at most 0.001 for "
        "one within that limit), it is held (looked at every second).",
    ),
    "slice_gap": (
        {"by": "carrier", "max_drop": 0.1},
        "when in a slice by 'carrier' it is worse than the champion by more than 0.1 times the "
        "champion's, beyond chance (at most 0.05 for all slices together, by Holm's method), it is "
        "held, and so it is while it only looks so. Slices of fewer than 500 decisions are not "
        "judged.",
    ),
    "feature_drift": (
        {"features": ["gust", "visibility"]},
        "when a feature of 'gust' and 'visibility' is distributed otherwise than in training "
        "(population stability index above 0.2), it is held; until 500 decisions can tell, it is "
        "held.",
    ),
    "label_coverage": (
        {"on_breach": "invalidate"},
        "when the shares of known outcomes of the two models differ by more than 0.02, beyond "
        "chance (at most 0.001 within that), the evidence is thrown away, and the experiment "
        "begins anew in shadow.",
    ),
    "sample_ratio": (
        {},
        "when the models did not meet the shares of the units that were dealt to them, beyond "
        "chance (at most 0.001 for shares as dealt), the evidence is thrown away, and the "
        "experiment begins anew in shadow.",
    ),
}


@pytest.mark.parametrize("metric", GUARDRAILS)
def test_every_guardrail_is_said(metric) -> None:
    fields, said = GUARDRAILS[metric]

    assert lines_with("Guardrail", guardrails=[{"metric": metric} | fields]) == [
        f"Guardrail: {said}"
    ]


def test_what_arms_are_asked_in_any_case_is_said_where_the_rule_does_not_name_it() -> None:
    named = lines_with("In any case", guardrails=[{"metric": "sample_ratio"}])

    assert named == [
        "In any case, while traffic is dealt: when the shares of known outcomes of the two models "
        "differ by more than 0.02, beyond chance (at most 0.001 within that), it is held."
    ]
    assert "In any case" not in Rule(**PLAIN).english()


def test_the_guardrail_of_probabilities_is_said() -> None:
    rule = Rule(**PLAIN, guardrails=[{"metric": "calibration", "max": 0.05}])  # type: ignore[arg-type]

    assert (
        "Guardrail: when its probabilities miss what happened by more than 0.05 (expected "
        "calibration error over ten bins), it is held; until 500 decisions with an outcome can "
        "tell, it is held."
    ) in rule.english().splitlines()


def test_the_stages_are_said_in_their_order() -> None:
    said = Rule(
        **RANDOMISED,
        unit=("customer",),
        gate={"max_drop": 0.05},  # type: ignore[arg-type]
        ramp={"steps": [0.01, 0.1, 1], "begins": "at_once", "unit": ["customer"]},  # type: ignore[arg-type]
        approval={"by": ["ann", "bob"], "before": "ramp"},  # type: ignore[arg-type]
        watch={"blocks": 30},  # type: ignore[arg-type]
        guardrails=({"metric": "error_rate", "max": 0.01},),  # type: ignore[arg-type]
    ).english()

    assert said.splitlines()[-6:-2] == [
        "Before it answers anybody, logged decisions must say that it would have done no worse "
        "than what was logged, 0.05 times that conceded: by a cross-fitted, doubly robust "
        "estimate, with scores from 0.5 on as one decision and those below as the other, at least "
        "1,000 effective decisions, and a chance of at most 0.05 to pass for one that is worse.",
        "Once it is shown to work in shadow, it answers a share of the units made by 'customer': "
        "0.01, then 0.1, then all of them, which is the promotion. Each share stands for at least "
        "24 hours and 1,000 decisions that it answered. Where it has not answered within 50 ms, "
        "the champion does.",
        "One of 'ann' and 'bob' must approve the first share, and again the promotion; whoever put "
        "the challenger up or registered it may not. Names are those of the setting 'actor', which "
        "nobody verifies.",
        "After a promotion the old champion goes on in reverse shadow for 30 days; an outcome "
        "cannot be compared there, so the guardrails alone watch.",
    ]


def test_a_ramp_that_is_won_and_a_watch_that_compares() -> None:
    said = Rule(
        **PLAIN,
        ramp={"steps": [0.1, 1]},  # type: ignore[arg-type]
        approval={},  # type: ignore[arg-type]
        watch={"max_drop": 0.02},  # type: ignore[arg-type]
    ).english()

    assert said.splitlines()[-5:-2] == [
        "Once it has won in shadow, it answers a share of the decisions: 0.1, then all of them, "
        "which is the promotion. Each share stands for at least 24 hours and 1,000 decisions that "
        "it answered. Where it has not answered within 50 ms, the champion does.",
        "Somebody must approve the promotion; whoever put the challenger up or registered it may "
        "not. Names are those of the setting 'actor', which nobody verifies.",
        "After a promotion the old champion goes on in reverse shadow for 20 days, and answers "
        "again when the new one is worse by more than 0.02 times its own, beyond chance (at most "
        "0.01 for one that is not).",
    ]


def test_a_watch_that_is_too_short_to_compare_says_so() -> None:
    said = Rule(**PLAIN, watch={"blocks": 5}).english()  # type: ignore[arg-type]

    assert said.splitlines()[-3] == (
        "After a promotion the old champion goes on in reverse shadow for 5 days; fewer than 20 "
        "are too few to compare the models, so the guardrails alone watch."
    )
