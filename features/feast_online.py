"""This module is Feast's online store on SQLite that writes in bulk and never loses a newer event.

`online_store={"type": "features.feast_online.BulkSqliteOnlineStore", "path": …}` makes Feast's own
`materialize`, `push` and `write_to_online_store` write what our own writer writes, byte by byte,
with the facts beside it: whichever of the two wrote, and whichever of the two reads.

The class is made when it is asked for: the catalogue imports every module of this folder, and
Feast's import takes seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from features._feast_online_engine import WholeVersionsEngine, WholeVersionsEngineConfig
    from features._feast_online_store import BulkSqliteOnlineStore, BulkSqliteOnlineStoreConfig

__all__ = [
    "BulkSqliteOnlineStore",
    "BulkSqliteOnlineStoreConfig",
    "WholeVersionsEngine",
    "WholeVersionsEngineConfig",
]


def __getattr__(name: str) -> Any:
    """Import Feast at the first use of a class."""
    if name in ("BulkSqliteOnlineStore", "BulkSqliteOnlineStoreConfig"):
        from features import _feast_online_store

        return getattr(_feast_online_store, name)
    if name in ("WholeVersionsEngine", "WholeVersionsEngineConfig"):
        from features import _feast_online_engine

        return getattr(_feast_online_engine, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
