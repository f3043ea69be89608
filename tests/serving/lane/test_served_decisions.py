"""Decisions are read as they were made, with what was known of them at a moment, and learned from.

The lane, its log and its models are real; the log of an endpoint that deals traffic is written as
lanes write it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.online_lookup import lookup_of
from headrace import Model, Report, flow
from headrace.decisions import DecisionLog, compact
from headrace.errors import GrantError, ParameterError, UnknownNameError
from headrace.grants import granting
from headrace.settings import settings, using_settings
from operators.decisions_to_examples import decisions_to_examples
from operators.split import split_by_time
from operators.train_xgboost import train_xgboost
from serving.endpoints import Endpoints, EndpointSpec
from serving.hosted import decisions_folder
from serving.outcome_kinds import OutcomeKind
from serving.served_decisions import served_decisions

NOON = datetime(2013, 7, 1, 12, tzinfo=UTC)
LANDED = OutcomeKind(name="landed", kind="binary", window_hours=36)
MINUTES = OutcomeKind(name="minutes", window_hours=36)


def at(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


def us(hours: float) -> int:
    return round(at(hours).timestamp() * 1e6)


@pytest.fixture
def home(tmp_path: Path, views: Any, bundles: dict[str, Path]) -> Iterator[Path]:
    """A home with the endpoint and the bundles of its models, and nothing logged."""
    with using_settings(home=tmp_path / "home"):
        root = settings().home / "serving"
        for version in ("flight_delay/1", "flight_delay/2"):
            file = root / "versions" / f"{version}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps({"digest": version.replace("/", "-")}))
        (root / "models").symlink_to(bundles["flight_delay/1"].parent)
        spec = EndpointSpec(
            model="flight_delay", task="classification", clock="replayed", space="replay",
            lookups=tuple(lookup_of(v).to_json() for v in views),
            outcomes=(LANDED.document(), MINUTES.document()),
        )  # fmt: skip
        Endpoints().declare("flight_delay", spec=spec, champion="flight_delay/1", reason="test")
        yield tmp_path / "home"


@pytest.fixture
def lane(home: Path, tables: Any, start_lane: Any, tmp_path: Path) -> Any:
    """Its lane."""
    return start_lane(
        tables(
            tmp_path,
            clock="replayed",
            space="replay",
            log=decisions_folder(settings(), "flight_delay"),
            outcomes=(LANDED.document(), MINUTES.document()),
            may_lack=frozenset({"tails"}),
        )
    )


def rows(**asked: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (
        served_decisions(endpoint="flight_delay", **asked).arrow().to_pylist()
    )
    return found


def test_a_decision_is_read_as_it_was_made(lane):
    lane.decide(id="UA1", at=at(1).isoformat(), entity={"origin": "EWR", "tail": "N?", "seat": 7})
    lane.decide(id="UA2", at=at(2).isoformat(),
                features={"carrier": None, "distance": 719, "wind": 4.5})  # fmt: skip

    table = served_decisions(endpoint="flight_delay")
    first, second = table.arrow().to_pylist()

    assert first | {"score": 0.0} == {
        "id": "UA1", "decided_at": at(1), "as_of": at(2),
        "entity.origin": "EWR", "entity.seat": "7", "entity.tail": "N?",
        "model": "flight_delay/1", "assigned": "flight_delay/1", "propensity": 1.0, "arms": 1,
        "propensities": None, "score": 0.0, "generation": 1, "experiment": None, "fallback": None,
        "unit": None, "client": None, "batch": None, "rank": None,
        "overridden": "", "missing": '["tails"]',
        "outcome:landed": None, "outcome:landed.told_at": None, "outcome:landed.valued_at": None,
        "outcome:landed.known_at": None,
        "outcome:minutes": None, "outcome:minutes.told_at": None,
        "outcome:minutes.valued_at": None, "outcome:minutes.known_at": None,
        "carrier": "UA", "distance": 719.0, "wind": 12.5, "landings": None,
    }  # fmt: skip
    assert (second["carrier"], second["wind"], second["overridden"]) == (None, 4.5, '["wind"]')
    assert table.schema is not None
    assert {c.name: (c.dtype, c.source) for c in table.schema.with_role("feature")} == {
        "carrier": ("string", None),
        "distance": ("float", None),
        "wind": ("float", "weather"),
        "landings": ("int", "tails"),
    }


def test_outcomes_are_read_as_they_were_known_then(lane):
    lane.decide(id="UA1", at=at(0).isoformat())
    told = {"id": "UA1", "name": "landed"}
    lane.tell(told | {"value": 1, "known_at": at(3).isoformat()})
    lane.tell(told | {"value": 0, "known_at": at(50).isoformat(), "corrects": True})
    lane.tell({"id": "UA1", "name": "minutes", "value": 7.5, "known_at": at(4).isoformat()})

    def landed(**asked: Any) -> list[Any]:
        [row] = rows(**asked)
        names = ("", ".told_at", ".valued_at", ".known_at")
        return [row[f"outcome:landed{name}"] for name in names]

    assert landed(as_of=at(2)) == [None] * 4
    assert landed(as_of=at(49)) == [1, at(3), at(3), at(3)]
    assert landed() == [0, at(3), at(3), at(50)]
    assert rows()[0]["outcome:minutes"] == 7.5
    assert rows()[0]["as_of"] == at(50)
    assert rows(as_of=at(-1)) == []


def test_a_period_is_read_by_its_first_and_last_moment(lane):
    for hours in range(4):
        lane.decide(id=f"UA{hours}", at=at(hours).isoformat())

    assert [row["id"] for row in rows(since=at(1), until=at(2))] == ["UA1", "UA2"]
    with pytest.raises(ParameterError, match="'as_of' is 2013-07-01T00:00:00, a time"):
        rows(as_of=datetime(2013, 7, 1))
    with pytest.raises(UnknownNameError, match=r"no endpoint 'flight_dely'\. Did you mean"):
        served_decisions(endpoint="flight_dely")


def dealt(count: int) -> None:
    """Log decisions of a champion and a challenger that has a fifth of the traffic."""
    random = np.random.default_rng(8)
    folder = decisions_folder(settings(), "flight_delay")
    with DecisionLog.open(folder, writer="lane-1") as log:
        columns = log.columns(["carrier", "distance", "wind", "landings"])
        for number in range(count):
            challenger, fell = number % 5 == 0, number % 25 == 0
            wind = float(random.normal(8, 3))
            hours = number / 2
            late = float(wind + random.normal(0, 2) > 8)
            log.append(
                [
                    {"kind": "decision", "id": f"d{number}", "at": us(hours), "logged": us(hours),
                     "entity": {"origin": "EWR", "tail": f"N{number % 9}"}, "columns": columns,
                     "features": ["UA", 719.0, wind, None if number % 7 else 3], "overridden": [],
                     "missing": [], "generation": 2, "experiment": "e1",
                     "candidates": ["flight_delay/1", "flight_delay/2"],
                     "propensities": [0.8, 0.2],
                     "assigned": f"flight_delay/{2 if challenger else 1}",
                     "model": f"flight_delay/{2 if challenger and not fell else 1}",
                     **({"fallback": "timeout"} if fell else {}), "unit": f"N{number % 9}",
                     "score": 0.5, "answer": {"probability": 0.5}},
                    {"kind": "outcome", "id": f"d{number}", "known_at": us(hours + 1),
                     "logged": us(hours + 1), "value": late, "name": "landed"},
                ]
            )  # fmt: skip


def test_chances_are_those_of_the_model_that_was_to_answer(home):
    dealt(26)

    found = {row["id"]: row for row in rows()}

    names = ("assigned", "model", "propensity", "arms", "fallback", "unit")
    one, two = "flight_delay/1", "flight_delay/2"
    assert [found["d1"][n] for n in names] == [one, one, 0.8, 2, None, "N1"]
    assert [found["d5"][n] for n in names] == [two, two, 0.2, 2, None, "N5"]
    assert [found["d25"][n] for n in names] == [two, one, 0.2, 2, "timeout", "N7"]
    assert json.loads(found["d1"]["propensities"]) == {one: 0.8, two: 0.2}


def test_a_log_that_was_compacted_is_read_the_same(home):
    dealt(300)
    before = served_decisions(endpoint="flight_delay")

    compact(decisions_folder(settings(), "flight_delay"))

    assert served_decisions(endpoint="flight_delay").digest == before.digest


@flow(grants=["decisions:flight_delay"])
def learn_from_decisions(window_hours: float = 36.0) -> tuple[Model, Report]:
    """Train the next model on what was served."""
    examples, report = decisions_to_examples(
        served_decisions(endpoint="flight_delay"),
        outcome="landed",
        window_hours=window_hours,
        weight="inverse_propensity",
        unit="unit",
    )
    train, validation, _, _ = split_by_time(
        examples, validation_from=date(2013, 7, 6), test_from=date(2013, 7, 8)
    )
    return train_xgboost(train, validation, n_estimators=5), report


@flow
def learn_without_a_grant() -> Any:
    """Read what it may not."""
    return served_decisions(endpoint="flight_delay")


def test_the_next_model_is_trained_on_what_was_served(home):
    dealt(450)

    first, again = learn_from_decisions.run(), learn_from_decisions.run()

    assert learn_from_decisions.plan().problems == ()
    model, report = first.returned()
    assert [(f.name, f.source) for f in model.card.features] == [
        ("carrier", None), ("distance", None), ("wind", "weather"), ("landings", "tails")
    ]  # fmt: skip
    assert model.card.metrics["auc"] > 0.7
    document = report.document
    assert (document["examples"], document["immature"], document["fallbacks"]) == (380, 70, 16)
    assert document["weights"]["effective"] < 380
    states = {path: outcome.state for path, outcome in again.outcomes.items()}
    assert states.pop("served_decisions:flight_delay") == "executed"
    assert set(states.values()) == {"cached"}


def test_a_flow_that_is_not_granted_the_decisions_is_refused(home):
    dealt(1)

    problems = learn_without_a_grant.plan().problems

    assert ["'decisions:flight_delay'" in problem.problem for problem in problems] == [True]
    with granting([], flow="other"), pytest.raises(GrantError):
        rows()
