"""This module keeps models in memory that may answer at once: the champion and the one before.

A promotion leaves the old champion where it is, so that going back to it loads nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from serving.lane.loaded import Loaded
from serving.lane.table import LaneTable, Served

Load = Callable[[Served], Loaded]
_log = logging.getLogger("headrace.lane")


class Warm:
    """These are the models of one lane's process, from one table to the next.

    Args:
        load: Loads one; called in a thread.
    """

    def __init__(self, load: Load) -> None:
        self._load = load
        self._models: dict[Served, Loaded] = {}
        self._wanted: tuple[Served, ...] = ()
        self._loading: asyncio.Task[None] | None = None

    def __contains__(self, served: Served) -> bool:
        """Say whether a model is in memory."""
        return served in self._models

    async def loaded(self, served: Served) -> Loaded:
        """Return a model: from memory, or after loading it.

        Raises:
            DamagedArtifactError: The bundle is not what was written.
        """
        found = self._models.get(served)
        return found if found is not None else await asyncio.to_thread(self._load, served)

    def keep(self, table: LaneTable, champion: Loaded) -> None:
        """Keep what a table that answers now names, and let go of everything else.

        Args:
            table: The table. Models that other processes score are kept there.
            champion: Its champion. The one before is loaded beside, if it is not there.
        """
        before = table.previous
        if table.hop is not None:
            self.close()
            return
        self._wanted = (table.champion, *(() if before is None else (before,)))
        self._models[table.champion] = champion
        self._models = {s: m for s, m in self._models.items() if s in self._wanted}
        if before is not None and before not in self._models:
            self._loading = asyncio.get_running_loop().create_task(self._add(before))

    def close(self) -> None:
        """Let go of all."""
        self._models, self._wanted = {}, ()

    async def _add(self, served: Served) -> None:
        try:
            model = await asyncio.to_thread(self._load, served)
        except Exception as error:  # a rollback says so, where it can be heard
            _log.warning("%s cannot be kept ready for a rollback: %s", served.ref, error)
            return
        if served in self._wanted:
            self._models[served] = model
