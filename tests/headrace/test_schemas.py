"""A schema says what a table holds, and can be kept, changed and read back as a value."""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional, Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import Col, Schema
from headrace.errors import SchemaError, UnknownNameError
from headrace.schemas import Column, TableSchema, schema_of

if TYPE_CHECKING:
    from decimal import Decimal

names = st.text("abcdef_", min_size=1, max_size=5)
columns = st.builds(
    Column,
    name=names,
    dtype=st.sampled_from(["bool", "int", "float", "string", "category", "timestamp", "date"]),
    nullable=st.booleans(),
    categories=st.none() | st.lists(names, max_size=3).map(tuple),
    source=st.none() | names,
    role=st.none() | st.sampled_from(["entity", "label", "feature", "weight"]),
    unit=st.none() | names,
    known_at=st.none() | names,
    sensitivity=st.sampled_from(["public", "internal", "personal", "secret"]),
    description=st.text(max_size=5),
)
schemas = st.builds(
    TableSchema,
    name=names,
    columns=st.lists(columns, max_size=6, unique_by=lambda c: c.name).map(tuple),
)


class Flights(Schema, Protocol):
    """Every type a column may have."""

    flight: Annotated[str, Col(role="entity", sensitivity="public")]
    at: Annotated[dt.datetime, Col(role="decision_time")]
    landed: Annotated[dt.datetime | None, Col(role="known_time", description="when it landed")]
    day: dt.date
    late: bool
    seats: int
    delay: Annotated[float | None, Col(unit="min", known_at="landed")]
    carrier: Literal["UA", "AA"]
    note: Optional[str]  # noqa: UP045  both spellings are read
    speed: Annotated[float, Col(unit="mph")] | None


def test_the_types_of_a_class_become_columns():
    schema = schema_of(Flights)

    assert schema is not None
    assert [(c.name, c.type_name(), c.role, c.unit) for c in schema.columns] == [
        ("flight", "string", "entity", None),
        ("at", "timestamp", "decision_time", None),
        ("landed", "timestamp or null", "known_time", None),
        ("day", "date", None, None),
        ("late", "bool", None, None),
        ("seats", "int", None, None),
        ("delay", "float or null", None, "min"),
        ("carrier", "category", None, None),
        ("note", "string or null", None, None),
        ("speed", "float or null", None, "mph"),
    ]
    assert schema.column("carrier").categories == ("UA", "AA")
    assert schema.column("delay").known_at == "landed"
    assert "delay" in schema
    assert "late_by" not in schema


def test_a_subclass_has_the_columns_of_its_base_first():
    class Late(Flights, Protocol):
        label: int

    schema = schema_of(Late)

    assert schema is not None
    assert schema.names == (*(schema_of(Flights) or schema).names, "label")


def test_a_schema_of_anything_is_not_known():
    assert schema_of(Schema) is None
    assert schema_of(Any) is None  # type: ignore[arg-type]


def test_a_schema_class_that_is_no_protocol_is_refused_where_it_is_written():
    with pytest.raises(SchemaError) as refused:

        class Late(Flights):
            label: int

    assert str(refused.value) == (
        "Schema 'Late' does not name Protocol among its bases, so a table with more columns would "
        "not satisfy it.\n  Fix: Write `class Late(Flights, Protocol):`."
    )


class OfLists(Schema, Protocol):
    """A type no table holds."""

    tags: list[str]


class OfTwoTypes(Schema, Protocol):
    """Two types at once."""

    value: int | str


class NaiveRole(Schema, Protocol):
    """A time that is a date."""

    at: Annotated[dt.date, Col(role="event_time")]


class UnknownTime(Schema, Protocol):
    """A misspelt time."""

    landed: dt.datetime
    delay: Annotated[float, Col(known_at="landd")]


class KnownAtANumber(Schema, Protocol):
    """A time that is none."""

    seats: int
    delay: Annotated[float, Col(known_at="seats")]


class Unresolved(Schema, Protocol):
    """A type that is imported for checkers only."""

    price: Decimal


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        pytest.param(OfLists, "Column 'tags' of schema 'OfLists' has type list[str], which a "
                     "table cannot hold.", id="a list"),
        pytest.param(OfTwoTypes, "Column 'value' of schema 'OfTwoTypes' has type int | str, which "
                     "a table cannot hold.", id="two types"),
        pytest.param(NaiveRole, "Column 'at' of schema 'NaiveRole' has role 'event_time' but type "
                     "date.", id="a date for an instant"),
        pytest.param(UnknownTime, "Column 'delay' of schema 'UnknownTime' is known at 'landd', "
                     "which is not a column of it. Did you mean 'landed'?", id="unknown time"),
        pytest.param(KnownAtANumber, "Column 'delay' of schema 'KnownAtANumber' is known at "
                     "'seats', which is int, not a time.", id="a number for a time"),
        pytest.param(Unresolved, "Schema 'Unresolved' has a type that cannot be resolved: name "
                     "'Decimal' is not defined.", id="a type under TYPE_CHECKING"),
        pytest.param(dict, "<class 'dict'> is not a schema.", id="no schema at all"),
    ],
)  # fmt: skip
def test_a_wrong_declaration_is_refused(declared: type, said: str):
    with pytest.raises(SchemaError, match=re.escape(said)) as refused:
        schema_of(declared)

    assert refused.value.problem == said
    assert refused.value.remedy.endswith(".")


@given(schemas)
def test_a_schema_survives_json(schema: TableSchema):
    assert TableSchema.from_json(json.loads(json.dumps(schema.to_json()))) == schema


@given(schemas, st.data())
def test_keeping_and_dropping_are_complements(schema: TableSchema, data: st.DataObject):
    some = data.draw(st.lists(st.sampled_from(schema.names), unique=True)) if schema.names else []

    kept, left = schema.keeping(some), schema.dropping(some)

    assert kept.names == tuple(some)
    assert left.names == tuple(n for n in schema.names if n not in some)
    assert {*kept.columns, *left.columns} == set(schema.columns)


@given(schemas, st.lists(columns, unique_by=lambda c: c.name, max_size=3))
def test_adding_replaces_in_place_and_appends_the_rest(schema: TableSchema, new: list[Column]):
    added = schema.adding(new)

    assert added.names[: len(schema.names)] == schema.names
    assert all(added.column(c.name) == c for c in new)
    assert added.adding(new) == added


@given(schemas)
def test_renaming_there_and_back_changes_nothing(schema: TableSchema):
    there = {name: f"{name}!" for name in schema.names}

    back = schema.renaming(there).renaming({new: old for old, new in there.items()})

    assert back == schema


def test_renaming_takes_known_times_along():
    schema = schema_of(Flights)
    assert schema is not None

    renamed = schema.renaming({"landed": "landed_at"})

    assert renamed.column("delay").known_at == "landed_at"


def test_a_column_that_is_not_there_is_named_with_the_nearest():
    schema = schema_of(Flights)
    assert schema is not None

    for use in (schema.column, lambda n: schema.keeping([n]), lambda n: schema.dropping([n])):
        with pytest.raises(UnknownNameError) as refused:
            use("dealy")
        assert str(refused.value) == (
            "Schema 'Flights' has no column 'dealy'. Did you mean 'delay' or 'day'?\n"
            "  Fix: Use a column that the schema declares."
        )


def test_two_columns_cannot_get_one_name():
    schema = schema_of(Flights)
    assert schema is not None

    with pytest.raises(SchemaError, match="Renaming gives schema 'Flights' the column 'day' twice"):
        schema.renaming({"late": "day"})


def test_the_column_with_a_role_must_be_one():
    schema = schema_of(Flights)
    assert schema is not None

    assert schema.the("entity").name == "flight"
    with pytest.raises(SchemaError) as refused:
        schema.the("label")
    assert str(refused.value) == (
        "Schema 'Flights' has no column with role 'label'; exactly one is needed.\n"
        '  Fix: Give one column `Col(role="label")`.'
    )
