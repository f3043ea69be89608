"""What HAProxy is told, by laws: whatever it holds, it holds what is wanted afterwards."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import ServiceError
from serving._front_changes import Dealt, Held, commands, dealt, held_from, map_lines
from serving._front_configuration import MAP, SLOTS, slot

URLS = st.sets(st.integers(1, 4).map(lambda n: f"http://127.0.0.1:{n}"), max_size=3)
BACKENDS = st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), URLS.map(sorted), max_size=4)


def done(held: Held, told: list[str]) -> Held:
    """Do what HAProxy does with commands."""
    slots = dict(held.slots)
    servers = {backend: dict(has) for backend, has in held.servers.items()}
    for line in told:
        words = line.split()
        backend, _, name = words[2].partition("/")
        match words[:2]:
            case ["add", "server"]:
                assert name not in servers.get(backend, {})
                servers.setdefault(backend, {})[name] = False
            case ["enable", "server"]:
                servers[backend][name] = True
            case ["enable", "health"]:
                assert name in servers[backend]
            case ["set", "server"]:
                servers[backend][name] = words[4] == "ready"
            case ["del", "server"]:
                assert not servers[backend].pop(name)
            case ["add" | "set", "map"]:
                slots[words[3]] = words[4]
            case ["del", "map"]:
                del slots[words[3]]
            case other:
                raise AssertionError(other)
    return Held(slots=slots, servers=servers)


def answering(held: Held) -> dict[str, set[str]]:
    """Return which addresses take requests of which endpoint."""
    return {
        name: {
            server.removeprefix(f"{name}:")
            for server, ready in held.servers.get(backend, {}).items()
            if ready
        }
        for name, backend in held.slots.items()
        if name != "/"
    }


@given(st.lists(st.tuples(BACKENDS, st.booleans()), min_size=1, max_size=6))
def test_after_the_commands_exactly_the_wanted_replicas_answer(
    wishes: list[tuple[dict[str, Any], bool]],
) -> None:
    held, before = Held(slots={}, servers={}), Dealt()
    for backends, ended in wishes:
        before = dealt(backends, before)
        told, later = commands(held, before)

        held = done(held, told)
        if ended:  # what was under way at replicas that go has ended
            held = done(held, commands(held, before)[1])

        wanted = {n: {u.removeprefix("http://") for u in urls} for n, urls in backends.items()}
        assert answering(held) == wanted
        assert commands(held, before)[0] == []
        assert all(line.startswith("del server ") for line in later)
    assert commands(done(held, commands(held, before)[1]), before) == ([], [])


@given(BACKENDS, BACKENDS)
def test_an_endpoint_keeps_its_backend_and_no_two_have_one(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    before = dealt(first, Dealt())
    after = dealt(second, before)

    assert len(set(after.slots.values())) == len(second)
    assert all(after.slots[n] == before.slots[n] for n in first.keys() & second.keys())


def test_a_map_that_haproxy_starts_with_is_what_it_would_be_told() -> None:
    wanted = dealt({"a": ["http://127.0.0.1:1"]}, Dealt())
    told = [line.split() for line in commands(Held(slots={}, servers={}), wanted)[0]]

    assert [f"{words[3]} {words[4]}" for words in told if words[1] == "map"] == map_lines(wanted)


def test_more_endpoints_than_backends_are_refused() -> None:
    with pytest.raises(ServiceError) as raised:
        dealt({f"e{n}": [] for n in range(SLOTS + 1)}, Dealt())

    assert str(raised.value) == (
        f"The front has {SLOTS} backends, and {SLOTS + 1} endpoints ask for one.\n"
        "  Fix: remove endpoints, or serve some from another installation."
    )


def test_what_haproxy_shows_is_read() -> None:
    row = f"3 {slot(0)} 1 a:127.0.0.1:9 127.0.0.1 2 {{}} 1 1 0 1 0 1 6 0 0 0 - 9 - 0 0 - - 0"
    shown = "\n".join(["1", "# be_id be_name", row.format(0), row.format(1).replace("a:", "b:")])

    held = held_from(f"0x1 a {slot(0)}\n\n", shown)

    assert held == Held(
        slots={"a": slot(0)}, servers={slot(0): {"a:127.0.0.1:9": True, "b:127.0.0.1:9": False}}
    )
    with pytest.raises(ServiceError, match="HAProxy says what is not understood"):
        held_from("Unknown map identifier. Please use #<id> or <file>.", "")


def test_the_map_is_named_where_the_configuration_names_it() -> None:
    wanted = dealt({"a": []}, Dealt())

    assert commands(Held(slots={}, servers={}), wanted)[0][-1] == f"add map {MAP} a {slot(0)}"
