"""The next training set is what was served: mature, as known then, weighted by known chances."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace import Model, Table, flow, operator
from headrace.errors import DataError, DefinitionError, LeakageError
from headrace.schemas import Column, TableSchema
from headrace.testing import check_operator
from operators.decisions_to_examples import decisions_to_examples
from operators.split import split_by_time
from operators.train_xgboost import train_xgboost

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SCHEMA = TableSchema(
    name="decisions of flight_delay",
    columns=(
        Column(name="id", dtype="string", role="entity"),
        Column(name="decided_at", dtype="timestamp", role="decision_time"),
        Column(name="as_of", dtype="timestamp"),
        Column(name="entity.tail", dtype="string", nullable=True, known_at="decided_at"),
        Column(name="model", dtype="string", nullable=True),
        Column(name="assigned", dtype="string", nullable=True),
        Column(name="propensity", dtype="float", nullable=True),
        Column(name="arms", dtype="int", nullable=True),
        Column(name="fallback", dtype="string", nullable=True),
        Column(name="unit", dtype="string", nullable=True),
        Column(name="overridden", dtype="string", nullable=True),
        *(
            column
            for name, dtype in (("outcome", "int"), ("outcome:minutes", "float"))
            for column in (
                Column(name=name, dtype=dtype, nullable=True, known_at=f"{name}.known_at"),  # type: ignore[arg-type]
                Column(name=f"{name}.told_at", dtype="timestamp", nullable=True),
                Column(name=f"{name}.valued_at", dtype="timestamp", nullable=True),
                Column(name=f"{name}.known_at", dtype="timestamp", nullable=True),
            )
        ),
        Column(name="wind", dtype="float", nullable=True, role="feature", source="weather",
               known_at="decided_at"),
        Column(name="feature.model", dtype="string", nullable=True, role="feature",
               known_at="decided_at"),
    ),
)  # fmt: skip


def at(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


def told(value: float | None, hours: float, *, outcome: str = "outcome") -> dict[str, Any]:
    """An outcome that was told once, `hours` after noon."""
    return {
        outcome: value,
        f"{outcome}.told_at": at(hours),
        f"{outcome}.valued_at": None if value is None else at(hours),
        f"{outcome}.known_at": at(hours),
    }


def decisions(*rows: dict[str, Any], as_of: float = 100) -> Table[Any]:
    """Decisions at noon unless they say otherwise, with everything that is not given null."""
    blank: dict[str, Any] = dict.fromkeys(SCHEMA.names) | {
        "decided_at": NOON, "as_of": at(as_of), "model": "m/1", "assigned": "m/1",
        "propensity": 1.0, "arms": 1, "overridden": "", "wind": 5.0, "feature.model": "A320",
        "entity.tail": "N1",
    }  # fmt: skip
    made = [blank | {"id": f"d{number}"} | row for number, row in enumerate(rows)]
    columns = {name: [row[name] for row in made] for name in SCHEMA.names}
    return Table.of(columns, schema=SCHEMA)


def rows_of(examples: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = examples.arrow().to_pylist()
    return found


def test_only_mature_decisions_with_an_outcome_in_time_become_examples_and_all_are_counted():
    table = decisions(
        told(1, 2),
        told(0, 36),
        told(1, 36.5),
        told(None, 3),
        {},
        {"decided_at": at(70), **told(1, 71)},
    )

    examples, report = decisions_to_examples(table, window_hours=36)

    assert [(row["id"], row["label"], row["label_known_at"]) for row in rows_of(examples)] == [
        ("d0", 1, at(2)),
        ("d1", 0, at(36)),
    ]
    assert report.document == {
        "passed": True,
        "outcome": "",
        "window_hours": 36,
        "policy": "drop",
        "above": None,
        "as_of": "2026-03-05T16:00:00+00:00",
        "rows": 6,
        "examples": 2,
        "labelled": 2,
        "filled_or_censored": 0,
        "immature": 1,
        "unlabelled_by_reason": {
            "nothing was told": 1,
            "told after the window": 1,
            "told to be unknown": 1,
        },
        "overridden": 0,
        "overridden_left_out": 0,
        "fallbacks": 0,
        "weights": None,
    }


def test_silence_may_count_as_an_outcome_when_the_window_has_passed_and_unknown_never_does():
    table = decisions(told(1, 2), told(None, 3), {}, told(1, 40))

    examples, report = decisions_to_examples(table, window_hours=36, policy=0)

    assert [(row["id"], row["label"], row["label_known_at"]) for row in rows_of(examples)] == [
        ("d0", 1, at(2)),
        ("d2", 0, at(36)),
        ("d3", 0, at(36)),
    ]
    assert report.document["filled_or_censored"] == 2


def test_censored_decisions_may_be_kept_and_say_so():
    examples, _ = decisions_to_examples(
        decisions(told(1, 2), told(None, 3), {}), window_hours=36, policy="censor"
    )

    assert [(row["label"], row["censored"]) for row in rows_of(examples)] == [
        (1, False), (None, True), (None, True)
    ]  # fmt: skip


def test_a_correction_counts_as_it_is_known_and_makes_no_late_outcome_a_label():
    in_time = told(0, 50) | {"outcome.told_at": at(2), "outcome.valued_at": at(2)}
    late = told(0, 50) | {"outcome.told_at": at(2), "outcome.valued_at": at(50)}

    examples, report = decisions_to_examples(decisions(in_time, late), window_hours=36)

    assert [(row["id"], row["label"], row["label_known_at"]) for row in rows_of(examples)] == [
        ("d0", 0, at(50))
    ]
    assert report.document["unlabelled_by_reason"]["told to be unknown"] == 1


def test_the_label_may_be_another_outcome_or_whether_it_is_above_a_limit():
    minutes = {"outcome": "minutes", "window_hours": 36}
    table = decisions(
        told(15.5, 2, outcome="outcome:minutes"), told(-3.0, 2, outcome="outcome:minutes")
    )

    as_it_is, _ = decisions_to_examples(table, **minutes)  # type: ignore[arg-type]
    above, _ = decisions_to_examples(table, above=15, **minutes)  # type: ignore[arg-type]

    assert [row["label"] for row in rows_of(as_it_is)] == [15.5, -3.0]
    assert [row["label"] for row in rows_of(above)] == [1, 0]
    assert above.schema is not None
    assert above.schema.the("label").dtype == "int"


def test_features_keep_their_names_sources_and_nulls():
    examples, _ = decisions_to_examples(
        decisions(told(1, 2) | {"wind": None}, told(0, 2) | {"overridden": '["wind"]'}),
        window_hours=36,
    )

    schema = examples.schema
    assert schema is not None
    features = {column.name: column for column in schema.with_role("feature")}
    assert {n: (c.dtype, c.source, c.known_at) for n, c in features.items()} == {
        "wind": ("float", "weather", "decided_at"),
        "model": ("string", None, "decided_at"),
    }
    assert [row["wind"] for row in rows_of(examples)] == [None, 5.0]
    assert [row["overridden"] for row in rows_of(examples)] == ["", '["wind"]']


def test_decisions_of_overridden_features_may_be_left_out():
    table = decisions(told(1, 2) | {"overridden": '["wind"]'}, told(0, 2))

    examples, report = decisions_to_examples(table, window_hours=36, overridden="drop")

    assert [row["id"] for row in rows_of(examples)] == ["d1"]
    assert report.document["overridden_left_out"] == 1


def test_a_decision_counts_by_the_chance_of_its_model():
    seldom, often = {"propensity": 0.2, "arms": 2}, {"propensity": 0.8, "arms": 2}
    table = decisions(told(1, 2) | seldom, told(0, 2) | often, told(0, 2))

    examples, report = decisions_to_examples(table, window_hours=36, weight="inverse_propensity")
    clipped, said = decisions_to_examples(
        table, window_hours=36, weight="inverse_propensity", clip=2
    )

    ratios = np.array([2.5, 0.625, 1.0])
    weights = [row["propensity_weight"] for row in rows_of(examples)]
    assert weights == pytest.approx(ratios / ratios.mean())
    assert report.document["weights"] == {
        "clip": None,
        "clipped": 0,
        "largest": pytest.approx(2.5 / ratios.mean()),
        "effective": pytest.approx(ratios.sum() ** 2 / (ratios**2).sum()),
    }
    assert rows_of(clipped)[0]["propensity_weight"] == pytest.approx(2 / (3.625 / 3))
    assert said.document["weights"]["clipped"] == 1


def test_a_column_becomes_the_group():
    for unit in ("entity.tail", "unit"):
        examples, _ = decisions_to_examples(
            decisions(told(1, 2) | {"unit": "u7"}), window_hours=36, unit=unit
        )

        assert examples.schema is not None
        assert [column.name for column in examples.schema.with_role("group")] == [unit]
        assert rows_of(examples)[0][unit] in ("N1", "u7")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param(
            {"outcome": "minuts"},
            "The decisions have no outcome 'minuts'. Did you mean 'minutes'?\n"
            "  Fix: Name an outcome that the endpoint takes.",
            id="outcome",
        ),
        pytest.param(
            {"unit": "entity.tial"},
            "The decisions have no column 'entity.tial' for the unit. Did you mean 'entity.tail'?\n"
            '  Fix: Name a column of the decisions, such as "unit" or "entity.tail".',
            id="unit",
        ),
        pytest.param(
            {"policy": 0.5},
            "The outcome is a whole number, and 0.5 is to count where nothing was told.\n"
            "  Fix: Give a whole number.",
            id="filling",
        ),
    ],
)
def test_what_the_decisions_lack_is_named(given: dict[str, Any], message: str):
    with pytest.raises(DefinitionError) as caught:
        decisions_to_examples(decisions(told(1, 2)), **({"window_hours": 36} | given))

    assert str(caught.value) == message


def test_without_any_example_the_error_says_where_all_went():
    young = {"decided_at": at(99)}

    with pytest.raises(DataError) as caught:
        decisions_to_examples(decisions(told(None, 3), {}, young, young), window_hours=36)
    with pytest.raises(DataError, match="There are no decisions"):
        decisions_to_examples(decisions(), window_hours=36)

    assert caught.value.problem == (
        "No decision of 4 becomes an example: 2 immature, 1 nothing was told, 1 told to be unknown."
    )


def test_what_nobody_knew_by_then_is_refused():
    with pytest.raises(LeakageError) as caught:
        decisions_to_examples(decisions(told(1, 101)), window_hours=36)

    assert caught.value.problem == (
        "Decision 'd0' and 0 more have 'outcome.told_at' after 'as_of', so they say what nobody "
        "knew then."
    )


def test_a_decision_without_a_chance_cannot_be_weighted():
    with pytest.raises(DataError, match="Decision 'd1' and 0 more have no chance"):
        decisions_to_examples(
            decisions(told(1, 2), told(1, 2) | {"propensity": None}),
            window_hours=36,
            weight="inverse_propensity",
        )


@settings(max_examples=40, deadline=None)
@given(
    made=st.lists(
        st.tuples(
            st.integers(0, 60),
            st.one_of(st.none(), st.tuples(st.sampled_from([0, 1, None]), st.integers(0, 60))),
        ),
        min_size=1,
        max_size=12,
    ),
    as_of=st.integers(0, 120),
    policy=st.sampled_from(["drop", "censor", 0.0]),
)
def test_no_label_is_known_after_as_of_or_counted_before_its_time(made, as_of, policy) -> None:
    rows = [
        {"decided_at": at(decided)}
        | ({} if outcome is None or decided + outcome[1] > as_of
           else told(outcome[0], decided + outcome[1]))
        for decided, outcome in made
    ]  # fmt: skip
    try:
        examples, report = decisions_to_examples(
            decisions(*rows, as_of=as_of), window_hours=24, policy=policy
        )
    except DataError:
        assert policy != "censor" or all(decided + 24 > as_of for decided, _ in made)
        return

    for row in rows_of(examples):
        assert row["label_known_at"] <= at(as_of)
        assert row["decided_at"] + timedelta(hours=24) <= at(as_of)
    document = report.document
    unlabelled = sum(document["unlabelled_by_reason"].values())
    assert document["labelled"] + document["immature"] + unlabelled == document["rows"]


@settings(max_examples=20, deadline=None)
@given(arms=st.lists(st.integers(1, 5), min_size=1, max_size=30))
def test_under_equal_chances_every_decision_counts_one(arms: list[int]) -> None:
    rows = [told(1, 2) | {"arms": n, "propensity": 1 / n} for n in arms]

    examples, _ = decisions_to_examples(
        decisions(*rows), window_hours=36, weight="inverse_propensity"
    )

    weights = [row["propensity_weight"] for row in rows_of(examples)]
    assert weights == pytest.approx([1.0] * len(arms))


def simulated(seed: int, rows: int = 4000) -> Table[Any]:
    """A challenger gets its traffic when days are easy: its share follows the weather.

    Either model's decisions end well with 0.9 on easy days and 0.3 on hard ones, whoever answers:
    so both are equally good, at 0.6.
    """
    random = np.random.default_rng(seed)
    easy = random.random(rows) < 0.5
    share = np.where(easy, 0.8, 0.1)
    challenger = random.random(rows) < share
    value = (random.random(rows) < np.where(easy, 0.9, 0.3)).astype(int)
    blank = decisions(told(1, 2)).frame().iloc[[0] * rows].reset_index(drop=True)
    frame = blank.assign(
        id=[f"d{number}" for number in range(rows)],
        assigned=np.where(challenger, "m/2", "m/1"),
        propensity=np.where(challenger, share, 1 - share),
        arms=2,
        outcome=value,
        wind=np.where(easy, 3.0, 12.0),
    )
    return Table.of(frame, schema=SCHEMA)


def estimated(table: Table[Any], *, weight: Any) -> tuple[float, float]:
    """How much better the challenger's decisions end, and how easy the days of its rows are."""
    examples, _ = decisions_to_examples(table, window_hours=36, weight=weight)
    frame = examples.frame().merge(table.frame()[["id", "assigned"]], on="id")
    frame["w"] = frame["propensity_weight"] if weight != "none" else 1.0

    def mean(of: pd.DataFrame, values: Any) -> float:
        return float((of["w"] * values).sum() / of["w"].sum())

    new, old = (frame[frame["assigned"] == model] for model in ("m/2", "m/1"))
    return mean(new, new["label"]) - mean(old, old["label"]), mean(new, new["wind"] == 3.0)


def test_weights_undo_a_skewed_policy_and_without_them_it_misleads():
    estimates = np.array(
        [
            [*estimated(simulated(seed), weight=weight)]
            for weight in ("inverse_propensity", "none")
            for seed in range(12)
        ]
    ).reshape(2, 12, 2)

    (weighted, easy), (plain, easy_plain) = estimates.mean(axis=1)

    error = estimates[0, :, 0].std(ddof=1) / np.sqrt(12)
    assert abs(weighted) < 4 * error
    assert error < 0.02
    assert plain > 0.3
    assert easy == pytest.approx(0.5, abs=0.03)
    assert easy_plain > 0.8


def many(days: int = 12, a_day: int = 40) -> Table[Any]:
    """Decisions of which late ones follow strong wind, with what came of them an hour later."""
    random = np.random.default_rng(5)
    rows = []
    for number in range(days * a_day):
        hours, wind = 24 * number / a_day, float(random.normal(8, 3))
        late = int(wind + random.normal(0, 2) > 8)
        rows.append(
            {"decided_at": at(hours), "wind": wind, "feature.model": random.choice(["A", "B"]),
             "propensity": 0.5 if number % 2 else 0.25, "arms": 2} | told(late, hours + 1)
        )  # fmt: skip
    return decisions(*rows, as_of=24 * days + 40)


@operator()
def read_what_was_served() -> Table[Any]:
    """Read decisions, whose columns nobody knows before they are read."""
    return many()


@flow
def learn_from_what_was_served() -> Model:
    """Train on decisions as they were served."""
    examples, _ = decisions_to_examples(
        read_what_was_served(), window_hours=36, weight="inverse_propensity", unit="entity.tail"
    )
    train, validation, _, _ = split_by_time(
        examples, validation_from=date(2026, 3, 6), test_from=date(2026, 3, 9)
    )
    return train_xgboost(train, validation, n_estimators=5)


def test_a_flow_that_trains_on_what_was_served_plans_and_runs():
    plan = learn_from_what_was_served.plan()

    model = learn_from_what_was_served.run().returned()

    assert plan.problems == ()
    assert [(f.name, f.dtype, f.source) for f in model.card.features] == [
        ("wind", "float", "weather"),
        ("model", "category", None),
    ]
    assert model.card.label == "label"
    assert model.card.metrics["auc"] > 0.8


def test_decisions_to_examples_keeps_the_contract():
    check_operator(decisions_to_examples, many(), window_hours=36, weight="inverse_propensity")
