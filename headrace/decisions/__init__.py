"""This package keeps what an endpoint decided, what shadows said and what came of it.

A decision is logged before it is answered. `DecisionLog` appends and finds, `Tail` reads along,
`compact` turns what is old into Parquet, `open_view` shows all of it to DuckDB, `retain` drops what
need not be kept.
"""

from __future__ import annotations

from headrace.decisions.compaction import Compacted, compact
from headrace.decisions.folder import LogBusyError, LogWriteError
from headrace.decisions.index import Stats
from headrace.decisions.log import DecisionLog
from headrace.decisions.log_writer import LogWriter
from headrace.decisions.position import Position, load_cursor, save_cursor
from headrace.decisions.retention import Floor, Retained, Retention, retain, would_drop
from headrace.decisions.tail import Tail
from headrace.decisions.view import open_view

__all__ = [
    "Compacted",
    "DecisionLog",
    "Floor",
    "LogBusyError",
    "LogWriteError",
    "LogWriter",
    "Position",
    "Retained",
    "Retention",
    "Stats",
    "Tail",
    "compact",
    "load_cursor",
    "open_view",
    "retain",
    "save_cursor",
    "would_drop",
]
