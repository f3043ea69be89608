"""Clients and their keys: made, shown once, held to what they may, taken away."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.clock import VirtualClock, using_clock
from headrace.errors import HeadraceError, ParameterError, UnknownNameError
from headrace.lineage.database import Database
from headrace.settings import using_settings
from serving.access_file import read_access, write_access
from serving.access_keys import digest_of, is_secret, make_key, parts_of
from serving.api_clients import ApiClients
from serving.lane.rate import Bucket

NOON = datetime(2013, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def clients(tmp_path: Path) -> ApiClients:
    """No client yet, in a database of the test's own."""
    return ApiClients(Database(tmp_path / "headrace.db"))


def test_a_key_is_made_and_its_secret_is_kept_nowhere(clients: ApiClients, tmp_path: Path) -> None:
    with using_settings(actor="ada"), using_clock(VirtualClock(NOON)):
        key = clients.add("shop", endpoints=["flight_*"], verbs=["decide"], per_second=10)

    (client,) = clients.all()
    secret = parts_of(key.text)[1]  # type: ignore[index]
    assert (client.made_by, client.made_at, client.burst) == ("ada", NOON, 20)
    assert client.digest == digest_of(secret)
    assert "digest" not in client.shown()
    assert all(secret.encode() not in file.read_bytes() for file in tmp_path.iterdir())


def test_a_secret_is_told_from_every_other() -> None:
    key, other = make_key(), make_key()
    secret = parts_of(key.text)[1]  # type: ignore[index]

    assert is_secret(secret, key.digest)
    assert not is_secret(secret, other.digest)
    assert not is_secret(secret, None), "and nobody's is nobody's"
    assert parts_of("hr_0_short") is None


def test_a_rotated_key_is_another_one_and_a_revoked_one_is_none(clients: ApiClients) -> None:
    first = clients.add("shop", endpoints=["flight_delay"])

    second = clients.rotate("shop")
    revisions = [clients.revision()]
    clients.revoke("shop")
    revisions.append(clients.revision())
    revoked = clients.all()[0]
    clients.revoke("shop")

    assert first.text != second.text
    assert revoked.key_id == second.id
    assert not revoked.is_good(NOON)
    assert clients.all()[0] == revoked, "twice is once"
    assert revisions[0] != revisions[1]


def test_a_key_may_expire(clients: ApiClients) -> None:
    with using_clock(VirtualClock(NOON)):
        clients.add("shop", endpoints=["*"], expires_at=NOON + timedelta(days=1))

    (client,) = clients.all()
    assert client.is_good(NOON + timedelta(hours=23))
    assert not client.is_good(NOON + timedelta(days=1))


def test_lanes_read_what_a_client_may_do_at_their_endpoint(
    clients: ApiClients, tmp_path: Path
) -> None:
    clients.add("shop", endpoints=["flight_*"], verbs=["decide"], per_second=10, burst=8)
    clients.add("desk", endpoints=["minutes"])
    file = tmp_path / "access.json"

    write_access(
        file, [c.shown() | {"digest": c.digest} for c in clients.all()], {"flight_delay": 2}
    )
    flights = {each.name: each for each in read_access(file, "flight_delay").values()}
    minutes = {each.name: each for each in read_access(file, "minutes").values()}

    assert file.stat().st_mode & 0o777 == 0o600
    assert flights["shop"].verbs == {"decide"}
    assert flights["desk"].verbs == set()
    assert minutes["desk"].verbs == {"decide", "outcomes", "read"}
    assert (flights["shop"].per_second, flights["shop"].burst) == (5.0, 4), "of two replicas"
    assert (minutes["shop"].per_second, minutes["shop"].burst) == (10.0, 8)


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        pytest.param(
            lambda c: c.add("Shop!", endpoints=["a"]),
            ParameterError,
            "A client cannot be named 'Shop!'.\n  Fix: Begin with a small letter and go on with "
            "small letters, digits, '_', '.' or '-', at most 64.",
            id="name",
        ),
        pytest.param(
            lambda c: c.add("shop", endpoints=[]),
            ParameterError,
            "The client 'shop' was given no endpoint.\n"
            "  Fix: Name endpoints, such as 'flight_delay', or 'flight_*' for all of that name.",
            id="no endpoint",
        ),
        pytest.param(
            lambda c: c.add("shop", endpoints=["a"], verbs=["decides"]),
            ParameterError,
            "The client 'shop' was given the right to 'decides'. Did you mean 'decide'?\n"
            "  Fix: Give 'decide', 'outcomes' or 'read'.",
            id="verb",
        ),
        pytest.param(
            lambda c: c.add("shop", endpoints=["a"], per_second=0),
            ParameterError,
            "The client 'shop' cannot send 0 requests a second.\n"
            "  Fix: Give more than 0, or leave it out.",
            id="rate",
        ),
        pytest.param(
            lambda c: [c.add("shop", endpoints=["a"]), c.add("shop", endpoints=["a"])],
            ParameterError,
            "There is a client 'shop' already.\n  Fix: Choose another name, or give it a new key: "
            "`headrace clients rotate shop`.",
            id="twice",
        ),
        pytest.param(
            lambda c: [c.add("shop", endpoints=["a"]), c.revoke("shopp")],
            UnknownNameError,
            "There is no client 'shopp'. Did you mean 'shop'?\n"
            "  Fix: List the clients with `headrace clients list`.",
            id="unknown",
        ),
    ],
)
def test_what_cannot_be_granted_is_said(
    make: Callable[[ApiClients], Any],
    kind: type[HeadraceError],
    message: str,
    clients: ApiClients,
) -> None:
    with pytest.raises(kind) as refused:
        make(clients)

    assert str(refused.value) == message


@given(
    rate=st.floats(0.5, 500),
    burst=st.integers(1, 100),
    pauses=st.lists(st.floats(0, 2), min_size=1, max_size=200),
)
def test_nobody_gets_more_than_the_rate_and_the_burst(
    rate: float, burst: int, pauses: list[float]
) -> None:
    bucket, now, taken = Bucket(rate, burst, 0.0), 0.0, 0

    for pause in pauses:
        now += pause
        taken += bucket.take(1, now) == 0

    assert taken <= burst + rate * now + 1e-6


@given(rate=st.floats(0.5, 500), burst=st.integers(1, 100), requests=st.integers(1, 1000))
def test_whoever_waits_as_long_as_was_said_is_let_in(
    rate: float, burst: int, requests: int
) -> None:
    bucket = Bucket(rate, burst, 0.0)
    bucket.take(burst, 0.0)

    wait = bucket.take(requests, 0.0)

    assert wait > 0
    assert bucket.take(requests, wait * (1 + 1e-9) + 1e-9) == 0
