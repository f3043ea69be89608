"""A flow's parameters are one pydantic model: the form shows it, and wrong values are refused."""

from __future__ import annotations

import datetime as dt
import enum
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from headrace import Model, Table
from headrace.errors import DefinitionError, ParameterError
from headrace.flow_parameters import FlowParameters, described_arguments


class Size(enum.Enum):
    """A size."""

    SMALL = "small"


class Depth(BaseModel):
    """A nested model."""

    most: int = 3


def flights(  # noqa: PLR0917
    day: dt.date,
    above: Annotated[float, Field(gt=0)] = 15,
    mode: Literal["fast", "exact"] = "fast",
    size: Size = Size.SMALL,
    depth: Depth = Depth(),  # noqa: B008
    months: list[int] = [1],  # noqa: B006
    schema: str = "public",
) -> Table:
    """Make flights.

    Args:
        day: The first day, in the airport's
            own calendar.
        above: Minutes (more than none).

    Returns:
        day: not a parameter.
    """


PARAMETERS = FlowParameters.of(flights, "flights")


def test_values_come_back_in_their_types_with_defaults():
    checked = PARAMETERS.check({"day": "2013-01-02", "depth": {"most": "4"}})

    assert checked == {
        "day": dt.date(2013, 1, 2),
        "above": 15.0,
        "mode": "fast",
        "size": Size.SMALL,
        "depth": Depth(most=4),
        "months": [1],
        "schema": "public",
    }
    assert PARAMETERS.plain(checked) == {
        "day": "2013-01-02",
        "above": 15.0,
        "mode": "fast",
        "size": "small",
        "depth": {"most": 4},
        "months": [1],
        "schema": "public",
    }
    assert PARAMETERS.check(PARAMETERS.plain(checked)) == checked


def test_a_default_cannot_be_changed_by_a_run():
    first = PARAMETERS.check({"day": "2013-01-02"})
    first["months"].append(2)

    assert PARAMETERS.check({"day": "2013-01-02"})["months"] == [1]


def test_the_form_has_descriptions_choices_and_forbids_the_unknown():
    schema = PARAMETERS.model.model_json_schema()

    assert schema["title"] == "FlightsParameters"
    assert schema["description"] == "Make flights."
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["day"]
    assert schema["properties"]["day"]["description"] == (
        "The first day, in the airport's own calendar."
    )
    assert schema["properties"]["mode"]["enum"] == ["fast", "exact"]
    assert schema["properties"]["above"]["exclusiveMinimum"] == 0


def test_every_wrong_value_is_named_at_once():
    with pytest.raises(ParameterError) as refused:
        PARAMETERS.check({"abov": 3, "above": -1, "mode": "slow", "depth": {"most": "x"}})

    assert str(refused.value) == (
        "Flow 'flights' cannot start: "
        "\n  - parameter 'day' is required."
        "\n  - parameter 'above' is -1: input should be greater than 0."
        "\n  - parameter 'mode' is 'slow': input should be 'fast' or 'exact'."
        "\n  - parameter 'depth.most' is 'x': input should be a valid integer, unable to parse "
        "string as an integer."
        "\n  - there is no parameter 'abov'. Did you mean 'above'?"
        "\n  Fix: See its parameters with `headrace flows`."
    )


def test_artifacts_are_told_apart_from_values_and_have_defaults_of_their_own():
    given = Table.of({"x": [1]})

    def uses(
        table: Table, tables: list[Table], model: Model | None, other: Table = given, n: int = 1
    ) -> Table:
        """Use artifacts."""

    parameters = FlowParameters.of(uses, "uses")
    checked = parameters.check({"table": given, "tables": [given, given]})

    assert parameters.artifacts == ("table", "tables", "model", "other")
    assert list(parameters.model.model_fields) == ["n"]
    assert checked == {"table": given, "tables": [given, given], "model": None, "other": given,
                       "n": 1}  # fmt: skip
    assert parameters.plain(checked) == {"n": 1}
    with pytest.raises(ParameterError) as refused:
        parameters.check({"tables": [given, 3], "n": given})
    assert refused.value.problem == (
        "Flow 'uses' cannot start: "
        f"\n  - parameter 'n' takes a plain value, got the artifact {given!r}."
        "\n  - artifact 'table' (Table) is required."
        "\n  - 'tables' takes list[Table], got int 3."
    )


def test_a_signature_no_form_can_show_is_refused():
    def untyped(n=1) -> Table: ...
    def many(*n: int) -> Table: ...
    def unknown(n: Nowhere) -> Table: ...  # type: ignore[name-defined]  # noqa: F821
    def hidden(_n: int = 1) -> Table: ...
    def odd(n: threading) -> Table: ...  # type: ignore[name-defined]  # noqa: F821
    def of_artifacts(n: dict[str, Table]) -> Table: ...

    said = []
    for body in (untyped, many, unknown, hidden, of_artifacts):
        with pytest.raises(DefinitionError) as refused:
            FlowParameters.of(body, body.__name__)
        said.append(refused.value.problem)

    assert said[:3] == [
        "Parameter 'n=1' of flow 'untyped' has no name or no type.",
        "Parameter '*n: 'int'' of flow 'many' has no name or no type.",
        "Flow 'unknown' has a type hint that cannot be resolved: name 'Nowhere' is not defined.",
    ]
    assert said[3].startswith("Flow 'hidden' has a parameter that no form can show: Fields must n")
    assert said[4].endswith("which holds artifacts in a way that no plan can follow.")


def test_descriptions_come_from_the_args_of_the_docstring_only():
    found = described_arguments(flights.__doc__ or "")

    assert found == {
        "day": "The first day, in the airport's own calendar.",
        "above": "Minutes (more than none).",
    }
    assert described_arguments("No arguments.") == {}
