"""This module answers what is decided: after it is logged, and not at all when it cannot be."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from functools import partial
from typing import Any

from headrace.decisions import DecisionLog
from headrace.errors import HeadraceError
from serving._request_errors import RequestError
from serving.lane.cases import Case, Done, Moments
from serving.lane.meters import Meters
from serving.lane.recording import Recorder


class Answering:
    """This logs and answers the cases of one routing table.

    Args:
        log: The endpoint's log.
        recorder: Says what is sent of a record.
        pending: Answers that are being made, by the ids that clients gave; those that are made
            are taken out.
        meters: Where is counted what is answered.
        models: Those who may answer.
    """

    def __init__(
        self,
        log: DecisionLog,
        recorder: Recorder,
        *,
        pending: dict[str, asyncio.Future[dict[str, Any]]],
        meters: Meters,
        models: Collection[str],
    ) -> None:
        self._log = log
        self._recorder = recorder
        self._pending = pending
        self._meters = meters
        self._models = tuple(models)

    def log(self, done: Done, moments: Moments) -> None:
        """Log records in one write, and answer when they are logged."""
        if not done:
            return
        scored = self._meters.now()
        try:
            later = self._log.submit([record for _, record in done])
        except HeadraceError as error:
            self._refuse_all(done, error)
            return
        if later is None:
            self._answer(done, moments, scored)
        else:
            later.add_done_callback(partial(self._logged, done, moments, scored))

    def refuse(self, case: Case, error: RequestError) -> None:
        """Answer one that could not be decided."""
        if case.request.id is not None:
            self._pending.pop(case.request.id, None)
        if not case.answered.done():
            case.answered.set_exception(error)

    def _logged(
        self, done: Done, moments: Moments, scored: float, later: asyncio.Future[None]
    ) -> None:
        """Answer what waited for a slow disk, or say why it could not be logged."""
        error = later.exception()
        if error is None:
            self._answer(done, moments, scored)
        elif isinstance(error, HeadraceError):
            self._refuse_all(done, error)
        else:
            raise error

    def _answer(self, done: Done, moments: Moments, scored: float) -> None:
        pending, answer_of = self._pending, self._recorder.answer_of
        for case, record in done:
            if case.request.id is not None:
                pending.pop(case.request.id, None)
            if not case.answered.done():  # the client may have gone
                case.answered.set_result(answer_of(record, repeated=False))
        meters, records = self._meters, [record for _, record in done]
        for model in self._models:
            alone = len(self._models) == 1
            count = len(done) if alone else sum(record["model"] == model for record in records)
            if count:
                meters.answered(model, count)
        requests = [case.request for case, _ in done]
        meters.batched(requests, records, *moments, scored, meters.now())

    def _refuse_all(self, done: Done, error: HeadraceError) -> None:
        for case, _ in done:
            self.refuse(case, RequestError.log_unwritable(error))
