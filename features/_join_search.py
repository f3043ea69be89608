"""This module finds, for each decision, the newest event known by then, in one pass over facts.

Only the decisions are sorted, by entity and time. Each fact then counts from the first decision
that could know it, its place; each place keeps the best fact that starts to count there, and the
running best along the decisions of an entity is the answer. So facts come in any order and in
batches, and what is held grows with the decisions, not with the facts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from features._join_keys import KeyNumbers
from features._join_threads import in_threads

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Ints = npt.NDArray[np.int64]
    Column: TypeAlias = pa.Array | pa.ChunkedArray

NO_MATCH = -1
_BATCH = 1 << 18  # facts looked at together: their numbers fit in a processor's cache
_EARLIEST = -(1 << 63)


class Search:
    """This is the search for the fact that each decision could know best.

    Args:
        keys: The key columns of the decisions; none for facts about everybody.
        decided: Decision times as whole numbers, `(n_decisions,)`; a null finds nothing.
    """

    def __init__(self, keys: Sequence[Column], decided: Column) -> None:
        import numpy as np

        self._size = len(decided)
        self._numbers = KeyNumbers(keys)
        number = self._numbers.numbers if keys else np.zeros(self._size, np.int64)
        time, has_time = _values(decided)
        asked = np.flatnonzero(number >= 0 if has_time is None else has_time & (number >= 0))
        self._line = _TimeLine(time[asked], self._numbers.count)
        places = self._line.at(number[asked], time[asked])
        order = np.argsort(places, kind="stable")
        self._row, self._place, self._key = asked[order], places[order], number[asked][order]
        self._event = np.full(len(order), _EARLIEST)
        self._known = np.full(len(order), _EARLIEST)
        self._fact = np.full(len(order), NO_MATCH)

    @property
    def first(self) -> int:
        """The earliest decision; later than the last one where there is none."""
        return self._line.first

    @property
    def last(self) -> int:
        """The last decision: facts that may be used only later need not be added."""
        return self._line.last

    def add(
        self,
        keys: Sequence[Column],
        *,
        event: Column,
        usable: Column,
        known: Column,
        position: int = 0,
    ) -> None:
        """Take in facts; of equals the one with the greatest position is the best.

        Args:
            keys: The key columns, as those of the decisions.
            event: What the facts are about, a whole number; the greatest is best. A fact with a
                null here, in `usable`, `known` or a key is never used.
            usable: From when on each may be used, on the time line of the decisions.
            known: What decides between facts about one event; the greatest is best.
            position: The position of the first of these facts among all.
        """
        parts = (
            _Part(
                [key.slice(start, _BATCH) for key in keys],
                [times.slice(start, _BATCH) for times in (event, usable, known)],
                position + start,
            )
            for start in range(0, len(event), _BATCH)
        )
        for placed in in_threads(self._placed, parts):
            self._keep_best(*placed)

    def _placed(self, part: _Part) -> tuple[Ints, Ints, Ints, Ints]:
        """Return the places of facts that count for a decision, their times and positions."""
        import numpy as np

        (event, has_event), (usable, has_usable), (known, has_known) = map(_values, part.times)
        number = self._numbers.of(part.keys, len(event))
        counts = (number >= 0) & (usable <= self._line.last)
        for has in (has_event, has_usable, has_known):
            counts = counts if has is None else counts & has
        fact = np.flatnonzero(counts)
        if len(fact) < len(event):
            number, usable, event, known = number[fact], usable[fact], event[fact], known[fact]
        first = self._line.at(number, usable)
        # in order, one search costs a fifth
        order = np.argsort(first)
        place = np.searchsorted(self._place, first[order])
        inside = self._key[np.minimum(place, len(self._key) - 1)] == number[order]
        inside &= place < len(self._place)
        if not inside.all():
            place, order = place[inside], order[inside]
        return place, event[order], known[order], fact[order] + part.position

    def _keep_best(self, place: Ints, event: Ints, known: Ints, fact: Ints) -> None:
        import numpy as np

        before = self._event[place]
        np.maximum.at(self._event, place, event)
        now = self._event[place]
        newer = place[now > before]
        self._known[newer], self._fact[newer] = _EARLIEST, NO_MATCH
        newest = event == now
        place, known, fact = place[newest], known[newest], fact[newest]
        before = self._known[place]
        np.maximum.at(self._known, place, known)
        now = self._known[place]
        self._fact[place[now > before]] = NO_MATCH
        last = known == now
        np.maximum.at(self._fact, place[last], fact[last])

    def found(self) -> tuple[Ints, Ints]:
        """Return for each decision the position of its fact and the event that it is about.

        Returns:
            Positions of facts, `NO_MATCH` (-1) where nothing was known,
            and event times, without meaning where nothing was known.
        """
        import numpy as np

        best = np.full(self._size, NO_MATCH)
        event = np.full(self._size, _EARLIEST)
        has = np.flatnonzero(self._fact >= 0)
        if not len(has):
            return best, event
        goodness = np.lexsort((self._fact[has], self._known[has], self._event[has]))
        ranked = has[goodness]
        rank = np.zeros(len(self._fact), np.int64)  # 0 where no fact starts to count
        rank[ranked] = np.arange(1, len(has) + 1)
        floor = self._key * (len(has) + 1)  # above all ranks of the entities before
        running = np.maximum.accumulate(floor + rank) - floor
        known = np.flatnonzero(running)
        source = ranked[running[known] - 1]
        best[self._row[known]], event[self._row[known]] = self._fact[source], self._event[source]
        return best, event


class _TimeLine:
    """This puts an entity's number and a time into one number that sorts by both."""

    def __init__(self, times: Ints, entities: int) -> None:
        import numpy as np

        self.first = int(times.min()) if len(times) else 0
        self.last = int(times.max()) if len(times) else _EARLIEST
        self._length = self.last - self.first + 1
        self._steps: Ints | None = None
        if self._length * (entities + 1) >= 1 << 63:
            # too long to count every moment: the moments of decisions are counted
            self._steps = np.unique(times)
            self._length = len(self._steps) + 1

    def at(self, number: Ints, time: Ints) -> Ints:
        """Return the place of the first moment of the line that is not before `time`."""
        import numpy as np

        moment: Ints
        if self._steps is None:
            moment = np.maximum(time, self.first) - self.first
        else:
            moment = np.searchsorted(self._steps, time)
        place: Ints = number * self._length + moment
        return place


@dataclass(frozen=True)
class _Part:
    """These are some facts: key columns, event, usable and known times, the first's position."""

    keys: Sequence[Column]
    times: Sequence[Column]
    position: int


def _values(column: Column) -> tuple[Ints, npt.NDArray[np.bool_] | None]:
    """Return a column of whole numbers, and where it is not null if it is somewhere."""
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if not column.null_count:
        return column.to_numpy(zero_copy_only=False), None
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    return column.fill_null(0).to_numpy(zero_copy_only=False), valid
