"""These tests specify labels by observation: whose outcome it is, corrections, censoring, plans."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Protocol

import pytest

from headrace import Col, Schema, Table
from headrace.errors import DataError, DefinitionError, LeakageError
from headrace.plan import plan_flow
from headrace.testing import check_operator
from operators.label_by_outcome import label_by_outcome

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Offers(Schema, Protocol):
    offer: Annotated[str, Col(known_at="made_at")]
    person: Annotated[str | None, Col(role="entity", known_at="made_at")]
    shop: Annotated[str, Col(known_at="made_at")]
    made_at: Annotated[datetime, Col(role="decision_time")]
    price: Annotated[float, Col(role="feature", unit="EUR", known_at="made_at")]
    why_not: str | None


class Purchases(Schema, Protocol):
    receipt: str | None
    person: Annotated[str | None, Col(role="entity")]
    bought_at: Annotated[datetime | None, Col(role="event_time")]
    told_at: Annotated[datetime | None, Col(role="known_time")]
    amount: Annotated[float | None, Col(unit="EUR")]


def at(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


def offers(*rows: tuple[str, float], **changes: list[Any]) -> Table[Offers]:
    """Offers named a, b, ... to a person, some hours after noon."""
    columns: dict[str, list[Any]] = {
        "offer": [chr(ord("a") + row) for row in range(len(rows))],
        "person": [person for person, _ in rows],
        "shop": ["north"] * len(rows),
        "made_at": [at(made) for _, made in rows],
        "price": [float(row) for row in range(len(rows))],
        "why_not": [None] * len(rows),
    }
    return Table[Offers].of({**columns, **changes})


def bought(*rows: tuple[str, float, float, float | None], **changes: list[Any]) -> Table[Purchases]:
    """Purchases: who, when it happened and was known in hours after noon, for how much."""
    columns: dict[str, list[Any]] = {
        "receipt": [str(row) for row in range(len(rows))],
        "person": [person for person, *_ in rows],
        "bought_at": [at(event) for _, event, _, _ in rows],
        "told_at": [at(known) for _, _, known, _ in rows],
        "amount": [amount for *_, amount in rows],
    }
    return Table[Purchases].of({**columns, **changes})


def labels(made: Table[Any], seen: Table[Any], **changes: Any) -> tuple[dict[str, Any], Any]:
    """The outcome of each offer that is labelled, and the report; the window is 10 hours."""
    asked = {"outcome": "amount", "window_hours": 10, "as_of": at(100), "short_window": "warn"}
    found, report = label_by_outcome(made, seen, **(asked | changes))
    rows = found.arrow().to_pylist()
    return {row["offer"]: row["label"] for row in rows}, report.document


def test_of_several_observations_in_the_window_the_last_or_the_first_is_the_outcome():
    made, seen = offers(("ann", 0)), bought(("ann", 3, 4, 30.0), ("ann", 1, 9, 10.0))

    assert labels(made, seen)[0] == {"a": 30.0}
    assert labels(made, seen, attribution="first")[0] == {"a": 10.0}


def test_an_observation_belongs_to_the_last_decision_before_it_unless_all_are_asked_for():
    made, seen = offers(("ann", 0), ("ann", 2)), bought(("ann", 1, 1, 10.0), ("ann", 3, 3, 30.0))

    assert labels(made, seen)[0] == {"a": 10.0, "b": 30.0}
    assert labels(made, seen, touch="all")[0] == {"a": 30.0, "b": 30.0}


def test_of_decisions_at_one_moment_the_last_row_has_the_observation_and_it_is_counted():
    made = offers(("ann", 0), ("ann", 0), ("bob", 0), person=["ann", "ann", None])
    seen = bought(("ann", 1, 1, 10.0))

    found, report = labels(made, seen)

    assert found == {"b": 10.0}
    assert (report["at_one_moment"], report["censored_by_reason"]) == (1, {"no outcome": 2})


def test_both_ends_of_the_window_belong_to_it():
    made = offers(("ann", 0), ("bob", 0), ("cid", 0), ("dan", 0))
    seen = bought(
        ("ann", 0, 0, 1.0), ("bob", 10, 10, 2.0), ("cid", -0.1, 1, 3.0), ("dan", 10, 10.1, 4.0)
    )

    found, report = labels(made, seen)

    assert found == {"a": 1.0, "b": 2.0}
    assert report["censored_by_reason"] == {"known after the window": 1, "no outcome": 1}


def test_each_observation_is_counted_once():
    made = offers(("ann", 0), ("bob", 95))
    seen = bought(
        ("ann", 1, 1, 1.0),  # replaced by the next
        ("ann", 1, 2, 2.0),
        ("ann", 1, 3, 2.0),  # says it again
        ("ann", 2, 2, 5.0),  # is the outcome
        ("ann", 3, 3, None),
        ("ann", 4, 11, 7.0),
        ("ann", 12, 12, 8.0),
        ("bob", 96, 96, 9.0),
        ("ann", -1, 0, 1.0),
        ("eve", 1, 1, 1.0),
        ("ann", 5, 101, 1.0),
    )

    found, report = labels(made, seen)

    assert found == {"a": 5.0}
    assert report["observations"] == {
        "rows": 11,
        "known_after_as_of": 1,
        "about_nothing_decided": 2,
        "superseded": 1,
        "repeated": 1,
        "outcomes": 1,
        "after_the_window": 1,
        "in_an_open_window": 1,
        "without_an_outcome": 1,
        "known_after_the_window": 1,
        "passed_over": 1,
    }


def test_a_correction_holds_from_when_it_was_known_even_after_the_window():
    made = offers(("ann", 0))
    seen = bought(("ann", 1, 2, 10.0), ("ann", 1, 50, 20.0))

    before, then = labels(made, seen, as_of=at(49))
    after, now = labels(made, seen, as_of=at(50))
    known, _ = label_by_outcome(made, seen, outcome="amount", window_hours=10, as_of=at(50))

    assert (before, after) == ({"a": 10.0}, {"a": 20.0})
    assert (then["corrected"], now["corrected"]) == (0, 1)
    assert known.arrow()["label_known_at"].to_pylist() == [at(50)]


def test_a_value_that_follows_a_timely_null_after_the_window_makes_no_label():
    made = offers(("ann", 0))
    seen = bought(("ann", 1, 2, None), ("ann", 1, 50, 20.0), ("ann", 60, 60, 1.0))

    with pytest.raises(DataError) as refused:
        labels(made, seen)

    assert refused.value.problem == (
        "No row can be labelled: of 1 rows 0 are immature and 1 censored."
    )


def test_ids_tell_observations_of_one_moment_apart_and_versions_together():
    made = offers(("ann", 0))
    seen = bought(
        ("ann", 1, 1, 10.0), ("ann", 1, 2, 20.0), ("ann", 1, 3, 15.0), receipt=["x", "y", "x"]
    )

    assert labels(made, seen, attribution="first")[0] == {"a": 15.0}
    found, report = labels(made, seen, attribution="first", observation_id="receipt")
    assert (found, report["corrected"]) == ({"a": 15.0}, 1)
    assert labels(made, seen, observation_id="receipt")[0] == {"a": 20.0}


def test_negative_is_only_what_had_its_time_and_was_not_observed_without_an_outcome():
    made = offers(("ann", 0), ("bob", 0), ("cid", 0), ("dan", 0), ("ann", 95))
    seen = bought(("ann", 1, 1, 10.0), ("bob", 1, 1, None), ("cid", 1, 11, 10.0))

    found, report = labels(made, seen, above=5.0, on_missing="negative")
    table, _ = label_by_outcome(
        made, seen, outcome="amount", window_hours=10, above=5.0, on_missing="negative",
        as_of=at(100),
    )  # fmt: skip

    assert found == {"a": 1, "c": 0, "d": 0}
    assert (report["filled"], report["filled_though_above"]) == (2, 1)
    assert report["censored_by_reason"] == {"observed without an outcome": 1}
    assert table.arrow()["label_known_at"].to_pylist() == [at(1), at(10), at(10)]


def test_without_as_of_one_knows_up_to_the_last_moment_that_observations_tell_of():
    made, seen = offers(("ann", 0), ("bob", 5)), bought(("ann", 1, 1, 1.0), ("bob", 6, 14, 2.0))

    found, report = labels(made, seen, as_of=None)

    assert (found, report["immature"], report["as_of"]) == (
        {"a": 1.0}, 1, "2026-03-02T02:00:00+00:00",
    )  # fmt: skip


def test_why_there_is_no_outcome_is_counted_by_its_column():
    made = offers(("ann", 0), ("bob", 0), ("cid", 0), why_not=["moved", "moved", None])

    _, report = labels(made, bought(("ann", 1, 1, 1.0)), reason_column="why_not")

    assert report["censored_by_reason"] == {"moved": 1, "no reason": 1}


class Reasoned(Offers, Protocol):
    asked_at: datetime | None
    why_not: Annotated[str | None, Col(known_at="asked_at")]


def test_a_reason_that_became_known_later_is_not_known_yet():
    made = offers(("ann", 0), ("bob", 0), ("cid", 0), why_not=["moved"] * 3)
    asked_at = [at(20), at(20), at(120)]
    made = Table[Reasoned].of({**made.arrow().to_pydict(), "asked_at": asked_at})

    _, report = labels(made, bought(("ann", 1, 1, 1.0)), reason_column="why_not")

    assert report["censored_by_reason"] == {"moved": 1, "no reason": 1}


def test_decisions_may_be_joined_by_another_column_than_their_entity():
    made = offers(("ann", 0), ("bob", 0), shop=["north", "south"])
    seen = bought(("south", 1, 1, 7.0))

    assert labels(made, seen, by="shop")[0] == {"b": 7.0}


def test_labels_hold_what_is_known_at_the_decision_in_the_unit_of_the_observations():
    found, _ = label_by_outcome(
        offers(("ann", 0)), bought(("ann", 1, 1, 7.0)), outcome="amount", window_hours=10,
        as_of=at(100),
    )  # fmt: skip

    assert found.schema.names == (
        "offer", "person", "shop", "made_at", "price", "label_known_at", "label",
    )  # fmt: skip
    assert (found.schema.the("label").dtype, found.schema.the("label").unit) == ("float", "EUR")


def test_labelling_by_observation_keeps_the_contract_of_operators():
    made = offers(("ann", 0), ("bob", 0))
    seen = bought(("ann", 1, 1, 7.0), ("bob", 1, 1, 1.0))

    check_operator(
        label_by_outcome, made, seen, outcome="amount", above=5.0, window_hours=10, as_of=at(100)
    )


def test_a_feature_that_holds_what_was_observed_is_refused_whatever_it_declares():
    made = offers(("ann", 0), ("bob", 0), price=[7.0, 1.0])

    with pytest.raises(LeakageError) as refused:
        labels(made, bought(("ann", 1, 1, 7.0), ("bob", 1, 1, 1.0)))

    assert refused.value.problem == "Feature 'price' holds the outcome 'amount' in every row."


WRONG_ROWS = [
    pytest.param(
        {"told_at": [at(1), None]},
        "Row 1 of the observations and 0 more: it has no 'told_at', so it is not known when it "
        "became known.",
        id="no known time",
    ),
    pytest.param(
        {"bought_at": [None, None]},
        "Row 0 of the observations and 1 more: it has no 'bought_at', so it lies in no window.",
        id="no event time",
    ),
    pytest.param(
        {"bought_at": [at(1), at(3)]},
        "Row 1 of the observations and 0 more: it is known at 'told_at', before it happened at "
        "'bought_at'.",
        id="known before it happened",
    ),
    pytest.param(
        {"receipt": ["x", "x"]},
        "Rows 0 and 1 of the observations have one id but are about different entities or moments; "
        "a correction changes the outcome alone.",
        id="one id for two",
    ),
    pytest.param(
        {"receipt": ["x", None]},
        "Row 1 of the observations and 0 more: it has no 'receipt', which is its id.",
        id="no id",
    ),
]


@pytest.mark.parametrize(("changes", "problem"), WRONG_ROWS)
def test_observations_that_cannot_be_joined_are_refused(changes: dict[str, Any], problem: str):
    seen = bought(("ann", 1, 1, 7.0), ("bob", 2, 2, 1.0), **changes)

    with pytest.raises(DataError) as refused:
        labels(offers(("ann", 0), ("bob", 0)), seen, observation_id="receipt")

    assert refused.value.problem == problem


def test_no_observations_say_nothing_of_when_they_would_be_known():
    nothing = Table[Purchases].of(bought(("ann", 1, 1, 7.0)).arrow().slice(0, 0))

    with pytest.raises(DataError) as refused:
        labels(offers(("ann", 0)), nothing, as_of=None)

    assert refused.value.remedy == (
        "Give `as_of`, the moment up to which observations were collected."
    )


class Eventless(Schema, Protocol):
    person: Annotated[str, Col(role="entity")]
    told_at: Annotated[datetime, Col(role="known_time")]
    amount: Annotated[float, Col(unit="EUR")]


class Anonymous(Schema, Protocol):
    bought_at: Annotated[datetime, Col(role="event_time")]
    told_at: Annotated[datetime, Col(role="known_time")]
    amount: Annotated[float, Col(unit="EUR")]


class Numbered(Schema, Protocol):
    person: Annotated[int, Col(role="entity")]
    bought_at: Annotated[datetime, Col(role="event_time")]
    told_at: Annotated[datetime, Col(role="known_time")]
    amount: Annotated[float, Col(unit="EUR")]


class Priced(Schema, Protocol):
    person: Annotated[str, Col(role="entity")]
    bought_at: Annotated[datetime, Col(role="event_time")]
    told_at: Annotated[datetime, Col(role="known_time")]
    price: Annotated[float, Col(unit="cent")]


class Unknown(Schema, Protocol):
    person: Annotated[str, Col(role="entity")]
    bought_at: Annotated[datetime, Col(role="event_time")]
    amount: Annotated[str, Col(unit="EUR")]


FINDINGS = [
    pytest.param(
        Purchases, {"outcome": "amuont"}, "unknown column",
        "Schema 'Purchases' has no column 'amuont' for the outcome. Did you mean 'amount'?",
        id="an unknown outcome",
    ),
    pytest.param(
        Purchases, {"observation_id": "reciept"}, "unknown column",
        "Schema 'Purchases' has no column 'reciept' for the id of an observation. Did you mean "
        "'receipt'?",
        id="an unknown id",
    ),
    pytest.param(
        Purchases, {"by": "shpo"}, "unknown column",
        "Schema 'Offers' has no column 'shpo' for the entity to join by. Did you mean 'shop'?",
        id="an unknown key",
    ),
    pytest.param(
        Purchases, {"reason_column": "why"}, "unknown column",
        "Schema 'Offers' has no column 'why' for the reason. Did you mean 'why_not'?",
        id="an unknown reason",
    ),
    pytest.param(
        Eventless, {}, "missing role",
        "Schema 'Eventless' has 0 columns with role 'event_time'; observations need exactly one, "
        "to know which window they lie in.",
        id="no event time",
    ),
    pytest.param(
        Anonymous, {}, "missing role",
        "Schema 'Anonymous' has no column 'person' and 0 columns with role 'entity', so it is not "
        "known whom its rows are about.",
        id="no entity",
    ),
    pytest.param(
        Numbered, {}, "wrong type",
        "Decisions say whom they are about with 'person', observations with 'person', but one is "
        "string and the other int.",
        id="another type of entity",
    ),
    pytest.param(
        Priced, {"outcome": "price"}, "unit",
        "'price' is in EUR in 'Offers' and in cent in 'Priced'.",
        id="another unit",
    ),
    pytest.param(
        Unknown, {}, "wrong type",
        "The outcome 'amount' is string, which has no order.",
        id="a text",
    ),
    pytest.param(
        Purchases, {"on_missing": "negative"}, "no limit",
        "What is missing is to count as negative, but labels are the outcome's value, and what is "
        "missing has none.",
        id="negative without a limit",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "changes", "rule", "problem"), FINDINGS)
def test_what_cannot_be_joined_is_found_in_the_plan_and_at_the_run(
    schema: type, changes: dict[str, Any], rule: str, problem: str
):
    filled = {"person": ["ann"], "bought_at": [at(1)], "told_at": [at(1)], "receipt": ["x"]}
    number, text = schema is Numbered, schema is Unknown
    filled |= {"price": [1.0], "amount": ["1"] if text else [1.0]}  # type: ignore[dict-item]
    seen = Table[schema].of({**filled, "person": [1] if number else ["ann"]})  # type: ignore[valid-type]
    asked: dict[str, Any] = {"outcome": "amount", "window_hours": 10.0, **changes}

    def joined() -> object:
        return label_by_outcome(offers(("ann", 0)), seen, **asked)

    plan = plan_flow("joined", joined, {}, parameters={}, grants=[])
    with pytest.raises(DefinitionError) as refused:
        label_by_outcome(offers(("ann", 0)), seen, **asked)

    assert (plan.problems[0].rule, refused.value.problem) == (rule, problem)
    assert plan.problems[0].problem.endswith(problem)


@pytest.mark.parametrize("given", [{"touch": "all"}, {"attribution": "first"}, {"by": "shop"}])
def test_how_observations_are_joined_means_nothing_without_them(given: dict[str, Any]):
    name = next(iter(given))

    with pytest.raises(DefinitionError) as refused:
        label_by_outcome(offers(("ann", 0)), outcome="price", window_hours=10, **given)

    assert refused.value.problem == (
        f"'{name}' says how observations are joined, and none are given."
    )
