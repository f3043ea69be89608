"""Guardrails are judged on an endpoint's own log, and only on what was known at the moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.decisions import DecisionLog, compact, open_view
from serving._check import Check
from serving.rollout.gathered import Gathered
from serving.rollout.guard_figures import guard_figures, log_copy
from serving.rollout.guardrails import guardrail_checks
from serving.rollout.state import RolloutState
from serving.rule import Rule

FIRST = datetime(2026, 7, 1, tzinfo=UTC)
DAY = timedelta(days=1)
STATE = RolloutState(
    endpoint="late",
    generation=3,
    champion="late/1",
    challenger="late/2",
    experiment="e1",
    stage="shadow",
    share=0.0,
    design=None,
    began=FIRST,
    since=FIRST,
)
TRAFFIC = RolloutState(**(vars(STATE) | {"stage": "traffic", "share": 0.3, "design": "ramp"}))
WATCH = RolloutState(
    **(vars(STATE) | {"stage": "watch", "champion": "late/2", "challenger": "late/1"})
)
PAIRED: dict[str, Any] = {"name": "r", "metric": "brier", "label_window_hours": 24.0}
DEALT: dict[str, Any] = PAIRED | {
    "ramp": {"steps": [0.3, 1.0], "begins": "at_once", "patience_ms": 40.0}
}


def us(moment: datetime) -> int:
    return round(moment.timestamp() * 1e6)


class Endpoint:
    """An endpoint's decision log, written as a lane writes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log = DecisionLog.open(folder, writer="test")
        self._columns = self._log.columns(["wind", "carrier"])
        self._records: list[dict[str, Any]] = []

    def decide(
        self,
        name: str,
        days: float,
        score: float = 0.5,
        *,
        wind: float | None = 5.0,
        carrier: str | None = "AA",
        experiment: str = "e1",
        **fields: Any,
    ) -> None:
        """Log a decision, `days` after FIRST."""
        at = us(FIRST + days * DAY)
        self._records.append(
            {
                "kind": "decision",
                "id": name,
                "at": at,
                "logged": at,
                "columns": self._columns,
                "features": [wind, carrier],
                "entity": {"airport": "JFK"},
                "experiment": experiment,
                "candidates": ["late/1"],
                "propensities": [1.0],
                "model": "late/1",
                "score": score,
            }
            | fields
        )

    def shadow(self, name: str, score: float | None, *, ms: float = 1.0, **fields: Any) -> None:
        """Log what a model in shadow said; None where it failed."""
        said = {"error": "ValueError: no"} if score is None else {"score": score}
        record = {"kind": "shadow", "id": name, "logged": 1, "model": "late/2", "ms": ms}
        self._records.append(record | {"experiment": "e1"} | said | fields)

    def outcome(self, name: str, value: float | None, days: float) -> None:
        """Log an outcome, known `days` after FIRST."""
        known = us(FIRST + days * DAY)
        record = {"kind": "outcome", "id": name, "logged": known, "known_at": known}
        self._records.append(record | {"value": value})

    def figures(self, rule: Rule, state: RolloutState, days: float, live: Any = None) -> Gathered:
        """Collect what is known `days` after FIRST."""
        if self._records:
            self._log.append(self._records)
            self._records = []
        as_of = FIRST + days * DAY
        look: Any = {"rule": rule, "state": state, "as_of_us": us(as_of)}
        with open_view(self.folder) as connection, log_copy(connection, **look) as log:
            figures = guard_figures(log, **look, live=live)
        return Gathered(as_of=as_of, primary=None, figures=figures)

    def counts(self, rule: Rule, state: RolloutState, days: float, live: Any = None) -> Any:
        """Return the counts of the only guardrail that the rule names."""
        figures, *_ = self.figures(rule, state, days, live).figures
        return figures.counts

    def check(self, rule: Rule, state: RolloutState, days: float) -> Check:
        """Return the check of the only guardrail that the rule names."""
        gathered = self.figures(rule, state, days)
        check, *_ = guardrail_checks(rule, Gathered.from_json(gathered.to_json()), state)
        return check

    def close(self) -> None:
        """Close the log."""
        self._log.close()


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Endpoint]:
    made = Endpoint(tmp_path / "log")
    yield made
    made.close()


def ruled(guardrail: dict[str, Any], **fields: Any) -> Rule:
    return Rule(**(PAIRED | fields | {"guardrails": [guardrail]}))


ERRORS = {"metric": "error_rate", "max": 0.01}
SLOW = {"metric": "latency", "max_ms": 50.0}


def test_in_shadow_failing_and_slow_scores_are_counted(endpoint: Endpoint) -> None:
    for name, score, ms in (("a", 0.5, 1.0), ("b", None, 2.0), ("c", 0.5, 80.0), ("d", 0.5, 50.0)):
        endpoint.decide(name, 0.1)
        endpoint.shadow(name, score, ms=ms)
    endpoint.decide("later", 3)
    endpoint.shadow("later", None)
    endpoint.decide("of another", 0.1, experiment="e0")
    endpoint.shadow("of another", None, experiment="e0")

    errors, slow = (endpoint.counts(ruled(each), STATE, 1) for each in (ERRORS, SLOW))

    assert errors == {"trials": 4, "failures": 1}
    assert slow == {"trials": 4, "slow": 2, "max_ms": 50.0, "quantile": 0.99}


def dealt(name: str, model: str, fallback: str | None = None, share: float = 0.3) -> dict[str, Any]:
    fields: dict[str, Any] = {"assigned": model, "model": "late/1" if fallback else model}
    fields |= {"candidates": ["late/1", "late/2"], "propensities": [1 - share, share]}
    return fields | {"unit": name} | ({"fallback": fallback} if fallback else {})


def test_in_traffic_errors_and_timeouts_are_failures_and_being_busy_is_none(
    endpoint: Endpoint,
) -> None:
    endpoint.decide("champion's", 0.1, **dealt("u1", "late/1"))
    endpoint.shadow("champion's", 0.5)
    endpoint.decide("answered", 0.1, **dealt("u2", "late/2"))
    for why in ("error", "timeout", "busy", "out"):
        endpoint.decide(why, 0.1, **dealt(f"u {why}", "late/2", why))
        endpoint.shadow(why, 0.5)  # asked again in shadow, where it can

    errors, slow = (endpoint.counts(ruled(each, **DEALT), TRAFFIC, 1) for each in (ERRORS, SLOW))

    assert errors == {"trials": 6, "failures": 2}
    assert slow == {"trials": 6, "slow": 2, "max_ms": 50.0, "quantile": 0.99}


def test_what_took_less_than_the_patience_may_still_have_taken_too_long(endpoint: Endpoint) -> None:
    endpoint.decide("answered", 0.1, **dealt("u2", "late/2"))
    strict = ruled({"metric": "latency", "max_ms": 20.0}, **DEALT)

    counts, check = endpoint.counts(strict, TRAFFIC, 1), endpoint.check(strict, TRAFFIC, 1)

    assert counts["unseen"] == 1
    assert (check.state, check.action) == ("unknown", "hold")
    assert check.sentence == (
        "0 of 1 calls of late/2 (0.000%) took more than 20 ms; but the time of 1 of them is not "
        "in the log, and nothing counts them beside the lane."
    )


def test_what_is_counted_beside_the_lane_takes_the_place_of_the_log(endpoint: Endpoint) -> None:
    part = {"trials": 500, "failures": 2, "calls": 500, "slow": {"50": 7}}
    live = {"answers": part, "shadow": part}

    errors, slow = (endpoint.counts(ruled(each), STATE, 1, live) for each in (ERRORS, SLOW))

    assert (errors["trials"], errors["failures"]) == (1000, 4)
    assert (slow["trials"], slow["slow"], slow["max_ms"]) == (1000, 14, 50.0)


@pytest.mark.parametrize("live", [{"answers": 3}, {"answers": {"trials": "many"}}, {"begins": [3]}])
def test_damaged_live_counts_hold(endpoint: Endpoint, live: Any) -> None:
    gathered = endpoint.figures(ruled(ERRORS), STATE, 1, live)

    (check,) = guardrail_checks(ruled(ERRORS), gathered, STATE)

    assert (check.state, check.action) == ("unknown", "hold")


def test_a_watch_is_not_judged_by_a_log_that_no_failed_answer_is_in(endpoint: Endpoint) -> None:
    endpoint.decide("answered", 0.1, model="late/2")

    check = endpoint.check(ruled(ERRORS, watch={}), WATCH, 1)

    assert check.sentence == (
        "How many answers of late/2 fail is not known: an answer that a champion failed to give is "
        "only counted beside the lane."
    )


# calibration and slices: a decision an hour for 30 days, in four slices


def pairs(endpoint: Endpoint, *, days: int, a_day: int, challenger: Callable[..., float]) -> None:
    """Log decisions of which both models say the chance, and their outcomes within a day."""
    random = np.random.default_rng(7)
    for day in range(days):
        weather = random.normal(0, 0.5)
        for n in range(a_day):
            carrier = "ABCD"[n % 4]
            logit = random.normal(-0.5, 1.2) + weather
            chance = 1 / (1 + np.exp(-logit))
            name, at = f"{day}-{n}", day + n / a_day
            known = min(max(chance + random.normal(0, 0.1), 0.01), 0.99)
            endpoint.decide(name, at, known, carrier=carrier)
            endpoint.shadow(name, challenger(known, carrier))
            endpoint.outcome(name, float(random.random() < chance), at + 0.5)


CALIBRATION = {"metric": "calibration", "max": 0.05}


def test_calibration_is_of_mature_labelled_decisions_in_closed_blocks(endpoint: Endpoint) -> None:
    pairs(endpoint, days=30, a_day=40, challenger=lambda known, _: known)
    endpoint.decide("unlabelled", 3.2)
    endpoint.shadow("unlabelled", 0.99)
    endpoint.decide("null", 3.2)
    endpoint.shadow("null", 0.99)
    endpoint.outcome("null", None, 3.3)
    endpoint.decide("known before", 3.2)
    endpoint.shadow("known before", 0.99)
    endpoint.outcome("known before", 1.0, 3.1)
    rule = ruled(CALIBRATION)

    counts, check = endpoint.counts(rule, STATE, 20), endpoint.check(rule, STATE, 31)

    # the 19th day is closed when its last decision is a day old: at the beginning of the 21st
    assert (counts["decisions"], counts["blocks"]) == (19 * 40, 19)
    assert sum(each["n"] for each in counts["bins"]) == counts["decisions"]
    assert len(counts["bins"]) == 10
    assert check.state == "passed"


def test_probabilities_that_are_too_sure_are_held(endpoint: Endpoint) -> None:
    pairs(endpoint, days=30, a_day=60, challenger=lambda known, _: 0.02 if known < 0.5 else 0.98)

    check = endpoint.check(ruled(CALIBRATION), STATE, 32)

    assert (check.state, check.action) == ("failed", "hold")
    assert check.figures["debiased"] > 0.15


SLICES: dict[str, Any] = {
    "metric": "slice_gap",
    "by": "carrier",
    "max_drop": 0.02,
    "min_decisions": 200,
}


def test_a_slice_that_pays_for_the_others_is_named(endpoint: Endpoint) -> None:
    """Better for A, B and C; for D the challenger says the opposite."""
    pairs(
        endpoint,
        days=30,
        a_day=48,
        challenger=lambda known, carrier: 1 - known if carrier == "D" else known,
    )

    check = endpoint.check(ruled(SLICES), STATE, 32)

    assert check.name == "guardrail slice_gap carrier"
    assert (check.state, check.action) == ("failed", "hold")
    assert check.figures["broken"] == ["D"]
    assert check.sentence == (
        "In 'D' (360 decisions) of 4 slices by 'carrier', late/2 is worse than the other by more "
        "than 0.02; this is beyond chance at the level 0.05, shared among them."
    )


def test_the_same_harm_rolls_back_where_the_rule_says_so(endpoint: Endpoint) -> None:
    pairs(
        endpoint,
        days=30,
        a_day=48,
        challenger=lambda known, carrier: 1 - known if carrier == "D" else known,
    )

    check = endpoint.check(ruled(SLICES | {"on_breach": "rollback"}), STATE, 32)

    assert check.action == "rollback"


def test_small_slices_are_named_and_hold_nothing(endpoint: Endpoint) -> None:
    pairs(endpoint, days=30, a_day=16, challenger=lambda known, _: known)
    many = {"metric": "slice_gap", "by": "carrier", "max_drop": 0.02, "min_decisions": 119}

    enough, few = (
        endpoint.check(ruled(many | {"min_decisions": least}), STATE, 32) for least in (119, 121)
    )

    assert enough.state == "passed"
    assert few.state == "unknown"
    assert few.sentence == (
        "No slice by 'carrier' is large enough to be judged; not judged, with fewer than 121 "
        "decisions or too few blocks: 'A' (120), 'B' (120), 'C' (120), 'D' (120)."
    )


def test_a_column_that_the_log_does_not_have_is_said_so(endpoint: Endpoint) -> None:
    endpoint.decide("one", 0.1)

    check = endpoint.check(ruled(SLICES | {"by": "carier"}), STATE, 32)

    assert (check.state, check.action) == ("unknown", "hold")
    assert check.sentence == (
        "How late/2 does by 'carier' is not known: the log has no column 'carier' of the entity or "
        "the features. Did you mean 'carrier'?"
    )


def test_in_a_watch_the_new_champion_is_the_one_that_must_not_be_worse(endpoint: Endpoint) -> None:
    """The new champion says the opposite for D; the old one is in reverse shadow."""
    pairs(endpoint, days=30, a_day=48, challenger=lambda known, _: known)
    random = np.random.default_rng(1)
    for day in range(30):
        for n in range(48):
            carrier, name = "ABCD"[n % 4], f"w{day}-{n}"
            value = float(random.random() < 0.5)
            right = random.uniform(0.6, 1) if value else random.uniform(0, 0.4)
            score = 1 - right if carrier == "D" else right
            fields: dict[str, Any] = {"candidates": ["late/2"], "experiment": "e2"}
            endpoint.decide(name, day + n / 48, score, carrier=carrier, model="late/2", **fields)
            endpoint.shadow(name, right, model="late/1", experiment="e2")
            endpoint.outcome(name, value, day + 0.9)
    watched = RolloutState(**(vars(WATCH) | {"experiment": "e2"}))

    check = endpoint.check(ruled(SLICES, watch={}), watched, 32)

    assert check.figures["broken"] == ["D"]
    assert "late/2 is worse than the other" in check.sentence


def test_in_a_dealt_experiment_the_arms_are_compared_in_every_slice(endpoint: Endpoint) -> None:
    """What the champion answers fails a third of the time, and the challenger's as often; but
    of B the challenger's fails two thirds of the time. A unit that comes back is no new evidence.
    """
    random = np.random.default_rng(2)
    for unit in range(3000):
        carrier, day = "AB"[unit % 2], 25 * unit / 3000
        model = "late/2" if random.random() < 0.5 else "late/1"
        worse = model == "late/2" and carrier == "B"
        for again in range(2):
            name = f"{unit}-{again}"
            fields = dealt(f"u{unit}", model, share=0.5)
            endpoint.decide(name, min(day + 2 * again, 25), carrier=carrier, **fields)
            endpoint.outcome(name, float(random.random() < (2 / 3 if worse else 1 / 3)), 25.5)
    of_outcome: dict[str, Any] = {"metric": "outcome", "direction": "lower", "design": "randomised"}
    of_outcome |= {"label_window_hours": 720.0}
    rule = ruled(SLICES | {"max_drop": 0.1, "min_decisions": 100}, **(DEALT | of_outcome))

    check = endpoint.check(rule, TRAFFIC, 60)

    assert check.figures["broken"] == ["B"]
    arms = endpoint.counts(rule, TRAFFIC, 60)["slices"]
    # half of the 3,000 units are of a slice, half of these are of the smaller arm, counted once
    assert all(700 < each["decisions"] <= 750 for each in arms)


def test_decisions_of_several_experiments_count_in_each_and_compacting_changes_nothing(
    endpoint: Endpoint,
) -> None:
    pairs(endpoint, days=25, a_day=24, challenger=lambda known, _: known)
    for n in range(24):
        endpoint.decide(f"both-{n}", 24 + n / 24, experiment="e0", experiments=["e0", "e1"])
        endpoint.shadow(f"both-{n}", 0.4)
        endpoint.outcome(f"both-{n}", 1.0, 24.2 + n / 24)
    rule = ruled(CALIBRATION, block="count", block_size=30)
    rule = rule.model_copy(update={"guardrails": [CALIBRATION, SLICES, ERRORS]})

    before = endpoint.figures(rule, STATE, 27)
    endpoint.close()
    compact(endpoint.folder)

    assert endpoint.figures(rule, STATE, 27) == before
    calibration, slices, errors = (figures.counts for figures in before.figures)
    # the last block of 30 is not full
    assert (calibration["decisions"], calibration["blocks"]) == (600, 20)
    assert errors["trials"] == 25 * 24 + 24
    assert sum(each["decisions"] for each in slices["slices"]) == 600


# arms


def units(endpoint: Endpoint, shares: tuple[float, float], *, lost: float, n: int = 4000) -> None:
    """Deal units to the arms, whose outcomes come but for a share that is lost in the second."""
    random = np.random.default_rng(3)
    for unit in range(n):
        day = 12 * unit / n
        share = shares[0] if day < 6 else shares[1]
        model = "late/2" if random.random() < share else "late/1"
        for again in range(2):
            name = f"{unit}-{again}"
            endpoint.decide(name, day + again / 50, **dealt(f"u{unit}", model, share=share))
            if model == "late/1" or random.random() >= lost:
                endpoint.outcome(name, 1.0, day + 0.5)


RATIO = {"metric": "sample_ratio"}
COVERAGE = {"metric": "label_coverage"}


def test_units_are_counted_once_with_the_chances_they_were_dealt_by(endpoint: Endpoint) -> None:
    units(endpoint, (0.1, 0.3), lost=0.0)

    rule = ruled(RATIO, **DEALT)
    counts, check = endpoint.counts(rule, TRAFFIC, 14), endpoint.check(rule, TRAFFIC, 14)

    champion, challenger = counts["arms"]
    assert champion["units"] + challenger["units"] == 4000
    assert challenger["expected"] == pytest.approx(0.1 * 2000 + 0.3 * 2000)
    assert check.state == "passed"


def test_units_that_get_lost_in_one_arm_invalidate_the_experiment(endpoint: Endpoint) -> None:
    """Of 6000 units three tenths are the challenger's, and a fifth of these reach no log."""
    random = np.random.default_rng(5)
    for unit in range(6000):
        is_challenger = random.random() < 0.3
        if is_challenger and random.random() < 0.2:
            continue
        model = "late/2" if is_challenger else "late/1"
        endpoint.decide(f"{unit}", unit / 600, **dealt(f"u{unit}", model))

    check = endpoint.check(ruled(RATIO, **DEALT), TRAFFIC, 14)

    assert (check.state, check.action) == ("failed", "invalidate")


def test_outcomes_that_are_lost_in_one_arm_hold(endpoint: Endpoint) -> None:
    units(endpoint, (0.3, 0.3), lost=0.2)

    rule = ruled(COVERAGE, **DEALT)
    counts, check = endpoint.counts(rule, TRAFFIC, 14), endpoint.check(rule, TRAFFIC, 14)

    champion, challenger = counts["arms"]
    assert champion["known"] == champion["decisions"]
    assert challenger["known"] / challenger["decisions"] == pytest.approx(0.8, abs=0.05)
    assert champion["decisions"] + challenger["decisions"] == pytest.approx(4000, abs=100)
    assert (check.state, check.action) == ("failed", "hold")


def test_a_randomised_design_is_asked_for_its_arms_though_no_guardrail_says_so(
    endpoint: Endpoint,
) -> None:
    """Models are equal; of the challenger's bad outcomes one in six is never told."""
    random = np.random.default_rng(3)
    for unit in range(6000):
        model = "late/2" if random.random() < 0.5 else "late/1"
        day, happened = 25 * unit / 6000, random.random() < 0.5
        endpoint.decide(f"{unit}", day, **dealt(f"u{unit}", model, share=0.5))
        if happened or model == "late/1" or random.random() > 1 / 6:
            endpoint.outcome(f"{unit}", float(happened), day + 0.5)
    rule = Rule(
        name="r", metric="outcome", direction="higher", design="randomised", label_window_hours=24
    )
    gathered = endpoint.figures(rule, TRAFFIC, 27)

    checks = guardrail_checks(rule, Gathered.from_json(gathered.to_json()), TRAFFIC)

    assert [(check.name, check.state, check.action) for check in checks] == [
        ("guardrail label_coverage", "failed", "hold"),
        ("guardrail sample_ratio", "passed", "promote"),
    ]
    assert "beyond chance at the level 0.001" in checks[0].sentence


def test_outcomes_that_are_lost_alike_in_both_arms_do_not(endpoint: Endpoint) -> None:
    units(endpoint, (0.1, 0.3), lost=0.0)

    assert endpoint.check(ruled(COVERAGE, **DEALT), TRAFFIC, 14).state == "passed"


def test_without_arms_there_is_nothing_to_compare(endpoint: Endpoint) -> None:
    for guardrail in (RATIO, COVERAGE):
        check = endpoint.check(ruled(guardrail, **DEALT), STATE, 14)

        assert check.state == "passed"
        assert check.sentence == ("No traffic is dealt to two arms yet: there is nothing to judge.")


# the gate


def gated(**gate: Any) -> Rule:
    of_outcome = {"metric": "outcome", "direction": "higher", "design": "randomised"}
    return Rule(**(DEALT | of_outcome | {"gate": {"min_effective": 200, "alpha": 0.05} | gate}))


def explored(
    endpoint: Endpoint,
    *,
    by_chance: bool,
    alike: bool = False,
    right_is: bool = True,
    wind: bool = True,
    n: int,
) -> None:
    """Log what a coin decided; to decide as the wind says is worth 0.7, and otherwise 0.4.

    With `alike` the two models that are dealt to often agree, and the other decision has no chance.
    The challenger decides as the wind says, or against it.
    """
    random = np.random.default_rng(11)
    for each in range(n):
        name, right, days = f"d{each}", random.random() < 0.5, 25 * each / n
        is_other = by_chance and random.random() < 0.5
        ours = random.random() < 0.5
        theirs = random.random() < 0.5 if alike else not ours
        score, shadow = (theirs, ours) if is_other else (ours, theirs)
        fields: dict[str, Any] = {"model": "late/3" if is_other else "late/1"}
        if by_chance:
            fields |= {"candidates": ["late/1", "late/3"], "propensities": [0.5, 0.5]}
            fields |= {"assigned": fields["model"]}
        endpoint.decide(name, days, float(score), wind=float(right) if wind else None, **fields)
        endpoint.shadow(name, float(shadow), model="late/1" if is_other else "late/3")
        endpoint.shadow(name, float(right == right_is))
        worth = 0.7 if score == right else 0.4
        endpoint.outcome(name, float(random.random() < worth), days + 0.5)


@pytest.mark.parametrize("estimator", ["dr", "snips"])
def test_the_gate_opens_for_a_challenger_that_would_have_decided_better(
    endpoint: Endpoint, estimator: str
) -> None:
    explored(endpoint, by_chance=True, n=800)

    check = endpoint.check(gated(estimator=estimator), STATE, 28)

    assert (check.name, check.state, check.action) == ("gate", "passed", "promote")
    assert check.figures["value"] == pytest.approx(0.7, abs=0.08)
    assert check.figures["baseline"] == pytest.approx(0.55, abs=0.08)


def test_the_gate_stays_shut_for_one_that_would_have_decided_worse(endpoint: Endpoint) -> None:
    explored(endpoint, by_chance=True, right_is=False, n=800)

    check = endpoint.check(gated(estimator="snips"), STATE, 28)

    assert (check.state, check.action) == ("failed", "hold")


def test_too_few_effective_decisions_open_no_gate(endpoint: Endpoint) -> None:
    explored(endpoint, by_chance=True, n=300)

    check = endpoint.check(gated(estimator="snips"), STATE, 28)

    assert check.state == "unknown"
    assert check.sentence.endswith("; 200 are needed.")


def test_a_gate_waits_for_twenty_blocks_and_leaves_out_what_the_champion_stood_in_for(
    endpoint: Endpoint,
) -> None:
    explored(endpoint, by_chance=True, n=300)
    chances: dict[str, Any] = {"candidates": ["late/1", "late/3"], "propensities": [0.5, 0.5]}
    endpoint.decide("stood in", 5.0, 1.0, fallback="timeout", assigned="late/3", **chances)
    endpoint.shadow("stood in", 0.0, model="late/3")
    endpoint.shadow("stood in", 1.0)
    endpoint.outcome("stood in", 1.0, 5.5)

    (figures,) = endpoint.figures(gated(estimator="snips"), STATE, 16).figures

    assert figures.counts["why"] == "15 blocks are too few to be sure: 20 are needed"
    assert (figures.counts["decisions"], figures.counts["left_out"]) == (180, 1)


def test_the_gate_cannot_tell_of_what_the_log_never_tried(endpoint: Endpoint) -> None:
    """Where both models agree, the challenger's other decision had no chance."""
    explored(endpoint, by_chance=True, alike=True, n=800)

    check = endpoint.check(gated(estimator="snips"), STATE, 28)

    assert check.state == "unknown"
    assert "the challenger would decide what the log never tried" in check.sentence


def test_the_gate_cannot_tell_where_nothing_was_dealt_by_chance(endpoint: Endpoint) -> None:
    explored(endpoint, by_chance=False, n=300)

    check = endpoint.check(gated(), STATE, 28)

    assert (check.state, check.action) == ("unknown", "hold")
    assert check.sentence == (
        "What late/2 would have achieved cannot be estimated: nothing was dealt by chance: every "
        "logged decision was the champion's, and what follows from any other was never seen."
    )


def test_a_feature_that_is_never_known_does_not_keep_the_gate_shut(endpoint: Endpoint) -> None:
    explored(endpoint, by_chance=True, n=800, wind=False)

    check = endpoint.check(gated(estimator="dr"), STATE, 28)

    assert (check.state, check.action) == ("passed", "promote")


def test_a_decision_with_more_candidates_than_chances_is_named_and_ends_no_look(
    endpoint: Endpoint,
) -> None:
    explored(endpoint, by_chance=True, n=100)
    endpoint.decide("torn", 1.0, candidates=["late/1", "late/3"], propensities=[1.0])

    check = endpoint.check(gated(), STATE, 28)

    assert (check.state, check.action) == ("unknown", "hold")
    assert "A decision has not as many propensities as candidates" in check.sentence


def test_a_guardrail_that_cannot_be_counted_holds_and_keeps_no_other_from_going_back(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in range(40):
        endpoint.decide(f"d{each}", each / 40)
        endpoint.shadow(f"d{each}", None)
    rule = Rule(**PAIRED | {"guardrails": [CALIBRATION, {"metric": "error_rate", "max": 0.01}]})

    def broken(_: object) -> dict[str, Any]:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr("serving.rollout.guard_figures.calibration_figures", broken)
    gathered = endpoint.figures(rule, STATE, 2)

    checks = guardrail_checks(rule, gathered, STATE)
    assert [(check.state, check.action) for check in checks] == [
        ("unknown", "hold"),
        ("failed", "rollback"),
    ]
    assert "could not be counted (ZeroDivisionError: a fault of ours)" in checks[0].sentence
