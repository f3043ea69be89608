"""Outcomes of several names, late ones, corrections, and those that are told by entity."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headrace.decisions import DecisionLog
from serving.lane.recent import RecentDecisions
from serving.outcome_kinds import OutcomeKind

NOON = datetime(2013, 7, 1, 12, tzinfo=UTC)
LANDED = OutcomeKind(name="landed", kind="binary", window_hours=36)
MINUTES = OutcomeKind(name="minutes", least=-120, most=3000, window_hours=36)


def at(hours: float) -> str:
    return (NOON + timedelta(hours=hours)).isoformat()


def landed(hours: float, value: float | None = 1, **fields: Any) -> dict[str, Any]:
    return {"name": "landed", "value": value, "known_at": at(hours)} | fields


@pytest.fixture
def declared(table) -> Callable[..., Any]:
    """Make the table of a replayed endpoint that takes `landed` and `minutes`."""

    def make(*kinds: OutcomeKind, **more: Any) -> Any:
        taken = tuple(kind.document() for kind in kinds or (LANDED, MINUTES))
        return table(clock="replayed", space="replay", outcomes=taken, **more)

    return make


@pytest.fixture
def flights(start_lane, declared) -> Any:
    """A lane of which UA1 was decided at noon and UA2 an hour later, both about N1."""
    lane = start_lane(declared())
    for name, hours in (("UA1", 0), ("UA2", 1)):
        assert lane.decide(id=name, at=at(hours)).status == 200
    return lane


def counts(recorded: int = 0, repeated: int = 0, corrected: int = 0, late: int = 0) -> dict:
    return {"recorded": recorded, "repeated": repeated, "corrected": corrected, "late": late}


def logged(table: Any, name: str) -> list[dict[str, Any]]:
    """What the log has of a decision's outcomes, without when it was logged."""
    with DecisionLog.open(table.log, writer="reader") as log:
        found = log.outcomes(name)
    return [{k: v for k, v in each.items() if k not in ("logged", "kind", "id")} for each in found]


def us(hours: float) -> int:
    return round((NOON + timedelta(hours=hours)).timestamp() * 1e6)


def test_a_decision_has_an_outcome_of_each_name(flights, declared):
    told = flights.tell(
        {"id": "UA1"} | landed(3),
        {"id": "UA1", "name": "minutes", "value": 12.5, "known_at": at(3), "source": "tower"},
    )
    again = flights.tell({"id": "UA1"} | landed(3))

    assert (told.status, told.document) == (200, counts(recorded=2))
    assert again.document == counts(repeated=1)
    assert logged(declared(), "UA1") == [
        {"known_at": us(3), "value": 1.0, "name": "landed"},
        {"known_at": us(3), "value": 12.5, "name": "minutes", "source": "tower"},
    ]


def test_an_outcome_that_is_not_declared_is_refused_with_the_nearest(flights):
    wrong = flights.tell({"id": "UA1"} | landed(3, name="lnded"))
    nameless = flights.tell({"id": "UA1", "value": 1})

    assert (wrong.status, wrong.document["error"]) == (
        422,
        {
            "code": "unknown_field",
            "field": "outcomes[0].name",
            "expected": "the name of an outcome of this endpoint",
            "got": "'lnded' (text)",
            "message": "The endpoint takes no outcome 'lnded'. Did you mean 'landed'?",
            "remedy": "send 'name' as the endpoint declares it.",
        },
    )
    assert nameless.document["error"]["message"] == (
        "The endpoint takes no outcome without a name. Known: 'landed', 'minutes'."
    )


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param({"name": "landed", "value": 0.5}, "0 or 1", id="not 0 or 1"),
        pytest.param(
            {"name": "minutes", "value": 3001}, "a number from -120 up to 3000", id="too large"
        ),
    ],
)
def test_a_value_that_is_not_allowed_is_refused(flights, sent: dict[str, Any], expected: str):
    answer = flights.tell({"id": "UA1"} | landed(3), {"id": "UA2", **sent})

    assert (answer.status, answer.document["error"]) == (
        422,
        {
            "code": "out_of_range",
            "field": "outcomes[1].value",
            "expected": expected,
            "got": repr(float(sent["value"])),
            "message": f"The field 'outcomes[1].value' must be {expected} for the outcome "
            f"'{sent['name']}', got {float(sent['value'])!r}; no outcome of the request was "
            "recorded.",
            "remedy": "send what the outcome is declared as, or null where it will never be known.",
        },
    )
    assert flights.tell({"id": "UA1"} | landed(3)).document == counts(recorded=1)


def test_another_value_is_refused_unless_it_corrects(flights, declared):
    flights.tell({"id": "UA1"} | landed(3))

    refused = flights.tell({"id": "UA1"} | landed(4, value=0))
    corrected = flights.tell({"id": "UA1"} | landed(4, value=0, corrects=True))
    sent_again = flights.tell({"id": "UA1"} | landed(4, value=0, corrects=True))
    first_sent_again = flights.tell({"id": "UA1"} | landed(3))

    error = refused.document["error"]
    assert (refused.status, error["code"]) == (409, "outcome_conflict")
    assert error["remedy"] == (
        'send it with "corrects": true if it takes the place of what was told before.'
    )
    assert corrected.document == counts(corrected=1)
    assert sent_again.document == first_sent_again.document == counts(repeated=1)
    assert logged(declared(), "UA1") == [
        {"known_at": us(3), "value": 1.0, "name": "landed"},
        {"known_at": us(4), "value": 0.0, "name": "landed", "corrects": True},
    ]


def test_a_correction_may_be_corrected_back(flights, declared):
    told = [
        flights.tell({"id": "UA1"} | landed(hours, value=value, corrects=True))
        for hours, value in ((3, 1), (4, 0), (5, 1))
    ]

    assert [each.document for each in told] == [
        counts(recorded=1),
        counts(corrected=1),
        counts(corrected=1),
    ]
    assert [each["value"] for each in logged(declared(), "UA1")] == [1.0, 0.0, 1.0]


def test_a_correction_is_not_known_before_what_it_corrects(flights):
    flights.tell({"id": "UA1"} | landed(3))

    answer = flights.tell({"id": "UA1"} | landed(2, value=0, corrects=True))

    assert (answer.status, answer.document["error"]) == (
        422,
        {
            "code": "out_of_range",
            "field": "known_at",
            "expected": "a moment from 2013-07-01T15:00:00+00:00 on",
            "got": "2013-07-01T14:00:00+00:00",
            "message": "The outcome of decision 'UA1' cannot have been corrected at "
            "2013-07-01T14:00:00+00:00: it became known at 2013-07-01T15:00:00+00:00; no outcome "
            "of the request was recorded.",
            "remedy": "give the moment when the correction was known, or leave 'known_at' out for "
            "now.",
        },
    )


def test_what_comes_after_the_window_is_kept_as_late(flights, declared):
    last_moment = flights.tell({"id": "UA1"} | landed(36))
    after = flights.tell({"id": "UA2"} | landed(37.001))

    assert last_moment.document == counts(recorded=1)
    assert after.document == counts(recorded=1, late=1)
    assert logged(declared(), "UA2") == [
        {"known_at": us(37.001), "value": 1.0, "name": "landed", "late": True}
    ]


def test_an_outcome_by_entity_goes_to_the_last_decision_within_the_window(flights, declared):
    before_both = flights.tell(landed(-1, entity={"tail": "N1"}))
    between = flights.tell(landed(0.5, entity={"tail": "N1", "origin": "EWR"}))
    after_both = flights.tell(landed(5, entity={"tail": "N1"}, value=0))
    too_late = flights.tell(landed(37.001, entity={"tail": "N1"}))

    assert [each.status for each in (before_both, between, after_both, too_late)] == [
        404, 200, 200, 404
    ]  # fmt: skip
    assert logged(declared(), "UA1") == [
        {"known_at": us(0.5), "value": 1.0, "name": "landed", "source": "last touch"}
    ]
    assert logged(declared(), "UA2")[0]["value"] == 0.0
    assert too_late.document["error"] == {
        "code": "unknown_decision",
        "field": "outcomes[0].entity",
        "expected": "an entity that was decided about within the window",
        "got": "tail 'N1'",
        "message": "Nothing was decided about tail 'N1' in the 36 hours before "
        f"{at(37.001)}, among the last 100,000 decisions; no outcome of the request was recorded.",
        "remedy": "correct the entity or 'known_at', or send the decision's 'id'.",
    }


def test_a_column_that_no_entity_has_is_refused_with_the_nearest(flights):
    answer = flights.tell(landed(5, entity={"tial": "N1"}))

    assert answer.document["error"]["message"].endswith("Did you mean 'tail'?")


def test_an_entity_with_two_last_decisions_is_ambiguous(flights, declared):
    flights.decide(id="UA3", at=at(1))

    answer = flights.tell(landed(2, entity={"tail": "N1"}))
    by_id = flights.tell({"id": "UA3"} | landed(2))

    assert (answer.status, answer.document["error"]) == (
        409,
        {
            "code": "outcome_conflict",
            "field": "outcomes[0].entity",
            "expected": "an entity with one last decision",
            "got": "2 decisions",
            "message": "The last decisions about tail 'N1' are 'UA2' and 'UA3', all of "
            "2013-07-01T13:00:00+00:00, so the outcome cannot be given to one; no outcome of the "
            "request was recorded.",
            "remedy": "name more columns of the entity, or send the decision's 'id'.",
        },
    )
    assert by_id.document == counts(recorded=1)
    assert logged(declared(), "UA2") == []


def test_an_outcome_without_a_window_is_told_by_id_alone(start_lane, declared):
    lane = start_lane(declared(OutcomeKind()))
    lane.decide(id="UA1", at=at(0))

    answer = lane.tell({"entity": {"tail": "N1"}, "value": 1, "known_at": at(2)})

    assert (answer.status, answer.document["error"]["message"]) == (
        422,
        "The outcome without a name has no attribution window, so no decision can be found by the "
        "entity.",
    )


def test_a_lane_that_was_killed_finds_what_was_decided_before(start_process, declared):
    before = start_process(declared())
    before.decide(id="UA1", at=at(0))
    before.kill()

    after = start_process(declared())
    answer = after.tell(landed(5, entity={"tail": "N1"}))

    assert answer.document == counts(recorded=1)
    assert len(logged(declared(), "UA1")) == 1


def test_only_so_many_decisions_are_remembered_by_entity(flights, declared):
    for number in range(3, 6):
        flights.decide(id=f"UA{number}", entity={"origin": "EWR", "tail": "N2"}, at=at(number))
    recent = RecentDecisions(declared().log, most=3)
    within: dict[str, Any] = {"since_us": us(-1), "until_us": us(9)}

    recent.catch_up([("tail",)])

    assert recent.newest({"tail": "N1"}, **within) == (0, [])
    assert recent.newest({"tail": "N2"}, **within) == (us(5), ["UA5"])
    assert recent.newest({"tail": "N2"}, since_us=0, until_us=us(4.5)) == (us(4), ["UA4"])
    assert sorted(recent.columns()) == ["origin", "tail"]


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        pytest.param(
            {"id": "UA1", "entity": {"tail": "N1"}, "value": 1},
            "The field 'outcomes[0]' has both an 'id' and an 'entity'.",
            id="both",
        ),
        pytest.param(
            {"entity": {"tail": None}, "value": 1},
            "The field 'outcomes[0].entity.tail' must be text or a number, got null.",
            id="nobody",
        ),
        pytest.param(
            {"entity": {}, "value": 1},
            "The field 'outcomes[0].entity' must be an object with 1 to 8 columns of a decision's "
            "entity, got {} (object).",
            id="no column",
        ),
        pytest.param(
            {"id": "UA1", "value": 1, "corrects": 1},
            "The field 'outcomes[0].corrects' must be true or false, got 1 (number).",
            id="not true",
        ),
    ],
)
def test_what_is_wrong_with_an_outcome_is_named(flights, sent: dict[str, Any], message: str):
    answer = flights.tell(sent)

    assert (answer.status, answer.document["error"]["message"]) == (422, message)
