"""An output that is found by trying is known only where both tries agree."""

from __future__ import annotations

from typing import Annotated, Any, Protocol

import pandas as pd
import pytest

from headrace import Col, Report, Schema, Table, flow, operator
from headrace.plan import Plan


class Rows(Schema, Protocol):
    """A key, a number with a unit that may be null, an integer that may be null."""

    key: Annotated[str, Col(role="entity")]
    delay: Annotated[float | None, Col(unit="min")]
    seats: int | None


@operator()
def rows() -> Table[Rows]:
    """Make rows."""
    return Table.of(pd.DataFrame({"key": ["a"], "delay": [1.0], "seats": [2]}))


def _tried(body: Any) -> Plan:
    @operator(infer=True)
    def tried(table: Table[Rows]) -> Table[Any]:
        """Try a body."""
        return Table.of(body(table.frame()))

    @flow
    def one() -> Table[Any]:
        return tried(rows())

    return one.plan().require_sound()


def _columns(plan: Plan) -> list[tuple[str, str, str | None]] | None:
    schema = plan.node("tried").outputs["result"].schema
    return schema and [(c.name, c.type_name(), c.unit) for c in schema.columns]


@pytest.mark.parametrize(
    ("body", "columns"),
    [
        pytest.param(
            lambda f: f.assign(hours=f.delay / 60)[["key", "delay", "hours"]],
            [
                ("key", "string", None),
                ("delay", "float or null", "min"),
                ("hours", "float or null", None),
            ],
            id="a new column has no unit",
        ),
        pytest.param(
            lambda f: f.assign(delay=f.delay * 60)[["delay"]],
            [("delay", "float or null", None)],
            id="a column that was computed anew loses its unit",
        ),
        pytest.param(
            lambda f: f.dropna(subset=["delay"])[["delay"]],
            [("delay", "float", "min")],
            id="nulls that were dropped are gone",
        ),
        pytest.param(
            lambda f: f.fillna({"delay": 0.0})[["delay"]],
            [("delay", "float", None)],
            id="nulls that were filled are gone",
        ),
        pytest.param(
            lambda f: f.head(2)[["delay"]],
            [("delay", "float or null", "min")],
            id="rows that were left out by position prove nothing about nulls",
        ),
        pytest.param(
            lambda f: f[["seats"]],
            [("seats", "int or null", None)],
            id="an integer with nulls stays one, whatever pandas makes of it",
        ),
    ],
)
def test_what_both_tries_show_is_planned(body: Any, columns: list[Any]):
    assert _columns(_tried(body)) == columns


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(lambda f: pd.get_dummies(f.key), id="columns that depend on the data"),
        pytest.param(lambda f: f.assign(first=f.delay.iloc[0]), id="code that needs a row"),
        pytest.param(
            lambda f: f.assign(n=len(open("pyproject.toml").read())),  # noqa: SIM115
            id="code that reads a file",
        ),
    ],
)
def test_where_a_try_fails_or_they_differ_the_output_is_unknown_and_not_refused(body: Any):
    assert _columns(_tried(body)) is None


def test_two_operators_with_the_same_code_and_other_surroundings_are_tried_apart():
    def named(name: str) -> Any:
        return _columns(_tried(lambda f: f[["key"]].rename(columns={"key": name})))

    assert named("one") == [("one", "string", None)]
    assert named("two") == [("two", "string", None)]


def test_what_is_inferred_is_checked_downstream():
    @operator(infer=True)
    def shortened(table: Table[Rows]) -> Table[Any]:
        """Keep the delay."""
        return Table.of(table.frame()[["delay"]])

    @operator()
    def keyed(table: Table[Rows]) -> Report:
        """Need the key."""
        return Report.of({"passed": True})

    @flow
    def one() -> Report:
        return keyed(shortened(rows()))

    assert [x.problem.split(": ")[1] for x in one.plan().problems] == [
        "column 'key' of schema 'Rows' is missing from 'inferred'. Known",
        "column 'seats' of schema 'Rows' is missing from 'inferred'. Known",
    ]
