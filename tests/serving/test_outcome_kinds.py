"""What may be told of a decision is declared, and checked when it is."""

from __future__ import annotations

import pytest

from headrace.errors import ParameterError
from serving.outcome_kinds import (
    UNNAMED,
    OutcomeKind,
    kinds_of,
    require_declared,
    require_distinct,
)

CLICK = OutcomeKind(name="click", kind="binary", window_hours=24, default=0)
US = 3_600_000_000


def test_a_declaration_is_the_same_after_it_was_kept_as_json():
    kinds = kinds_of([CLICK.document(), OutcomeKind(name="paid", least=0).document()])

    assert kinds == {"click": CLICK, "paid": OutcomeKind(name="paid", least=0.0)}


def test_an_endpoint_that_declares_nothing_takes_one_number_whenever_it_comes():
    assert kinds_of([]) == {"": UNNAMED}
    assert UNNAMED.allows(-3.5)
    assert not UNNAMED.is_late(0, 10**18)


def test_the_last_moment_of_the_window_is_within_it():
    assert not CLICK.is_late(5, 5 + 24 * US)
    assert CLICK.is_late(5, 5 + 24 * US + 1)


@pytest.mark.parametrize(
    ("kind", "allowed", "refused"),
    [
        pytest.param(CLICK, [0.0, 1.0, None], [0.5, 2.0, float("nan")], id="binary"),
        pytest.param(
            OutcomeKind(kind="count", most=9), [0.0, 9.0], [-1.0, 1.5, 10.0, float("inf")],
            id="count",
        ),
        pytest.param(OutcomeKind(least=-2.5), [-2.5, 1e300], [-2.6, float("inf")], id="number"),
    ],
)  # fmt: skip
def test_only_what_is_declared_may_be_told(kind: OutcomeKind, allowed: list, refused: list):
    assert [kind.allows(value) for value in allowed] == [True] * len(allowed)
    assert [kind.allows(value) for value in refused] == [False] * len(refused)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param(
            {"name": "Click"},
            "The outcome is wrong: field 'name' is 'Click' (str); expected small letters, digits "
            "and '_', at most 64, a letter first, or '' for none.\n"
            "  Fix: Set 'name' to small letters, digits and '_', at most 64, a letter first, or '' "
            "for none.",
            id="name",
        ),
        pytest.param(
            {"windw_hours": 3},
            "The outcome is wrong: there is no field 'windw_hours' (it is 3). Did you mean "
            "'window_hours'?\n  Fix: Remove or rename the field.",
            id="unknown field",
        ),
        pytest.param(
            {"default": 0.0},
            "The outcome is wrong: Value error, a 'default' needs 'window_hours', after which it "
            "counts (default=0.0).\n  Fix: Give fields that fit together.",
            id="a default that never counts",
        ),
    ],
)
def test_a_wrong_declaration_says_what_is_wrong(fields: dict, message: str):
    with pytest.raises(ParameterError) as caught:
        OutcomeKind(**fields)

    assert str(caught.value) == message


def test_a_default_is_a_value_that_may_be_told():
    with pytest.raises(ParameterError, match="the 'default' must be 0 or 1"):
        OutcomeKind(kind="binary", window_hours=1, default=0.5)
    with pytest.raises(ParameterError, match="'least' is above 'most'"):
        OutcomeKind(least=2, most=1)


def test_two_outcomes_have_two_names():
    with pytest.raises(ParameterError, match="Two outcomes are called 'click'"):
        require_distinct([CLICK, CLICK])
    with pytest.raises(ParameterError, match="Two outcomes are without a name"):
        kinds_of([UNNAMED.document(), UNNAMED.document()])


def test_a_rule_goes_by_an_outcome_that_the_endpoint_takes():
    require_declared("click", [CLICK], whose="The rule 'r'")
    require_declared("", None, whose="The rule 'r'")

    with pytest.raises(ParameterError) as caught:
        require_declared("clicks", [CLICK], whose="The rule 'r'")
    with pytest.raises(ParameterError) as nameless:
        require_declared("click", None, whose="The rule 'r'")

    assert caught.value.problem == (
        "The rule 'r' goes by the outcome 'clicks', which the endpoint does not take. Did you mean "
        "'click'?"
    )
    assert nameless.value.problem == (
        "The rule 'r' goes by the outcome 'click', which the endpoint does not take. It takes the "
        "one without a name."
    )
