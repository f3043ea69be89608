"""This module decides matrices: many rows, one model, one record, and no object for each value."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from headrace.clock import current_clock
from headrace.decisions.batches import batch_record, scores_of
from headrace.errors import HeadraceError
from operators.outputs import figure_of
from serving._batch_errors import layout_missing, wrong_layout
from serving._matrix_layout import Layout, layout_of
from serving._request_batches import read_batch_id
from serving._request_errors import RequestError
from serving._request_reading import read_at
from serving._requests import MOST_BATCH_BYTES, Input
from serving.lane.batch_answers import batch_answer
from serving.lane.exchange import Answer, Asked
from serving.lane.far_scorer import FarScorer
from serving.lane.loaded import AsOne

if TYPE_CHECKING:
    import numpy.typing as npt

    from serving.lane.app import LaneApp
    from serving.lane.deciding import Decider

# More rows than this are scored in a thread: a loop must not be held up for long. 1,000 rows take
# boosted trees 2 to 3 ms.
_MOST_IN_LOOP = 1_024


@dataclass(kw_only=True, eq=False, slots=True)
class Batch:
    """These are rows with all features of the model that answers.

    Args:
        id: Id of the batch.
        at_us: Their moment in microseconds since 1970, None for now.
        columns: Number of the log's columns.
        matrix: The rows as the champion takes them, (n_rows, n_features).
        content: What is logged of the features: the bytes of the matrix, or a table of Arrow.
        rows: Makes rows of raw values, of the champion's features or of all inputs.
        has_all: Whether `rows` makes all inputs, in their order; else the champion's features.
        entity: For each key column that came along, a value for each row.
        named: Whether the sender named it, and so may send it again.
    """

    id: str
    at_us: int | None
    columns: int
    matrix: npt.NDArray[np.float32]
    content: Any
    rows: Callable[[], list[list[Any]]]
    has_all: bool = False
    entity: Mapping[str, Sequence[Any]] | None = None
    named: bool = True


class Matrices:
    """This decides the batches of one lane that have all features.

    Args:
        lane: The lane.
    """

    def __init__(self, lane: LaneApp) -> None:
        self._lane = lane
        self._pending: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._laid_out: tuple[Decider, Layout, int] | None = None
        # one random beginning for all: a random number for each would cost a system call
        self._made, self._made_so_far = uuid4().hex, itertools.count(1)

    def layout(self, decider: Decider) -> tuple[Layout, int]:
        """Return the layout of the champion, and the number that the log has for its columns."""
        known = self._laid_out
        if known is None or known[0] is not decider:
            layout = layout_of(decider.champion.scorer.card)
            names = [feature.name for feature in layout.features]
            columns = self._lane.log.columns(names, layout.categories)
            known = self._laid_out = (decider, layout, columns)
        return known[1], known[2]

    async def decided(self, asked: Asked, parameters: Mapping[str, str]) -> Answer:
        """Answer a matrix of little-endian 32-bit floats, row after row.

        Raises:
            RequestError: The layout is another than the champion's, the body is no such matrix, or
                it cannot be decided or logged.
        """
        body = await asked.body(MOST_BATCH_BYTES)
        decider, reader = self._lane.ready()
        identity, logged = await self.known(parameters)
        if logged is not None:
            scores = scores_of(logged)
            return await batch_answer(asked, self._lane.endpoint, logged, scores, repeated=True)
        layout, columns = self.layout(decider)
        said = parameters.get("layout")
        if said != layout.name:
            about = f"/v1/{self._lane.endpoint}"
            if said is None:
                raise layout_missing(layout.name, about)
            raise wrong_layout(layout.name, said, decider.champion.ref, about)
        matrix = layout.read(body)
        self._lane.gate.charge(asked, len(matrix))
        batch = Batch(
            id=identity,
            at_us=read_at(parameters.get("at"), reader.rules),
            columns=columns,
            matrix=matrix,
            content=body,
            rows=partial(layout.rows, matrix),
            named="id" in parameters,
        )
        record, scores = await self.record(decider, asked, batch)
        return await batch_answer(asked, self._lane.endpoint, record, scores, repeated=False)

    async def known(self, parameters: Mapping[str, str]) -> tuple[str, dict[str, Any] | None]:
        """Return the id of a batch, and its record where one of that id was answered.

        Raises:
            RequestError: The id cannot be one, or the batch that it is of is being refused.
        """
        given = parameters.get("id")
        if given is None:
            return f"{self._made}-{next(self._made_so_far):x}", None
        identity = read_batch_id(given)
        twin = self._pending.get(identity)
        logged = await asyncio.shield(twin) if twin else self._lane.log.batch(identity)
        if logged is not None:
            self._lane.meters.repeated()
        return identity, logged

    async def record(
        self, decider: Decider, asked: Asked, batch: Batch
    ) -> tuple[dict[str, Any], npt.NDArray[np.float64]]:
        """Score a batch and log it; return its one record, and the scores in it.

        Args:
            decider: What answers.
            asked: The request.
            batch: The rows.

        Raises:
            RequestError: No model can score it, or it cannot be logged.
        """
        if not batch.named:
            return await self._logged(decider, asked, batch)
        made: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._pending[batch.id] = made
        try:
            record, scores = await self._logged(decider, asked, batch)
        except BaseException as error:
            made.set_exception(_for_twins(error))
            made.exception()  # there may be none who waits for it
            raise
        finally:
            del self._pending[batch.id]
        made.set_result(record)
        return record, scores

    async def _logged(
        self, decider: Decider, asked: Asked, batch: Batch
    ) -> tuple[dict[str, Any], npt.NDArray[np.float64]]:
        lane, clock = self._lane, current_clock()
        begun = clock.monotonic()
        try:
            lane.log.require_room()
        except HeadraceError as error:
            raise RequestError.log_unwritable(error) from error
        scored = await self._scored(decider, batch)
        scores = np.asarray(scored.scores, dtype=np.float64)
        if not np.isfinite(scores).all():
            raise RequestError.model_failed(scored.model, ValueError("a score is no number"))
        done, now = clock.monotonic(), clock.now_us()
        said: dict[str, Any] = {} if asked.client is None else {"client": asked.client}
        record = batch_record(
            id=batch.id,
            at=now if batch.at_us is None else batch.at_us,
            logged=now,
            columns=batch.columns,
            matrix=batch.content,
            scores=scores,
            answer=figure_of(scored.card),
            entity=batch.entity,
            **scored.fields,
            **said,
        )
        try:
            later = lane.log.submit([record])
            if later is not None:
                await later
        except HeadraceError as error:
            raise RequestError.log_unwritable(error) from error
        lane.meters.answered(scored.model, len(scores))
        lane.meters.batched((), (), begun, begun, done, clock.monotonic(), size=len(scores))
        return record, scores

    async def _scored(self, decider: Decider, batch: Batch) -> AsOne:
        lacks, before = _lacks(decider, batch), 0.0

        def rows() -> list[list[Any]]:
            return [row + [None] * len(lacks) for row in batch.rows()]

        score: Callable[[], Any] | None  # an array, which is good for a sequence
        score = partial(decider.champion.scorer.scores, batch.matrix)
        if decider.away is not None:
            far = decider.away
            score = partial(far.score_matrix, batch.matrix) if isinstance(far, FarScorer) else None
        elif len(batch.matrix) > _MOST_IN_LOOP:
            begun = current_clock().monotonic()
            score = await asyncio.to_thread(_attempted, score)
            before = current_clock().monotonic() - begun
        if all(each.only_for for each in lacks):
            return await decider.score_as_one(batch.id, rows, score, before=before)
        # a challenger that takes features which the batch has not is not asked, and a shadow could
        # not score it either: the batch is no part of the comparison
        scored = await decider.score_as_one(
            batch.id, rows, score, only_champion=True, before=before
        )
        alone = {name: said for name, said in scored.fields.items() if name != "experiments"}
        return replace(scored, fields={**alone, "experiment": None})


def _lacks(decider: Decider, batch: Batch) -> Sequence[Input]:
    """Return the inputs that a batch has not: those that the champion does not take."""
    own = len(decider.champion.scorer.card.features)
    return () if batch.has_all else decider.inputs[own:]


def _attempted(score: Callable[[], Any]) -> Callable[[], Any]:
    """Score now, and return what gives the scores, or raises what was raised, when it is asked."""
    done: Future[Any] = Future()
    try:
        done.set_result(score())
    except Exception as error:
        done.set_exception(error)
    return done.result


def _for_twins(error: BaseException) -> BaseException:
    """What those who sent the same id meanwhile are told: a cancelled request is not theirs."""
    if isinstance(error, asyncio.CancelledError):
        problem = HeadraceError("The request before it went away.", remedy="send it again.")
        return RequestError.log_unwritable(problem)
    return error
