"""A rule takes a challenger through shares, and nothing that was seen is lost or counted twice."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import ParameterError
from serving import routing, routing_stages
from serving.route import Route, RoutingError

A, B, C = "delay/1", "delay/2", "delay/3"


def _route(*challengers: str) -> Route:
    return routing.declare(
        None,
        endpoint="delay",
        champion=A,
        challenger=challengers[0] if challengers else None,
        tried=(),
        also=challengers[1:],
    )


def test_a_ramp_goes_on_with_the_experiment_that_runs_and_keeps_its_units() -> None:
    shadow = _route(B)

    first = routing_stages.ramp(shadow, B, share=0.05, steps=(0.05, 0.5, 1.0), unit=("tail",))
    second = routing_stages.ramp(first, B, share=0.5)

    assert first.traffic is not None
    assert second.traffic is not None
    assert first.experiment == second.experiment == shadow.experiment
    assert (first.traffic.design, first.traffic.steps) == ("ramp", (0.05, 0.5, 1.0))
    assert (second.traffic.shares(), second.traffic.unit) == ({B: 0.5}, ("tail",))
    assert second.traffic.salt == first.traffic.salt
    stay = set(range(first.traffic.spans[0].start, first.traffic.spans[0].end))
    grown = {b for span in second.traffic.spans for b in range(span.start, span.end)}
    assert stay <= grown
    assert [first.generation, second.generation] == [2, 3]


@given(st.lists(st.floats(0.001, 1.0), min_size=1, max_size=6))
def test_any_path_of_shares_deals_exactly_what_was_asked(path: list[float]) -> None:
    route = _route(B)

    for share in path:
        route = routing_stages.ramp(route, B, share=share)

    assert route.traffic is not None
    assert route.traffic.shares() == {B: round(path[-1] * 10_000) / 10_000}
    assert route.generation == 1 + len(path)


def test_a_ramp_leaves_another_challengers_share_alone_and_takes_no_more_than_there_is() -> None:
    route = routing_stages.ramp(_route(B, C), B, share=0.6)

    both = routing_stages.ramp(route, C, share=0.3)

    assert both.traffic is not None
    assert both.traffic.shares() == {B: 0.6, C: 0.3}
    with pytest.raises(ParameterError, match="more than all traffic together"):
        routing_stages.ramp(both, C, share=0.5)


def test_a_ramp_moves_no_traffic_that_people_dealt() -> None:
    route = routing.split(_route(B), {B: 0.1}, design="ab")

    with pytest.raises(RoutingError) as refused:
        routing_stages.ramp(route, B, share=0.2)

    assert str(refused.value) == (
        "The endpoint 'delay' deals traffic by 'ab', which no rule may move.\n"
        "  Fix: Take it back with `headrace endpoint shadow delay`."
    )


def test_what_is_compared_anew_is_another_experiment_in_shadow() -> None:
    route = routing_stages.ramp(_route(B, C), B, share=0.2)
    other = route.experiment_of(C)

    anew = routing_stages.restart(route, B)

    assert anew.traffic is None
    assert anew.experiment_of(B) not in (None, route.experiment_of(B))
    assert anew.experiment_of(C) == other
    everything = routing_stages.restart(route)
    assert everything.experiment_of(C) not in (None, other)


def test_a_watched_promotion_leaves_the_old_champion_in_shadow_until_it_is_confirmed() -> None:
    promoted = routing.promote(_route(B), watch=True)

    assert (promoted.champion, promoted.previous, promoted.challenger) == (B, A, A)
    assert promoted.watched is not None
    assert promoted.watched.model == A
    confirmed = routing_stages.confirm(promoted)
    assert (confirmed.champion, confirmed.challenger, confirmed.watched) == (B, None, None)
    assert routing.rollback(confirmed).champion == A
    back = routing.rollback(promoted)
    assert (back.champion, back.challenger, back.previous) == (A, None, None)


def test_nothing_is_confirmed_where_nothing_is_watched() -> None:
    with pytest.raises(RoutingError) as refused:
        routing_stages.confirm(_route(B))

    assert str(refused.value) == (
        "No promotion is watched at the endpoint 'delay'.\n"
        "  Fix: See what runs there with `headrace endpoint show`."
    )


def test_a_held_endpoint_says_why_until_it_is_released() -> None:
    route = _route(B)

    held = routing_stages.hold(route, why="the auditors are here")

    assert (held.held, held.generation, held.experiment) == (
        "the auditors are here",
        2,
        route.experiment,
    )
    assert routing_stages.release(held) == replace(route, generation=3)
    assert Route.from_json(held.to_json()) == held
    with pytest.raises(RoutingError) as twice:
        routing_stages.hold(held, why="again")
    assert str(twice.value) == (
        "The endpoint 'delay' is held already: the auditors are here\n"
        "  Fix: Let it go with `headrace endpoint release delay`."
    )
    with pytest.raises(RoutingError) as never:
        routing_stages.release(route)
    assert str(never.value) == (
        "The endpoint 'delay' is not held.\n"
        "  Fix: Hold it with `headrace endpoint hold delay --reason TEXT`."
    )


def test_a_route_of_before_there_were_holds_is_read_as_free() -> None:
    data = _route(B).to_json()
    del data["held"]

    assert Route.from_json(data).held is None
