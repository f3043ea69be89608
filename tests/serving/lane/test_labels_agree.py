"""An endpoint's outcomes make the same labels, whoever joins them: the lane's log or an operator.

The lane is real: it takes outcomes by decision and by entity, with corrections, and its log is read
by `served_decisions`. What it was told is also given as plain observations to `label_by_outcome`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Protocol

import pytest

from features.online_lookup import lookup_of
from headrace import Col, Schema, Table
from headrace.settings import settings, using_settings
from operators.decisions_to_examples import decisions_to_examples
from operators.label_by_outcome import label_by_outcome
from serving.endpoints import Endpoints, EndpointSpec
from serving.hosted import decisions_folder
from serving.outcome_kinds import OutcomeKind
from serving.served_decisions import served_decisions

NOON = datetime(2013, 7, 1, 12, tzinfo=UTC)
LANDED = OutcomeKind(name="landed", kind="binary", window_hours=36)


class Told(Schema, Protocol):
    """What somebody told the endpoint, who kept it too."""

    about: Annotated[str, Col(role="entity")]
    happened_at: Annotated[datetime, Col(role="event_time")]
    known_at: Annotated[datetime, Col(role="known_time")]
    landed: Annotated[float | None, Col(known_at="known_at")]


def at(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


@pytest.fixture
def lane(
    tmp_path: Path, views: Any, bundles: dict[str, Path], tables: Any, start_lane: Any
) -> Iterator[Any]:
    """The lane of an endpoint that is told whether flights landed late."""
    with using_settings(home=tmp_path / "home"):
        root = settings().home / "serving"
        file = root / "versions" / "flight_delay/1.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps({"digest": "flight_delay-1"}))
        (root / "models").symlink_to(bundles["flight_delay/1"].parent)
        spec = EndpointSpec(
            model="flight_delay", task="classification", clock="replayed", space="replay",
            lookups=tuple(lookup_of(v).to_json() for v in views), outcomes=(LANDED.document(),),
        )  # fmt: skip
        Endpoints().declare("flight_delay", spec=spec, champion="flight_delay/1", reason="test")
        yield start_lane(
            tables(
                tmp_path,
                clock="replayed",
                space="replay",
                log=decisions_folder(settings(), "flight_delay"),
                outcomes=(LANDED.document(),),
                may_lack=frozenset({"tails"}),
            )
        )


def told(rows: list[tuple[str, float, float, float | None]]) -> Table[Told]:
    """Observations: about whom, when it happened and was known in hours after noon, and what."""
    return Table[Told].of(
        {
            "about": [about for about, *_ in rows],
            "happened_at": [at(happened) for _, happened, _, _ in rows],
            "known_at": [at(known) for _, _, known, _ in rows],
            "landed": [value for *_, value in rows],
        }
    )


def by_both(observations: Table[Told], as_of: datetime, **asked: Any) -> list[dict[str, Any]]:
    """Return for each way of joining the decisions' labels, and since when they are known."""
    served = served_decisions(endpoint="flight_delay", as_of=as_of)
    examples, _ = decisions_to_examples(served, outcome="landed", window_hours=36)
    labels, _ = label_by_outcome(
        served, observations, outcome="landed", window_hours=36, as_of=as_of,
        short_window="warn", **asked,
    )  # fmt: skip
    return [
        {row["id"]: (row["label"], row["label_known_at"]) for row in each.arrow().to_pylist()}
        for each in (examples, labels)
    ]


def test_outcomes_told_by_decision_make_the_same_labels(lane: Any):
    rows: list[tuple[str, float, float, float | None]] = [
        ("UA1", 3, 3, 1), ("UA1", 3, 50, 0),  # corrected after the window
        ("UA2", 30, 30, 0),
        ("UA3", 4, 4, None),  # it will never be known
        ("UA4", 40, 40, 1),  # too late
        ("UA5", 36, 36, 1),  # as the window closes
    ]  # fmt: skip
    for name in ("UA1", "UA2", "UA3", "UA4", "UA5", "UA6"):
        lane.decide(id=name, at=at(0).isoformat())
    for number, (name, _, known, value) in enumerate(rows):
        lane.tell(
            {"id": name, "name": "landed", "value": value, "known_at": at(known).isoformat()}
            | ({"corrects": True} if number == 1 else {})
        )

    early, late = by_both(told(rows), at(49)), by_both(told(rows), at(50))

    assert early[0] == early[1] == {"UA1": (1, at(3)), "UA2": (0, at(30)), "UA5": (1, at(36))}
    assert late[0] == late[1] == early[0] | {"UA1": (0, at(50))}


def test_outcomes_told_by_entity_go_to_the_same_decisions(lane: Any):
    decided = {"a": ("N1", 0), "b": ("N1", 5), "c": ("N2", 5), "d": ("N1", 20), "e": ("N3", 21)}
    for name, (tail, hours) in decided.items():
        lane.decide(id=name, at=at(hours).isoformat(), entity={"origin": "EWR", "tail": tail})
    rows: list[tuple[str, float, float, float | None]] = [
        ("N1", 4, 4, 1), ("N1", 5, 5, 0), ("N2", 41, 41, 1), ("N1", 50, 50, 1),
    ]  # fmt: skip
    for tail, _, known, value in rows:
        lane.tell(
            {"entity": {"tail": tail}, "name": "landed", "value": value,
             "known_at": at(known).isoformat()}
        )  # fmt: skip

    from_log, joined = by_both(told(rows), at(100), by="entity.tail")

    assert from_log == joined
    assert joined == {"a": (1, at(4)), "b": (0, at(5)), "c": (1, at(41)), "d": (1, at(50))}
