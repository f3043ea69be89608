"""This module decides: features, score, log, answer; for all requests that came at once.

Requests that arrive in the same turns of the event loop are scored in one call and logged in one
write, so that a busy lane costs less per request and an idle one waits for nobody.
"""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from features._online_place import Reader
from features.online_lookup import Lookup
from headrace.clock import current_clock, from_us
from headrace.decisions import DecisionLog
from headrace.errors import HeadraceError, LeakageError
from operators.scoring import Scorer
from serving._request_errors import RequestError
from serving._requests import DecisionRequest, Input
from serving.lane.computing import Computing
from serving.lane.rows import RowBuilder
from serving.lane.table import LaneTable


@dataclass(frozen=True, kw_only=True, eq=False)
class Loaded:
    """This is a model in memory.

    Args:
        ref: Which version it is.
        scorer: Its card, and what scores.
        encode: From raw rows, in the order of the card, to the matrix.
    """

    ref: str
    scorer: Scorer
    encode: Callable[[Sequence[Sequence[Any]]], Any]

    def score(self, rows: Sequence[Sequence[Any]]) -> list[float]:
        """Return one score a row.

        Args:
            rows: Raw values; those after the model's own features are another model's.
        """
        own = len(self.scorer.card.features)
        if len(rows[0]) != own:
            rows = [row[:own] for row in rows]
        scores: list[float] = self.scorer.scores(self.encode(rows)).tolist()
        return scores


class Decider:
    """This answers with one routing table; a new table is a new decider.

    Args:
        table: The table.
        champion: Its champion.
        inputs: What the champion and the challenger take, the champion's first.
        lookups: What is looked up for them.
        reader: Reads that from the online store.
        computing: The on-demand views that are computed for them.
        log: The endpoint's log.
        pending: Answers that are being made, by the id that clients gave; shared with the
            decider before, so that a repeat during a switch is not decided twice.
    """

    def __init__(
        self,
        table: LaneTable,
        *,
        champion: Loaded,
        inputs: Sequence[Input],
        lookups: Sequence[Lookup],
        reader: Reader,
        computing: Sequence[Computing] = (),
        log: DecisionLog,
        pending: dict[str, asyncio.Future[dict[str, Any]]],
    ) -> None:
        self.table = table
        self.champion = champion
        self.inputs = tuple(inputs)
        self.lookups = tuple(lookups)
        self._log = log
        self._rows = RowBuilder(
            inputs,
            lookups,
            reader,
            space=table.space,
            may_lack=table.may_lack,
            computing=computing,
        )
        self._columns = log.columns([each.name for each in inputs])
        self._answers = "estimate" if champion.scorer.card.task == "estimation" else "probability"
        self._waiting: list[tuple[DecisionRequest, asyncio.Future[dict[str, Any]]]] = []
        self._by_id = pending
        # one random beginning for all: a random number for each would cost a system call
        self._made, self._made_so_far = f"{uuid.uuid4().hex}-", itertools.count(1)

    async def decide(self, request: DecisionRequest) -> dict[str, Any]:
        """Return the answer to a request, as the document to send.

        Raises:
            RequestError: The request cannot be answered; nothing was logged.
        """
        given = request.id
        if given is not None:
            logged = self._log.decision(given)
            if logged is not None:
                return self.answer_of(logged, repeated=True)
            twin = self._by_id.get(given)
            if twin is not None:
                return await asyncio.shield(twin) | {"repeated": True}
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[dict[str, Any]] = loop.create_future()
        if given is not None:
            self._by_id[given] = answered
        self._waiting.append((request, answered))
        if len(self._waiting) == 1:
            # two turns: what the sockets hold already is read before the batch is closed
            loop.call_soon(loop.call_soon, self._answer_waiting)
        return await answered

    def answer_of(self, logged: dict[str, Any], *, repeated: bool) -> dict[str, Any]:
        """Return what is sent for a logged decision."""
        return {
            "id": logged["id"],
            "endpoint": self.table.endpoint,
            "model": logged["model"],
            "answer": logged["answer"],
            "at": from_us(logged["at"]).isoformat(),
            "repeated": repeated,
            "missing": logged["missing"],
        }

    def computed(self) -> dict[str, dict[str, int]]:
        """Return how often each on-demand view was computed since this table, and failed."""
        return {
            each.view: {"computed": each.computed, "failed": each.failed}
            for each in self._rows.computing
        }

    def _answer_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        ready: list[tuple[DecisionRequest, asyncio.Future[dict[str, Any]], list[Any], list[str]]]
        ready = []
        logged = current_clock().now_us()
        for request, answered in waiting:
            if request.id is not None:
                self._by_id.pop(request.id, None)
            try:
                row, missing = self._row(request, logged)
            except RequestError as error:
                _fail(answered, error)
            except HeadraceError as error:
                _fail(answered, RequestError.features_unreadable(error))
            else:
                ready.append((request, answered, row, missing))
        if ready:
            self._score_and_log(ready, logged)

    def _row(self, request: DecisionRequest, now: int) -> tuple[list[Any], list[str]]:
        """Return the row and the views that had nothing; the request has a moment from then on."""
        if request.at_us is not None:
            try:
                return self._rows.row(request)
            except LeakageError as error:
                raise RequestError.future_features(error) from error
        request.at_us = now
        try:
            return self._rows.row(request)
        except LeakageError:  # pushed since the batch began: decide a little later
            request.at_us = current_clock().now_us()
            return self._rows.row(request)

    def _score_and_log(
        self,
        ready: list[tuple[DecisionRequest, asyncio.Future[dict[str, Any]], list[Any], list[str]]],
        logged: int,
    ) -> None:
        try:
            scores = self.champion.score([row for _, _, row, _ in ready])
            records = [
                self._record(request, row, missing, score, logged)
                for (request, _, row, missing), score in zip(ready, scores, strict=True)
            ]
        except Exception as error:
            if len(ready) > 1:  # one bad row must not cost the others their answer
                for each in ready:
                    self._score_and_log([each], logged)
            else:
                _fail(ready[0][1], RequestError.model_failed(self.champion.ref, error))
            return
        try:
            self._log.append(records)
        except HeadraceError as error:
            for _, answered, _, _ in ready:
                _fail(answered, RequestError.log_unwritable(error))
            return
        for (_, answered, _, _), record in zip(ready, records, strict=True):
            if not answered.done():  # the client may have gone
                answered.set_result(self.answer_of(record, repeated=False))

    def _record(
        self,
        request: DecisionRequest,
        row: list[Any],
        missing: list[str],
        score: float,
        logged: int,
    ) -> dict[str, Any]:
        table, model = self.table, self.champion.ref
        return {
            "kind": "decision",
            "id": request.id or f"{self._made}{next(self._made_so_far):x}",
            "at": request.at_us,
            "logged": logged,
            "entity": request.entity,
            "columns": self._columns,
            "features": row,
            "overridden": self._rows.overridden(request),
            "missing": missing,
            "generation": table.generation,
            "experiment": table.experiment,
            "candidates": [model],
            "propensities": [1.0],
            "model": model,
            "score": score,
            "answer": {self._answers: score},
        }


def _fail(answered: asyncio.Future[dict[str, Any]], error: RequestError) -> None:
    if not answered.done():
        answered.set_exception(error)
