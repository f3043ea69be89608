"""This module asks a model that is scored in another process, as if it were here.

A scoring process can die, hang or be restarted. What was asked of it then is asked once more, of
another one where there are several; asking twice does no harm, since nothing is decided there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.errors import ServiceError
from operators.bundle import read_card
from operators.encoder import compile_encoder
from operators.scoring import Scorer
from serving._hop_errors import model_unreachable
from serving.lane.loaded import Loaded
from serving.lane.table import Served

if TYPE_CHECKING:
    import numpy.typing as npt

Ask = Callable[[str, str, "npt.NDArray[np.float32] | None"], Awaitable[Mapping[str, Any]]]
"""Asks any scoring process: the model's name, its bundle, and the rows, or None for how it is;
see `ScorerReplica.ask`. It raises `UnreachableError` where there is nobody who answers."""

ATTEMPTS = 2
# together less than the time that a replica which leaves gives to answers under way
_SECONDS, _SECONDS_A_ROW = 1.5, 0.0005
_AGAIN_SECONDS = 0.1


class UnreachableError(Exception):
    """This says that a scoring process died, is gone, or takes nothing more."""


class FarScorer:
    """This is one model that is scored in other processes, as a lane sees it.

    Args:
        served: The model.
        ask: Asks any of these processes.
    """

    def __init__(self, served: Served, ask: Ask) -> None:
        self.ref = served.ref
        self._folder = served.folder
        self._ask = ask
        self._asked = 0
        self._loaded: Loaded | None = None

    @property
    def is_busy(self) -> bool:
        """Whether something that it was asked has not come back."""
        return self._asked > 0

    @property
    def loaded(self) -> Loaded:
        """Its card, its encoding and the name of what scores it; only once it is ready."""
        assert self._loaded is not None  # noqa: S101  nobody is given one that is not ready
        return self._loaded

    async def ready(self) -> None:
        """Wait until it is in the memory of a process that can be asked, however long that takes.

        Raises:
            DamagedArtifactError: The bundle is not what was written.
            ServiceError: No process can load it.
        """
        if self._loaded is not None:
            return
        card = await asyncio.to_thread(read_card, self._folder)
        told = None
        while told is None:
            try:
                told = await self._told(None)
            except UnreachableError:  # it is being started
                await asyncio.sleep(_AGAIN_SECONDS)
        if "error" in told:
            raise ServiceError(
                f"The process that is to score with '{self.ref}' cannot: {told['error']}",
                remedy="Correct the cause, or give the endpoint another placement.",
            )
        scorer = Scorer(card=card, runtime=told["runtime"], scores=_elsewhere)
        self._loaded = Loaded(ref=self.ref, scorer=scorer, encode=compile_encoder(card))

    async def score_rows(self, rows: Sequence[Sequence[Any]]) -> list[float]:
        """Return one score a row of raw values, in the order of the model's card.

        Raises:
            RequestError: No process could be asked, twice.
            Exception: The rows cannot be encoded, or the model failed on them.
        """
        scores: list[float] = (await self.score_matrix(self.loaded.encode(rows))).tolist()
        return scores

    async def score_matrix(self, matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return one score a row of encoded values.

        Raises:
            RequestError: No process could be asked, twice.
            Exception: The model failed on them.
        """
        seconds = _SECONDS + len(matrix) * _SECONDS_A_ROW
        why = ""
        for _ in range(ATTEMPTS):
            try:
                told = await asyncio.wait_for(self._told(matrix), seconds)
            except UnreachableError as error:
                why = str(error)
            except TimeoutError:
                why = f"no answer within {seconds:.1f} s"
            else:
                if "error" in told:
                    raise RuntimeError(told["error"])
                return np.asarray(told["scores"], dtype=np.float64)
        raise model_unreachable(self.ref, why)

    async def _told(self, matrix: npt.NDArray[np.float32] | None) -> Mapping[str, Any]:
        self._asked += 1
        try:
            return await self._ask(self.ref, str(self._folder), matrix)
        finally:
            self._asked -= 1


def _elsewhere(_: Any) -> Any:
    raise RuntimeError("This model is not scored in this process.")
