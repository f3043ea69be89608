"""This module remembers the shapes of right requests, so that most are checked as a whole.

Clients send the same features, in the same order and of the same types, again and again. What
follows from names and types is worked out once a shape; values are left to look at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from serving._request_errors import RequestError
from serving._request_rules import Rules
from serving._request_values import (
    LARGEST_FLOAT,
    LARGEST_INT,
    NUMBER,
    TIMES,
    WHOLE,
    WHOLE_AS_NUMBER,
)

_MOST_SHAPES = 512
Getter = Callable[[Mapping[str, Any]], tuple[Any, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """This is what follows from the names and types of a request's features.

    Args:
        numbers: Gives the values that must be within the range of float32, None without any.
        wholes: Gives those that must be within the range of 64-bit integers, likewise.
        as_floats: The names whose whole numbers become floats.
        as_ints: The names whose floats become whole numbers.
        times: The names whose text becomes a time, each with how.
        own: The request's inputs that are not among the features, so that the entity has them.
        spare: Those of them that nobody needs, so that the entity may lack them.
        keys: The key columns that the entity must have.
    """

    numbers: Getter | None
    wholes: Getter | None
    as_floats: tuple[str, ...]
    as_ints: tuple[str, ...]
    times: tuple[tuple[str, Callable[[Any, str], Any]], ...]
    own: tuple[str, ...]
    spare: tuple[str, ...]
    keys: tuple[str, ...]

    def fits(self, features: dict[str, Any]) -> bool:
        """Turn the values into what models take; False where one is out of range or no whole."""
        for name in self.as_floats:
            features[name] = float(features[name])
        if self.numbers is not None:
            values = self.numbers(features)
            if max(values) > LARGEST_FLOAT or min(values) < -LARGEST_FLOAT:
                return False
        for name in self.as_ints:
            if not features[name].is_integer():
                return False
            features[name] = int(features[name])
        if self.wholes is not None:
            values = self.wholes(features)
            if max(values) > LARGEST_INT or min(values) < -LARGEST_INT:
                return False
        for name, read in self.times:
            try:
                features[name] = read(features[name], name)
            except RequestError:
                return False
        return True


class Shapes:
    """These are the shapes of one endpoint's requests that were seen so far.

    Args:
        rules: What its requests may hold.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._known: dict[tuple[Any, ...], Shape | None] = {}

    def of(self, features: Mapping[str, Any]) -> Shape | None:
        """Return the shape of features; None where a name or type is wrong."""
        key = (*features, *map(type, features.values()))
        try:
            return self._known[key]
        except KeyError:
            pass
        if len(self._known) >= _MOST_SHAPES:
            self._known.clear()
        shape = self._known[key] = self._worked_out(features)
        return shape

    def _worked_out(self, features: Mapping[str, Any]) -> Shape | None:
        rules = self._rules
        by_check: dict[int, list[str]] = {}
        as_ints = []
        for name, value in features.items():
            kind = rules.inputs.get(name)
            if kind is None:
                return None
            check = kind.checks.get(type(value))
            if check is None:
                # data frames make floats of whole numbers with gaps, and send 3.0
                if type(value) is not float or kind.checks.get(int) != WHOLE:
                    return None
                as_ints.append(name)
                check = WHOLE
            by_check.setdefault(check, []).append(name)
        as_floats = by_check.get(WHOLE_AS_NUMBER, [])
        covered = rules.covered(features)
        uncovered = [keys for _, keys, inputs in rules.views if not inputs <= covered]
        own = [name for name in rules.own if name not in features]
        return Shape(
            numbers=_getter([*by_check.get(NUMBER, []), *as_floats]),
            wholes=_getter(by_check.get(WHOLE, [])),
            as_floats=tuple(as_floats),
            as_ints=tuple(as_ints),
            times=tuple(
                (name, read) for check, read in TIMES.items() for name in by_check.get(check, ())
            ),
            own=tuple(name for name in own if name not in covered),
            spare=tuple(name for name in own if name in covered),
            keys=tuple(dict.fromkeys(column for keys in uncovered for column in keys)),
        )


def _getter(names: list[str]) -> Getter | None:
    if not names:
        return None
    if len(names) == 1:
        only = names[0]
        return lambda features: (features[only],)
    return itemgetter(*names)
