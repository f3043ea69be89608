"""This module is the life of the process that scores challengers of endpoints that share one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from serving.lane.shadow import ShadowReplica


class SharedShadow:
    """This scores what challengers of several endpoints would have said, each by itself."""

    def __init__(self) -> None:
        self._shadows: dict[str, ShadowReplica] = {}

    async def take(self, document: Mapping[str, Any]) -> None:
        """Follow these tables, and no others."""
        tables = {table["endpoint"]: table for table in document["tables"]}
        gone = [self._shadows.pop(name) for name in self._shadows.keys() - tables.keys()]
        for name, table in tables.items():
            if name not in self._shadows:
                self._shadows[name] = ShadowReplica()
            await self._shadows[name].take(table)
        await asyncio.gather(*(shadow.close() for shadow in gone))

    def require_alive(self) -> None:
        """Raise when one says no more how it stands, so that Ray Serve starts another process."""
        for shadow in self._shadows.values():
            shadow.require_alive()
