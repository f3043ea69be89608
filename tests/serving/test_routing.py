"""Who answers at an endpoint: the rules of its changes, and what no sequence of them can break."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from headrace.errors import ParameterError
from serving import routing
from serving.routing import Route, RoutingError

A, B, C, D = (f"flight_delay/{version}" for version in (1, 2, 3, 4))


def first(champion: str = A, challenger: str | None = None) -> Route:
    return routing.declare(
        None, endpoint="flight_delay", champion=champion, challenger=challenger, tried=()
    )


def declared(
    route: Route, champion: str, challenger: str | None = None, *tried: tuple[str, str | None]
) -> Route:
    return routing.declare(
        route, endpoint="flight_delay", champion=champion, challenger=challenger, tried=tried
    )


def test_the_first_champion_answers_and_its_challenger_is_in_shadow() -> None:
    route = first(A, B)

    assert (route.generation, route.champion, route.challenger) == (1, A, B)
    assert route.experiment is not None
    assert route.previous is None


def test_a_model_does_not_challenge_itself() -> None:
    route = first(A, A)

    assert (route.challenger, route.experiment) == (None, None)


def test_a_proposed_champion_has_to_prove_itself_as_the_challenger() -> None:
    route = declared(first(A), B)

    assert (route.generation, route.champion, route.challenger) == (2, A, B)


def test_where_the_champion_is_the_same_its_challenger_is_set_as_declared() -> None:
    with_b = first(A, B)

    with_c = declared(with_b, A, C)
    with_none = declared(with_b, A, None)

    assert (with_c.champion, with_c.challenger) == (A, C)
    assert with_c.experiment != with_b.experiment
    assert (with_none.challenger, with_none.experiment) == (None, None)


def test_a_pair_that_was_tried_changes_nothing() -> None:
    route = routing.promote(first(A, B))

    assert declared(route, A, B, (A, B)) is route
    assert declared(route, C, None, (A, B), (C, None)) is route


def test_a_proposed_champion_that_lost_to_the_present_one_is_not_tried_again() -> None:
    withdrawn = routing.withdraw(declared(first(A), B))
    replaced = routing.promote(first(A, B))

    assert declared(withdrawn, B, C, (A, B)) is withdrawn
    assert declared(replaced, A, C, (A, B)) is replaced


def test_a_declaration_leaves_the_running_experiment_of_its_champion_alone() -> None:
    route = first(A, B)

    assert declared(route, B, D, (A, B)) is route
    assert declared(route, A, B) is route


def test_a_model_that_is_declared_meanwhile_does_not_end_the_watch_of_a_promotion() -> None:
    promoted = routing.promote(first(A, B), watch=True)

    retrained = declared(promoted, C, None, (A, B), (B, A))
    unchanged = declared(promoted, B, None, (A, B), (B, A))

    assert retrained.watched == promoted.watched
    assert [rival.model for rival in retrained.rivals] == [A, C]
    assert declared(retrained, C, None, (A, B), (B, A), (C, None), (B, C)) is retrained
    assert unchanged.watched == promoted.watched


def test_promotion_and_rollback() -> None:
    shadowed = first(A, B)

    promoted = routing.promote(shadowed)
    back = routing.rollback(promoted)

    assert (promoted.champion, promoted.challenger, promoted.previous) == (B, None, A)
    assert (back.champion, back.challenger, back.previous) == (A, None, None)
    assert [r.generation for r in (shadowed, promoted, back)] == [1, 2, 3]


def test_a_second_rollback_does_not_bring_back_what_was_rolled_back() -> None:
    back = routing.rollback(routing.promote(first(A, B)))

    with pytest.raises(RoutingError) as refused:
        routing.rollback(back)

    assert str(refused.value) == (
        "The endpoint 'flight_delay' has nothing to roll back to: no promotion is left to be "
        f"undone, and {A} answers.\n"
        "  Fix: Let another version challenge it, and promote that."
    )


def test_a_rollback_ends_the_experiment_against_the_champion_that_goes() -> None:
    route = routing.challenge(routing.promote(first(A, B)), C)

    back = routing.rollback(route)

    assert (back.champion, back.challenger, back.experiment) == (A, None, None)


def test_an_experiment_that_begins_anew_has_another_id() -> None:
    once = first(A, B)

    again = routing.challenge(routing.withdraw(once), B)

    assert again.challenger == once.challenger
    assert again.experiment != once.experiment


def test_a_change_of_something_else_keeps_the_experiment() -> None:
    route = first(A, B)

    assert routing.restate(route) == replace(route, generation=2)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        pytest.param(
            routing.promote,
            "The endpoint 'flight_delay' has no challenger that could be promoted; "
            f"{A} answers.\n  Fix: Let a version challenge it first.",
            id="promote without a challenger",
        ),
        pytest.param(
            routing.withdraw,
            "The endpoint 'flight_delay' has no challenger that could be withdrawn; "
            f"{A} answers.\n  Fix: Let a version challenge it first.",
            id="withdraw without a challenger",
        ),
        pytest.param(
            lambda route: routing.challenge(route, A),
            f"{A} is the champion of the endpoint 'flight_delay' already.\n"
            "  Fix: Name another version.",
            id="challenge with the champion",
        ),
        pytest.param(
            lambda route: routing.challenge(routing.challenge(route, B), B),
            f"{B} is the challenger of the endpoint 'flight_delay' already.\n"
            "  Fix: Name another version.",
            id="challenge with the challenger",
        ),
    ],
)
def test_a_step_that_the_route_does_not_allow_is_refused(
    step: Callable[[Route], Route], message: str
) -> None:
    with pytest.raises(RoutingError) as refused:
        step(first(A))

    assert str(refused.value) == message


@pytest.mark.parametrize(
    "model", ["flight_delay", "flight_delay/0", "flight_delay/x", "/1", "a/b/1"]
)
def test_a_model_is_named_with_the_number_of_its_version(model: str) -> None:
    with pytest.raises(ParameterError) as refused:
        declared(first(A), model)

    assert str(refused.value) == (
        f"'{model}' is not a version of a registered model.\n"
        "  Fix: Write the registered name and the number of the version, as in 'flight_delay/3'."
    )


@pytest.mark.parametrize("name", ["", "Flights", "3d", "a-b", "a/b", "a" * 65, "é", "a\n"])
def test_a_name_that_is_no_name_of_an_endpoint_is_refused(name: str) -> None:
    with pytest.raises(ParameterError) as refused:
        routing.declare(None, endpoint=name, champion=A, challenger=None, tried=())

    assert str(refused.value) == (
        f"An endpoint cannot be named {name!r}.\n"
        "  Fix: Begin with a small letter and go on with small letters, digits or '_', at most 64."
    )


def test_several_challengers_have_an_experiment_each() -> None:
    route = routing.challenge(first(A, B), C, beside=True)

    assert [rival.model for rival in route.rivals] == [B, C]
    assert len({rival.experiment for rival in route.rivals}) == 2
    assert route.experiment == first(A, B).experiment, "the first goes on as it was"


def test_a_challenger_of_several_is_promoted_or_withdrawn_by_name() -> None:
    route = routing.challenge(first(A, B), C, beside=True)

    promoted, withdrawn = routing.promote(route, C), routing.withdraw(route, B)

    assert (promoted.champion, promoted.rivals, promoted.previous) == (C, (), A)
    assert [rival.model for rival in withdrawn.rivals] == [C]
    assert withdrawn.experiment == route.experiment_of(C)


def test_a_declaration_brings_in_the_challengers_that_are_new() -> None:
    route = first(A, B)

    again = routing.declare(
        route,
        endpoint="flight_delay",
        champion=A,
        challenger=B,
        tried={(A, B), (A, D)},
        also=[C, D],
    )

    assert [rival.model for rival in again.rivals] == [B, C]
    assert again.experiment == route.experiment


def test_a_split_is_a_new_experiment_and_other_shares_of_it_are_not() -> None:
    shadowed = first(A, B)

    begun = routing.split(shadowed, {B: 0.05}, design="ramp", unit=["tail"], steps=[0.05, 0.2])
    grown = routing.reweigh(begun, {B: 0.2})

    assert begun.experiment != shadowed.experiment
    assert grown.experiment == begun.experiment
    assert [r.traffic and r.traffic.shares() for r in (begun, grown)] == [{B: 0.05}, {B: 0.2}]
    assert begun.traffic is not None
    assert begun.traffic.steps == (0.05, 0.2)


def test_a_challenger_that_answers_can_go_back_into_the_shadow_alone() -> None:
    both = routing.split(
        routing.challenge(first(A, B), C, beside=True), {B: 0.1, C: 0.1}, design="ab"
    )

    one, none = routing.shadow(both, B), routing.shadow(both)

    assert one.traffic is not None
    assert one.traffic.shares() == {C: 0.1}
    assert none.traffic is None
    assert [r.rivals for r in (one, none)] == [both.rivals, both.rivals]


def test_promotion_and_rollback_end_the_dealing_of_traffic() -> None:
    dealt = routing.split(first(A, B), {B: 0.5}, design="ab")

    assert routing.promote(dealt).traffic is None
    assert routing.rollback(routing.challenge(routing.promote(dealt), C)).rivals == ()


def test_a_route_is_the_same_after_it_was_kept_as_json() -> None:
    route = routing.split(routing.challenge(first(A, B), C, beside=True), {C: 0.3}, design="canary")

    assert Route.from_json(json.loads(json.dumps(route.to_json()))) == route


def test_a_route_of_before_traffic_was_dealt_is_read() -> None:
    route = first(A, B)
    old = {
        name: value for name, value in route.to_json().items() if name not in ("also", "traffic")
    }

    assert Route.from_json(old) == route


def test_traffic_is_dealt_to_challengers_alone() -> None:
    with pytest.raises(RoutingError) as refused:
        routing.split(first(A, B), {C: 0.1}, design="ab")
    with pytest.raises(ParameterError) as too_much:
        routing.split(first(A, B), {B: 1.5}, design="ab")

    assert str(refused.value) == (
        f"{C} does not challenge {A} at the endpoint 'flight_delay'; {B} does. Did you mean "
        f"'{B}'?\n  Fix: Let it challenge first: `headrace endpoint challenge flight_delay {C}`."
    )
    assert str(too_much.value) == (
        f"{B} cannot have the share 1.5 of the traffic.\n"
        "  Fix: Give a share from 0 to 1, such as 0.05 for 5 %."
    )


MODELS = st.sampled_from([A, B, C, D])


class Changes(RuleBasedStateMachine):
    """These are all the ways in which an endpoint can change, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.history = [first(A, B)]
        self.tried: set[tuple[str, str | None]] = {(A, B)}

    @property
    def route(self) -> Route:
        return self.history[-1]

    def goes_on(self, route: Route) -> None:
        self.history.append(route)
        self.tried |= {(route.champion, rival.model) for rival in route.rivals}

    @rule(champion=MODELS, challenger=st.none() | MODELS)
    def declare(self, champion: str, challenger: str | None) -> None:
        before = self.route

        after = declared(before, champion, challenger, *self.tried)

        self.tried.add((champion, None if challenger == champion else challenger))
        assert after.champion == before.champion, "a declaration never changes who answers"
        assert declared(after, champion, challenger, *self.tried) is after, "twice is once"
        if after is not before:
            self.goes_on(after)

    @rule(model=MODELS)
    def challenge(self, model: str) -> None:
        if model in (self.route.champion, *(rival.model for rival in self.route.rivals)):
            with pytest.raises(RoutingError):
                routing.challenge(self.route, model)
        else:
            self.goes_on(routing.challenge(self.route, model))

    @rule(model=MODELS)
    def challenge_beside(self, model: str) -> None:
        if model not in (self.route.champion, *(rival.model for rival in self.route.rivals)):
            before = self.route.rivals

            self.goes_on(routing.challenge(self.route, model, beside=True))

            assert self.route.rivals[:-1] == before

    @precondition(lambda self: self.route.rivals)
    @rule(share=st.integers(1, 30))
    def split(self, share: int) -> None:
        shares = {rival.model: share / 100 for rival in self.route.rivals}

        self.goes_on(routing.split(self.route, shares, design="ab"))

        assert self.route.traffic is not None
        assert self.route.traffic.shares() == shares

    @precondition(lambda self: self.route.traffic)
    @rule()
    def shadow(self) -> None:
        before = self.route

        self.goes_on(routing.shadow(before))

        assert (self.route.traffic, self.route.rivals) == (None, before.rivals)

    @precondition(lambda self: self.route.challenger)
    @rule()
    def promote(self) -> None:
        before = self.route

        after = routing.promote(before)

        assert (after.champion, after.previous) == (before.challenger, before.champion)
        assert routing.rollback(after).champion == before.champion
        self.goes_on(after)

    @precondition(lambda self: self.route.challenger)
    @rule()
    def withdraw(self) -> None:
        before = self.route

        after = routing.withdraw(before)

        assert (after.champion, after.previous) == (before.champion, before.previous)
        self.goes_on(after)

    @rule()
    def rollback(self) -> None:
        if self.route.previous is None:
            with pytest.raises(RoutingError):
                routing.rollback(self.route)
        else:
            after = routing.rollback(self.route)
            assert after.champion == self.route.previous
            assert after.previous is None
            self.goes_on(after)

    @rule()
    def restate(self) -> None:
        self.goes_on(routing.restate(self.route))

    @invariant()
    def every_change_is_one_generation(self) -> None:
        assert [r.generation for r in self.history] == list(range(1, len(self.history) + 1))

    @invariant()
    def a_model_is_in_one_role(self) -> None:
        models = [self.route.champion, *(rival.model for rival in self.route.rivals)]
        assert len(set(models)) == len(models)
        assert self.route.previous != self.route.champion

    @invariant()
    def an_experiment_is_one_pair_for_one_stretch_of_time(self) -> None:
        seen: dict[str, tuple[str, str]] = {}
        running: set[str] = set()
        for route in self.history:
            for rival in route.rivals:
                if rival.experiment not in running:
                    assert rival.experiment not in seen, "an id came back"
                pair = seen.setdefault(rival.experiment, (route.champion, rival.model))
                assert pair == (route.champion, rival.model)
            running = {rival.experiment for rival in route.rivals}


TestChanges = Changes.TestCase
