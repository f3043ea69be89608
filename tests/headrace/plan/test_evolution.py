"""These tests specify what counts as a change of a schema, and which nodes meet it."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Protocol, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import Col, Report, Schema, Table, flow, operator
from headrace.plan.evolution import column_changes, plan_changes
from headrace.schemas import Column, TableSchema


def schema(*columns: Column) -> TableSchema:
    return TableSchema(name="Trips", columns=columns)


MILES = Column(name="distance", dtype="int", unit="mi", role="feature")

NAMES = st.sampled_from(["trip", "distance", "price", "late", "wind"])
COLUMNS = st.builds(
    Column,
    name=NAMES,
    dtype=st.sampled_from(["int", "float", "string", "bool"]),
    nullable=st.booleans(),
    unit=st.sampled_from([None, "mi", "km"]),
    role=st.sampled_from([None, "feature", "label"]),
    description=st.sampled_from(["", "said otherwise"]),
)
SCHEMAS = st.lists(COLUMNS, unique_by=lambda c: c.name).map(lambda c: schema(*c))


@given(SCHEMAS)
def test_a_schema_did_not_change_since_itself(one: TableSchema) -> None:
    assert column_changes(one, one) == ()


@given(SCHEMAS, SCHEMAS)
def test_what_one_way_is_added_is_removed_the_other_way(one: TableSchema, two: TableSchema) -> None:
    there, back = column_changes(one, two), column_changes(two, one)

    names = {
        (way, sort): {c.column for c in changes if c.sort == sort}
        for way, changes in (("there", there), ("back", back))
        for sort in ("added", "removed", "changed")
    }
    assert names["there", "added"] == names["back", "removed"] == set(two.names) - set(one.names)
    assert names["there", "removed"] == names["back", "added"] == set(one.names) - set(two.names)
    assert names["there", "changed"] == names["back", "changed"]


@given(SCHEMAS, st.randoms())
def test_order_and_description_are_no_change(one: TableSchema, random: Any) -> None:
    columns = [replace(c, description="for another reader") for c in one.columns]
    random.shuffle(columns)

    assert column_changes(one, schema(*columns)) == ()


@pytest.mark.parametrize(
    ("now", "said", "breaks_models"),
    [
        pytest.param(
            {"dtype": "float"}, "was int and is float", False, id="widening is for models no loss"
        ),
        pytest.param({"dtype": "string"}, "was int and is string", True, id="another type"),
        pytest.param({"nullable": True}, "may be null now", False, id="nulls"),
        pytest.param(
            {"unit": "km"}, "had the unit 'mi' and has 'km'", True, id="a model cannot tell miles"
        ),
        pytest.param(
            {"role": None, "unit": None},
            "had the unit 'mi' and has none and had the role 'feature' and has none",
            True,
            id="two at once",
        ),
    ],
)
def test_a_changed_column_is_told_in_words(
    now: dict[str, Any], said: str, breaks_models: bool
) -> None:
    (change,) = column_changes(schema(MILES), schema(replace(MILES, **now)))

    assert change.said() == f"column 'distance' of 'Trips' {said}"
    assert change.breaks_models() is breaks_models


def test_categories_that_came_and_went_are_named() -> None:
    few = Column(name="carrier", dtype="category", categories=("AA", "UA"))

    (change,) = column_changes(schema(few), schema(replace(few, categories=("AA", "B6"))))

    assert change.said() == (
        "column 'carrier' of 'Trips' gained the category 'B6' and lost the category 'UA'"
    )


def test_a_removed_column_has_a_new_name_if_one_of_its_meaning_alone_is_new() -> None:
    removed, added = column_changes(
        schema(MILES), schema(replace(MILES, name="miles", description="its new name"))
    )

    assert removed.said() == "column 'distance' of 'Trips' is gone; 'miles' may be its new name"
    assert added.said() == "column 'miles' of 'Trips' is new: int in 'mi'"


# --- in a plan ---


class Trips(Schema, Protocol):
    """These are trips as they are today."""

    trip: Annotated[str, Col(role="entity")]
    distance: Annotated[float, Col(unit="km")]


class Ridden(Schema, Protocol):
    """These are distances in miles, as one reader wants them."""

    distance: Annotated[float, Col(unit="mi")]


S = TypeVar("S", bound=Schema)


@operator()
def ride() -> Table[Trips]:
    """Give a trip."""
    return Table[Trips].of({"trip": ["a"], "distance": [1.0]})


@operator()
def halved(trips: Table[S]) -> tuple[Table[S], Table[S]]:
    """Give the same trips twice."""
    return trips, trips


@operator()
def miles(trips: Table[Ridden]) -> Report:
    """Say how far it is in miles."""
    return Report.of({"passed": True})


@operator()
def counted(trips: Table[Any]) -> Report:
    """Say how many there are."""
    return Report.of({"passed": True, "rows": trips.rows})


@flow
def rides() -> tuple[Report, Report]:
    """Say how far and how many."""
    first, second = halved(ride())
    return miles(first), counted(second)


BEFORE = TableSchema(
    name="Trips",
    columns=(
        Column(name="trip", dtype="string", role="entity"),
        Column(name="distance", dtype="float", unit="mi"),
    ),
)


def test_a_change_is_told_once_where_it_begins_with_everybody_behind() -> None:
    plan = rides.plan()
    before = {str(r): BEFORE for e in plan.edges for r in [e.source]}

    (found,) = plan_changes(plan, before)

    assert str(found.ref) == "ride"
    assert found.change.said() == ("column 'distance' of 'Trips' had the unit 'mi' and has 'km'")
    assert [(r.node, r.how) for r in found.readers] == [
        ("halved", "carries"),
        ("miles", "reads"),
        ("counted", "carries"),
    ]
    halved_, miles_, _ = found.readers
    assert halved_.breaks is None
    assert miles_.breaks is not None
    assert miles_.breaks.endswith(
        "column 'distance' is in 'km' in 'Trips' but in 'mi' in 'Ridden'."
    )


def test_outputs_of_which_nothing_was_recorded_are_not_compared() -> None:
    assert plan_changes(rides.plan(), {}) == ()
