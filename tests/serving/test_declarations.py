"""What a flow declares of an endpoint beside its models: placement, traffic, retention."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.errors import ParameterError
from headrace.lineage.database import Database
from serving.endpoints import Endpoints, EndpointSpec
from serving.lane.table import Hop
from serving.placement import Placement
from serving.retention import Retention
from serving.split import Split

A, B, C = (f"flight_delay/{version}" for version in (1, 2, 3))
SPEC = EndpointSpec(model="flight_delay", task="classification", clock="live", space="headrace")


@pytest.fixture
def endpoints(tmp_path: Path) -> Endpoints:
    """No endpoint yet, in a database of the test's own."""
    return Endpoints(Database(tmp_path / "headrace.db"))


def declared(endpoints: Endpoints, split: Split | None, *challengers: str) -> tuple[Any, bool]:
    return endpoints.declare(
        "flight_delay",
        spec=SPEC,
        champion=A,
        challenger=challengers[0] if challengers else None,
        also=challengers[1:],
        split=None if split is None else split.onto,
        reason="a flow",
    )


def test_a_new_challenger_answers_its_share_from_the_beginning(endpoints: Endpoints) -> None:
    route, changed = declared(endpoints, Split(design="canary", share=0.05, unit=["tail"]), B)

    assert (changed, route.generation) == (True, 1)
    assert route.traffic.shares() == {B: 0.05}
    assert route.traffic.unit == ("tail",)


def test_a_flow_that_runs_again_takes_back_no_share_that_was_changed_since(
    endpoints: Endpoints,
) -> None:
    split = Split(design="ramp", steps=[0.01, 0.1])
    declared(endpoints, split, B)
    endpoints.change("flight_delay", "reweigh", generation=1, reason="", shares={B: 0.1})

    route, changed = declared(endpoints, split, B)

    assert (changed, route.traffic.shares()) == (False, {B: 0.1})


def test_thompson_sampling_begins_with_equal_shares(endpoints: Endpoints) -> None:
    route, _ = declared(endpoints, Split(design="thompson", floor=0.1, direction="down"), B, C)

    assert route.traffic.shares() == {B: 0.3333, C: 0.3333}
    assert (route.traffic.bandit.floor, route.traffic.bandit.direction) == (0.1, "down")


def test_a_further_challenger_leaves_the_first_ones_share_and_experiment(
    endpoints: Endpoints,
) -> None:
    before, _ = declared(endpoints, Split(design="ab", share=0.2), B)

    route, changed = declared(endpoints, Split(design="ab", share=0.2), B, C)

    assert changed
    assert route.traffic.shares() == {B: 0.2, C: 0.2}
    assert route.experiment == before.experiment


def test_models_are_scored_elsewhere_where_they_need_a_gpu_or_memory() -> None:
    assert Placement().hop is None
    assert Placement(gpus=0.25).hop == Hop(gpus=0.25)
    assert Placement(memory_mb=4000, scorers=2).hop == Hop(memory_mb=4000, replicas=2)
    assert Placement(replicas=2, most_replicas=5).bounds == (2, 5)
    assert Placement(replicas=2).bounds == (2, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(
            lambda: Placement(replica=2),  # type: ignore[call-arg]
            "The placement is wrong: there is no field 'replica' (it is 2). Did you mean "
            "'replicas' or 'most_replicas'?\n  Fix: Remove or rename the field.",
            id="unknown",
        ),
        pytest.param(
            lambda: Placement(replicas=0),
            "The placement is wrong: field 'replicas' is 0 (int); expected a whole number from 1 "
            "to 64.\n  Fix: Set 'replicas' to a whole number from 1 to 64.",
            id="no replica",
        ),
        pytest.param(
            lambda: Placement(replicas=3, most_replicas=2),
            "The placement is wrong: `most_replicas` is less than `replicas` (replicas=3, "
            "most_replicas=2).\n  Fix: Give fields that fit together.",
            id="bounds",
        ),
        pytest.param(
            lambda: Placement(shared=True, gpus=1),
            "The placement is wrong: a shared endpoint has one process and no scorers of its own "
            "(shared=True, gpus=1).\n  Fix: Give fields that fit together.",
            id="shared",
        ),
        pytest.param(
            lambda: Split(design="ab"),
            "The split of traffic is wrong: 'ab' and 'canary' have a `share`, others have not "
            "(design='ab').\n  Fix: Give fields that fit together.",
            id="no share",
        ),
        pytest.param(
            lambda: Split(design="rampage", share=0.1),  # type: ignore[arg-type]
            "The split of traffic is wrong: field 'design' is 'rampage' (str); expected 'ab', "
            "'canary', 'ramp' or 'thompson'.\n"
            "  Fix: Set 'design' to 'ab', 'canary', 'ramp' or 'thompson'.",
            id="design",
        ),
        pytest.param(
            Retention,  # type: ignore[call-arg]
            "The retention is wrong: field 'keep_days' is missing; expected a number of days from "
            "1 to 36500.\n  Fix: Set 'keep_days' to a number of days from 1 to 36500.",
            id="missing",
        ),
    ],
)
def test_what_is_wrong_with_a_declaration_is_said(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ParameterError) as refused:
        make()

    assert str(refused.value) == message
