"""Waiting for shadows ends when the log itself says that nothing is left to score."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.decisions import DecisionLog, save_cursor
from headrace.errors import ServiceError
from headrace.lineage.database import Database
from headrace.settings import Settings, using_settings
from serving.endpoints import Endpoints, EndpointSpec
from serving.hosted import decisions_folder, notices_folder
from serving.lane.guard_notice import GuardNotice, write_guards
from serving.lane.notices import ShadowFigures, ShadowNotice, shadow_file, write_notice
from serving.lane.shadow_step import cursor_of, unread
from serving.rollout.live_counts import grown, store_counts
from serving.routing import Rival, Route
from serving.shadowing import wait_for_counts, wait_for_shadow

A, B, C = (f"flight_delay/{version}" for version in (1, 2, 3))
ROUTE = Route(
    endpoint="flight_delay",
    generation=4,
    champion=A,
    challenger=B,
    experiment="a-b",
    previous=None,
    also=(Rival(model=C, experiment="a-c"),),
)


@pytest.fixture
def of(tmp_path: Path) -> Iterator[Settings]:
    """A home in which two decisions of both comparisons were logged."""
    with using_settings(home=tmp_path) as configured:
        with DecisionLog.open(decisions_folder(configured, ROUTE.endpoint), writer="lane") as log:
            columns = log.columns([])
            more = {"model": A, "experiment": "a-b", "experiments": ["a-b", "a-c"]}
            log.append(
                [
                    {
                        "kind": "decision", "id": name, "at": 1, "logged": 1, "columns": columns,
                        "features": [], **more,
                    }
                    for name in ("UA1", "UA2")
                ]
            )  # fmt: skip
        yield configured


def tell(of: Settings, scored: int, message: str = "") -> None:
    figures = [
        ShadowFigures(model=B, experiment="a-b", scored=2),
        ShadowFigures(model=C, experiment="a-c", scored=scored, message=message),
    ]
    path = shadow_file(notices_folder(of), ROUTE.endpoint)
    write_notice(path, ShadowNotice.of(ROUTE.generation, 1, figures))


def keep(of: Settings, experiment: str) -> None:
    """Note that an experiment's shadow has scored all there is."""
    folder = decisions_folder(of, ROUTE.endpoint)
    tail = unread(folder, experiment)
    tail.skip_to_newest()
    save_cursor(folder, cursor_of(experiment), tail.position)
    tail.close()


def test_it_waits_until_every_challenger_has_scored_every_decision(of: Settings):
    said: list[str] = []
    tell(of, scored=1)
    keep(of, "a-b")
    waiting = threading.Thread(target=wait_for_shadow, args=(ROUTE,), kwargs={"say": said.append})
    waiting.start()
    waiting.join(0.3)
    was_waiting = waiting.is_alive()
    tell(of, scored=2)

    keep(of, "a-c")
    waiting.join(5)

    assert was_waiting
    assert not waiting.is_alive()
    assert said[:2] == [f"{B} has scored 2 in shadow", f"{C} has scored 1 in shadow"]


def test_one_that_cannot_score_is_an_error_that_names_it(of: Settings):
    tell(of, scored=0, message="The bundle is gone.")

    with pytest.raises(ServiceError) as told:
        wait_for_shadow(ROUTE, say=lambda _: None)

    assert str(told.value) == (
        "The challenger flight_delay/3 of endpoint 'flight_delay' cannot score: The bundle is "
        "gone.\n  Fix: Withdraw it: headrace endpoint rollback flight_delay"
    )


def test_without_a_challenger_there_is_nothing_to_wait_for():
    alone = Route(
        endpoint="e", generation=1, champion=A, challenger=None, experiment=None, previous=None
    )

    assert wait_for_shadow(alone, say=lambda _: None) is None


def test_it_waits_until_what_replicas_counted_is_written_down(of: Settings):
    told = {"trials": 40, "failures": 2, "calls": 9, "slow": {"20": 1}}
    row = {"model": B, "experiment": "a-b", **told}
    notice = GuardNotice(
        endpoint=ROUTE.endpoint, part="shadow", writer="w", pid=1, started=0.0, rows=(row,)
    )
    write_guards(notices_folder(of), notice)
    database = Database(of.home / "headrace.db")
    spec = EndpointSpec(model="flight_delay", task="estimation", clock="live", space="headrace")
    Endpoints(database).declare(ROUTE.endpoint, spec=spec, champion=A, reason="a flow")
    early = grown(None, told | {"trials": 39}, part="shadow", writer="w")
    store_counts(database, ROUTE.endpoint, [("a-b", B, early)])
    found: list[bool] = []
    waiting = threading.Thread(target=lambda: found.append(wait_for_counts(database, ROUTE)))
    waiting.start()
    waiting.join(1.5)  # longer than until nothing new is told
    was_waiting = waiting.is_alive()

    store_counts(
        database, ROUTE.endpoint, [("a-b", B, grown(early, told, part="shadow", writer="w"))]
    )
    waiting.join(5)

    assert was_waiting
    assert found == [True]


def test_counts_of_an_earlier_comparison_are_not_waited_for(of: Settings):
    row = {"model": B, "experiment": "z", "trials": 4, "failures": 0, "calls": 1, "slow": {}}
    notice = GuardNotice(
        endpoint=ROUTE.endpoint, part="shadow", writer="w", pid=1, started=0.0, rows=(row,)
    )
    write_guards(notices_folder(of), notice)

    assert wait_for_counts(Database(of.home / "headrace.db"), ROUTE)
