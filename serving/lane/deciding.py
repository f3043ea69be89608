"""This module decides: features, score, log, answer; for all requests that came at once.

Requests that arrive in the same turns of the event loop are scored in one call and logged in one
write, so that a busy lane costs less per request and an idle one waits for nobody. The champion is
scored at once; what is a challenger's is asked beside the loop, and nobody else waits for it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from features._online_place import Reader
from features.online_lookup import Lookup
from headrace.clock import current_clock
from headrace.decisions import DecisionLog
from headrace.errors import HeadraceError
from headrace.models import ModelCard
from operators.outputs import Output, outputs_of
from serving._request_errors import RequestError
from serving._requests import DecisionRequest, Input
from serving.lane.answering import Answering
from serving.lane.arm import Arm, Fallback, Rows, RowScorer
from serving.lane.cases import Case, Done, Moments, same_answer
from serving.lane.computing import Computing
from serving.lane.dealing import Dealing, Dealt
from serving.lane.far import Far
from serving.lane.guarded_scoring import guarded, whole_call
from serving.lane.loaded import AsOne, Loaded, Scores
from serving.lane.meters import Meters
from serving.lane.recording import Recorder
from serving.lane.rows import RowBuilder
from serving.lane.table import LaneTable

__all__ = ["Decider", "Loaded"]

Document = dict[str, Any]


class Decider:
    """This answers with one routing table; a new table is a new decider.

    Args:
        table: The table.
        champion: Its champion.
        inputs: What the champion and the challengers take, the champion's first.
        lookups: What is looked up for them.
        reader: Reads that from the online store.
        computing: The on-demand views that are computed for them.
        log: The endpoint's log.
        pending: Answers that are being made, by the id that clients gave; shared with the
            decider before, so that a repeat during a switch is not decided twice.
        arms: Those who answer what the table deals to them, by their models.
        cards: The cards of challengers, by their models.
        meters: Where is counted what is done.
        away: Scores for the champion where that is not done in this process; it must come to an
            end, with scores or an error.
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
        pending: dict[str, asyncio.Future[Document]],
        arms: Mapping[str, Arm] | None = None,
        cards: Mapping[str, ModelCard] | None = None,
        meters: Meters | None = None,
        away: RowScorer | None = None,
    ) -> None:
        self.table = table
        self.champion = champion
        self.inputs = tuple(inputs)
        self.lookups = tuple(lookups)
        self.columns = log.columns([each.name for each in inputs])
        self._log = log
        self._meters = meters or Meters(table.endpoint)
        self._rows = RowBuilder(
            inputs,
            lookups,
            reader,
            space=table.space,
            may_lack=table.may_lack,
            computing=computing,
        )
        self._dealing = Dealing(table)
        self._arms = dict(arms or {})
        answering = {ref: card for ref, card in (cards or {}).items() if ref in self._arms}
        self._cards = {champion.ref: champion.scorer.card, **answering}
        self._recorder = Recorder(table.endpoint, self._cards, self.columns, self._rows)
        self.answer_of = self._recorder.answer_of
        self._answering = Answering(
            log, self._recorder, pending=pending, meters=self._meters, models=self._cards
        )
        places = {each.name: place for place, each in enumerate(inputs)}
        self._places = {
            ref: [places[name] for name in card.feature_names] for ref, card in self._cards.items()
        }
        self.away = away
        guard = self._guard = self._meters.guards.of(table.guards, champion.ref)
        self._score = guarded(champion.score, guard, self._meters.now)
        far = partial(Far, table=table, scored=self._scored_far, failed=self._failed, guard=guard)
        self._far = None if away is None else far(away)
        self._waiting: list[Case] = []
        self._by_id = pending

    @property
    def outputs(self) -> tuple[Output, ...]:
        """What every model that may answer can say beside its figure."""
        able = [outputs_of(card) for card in self._cards.values()]
        return tuple(output for output in able[0] if all(output in each for each in able))

    async def decide(
        self, request: DecisionRequest, more: Mapping[str, Any] | None = None
    ) -> Document:
        """Return the answer to a request, as the document to send.

        Args:
            request: The request.
            more: What else its record is to say, such as the client that it came from.

        Raises:
            RequestError: The request cannot be answered; nothing was logged.
        """
        if request.id is None:
            return await self._awaited(request, more)
        found = self._begun(request, more)
        if isinstance(found, dict):
            return found
        if not self._arms and self._far is None:
            return await found
        # it may take a while, and others may wait for the same: whoever goes leaves it to them
        return await asyncio.shield(found)

    async def decide_all(
        self,
        requests: Sequence[DecisionRequest],
        more: Sequence[Mapping[str, Any]] | None = None,
    ) -> list[Document | RequestError]:
        """Return the answers to requests that came together: each by itself, or why there is none.

        Args:
            requests: The requests.
            more: What else the record of each is to say.
        """
        says = itertools.repeat(None) if more is None else more
        begun = [self._begun(*each) for each in zip(requests, says, strict=False)]
        waited = [each for each in begun if isinstance(each, asyncio.Future)]
        if waited:
            await asyncio.wait(waited)
        answers: list[Document | RequestError] = []
        for each in begun:
            if isinstance(each, dict):
                answers.append(each)
            elif isinstance(error := each.exception(), RequestError):
                answers.append(error)
            else:
                answers.append(each.result())
        return answers

    def _begun(
        self, request: DecisionRequest, more: Mapping[str, Any] | None
    ) -> Document | asyncio.Future[Document]:
        """Return the answer to a request that is known, or where the answer will be."""
        given = request.id
        if given is None:
            return self._awaited(request, more)
        logged = self._log.decision(given)
        if logged is not None:
            self._meters.repeated()
            return self.answer_of(logged, repeated=True)
        twin = self._by_id.get(given)
        if twin is not None:
            self._meters.repeated()
            return asyncio.get_running_loop().create_task(same_answer(twin))
        self._by_id[given] = answered = self._awaited(request, more)
        return answered

    def _awaited(
        self, request: DecisionRequest, more: Mapping[str, Any] | None
    ) -> asyncio.Future[Document]:
        """Return where the answer will be."""
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Document] = loop.create_future()
        waiting = self._waiting
        waiting.append(Case(request, answered, self._dealing.champions, more))
        if len(waiting) == 1:
            # two turns: what the sockets hold already is read before the batch is closed
            loop.call_soon(loop.call_soon, self._answer_waiting)
        return answered

    def computed(self) -> dict[str, dict[str, int]]:
        """Return how often each on-demand view was computed since this table, and failed."""
        return {
            each.view: {"computed": each.computed, "failed": each.failed}
            for each in self._rows.computing
        }

    def row_of(self, request: DecisionRequest, now: int) -> tuple[list[Any], list[str]]:
        """Return the row and the views that had nothing; the request has a moment from then on.

        Args:
            request: The request.
            now: The moment of a request that says none, in microseconds since 1970.

        Raises:
            RequestError: There is no row.
        """
        return self._rows.row_at(request, now)

    async def score_as_one(
        self,
        unit: str,
        rows: Callable[[], Rows],
        champion: Callable[[], Any] | None = None,
        *,
        only_champion: bool = False,
        before: float = 0.0,
    ) -> AsOne:
        """Return the scores of rows that one model is to answer, as they are dealt.

        Args:
            unit: What is dealt.
            rows: Returns the rows, in the order of the inputs.
            champion: Returns the champion's scores, where there is a quicker way than by rows; or,
                for one that is scored elsewhere, something to await.
            only_champion: Whether nobody else could answer.
            before: Seconds that `champion` took before it is called here.

        Raises:
            RequestError: The champion cannot score them.
        """
        dealt = self._dealing.champions if only_champion else self._dealing.of_unit(unit)
        ref = dealt.model
        if ref != self.champion.ref:
            why = self._arms[ref].refuses()
            if why is None:
                found, why = await self._arms[ref].asked_as_one(self._own(ref, rows()))
                scores = [score for score in found if score is not None]
                if len(scores) == len(found):
                    return self._as_one(dealt, scores)
            dealt = self._fallen(dealt, why, None)
        try:
            with whole_call(self._guard, self._meters.now, before=before) as call:
                if self.away is not None:
                    own = partial(self._own, self.champion.ref)
                    coming = champion() if champion else self.away.score_rows(own(rows()))
                    call.scores = await coming
                else:
                    call.scores = champion() if champion else self.champion.score(rows())
            return self._as_one(dealt, call.scores)
        except RequestError:
            raise
        except Exception as error:
            raise RequestError.model_failed(self.champion.ref, error) from error

    def record_of(
        self,
        request: DecisionRequest,
        row: list[Any],
        missing: list[str],
        score: float,
        logged: int,
        *,
        by: AsOne,
    ) -> Document:
        """Return the record of a decision that was scored with others as one."""
        return self._recorder.record(
            request, row, missing, score, logged, model=by.model, fields=by.fields
        )

    def _as_one(self, dealt: Dealt, scores: Scores) -> AsOne:
        ref = dealt.model
        fields = {**dealt.fields, "model": ref}
        return AsOne(model=ref, card=self._cards[ref], scores=scores, fields=fields)

    def _answer_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        tick = self._meters.now
        begun = tick()
        now = current_clock().now_us()
        ready, row_at = [], self._rows.row_at
        try:
            self._log.require_room()
        except HeadraceError as error:
            for case in waiting:
                self._answering.refuse(case, RequestError.log_unwritable(error))
            return
        for case in waiting:
            try:
                case.row, case.missing = row_at(case.request, now)
            except RequestError as error:
                self._answering.refuse(case, error)
            else:
                ready.append(case)
        moments = Moments(begun, tick())
        if self._dealing.traffic is not None:
            ready = self._dealt_out(ready, moments)
        self._finish([], ready, moments, now)

    def _dealt_out(self, cases: list[Case], moments: Moments) -> list[Case]:
        """Ask challengers for what is theirs; return what the champion answers."""
        own: list[Case] = []
        theirs: dict[str, list[Case]] = {ref: [] for ref in self._arms}
        for case in cases:
            request = case.request
            if self._dealing.by_id and request.id is None:
                request.id = self._recorder.new_id()
            case.dealt = self._dealing.of(request.entity, request.id)
            ref = case.dealt.model
            if ref == self.champion.ref:
                own.append(case)
                continue
            why = self._arms[ref].refuses(len(theirs[ref]))
            if why is None:
                theirs[ref].append(case)
            else:
                case.dealt = self._fallen(case.dealt, why, request.id)
                own.append(case)
        for ref, asked in theirs.items():
            if asked:
                rows = self._own(ref, [case.row for case in asked])
                self._arms[ref].ask(rows, partial(self._came, asked, moments))
        return own

    def _came(
        self,
        cases: list[Case],
        moments: Moments,
        scores: list[float | None],
        why: Fallback,
    ) -> None:
        """Answer what was asked of a challenger: with its scores, or with the champion's."""
        now = current_clock().now_us()
        done: Done = []
        fallen: list[Case] = []
        for case, score in zip(cases, scores, strict=True):
            if score is None:
                case.dealt = self._fallen(case.dealt, why, case.request.id)
                fallen.append(case)
            else:
                done.append((case, self._recorder.of_case(case, score, now)))
        self._finish(done, fallen, moments, now)

    def _fallen(self, dealt: Dealt, why: Fallback, identity: str | None) -> Dealt:
        self._meters.fell_back(dealt.model, why, id=identity)
        return dealt.to_champion(self.champion.ref, why)

    def _own(self, ref: str, rows: Rows) -> Rows:
        places = self._places[ref]
        return [[row[place] for place in places] for row in rows]

    def _finish(self, done: Done, champions: list[Case], moments: Moments, now: int) -> None:
        """Answer what was scored, and what is left to the champion."""
        if self._far is None:
            own = self._by_champion(champions, now) if champions else []
            self._answering.log([*done, *own] if done else own, moments)
            return
        self._answering.log(done, moments)
        if champions:
            rows = self._own(self.champion.ref, [case.row for case in champions])
            self._far.ask(champions, rows, moments)

    def _scored_far(self, cases: Sequence[Case], scores: Sequence[float], moments: Moments) -> None:
        now = current_clock().now_us()
        done: Done = []
        for case, score in zip(cases, scores, strict=True):
            try:
                done.append((case, self._recorder.of_case(case, score, now)))
            except Exception as error:
                self._failed(case, error)
        self._answering.log(done, moments)

    def _failed(self, case: Case, error: Exception) -> None:
        if not isinstance(error, RequestError):
            error = RequestError.model_failed(self.champion.ref, error)
        self._answering.refuse(case, error)

    def _by_champion(self, cases: list[Case], now: int) -> Done:
        """Return the records of cases that the champion scores; those that it fails on end here."""
        try:
            scores = self._score([case.row for case in cases])
            return [
                (case, self._recorder.of_case(case, score, now))
                for case, score in zip(cases, scores, strict=True)
            ]
        except Exception as error:
            if len(cases) > 1:  # one bad row must not cost the others their answer
                return [each for case in cases for each in self._by_champion([case], now)]
            self._failed(cases[0], error)
            return []
