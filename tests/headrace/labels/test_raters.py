"""Who may label: tokens that are kept nowhere, and one place at a time for each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from headrace.clock import VirtualClock
from headrace.errors import ParameterError, UnknownNameError
from headrace.labels.raters import Raters, Refused
from headrace.labels.tokens import digest_of
from headrace.lineage.database import Database

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def raters(database: Database, clock: VirtualClock) -> Raters:
    return Raters(database)


def later(clock: VirtualClock, minutes: float) -> None:
    clock.advance_to(clock.now() + timedelta(minutes=minutes))


def refused(call: Any) -> Refused:
    with pytest.raises(Refused) as error:
        call()
    return error.value


def test_a_rater_signs_in_with_the_token_and_is_known_by_the_cookie(raters):
    token = raters.add("ada", adjudicates=True, actor="lead")

    session = raters.sign_in(token)

    assert token.startswith("hl_")
    assert (session.rater, session.adjudicates) == ("ada", True)
    assert raters.session(session.cookie) == session
    assert raters.session("another") is None
    (found,) = raters.list()
    assert found.shown() == {
        "name": "ada",
        "token_id": token[3:15],
        "adjudicates": True,
        "created_at": NOON,
        "actor": "lead",
        "revoked_at": None,
    }


def test_neither_tokens_nor_cookies_are_kept(raters, database):
    token = raters.add("ada")
    session = raters.sign_in(token)

    with database.reading() as connection:
        kept = [
            str(value)
            for table in ("label_rater", "label_session")
            for row in connection.execute(text(f"SELECT * FROM {table}"))  # noqa: S608
            for value in row
        ]

    assert not [value for value in kept if token[16:] in value or session.cookie in value]
    assert digest_of(session.cookie) in kept


@pytest.mark.parametrize(
    "wrong", ["", "hl_", "nonsense", "hl_0123456789ab_" + "x" * 43, "hl_'; DROP"]
)
def test_what_is_no_token_is_refused_in_the_same_words(raters, wrong):
    raters.add("ada")

    error = refused(lambda: raters.sign_in(wrong))

    assert error.reason == "wrong"
    assert str(error) == (
        "This is no token of a rater.\n"
        "  Fix: Paste the whole token, from 'hl_' on, as you were given it."
    )


def test_two_raters_cannot_use_one_token_unless_one_takes_over(raters, clock):
    token = raters.add("ada")
    first = raters.sign_in(token)
    later(clock, 5)
    raters.session(first.cookie)
    later(clock, 6)

    error = refused(lambda: raters.sign_in(token))
    still = raters.session(first.cookie)
    second = raters.sign_in(token, takes_over=True)

    assert error.reason == "in_use"
    assert str(error) == (
        "'ada' is signed in elsewhere since 2024-05-01 12:00:00 UTC, and was there at 2024-05-01 "
        "12:05:00 UTC.\n  Fix: Each rater needs a token of their own. If it was you, take over: "
        "the other place is signed out, and no vote is lost."
    )
    assert still == first
    assert raters.session(first.cookie) is None
    assert raters.session(second.cookie) == second


def test_who_was_not_seen_for_ten_minutes_may_sign_in_elsewhere_and_is_signed_out_here(
    raters, clock
):
    token = raters.add("ada")
    first = raters.sign_in(token)
    later(clock, 10)

    second = raters.sign_in(token)

    assert raters.session(first.cookie) is None
    assert raters.session(second.cookie) == second


def test_a_session_ends_when_its_rater_leaves_or_stays_away(raters, clock):
    token = raters.add("ada")
    left, away = raters.sign_in(token), None
    raters.sign_out(left.cookie)
    away = raters.sign_in(token)
    later(clock, 12 * 60)

    assert raters.session(left.cookie) is None
    assert raters.session(away.cookie) is None


def test_a_rater_who_is_revoked_is_signed_out_and_back_with_a_new_token(raters, clock):
    old = raters.add("ada")
    session = raters.sign_in(old)
    later(clock, 1)
    raters.revoke("ada")
    raters.revoke("ada")

    revoked = refused(lambda: raters.sign_in(old))
    ended = raters.session(session.cookie)
    new = raters.rotate("ada")

    assert revoked.problem == "The token of 'ada' was taken away at 2024-05-01 12:01:00 UTC."
    assert ended is None
    assert refused(lambda: raters.sign_in(old)).reason == "wrong"
    assert raters.sign_in(new).rater == "ada"
    assert raters.list()[0].revoked_at is None


def test_names_that_are_taken_or_cannot_be_and_unknown_ones_are_refused(raters):
    raters.add("ada")

    with pytest.raises(ParameterError) as taken:
        raters.add("ada")
    with pytest.raises(ParameterError) as wrong:
        raters.add("a b")
    with pytest.raises(UnknownNameError) as unknown:
        raters.revoke("adda")

    assert str(taken.value) == (
        "There is a rater 'ada' already.\n  Fix: Choose another name, or give them a new token: "
        "`headrace label raters rotate ada`."
    )
    assert wrong.value.problem == "A rater cannot be named 'a b'."
    assert unknown.value.problem == "There is no rater 'adda'. Did you mean 'ada'?"
