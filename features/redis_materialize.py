"""This module brings a version of a view up to date in Redis.

Each entity's newest row is written, in batches; those that Redis has already cost a look, so that a
run that was stopped is simply run again. A new version is read once it is whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from features.redis_store import RedisOnlineStore, RedisTable

if TYPE_CHECKING:
    from features._materialize_run import Outcome
    from features._online_layout import Layout
    from features._online_source import RowSource

__all__ = ["bring_up_in_redis"]
_ROWS = 20_000  # at a time
Say = Callable[[str], None]


def bring_up_in_redis(
    url: str,
    layout: Layout,
    number: int,
    source: RowSource,
    *,
    space: str,
    until_us: int,
    say: Say,
) -> Outcome:
    """Write what is missing in Redis of a version of a view, as known at a moment.

    Args:
        url: Where Redis is.
        layout: How the view's rows are laid out.
        number: Number of its version.
        source: The rows of the view, checked.
        space: The online space.
        until_us: The moment, in microseconds since 1970 UTC; rows known later are left out.
        say: Told how far it is.

    Raises:
        StoreError: Redis does not answer. What was readable stays so; the same again goes on.
    """
    from features._materialize_run import Outcome, encoded
    from features._online_batch import BatchEncoder
    from features._online_source import Window

    names = [column.name for column in layout.columns]
    table = RedisTable(space, layout.name, number, keys=layout.keys, features=names)
    encoder = BatchEncoder(layout)
    rows = source.known_by([until_us])[until_us].rows
    taken = entities = written = older = 0
    with RedisOnlineStore(url, space) as store:
        store.filling(table)
        window = Window(since_us=None, until_us=until_us)
        for batch_rows, looked_at in source.batches(window, after=None, size=_ROWS):
            batch, until = encoded(encoder, layout, batch_rows)
            values = list(zip(*batch.cells[::2], strict=True))  # a value and its text in turn
            lapsing = dict(until) if layout.lapses else None
            answers = store.write(table, list(batch.facts()), values, lapsing)
            taken, entities = taken + looked_at, entities + len(answers)
            written, older = written + answers.count(1), older + answers.count(-1)
            say(f"{taken:,} of {rows:,} rows, {entities:,} entities")
        store.filled(table)
    return Outcome(
        since_us=None, rows=rows, entities=entities, written=written, older=older, resumed=False
    )
