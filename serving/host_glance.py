"""This module spares the host questions to a database that nobody wrote to.

SQLite appends every change to a file beside the database. The host looks twenty times a second
whether that file changed, which costs a thirtieth of a query.
"""

from __future__ import annotations

from pathlib import Path

from headrace.clock import current_clock

_SQLITE = "sqlite:///"
# two changes may fall into one tick of the clock of the file system
_ASK_ANYWAY_SECONDS = 0.25


class Glance:
    """This says whether a database may hold something new.

    Args:
        url: Its SQLAlchemy URL. Of any but SQLite nothing can be seen from outside.
    """

    def __init__(self, url: str) -> None:
        file = url.removeprefix(_SQLITE).partition("?")[0] if url.startswith(_SQLITE) else ""
        self._files = (Path(file), Path(f"{file}-wal")) if file else ()
        self._seen: tuple[object, ...] = ()
        self._asked_at = 0.0

    def is_news(self) -> bool:
        """Return whether it is time to ask the database."""
        if not self._files:
            return True
        now = current_clock().monotonic()
        seen = tuple(map(_state, self._files))
        if seen == self._seen and now - self._asked_at < _ASK_ANYWAY_SECONDS:
            return False
        self._seen, self._asked_at = seen, now
        return True


def _state(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
