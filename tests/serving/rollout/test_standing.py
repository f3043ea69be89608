"""Where a challenger stands: told from the route, its history, and what people said."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from headrace.clock import VirtualClock, using_clock
from headrace.decisions import DecisionLog
from headrace.errors import DefinitionError
from headrace.lineage.database import Database
from headrace.settings import settings, using_settings
from serving.endpoints import Endpoints, EndpointSpec
from serving.hosted import decisions_folder
from serving.rollout.log_time import in_log_time, moment_of
from serving.rollout.standing import require_may_approve, state_of
from serving.rollout.state import RolloutState, Said
from serving.routing import RoutingError
from serving.rule import Rule
from serving.rule_stages import Approval, Watch

A, B, C, D = (f"late_flights/{version}" for version in (1, 2, 3, 4))
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
RULE = Rule(name="better", metric="brier", label_window_hours=6)
ASKS = RULE.model_copy(update={"approval": Approval(by=("bob", "eve")).model_dump(mode="json")})


class Desk:
    """This is an endpoint whose changes are an hour apart, made by whom one says."""

    def __init__(self, home: Path) -> None:
        self.endpoints = Endpoints(Database(home / "headrace.db"))
        self.clock = VirtualClock(NOON)

    def declare(self, challenger: str | None, rule: Rule = RULE, also: Any = ()) -> None:
        spec = EndpointSpec(
            model="late_flights",
            task="classification",
            clock="live",
            space="headrace",
            rule=rule.document(),
        )
        with using_settings(actor="ada"), using_clock(self.clock):
            self.endpoints.declare(
                "late", spec=spec, champion=A, challenger=challenger, also=also, reason="a flow"
            )

    def changed(self, action: Any, *, actor: str = "ada", **options: Any) -> None:
        self.clock.advance_to(self.clock.now() + timedelta(hours=1))
        with using_settings(actor=actor), using_clock(self.clock):
            self.endpoints.change("late", action, generation=None, reason="", **options)

    def say(self, challenger: str, *, actor: str, approved: bool, rule: Rule = ASKS) -> None:
        experiment = str(self.endpoints.route("late").experiment_of(challenger))
        with using_settings(actor=actor), using_clock(self.clock):
            self.endpoints.consent(
                "late", experiment, rule=rule.hash, approved=approved, reason="looked at it"
            )

    def state(self, challenger: str, rule: Rule | None = None) -> RolloutState:
        return state_of(self.endpoints, self.endpoints.route("late"), challenger, rule=rule)

    def tries(self, challenger: str) -> tuple[int, int]:
        state = self.state(challenger)
        return state.first_try, state.last_try


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with using_settings(home=tmp_path):
        yield Desk(tmp_path)


def test_a_challenger_begins_in_shadow(desk: Desk) -> None:
    desk.declare(B)

    assert desk.state(B) == RolloutState(
        endpoint="late",
        generation=1,
        champion=A,
        challenger=B,
        experiment=str(desk.endpoints.route("late").experiment),
        stage="shadow",
        share=0.0,
        design=None,
        began=NOON,
        since=NOON,
        authors=("ada",),
    )


def test_a_ramp_leaves_the_beginning_and_counts_the_share_anew(desk: Desk) -> None:
    desk.declare(B)
    began = desk.state(B)
    desk.changed("ramp", challenger=B, share=0.05, steps=(0.05, 0.5, 1.0))
    desk.changed("challenge", challenger=C, beside=True)
    first = desk.state(B)
    desk.changed("ramp", challenger=B, share=0.5)

    second = desk.state(B)
    assert (first.stage, first.share, first.design) == ("traffic", 0.05, "ramp")
    assert (first.began, first.since) == (NOON, NOON + timedelta(hours=1))
    assert (second.share, second.began, second.since) == (0.5, NOON, NOON + timedelta(hours=3))
    assert second.experiment == began.experiment
    assert desk.state(C).stage == "shadow"


def test_an_old_champion_watches_only_since_the_promotion(desk: Desk) -> None:
    desk.declare(B)
    desk.changed("promote", watch=True)
    watching = desk.state(A)
    desk.changed("withdraw", challenger=A)
    desk.changed("challenge", challenger=A)

    challenging = desk.state(A)
    assert (watching.stage, watching.champion, watching.challenger) == ("watch", B, A)
    assert (challenging.stage, challenging.first_try) == ("shadow", 1)


def test_a_watch_that_begins_anew_is_still_a_watch(desk: Desk) -> None:
    desk.declare(B, RULE.model_copy(update={"watch": Watch().model_dump()}))
    desk.changed("promote", watch=True)
    desk.changed("restart", challenger=A)

    state = desk.state(A)
    assert (state.stage, state.began) == ("watch", NOON + timedelta(hours=2))


def test_every_experiment_against_a_champion_is_a_try_and_those_begun_at_once_share_theirs(
    desk: Desk,
) -> None:
    desk.declare(B, also=[C])
    together = desk.tries(B), desk.tries(C)
    desk.changed("challenge", challenger=D, beside=True)
    later = desk.tries(D)
    desk.changed("restart", challenger=B)
    anew = desk.tries(B)
    desk.changed("split", shares={C: 0.1, D: 0.1}, design="ab")

    assert together == ((1, 2), (1, 2))
    assert later == (3, 3)
    assert anew == (4, 4)
    assert (desk.tries(C), desk.tries(D)) == ((5, 6), (5, 6))
    assert desk.tries(B) == (4, 4)


def test_a_new_champion_is_tried_from_one_on_and_the_old_one_goes_on_when_it_is_back(
    desk: Desk,
) -> None:
    desk.declare(B)
    desk.changed("promote", watch=True)
    desk.changed("challenge", challenger=C, beside=True)
    against_the_new = desk.tries(C)
    desk.changed("rollback")
    desk.changed("challenge", challenger=D)

    assert against_the_new == (1, 1)
    assert desk.tries(D) == (2, 2)


def test_an_old_champion_that_challenges_again_is_a_try_like_any_other(desk: Desk) -> None:
    desk.declare(B)
    desk.changed("promote")
    desk.changed("challenge", challenger=A)
    desk.changed("challenge", challenger=C, beside=True)

    assert (desk.tries(A), desk.tries(C)) == ((1, 1), (2, 2))


def test_authors_are_who_put_it_up_and_who_began_it_anew(desk: Desk) -> None:
    desk.declare(None)
    desk.changed("challenge", actor="bob", challenger=B)
    desk.changed("restart", actor="eve", challenger=B)
    desk.changed("ramp", actor="max", challenger=B, share=0.1)

    assert desk.state(B).authors == ("bob", "eve")


def test_a_rule_that_begins_it_anew_is_no_author(desk: Desk) -> None:
    desk.declare(B)
    trace = {
        "format": "headrace ruling 1",
        "action": "invalidate",
        "state": {"generation": 1, "endpoint": "late"},
    }
    desk.changed("restart", actor="rollout", challenger=B, trace=trace)

    assert desk.state(B).authors == ("ada",)


def test_the_newest_word_of_somebody_who_may_counts(desk: Desk) -> None:
    desk.declare(B, ASKS)
    silent = desk.state(B)
    desk.say(B, actor="bob", approved=False)
    desk.say(B, actor="eve", approved=True)
    desk.say(B, actor="max", approved=False)  # is not asked
    desk.say(B, actor="bob", approved=False, rule=RULE)  # to another rule

    said = Said(approved=True, actor="eve", at=NOON, reason="looked at it")
    assert silent.said is None
    assert desk.state(B).said == said
    assert desk.state(B, RULE).said is None


def test_an_authors_word_does_not_count(desk: Desk) -> None:
    anybody = RULE.model_copy(update={"approval": Approval().model_dump(mode="json")})
    desk.declare(B, anybody)
    desk.say(B, actor="ada", approved=True, rule=anybody)

    assert desk.state(B).said is None


def test_consent_ends_with_the_experiment(desk: Desk) -> None:
    desk.declare(B, ASKS)
    desk.say(B, actor="bob", approved=True)
    desk.changed("restart", challenger=B)

    assert desk.state(B).said is None


@pytest.mark.parametrize(
    ("rule", "actor", "problem"),
    [
        pytest.param(RULE, "bob", "asks nobody before it promotes", id="nobody is asked"),
        pytest.param(ASKS, "max", "'max' may not approve", id="somebody else is asked"),
        pytest.param(
            ASKS.model_copy(update={"approval": {"by": ["ada"], "before": "promotion"}}),
            "ada",
            "'ada' put up or registered",
            id="the author",
        ),
    ],
)
def test_whose_word_does_not_count_is_refused(
    rule: Rule, actor: str, problem: str, desk: Desk
) -> None:
    desk.declare(B, rule)

    with pytest.raises(DefinitionError, match=problem):
        require_may_approve(rule, desk.state(B), actor)


def test_a_version_that_does_not_challenge_has_no_state(desk: Desk) -> None:
    desk.declare(B)

    with pytest.raises(RoutingError, match="late_flights/3 does not challenge late_flights/1"):
        desk.state(C)


def test_time_passes_in_the_log_where_requests_say_when_they_are_decided(desk: Desk) -> None:
    desk.declare(B)
    experiment = desk.state(B).experiment
    desk.changed("ramp", challenger=B, share=0.05)
    folder = decisions_folder(settings(), "late")
    day = datetime(2013, 7, 1, tzinfo=UTC)

    def seen(as_of: datetime) -> tuple[datetime, datetime]:
        state = in_log_time(desk.state(B), desk.endpoints, folder, rule=RULE, as_of=as_of)
        return state.began, state.since

    nothing = seen(day)
    with DecisionLog.open(folder, writer="lane") as log:
        columns = log.columns(["wind"])
        log.append(
            [
                _decision(columns, experiment, day + timedelta(hours=hours), generation)
                for hours, generation in ((5, 1), (2, 1), (30, 2), (29, 2))
            ]
        )

    hour = timedelta(hours=1)
    assert nothing == (day, day)
    assert seen(day + 3 * hour) == (day + 2 * hour, day + 3 * hour)
    assert seen(day + 40 * hour) == (day + 2 * hour, day + 29 * hour)
    assert moment_of(folder, "replayed") == day + 30 * hour
    assert moment_of(folder, "live") > NOON - timedelta(days=3650)


def _decision(columns: int, experiment: str, at: datetime, generation: int) -> dict[str, Any]:
    us = round(at.timestamp() * 1e6)
    return {
        "kind": "decision", "id": f"d{us}", "at": us, "logged": us, "columns": columns,
        "features": [1.0], "entity": {}, "overridden": [], "missing": [], "model": A, "score": 0.5,
        "answer": {}, "generation": generation, "experiment": experiment,
    }  # fmt: skip
