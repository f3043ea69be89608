"""This module holds how features lie in Redis: Feast's layout, and beside it which fact they are.

A hash for each entity, whatever views are about it: its key is Feast's entity key followed by the
space. A feature is a field named by four bytes of a hash of "view:feature", and `_ts:<view>` is the
event time of the view's row. `_headrace:<view>` is ours: event and known time, exactly, and a
digest of the values; it counts only while it names the event time that `_ts` has, so that what
Feast's own store writes over a row of ours is not taken for it. `_until:<view>` is ours too: from
when on that fact no longer holds, where that is known. `headrace.views` says which versions of
views are whole.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence

from headrace.errors import DefinitionError, StoreError

CATALOGUE = b"headrace.views"
_FACT = struct.Struct(">qIqI8s")  # event and known time as seconds and microseconds, digest
_TIME = struct.Struct(">qIqI")
_UNTIL = struct.Struct(">q")
_EVER = (1 << 63) - 1
_MILLION = 1_000_000

# Takes a row unless its entity has that one or a newer one; answers 1 for taken, 0 for the same,
# -1 for older. Times are compared by seconds, then microseconds: Redis has numbers of 53 bits.
# KEYS: the entity. ARGV: the fields of time and fact, their values, the field that says until when
# the fact holds and its value, empty where nothing is known of it; then fields and values.
TAKE_NEWER = b"""
local function seconds_and_micros(ts)
    local at, fields = 1, {0, 0}
    while at <= #ts do
        local field, value, inverted, scale, byte = (string.byte(ts, at) - 0) / 8, 0, 0, 1, 128
        at = at + 1
        local length = 0
        while byte >= 128 do
            byte = string.byte(ts, at)
            at, length = at + 1, length + 1
            local bits = byte % 128
            if length <= 9 then
                value, inverted = value + bits * scale, inverted + (127 - bits) * scale
            end
            scale = scale * 128
        end
        if length == 10 then value = -inverted - 1 end
        fields[field] = value
    end
    return fields[1], math.floor(fields[2] / 1000)
end
local have = redis.call('HMGET', KEYS[1], ARGV[1], ARGV[2])
local ts, fact = have[1], have[2]
if ts then
    local old
    if fact and string.sub(fact, 33) == ts then
        old = {struct.unpack('>i8I4i8I4', fact)}
    else
        local seconds, micros = seconds_and_micros(ts)
        fact, old = false, {seconds, micros, -9e15, 0}
    end
    local new, order = {struct.unpack('>i8I4i8I4', ARGV[4])}, 0
    for i = 1, 4 do
        if order == 0 and new[i] ~= old[i] then order = new[i] > old[i] and 1 or -1 end
    end
    if order < 0 then return -1 end
    if order == 0 and fact and string.sub(fact, 25, 32) == string.sub(ARGV[4], 25, 32) then
        if ARGV[6] ~= '' then redis.call('HSET', KEYS[1], ARGV[5], ARGV[6]) end
        return 0
    end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3], ARGV[2], ARGV[4], unpack(ARGV, 7))
if ARGV[6] ~= '' then
    redis.call('HSET', KEYS[1], ARGV[5], ARGV[6])
else
    redis.call('HDEL', KEYS[1], ARGV[5])
end
return 1
"""


def name_of(view: str, number: int) -> str:
    """Return how Feast calls a version of a view in its online store."""
    return f"{view}_v{number}" if number else view


def feature_fields(name: str, features: Sequence[str]) -> list[bytes]:
    """Return the fields of features.

    Args:
        name: The view, as `name_of` says it.
        features: Their names.

    Raises:
        DefinitionError: Two of them have the same field.
    """
    import mmh3

    fields = [struct.pack("<I", mmh3.hash(f"{name}:{each}", signed=False)) for each in features]
    for place, field in enumerate(fields):
        if field in fields[:place]:
            other = features[fields.index(field)]
            raise DefinitionError(
                f"The features '{other}' and '{features[place]}' of view '{name}' have one field "
                "in Redis, whose names Feast makes of four bytes.",
                remedy="Rename one of them.",
            )
    return fields


def time_field(name: str) -> bytes:
    """Return the field of a view's event time."""
    return f"_ts:{name}".encode()


def fact_field(name: str) -> bytes:
    """Return the field that says which fact a view's values are."""
    return f"_headrace:{name}".encode()


def until_field(name: str) -> bytes:
    """Return the field that says from when on a view's values no longer hold."""
    return f"_until:{name}".encode()


def catalogue_field(space: str, name: str) -> bytes:
    """Return where the catalogue says of a version of a view in a space whether it is whole."""
    return f"{space}/{name}".encode()


def state_bytes(
    space: str, view: str, number: int, *, whole: bool, filling: bool, prefix: bytes
) -> bytes:
    """Return what the catalogue says of a version of a view.

    Args:
        space: The space.
        view: The view.
        number: Number of the version.
        whole: Whether it may be read.
        filling: Whether it is said when it is whole; else the first push makes it so.
        prefix: How the keys of its entities begin.
    """
    said = {"space": space, "view": view, "number": number, "whole": whole, "filling": filling}
    return json.dumps({**said, "keys": prefix.hex()}).encode()


def is_whole(state: bytes | None, space: str, view: str, number: int) -> bool | None:
    """Return what the catalogue says; None where it says nothing, so that all is Feast's own.

    Raises:
        StoreError: It cannot be read.
    """
    if state is None:
        return None
    try:
        said = json.loads(state)
        owner = (said["space"], said["view"], said["number"])
        return owner == (space, view, number) and bool(said["whole"])
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(
            f"What Redis says of view '{view}' cannot be read: {state[:80]!r}.",
            remedy="Remove that field from the hash 'headrace.views' and materialize the view.",
        ) from error


def time_bytes(instant: int) -> bytes:
    """Return an instant, in microseconds since 1970 UTC, as Feast's message of it."""
    seconds, micros = divmod(instant, _MILLION)
    out = bytearray()
    for tag, number in ((0x08, seconds), (0x10, micros * 1000)):
        if number:
            rest = number & (1 << 64) - 1
            out.append(tag)
            while rest > 0x7F:
                out.append(rest & 0x7F | 0x80)
                rest >>= 7
            out.append(rest)
    return bytes(out)


def fact_bytes(event_us: int, known_us: int, digest: bytes, time: bytes) -> bytes:
    """Return which fact a row is.

    Args:
        event_us: Its event time, in microseconds since 1970 UTC.
        known_us: Its known time, likewise.
        digest: Eight bytes of its values.
        time: The event time as `time_bytes` has it.
    """
    return _FACT.pack(*divmod(event_us, _MILLION), *divmod(known_us, _MILLION), digest) + time


def times_of(time: bytes | None, fact: bytes | None) -> tuple[int, int] | None:
    """Return event time and known time of a row, in microseconds; None where there is no row.

    Of a row of Feast's own the time is known from when it happened, for Feast says no more.

    Raises:
        ValueError: They are neither ours nor Feast's.
    """
    if time is None:
        return None
    if fact is not None and fact[_FACT.size :] == time:
        event, event_rest, known, known_rest = _TIME.unpack_from(fact)
        return event * _MILLION + event_rest, known * _MILLION + known_rest
    event = _instant(time)
    return event, event


def until_bytes(until_us: int | None, fact: bytes) -> bytes:
    """Return until when a fact holds; None says that it holds on.

    Args:
        until_us: The moment, in microseconds since 1970 UTC.
        fact: As `fact_bytes` has it.
    """
    return _UNTIL.pack(_EVER if until_us is None else until_us) + fact


def until_of(until: bytes | None, time: bytes | None, fact: bytes | None) -> int | None:
    """Return until when a row holds, in microseconds since 1970 UTC; None where none is known.

    What is said of another fact does not count, nor of one that Feast's own store wrote over.
    """
    if not until or until[_UNTIL.size :] != fact or fact[_FACT.size :] != time:
        return None
    moment: int = _UNTIL.unpack_from(until)[0]
    return None if moment == _EVER else moment


def _instant(message: bytes) -> int:
    numbers = {0x08: 0, 0x10: 0}
    at = 0
    while at < len(message):
        tag, value, shift = message[at], 0, 0
        at += 1
        while True:
            if at == len(message) or tag not in numbers:
                raise ValueError("no message of Feast's")
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        numbers[tag] = value - (1 << 64) if value >> 63 else value
    return numbers[0x08] * _MILLION + numbers[0x10] // 1000
