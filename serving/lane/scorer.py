"""This module is the life of a scoring process: models in memory, and rows that lanes send.

It holds the models that answer by the newest table. A lane takes a table a moment before or after
it: so it loads what it is asked for and does not hold yet, and keeps for a while what no table
names any more. Each model has a thread of its own, so that a challenger holds up no champion.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.clock import current_clock
from headrace.errors import HeadraceError, ServiceError
from operators.bundle import load_bundle
from operators.gpu import load_bundle_on_gpu
from operators.scoring import Scorer
from serving.lane.scoring_thread import ThreadScorer
from serving.lane.table import Hop, LaneTable, Served

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_KEPT_SECONDS = 60.0
_STUCK_SECONDS = 30.0
_log = logging.getLogger("headrace.scorer")


class ScorerReplica:
    """This scores for the lanes of one endpoint; Ray Serve gives it each new table."""

    def __init__(self) -> None:
        self._hop = Hop()
        self._wanted: tuple[Served, ...] = ()
        self._models: dict[Served, _Model] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    async def take(self, document: Mapping[str, Any]) -> None:
        """Load the models of a table that answer; lanes hear of one that cannot be loaded."""
        table = LaneTable.from_json(document)
        self._hop = table.hop or self._hop
        shares = {} if table.traffic is None else table.traffic.shares()
        rivals = [each.model for each in table.compared if each.model.ref in shares]
        # the champion before is kept, so that a rollback waits for no model
        before = () if table.previous is None else (table.previous,)
        self._wanted = tuple(dict.fromkeys((table.champion, *rivals, *before)))
        for served in self._wanted:
            told = await self._model(served).ask(None)
            if "error" in told:
                _log.error("%s of '%s': %s", served.ref, table.endpoint, told["error"])
        self._forget_later()

    async def ask(
        self, ref: str, folder: str, matrix: npt.NDArray[np.float32] | None
    ) -> Mapping[str, Any]:
        """Score rows with a model; loads it first if it is not in memory.

        Args:
            ref: The model, as "name/3".
            folder: Its bundle.
            matrix: Encoded rows, (n_rows, n_features); None only loads it.

        Returns:
            `scores`, one a row; or `runtime`, what scores, where there are no rows; or `error`,
            why there is neither.
        """
        return await self._model(Served(ref=ref, folder=Path(folder))).ask(matrix)

    def require_alive(self) -> None:
        """Raise when the champion hangs, so that Ray Serve starts another process.

        Raises:
            ServiceError: It does.
        """
        model = self._models.get(self._wanted[0]) if self._wanted else None
        if model is not None and model.busy_seconds() > _STUCK_SECONDS:
            raise ServiceError(
                f"'{self._wanted[0].ref}' has not come back for {_STUCK_SECONDS:g} seconds.",
                remedy="Look into the log of the scorer; Ray Serve starts another one.",
            )

    def _model(self, served: Served) -> _Model:
        found = self._models.get(served)
        if found is None:
            found = self._models[served] = _Model(served, self._hop)
        return found

    def _forget_later(self) -> None:
        if self._models.keys() != set(self._wanted):
            asyncio.get_running_loop().call_later(_KEPT_SECONDS, self._forget)

    def _forget(self) -> None:
        """Let go of models that no table names and nobody asked for lately."""
        self._models = {
            served: model
            for served, model in self._models.items()
            if served in self._wanted or model.idle_seconds() < _KEPT_SECONDS
        }
        self._forget_later()


class _Model:
    """This is one model, with its thread.

    Args:
        served: The model.
        hop: What the process has for it.
    """

    def __init__(self, served: Served, hop: Hop) -> None:
        self._now = current_clock().monotonic
        self._since = self._asked_at = self._now()
        self._asked = 0
        self._runtime: list[str] = []
        runtime = self._runtime  # the thread must not know this object, which ends it

        def load() -> Callable[[Any], Any]:
            scorer = _scorer_of(served.folder, hop)
            runtime.append(scorer.runtime)
            return scorer.scores

        self._thread = ThreadScorer(served.ref, load)

    def idle_seconds(self) -> float:
        """Return for how long it was not asked."""
        return self._now() - self._asked_at

    def busy_seconds(self) -> float:
        """Return for how long nothing came back of what it was asked; loading does not count."""
        return self._now() - self._since if self._asked and self._runtime else 0.0

    async def ask(self, matrix: npt.NDArray[np.float32] | None) -> Mapping[str, Any]:
        """Return what `ScorerReplica.ask` does."""
        self._asked_at = self._now()
        if not self._asked:
            self._since = self._asked_at
        self._asked += 1
        try:
            if not self._runtime or matrix is None:
                await self._thread.ready()
            if matrix is None:
                return {"runtime": self._runtime[0]}
            return {"scores": await self._thread.score_rows(matrix)}  # type: ignore[arg-type]
        except Exception as error:
            known = isinstance(error, HeadraceError)
            return {"error": str(error) if known else f"{type(error).__name__}: {error}"}
        finally:
            self._asked -= 1
            self._since = self._now()


def _scorer_of(folder: Path, hop: Hop) -> Scorer:
    """Return what scores, after a first call, which is slow."""
    import numpy as np

    threads = max(1, int(hop.cpus))
    load = load_bundle_on_gpu if hop.gpus else load_bundle
    scorer = load(folder, threads=threads)
    scorer.scores(np.full((1, len(scorer.card.features)), np.nan, dtype=np.float32))
    return scorer
