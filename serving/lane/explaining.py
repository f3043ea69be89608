"""This module explains decisions that were made: beside the event loop, from what was logged.

What explains a model is loaded when it is first asked for, which can take seconds; the model's own
library is loaded with it. One explanation is made at a time, so that answers keep their processor.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.decisions import DecisionLog
from headrace.errors import HeadraceError
from operators.bundle import read_card
from operators.contributions import Contributions, load_contributions
from serving._batch_errors import not_explained
from serving.lane.table import LaneTable


@dataclass(frozen=True, kw_only=True, eq=False)
class _Explained:
    """This is what explains a model, and the names of its features."""

    names: tuple[str, ...]
    explain: Callable[[Sequence[Sequence[Any]]], list[Contributions]]


class Explainer:
    """This explains the decisions of one lane.

    Args:
        log: The lane's log, which holds the features as they were used.
    """

    def __init__(self, log: DecisionLog) -> None:
        self._log = log
        self._loaded: dict[Path, asyncio.Task[_Explained]] = {}
        self._one_at_a_time = asyncio.Lock()

    async def explained(
        self, documents: Sequence[dict[str, Any]], table: LaneTable
    ) -> list[dict[str, Any]]:
        """Return answers with what the score of each is made of, as `explanation`.

        Args:
            documents: Answers, with the ids of decisions that were logged.
            table: What the lane answers with.

        Raises:
            RequestError: A decision was made by a model that is not served any more, or was not
                logged with its features, or its model cannot be explained.
        """
        folders = {table.champion.ref: table.champion.folder}
        folders |= {each.model.ref: each.model.folder for each in table.compared}
        self._forget(set(folders.values()))
        return [
            document | {"explanation": await self._explanation(document["id"], folders)}
            for document in documents
        ]

    async def _explanation(self, identity: str, folders: dict[str, Path]) -> dict[str, Any]:
        logged = self._log.decision(identity)
        if logged is None:
            raise not_explained("a model", "its record is gone.")
        model = logged["model"]
        folder = folders.get(model)
        if folder is None:
            raise not_explained(f"'{model}'", "that model is not served any more.")
        names = self._log.names(logged["columns"])
        try:
            loaded = await self._load(folder)
            places = {name: place for place, name in enumerate(names or ())}
            row = [logged["features"][places[name]] for name in loaded.names]
            async with self._one_at_a_time:
                (found,) = await asyncio.to_thread(loaded.explain, [row])
        except KeyError as error:
            raise not_explained(f"'{model}'", f"feature {error} was not logged.") from None
        except HeadraceError as error:
            raise not_explained(f"'{model}'", error.problem) from error
        return found.to_json(loaded.names)

    async def _load(self, folder: Path) -> _Explained:
        task = self._loaded.get(folder)
        if task is None or (task.done() and task.exception() is not None):
            task = asyncio.create_task(asyncio.to_thread(_loaded, folder))
            self._loaded[folder] = task
        return await asyncio.shield(task)

    def _forget(self, but: set[Path]) -> None:
        for folder in self._loaded.keys() - but:
            del self._loaded[folder]


def _loaded(folder: Path) -> _Explained:
    names = read_card(folder).feature_names
    return _Explained(names=names, explain=load_contributions(folder))
