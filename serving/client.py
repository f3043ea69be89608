"""This module asks an endpoint from Python: decide, rank, tell outcomes, see what answers.

    with Client("flight_delay") as client:
        decision = client.decide(entity={"tail": "N14228"}, features={"distance": 719})
        client.outcome(decision.id, 1.0)

A request that meets a replica which ends, or a front that does not answer, is sent to another one.
That is safe: every decision has an id, and the same id again gets the logged answer.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from pydantic import SecretStr

from serving._client_answers import Decision, DecisionRefused, Ranked, Ranking, Recorded
from serving._client_bodies import Outcome
from serving._client_requests import (
    about_request,
    decide_many_requests,
    decide_request,
    matrix_request,
    outcome_requests,
    rank_request,
    table_request,
    together,
)
from serving._client_settings import Told, told
from serving._client_talk import Find, Send, Talk, talk
from serving._client_wire import Reply, Request
from serving._lane_connection import LaneConnections

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

T = TypeVar("T")

__all__ = ["Client", "Decision", "DecisionRefused", "Outcome", "Ranked", "Ranking", "Recorded"]


class Client:
    """This asks one endpoint, from any number of threads; best used in a `with` block.

    Args:
        endpoint: Name of the endpoint.
        url: Where it answers: http or https, a host, perhaps a port, perhaps a path that another
            proxy has before ours. By default the database is asked, and asked again when nobody
            answers there any more: first the front is asked, without one the replicas in turn.
        key: The client's key; the setting `client_key` by default.
        ca: PEM file of who signs the endpoint's certificate; the setting `client_ca` by default.
        certificate: PEM file of the client's own certificate and key, where one is asked for.
        patience_seconds: For how long a request is sent again while nobody answers, or while
            everybody asks to come again later.
        timeout_seconds: How long one answer may take.

    Raises:
        ParameterError: The key or the address is not one.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        url: str | None = None,
        key: str | SecretStr | None = None,
        ca: str | Path | None = None,
        certificate: str | Path | None = None,
        patience_seconds: float = 5.0,
        timeout_seconds: float = 10.0,
    ) -> None:
        self.endpoint = endpoint
        self._patience = patience_seconds
        self._told: Told = told(endpoint, url=url, key=key, ca=ca, certificate=certificate)
        self._connections = LaneConnections(
            self._told.headers, self._told.trust, timeout_seconds=timeout_seconds
        )

    def decide(
        self,
        *,
        entity: Mapping[str, Any],
        features: Mapping[str, Any] | None = None,
        id: str | None = None,  # noqa: A002  what the request calls it
        at: datetime | str | None = None,
        outputs: Sequence[str] = (),
        explain: bool = False,
    ) -> Decision:
        """Return the endpoint's decision about an entity.

        Args:
            entity: Key columns of the feature views, None where there is no key, and at most
                eight other columns that identify the row for people.
            features: The inputs that are values of the request, and those that override what the
                views say. None and NaN are null.
            id: What to call the decision; made up by default.
            at: The moment of the decision, aware; only for an endpoint that a replay feeds.
            outputs: What else to answer: "class", "interval".
            explain: Whether to say what each input contributed.

        Raises:
            DecisionRefused: The request is wrong; the error names the field.
            ParameterError: A value cannot be sent as JSON.
            ServiceError: No lane answers, or it could not decide.
        """
        return self._ask(
            decide_request(
                self.endpoint,
                entity=entity,
                features=features,
                id=id,
                at=at,
                outputs=outputs,
                explain=explain,
            )
        )

    def decide_many(
        self,
        decisions: Iterable[Mapping[str, Any]],
        *,
        outputs: Sequence[str] = (),
        explain: bool = False,
    ) -> list[Decision | DecisionRefused]:
        """Return the decisions about many entities, in their order.

        Many are sent in several requests. What is wrong with one of them stands in its place, and
        does not hold up the others.

        Args:
            decisions: Each with `entity`, and as for `decide` perhaps `features`, `id` and `at`.
            outputs: As for `decide`, of all of them.
            explain: As for `decide`, of all of them.

        Raises:
            DecisionRefused: A request is wrong as a whole.
            ParameterError: A value cannot be sent as JSON.
            ServiceError: No lane answers.
        """
        requests = decide_many_requests(self.endpoint, decisions, outputs=outputs, explain=explain)
        return [each for request in requests for each in self._ask(request)]

    def rank(
        self,
        items: Iterable[Mapping[str, Any]],
        *,
        entity: Mapping[str, Any] | None = None,
        features: Mapping[str, Any] | None = None,
        id: str | None = None,  # noqa: A002  what the request calls it
        top: int | None = None,
        at: datetime | str | None = None,
        outputs: Sequence[str] = (),
        explain: bool = False,
    ) -> Ranking:
        """Return items in the order of their scores, the best first.

        Args:
            items: Each with `entity` and `features` of its own, or one of them.
            entity: What all items share.
            features: What all items share.
            id: What to call the list; made up by default. Its items are called after it.
            top: How many to return; None for all.
            at: As for `decide`.
            outputs: As for `decide`.
            explain: As for `decide`.

        Raises:
            DecisionRefused: The request is wrong.
            ParameterError: A value cannot be sent as JSON.
            ServiceError: No lane answers, or it could not decide.
        """
        return self._ask(
            rank_request(
                self.endpoint,
                items,
                entity=entity,
                features=features,
                id=id,
                top=top,
                at=at,
                outputs=outputs,
                explain=explain,
            )
        )

    def score_matrix(
        self,
        rows: np.ndarray[Any, Any],
        *,
        layout: str,
        id: str | None = None,  # noqa: A002  what the request calls it
    ) -> np.ndarray[Any, Any]:
        """Return the scores (n_rows,) of rows that hold every feature as a number.

        Args:
            rows: Shape (n_rows, n_features), in the order that `about()["matrix"]` says; a
                category is the place of its text there. NaN is null.
            layout: What `about()["matrix"]["layout"]` was when the order was read; where the
                champion now has other features, the rows are refused instead of being misread.
            id: What to call the batch; made up by default. Row 3 is the decision "ID/3".

        Raises:
            DecisionRefused: The rows are not of that layout.
            ServiceError: No lane answers, or it could not decide.
        """
        return self._ask(matrix_request(self.endpoint, rows, layout=layout, id=id))

    def decide_table(
        self,
        table: pa.Table,
        *,
        id: str | None = None,  # noqa: A002  what the request calls it
    ) -> pa.Table:
        """Return for each row of a table its decision's `id`, `model` and `score`.

        Args:
            table: Keys of the feature views and features, by their names.
            id: What to call the batch; made up by default.

        Raises:
            DecisionRefused: A column is missing or wrong.
            ServiceError: No lane answers, or it could not decide.
        """
        return self._ask(table_request(self.endpoint, table, id=id))

    def outcome(
        self,
        id: str,  # noqa: A002  what the request calls it
        value: float | None,
        known_at: datetime | None = None,
        *,
        name: str = "",
        corrects: bool = False,
        source: str | None = None,
    ) -> Recorded:
        """Tell the outcome of one decision; see `Outcome` and `outcomes`."""
        told = Outcome(
            id=id, value=value, known_at=known_at, name=name, corrects=corrects, source=source
        )
        return self.outcomes([told])

    def outcomes(self, outcomes: Iterable[Outcome]) -> Recorded:
        """Tell the outcomes of decisions; one that was told before with the same value is fine.

        Many are sent in several requests. The lane records a request whole or not at all, so when
        this fails, tell all of them again.

        Raises:
            DecisionRefused: A decision is unknown, or its outcome has another value already.
            ParameterError: A value is infinite.
            ServiceError: No lane answers, or it could not record them.
        """
        return together(self._ask(each) for each in outcome_requests(self.endpoint, outcomes))

    def about(self) -> dict[str, Any]:
        """Return what answers now, and what it is asked with, as the lane says it.

        Raises:
            DecisionRefused: The lane at the given address is another endpoint's.
            ServiceError: No lane answers.
        """
        return self._ask(about_request(self.endpoint))

    def close(self) -> None:
        """Close the connections; the next request would open them again."""
        self._connections.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, request: Request[T]) -> T:
        steps = talk(self.endpoint, self._told.places, request, patience_seconds=self._patience)
        try:
            return self._walk(steps, request)
        finally:
            steps.close()

    def _walk(self, steps: Talk[T], request: Request[T]) -> T:
        """Do what a talk says until it has an answer."""
        reply: Reply | None = None
        failed: Exception | None = None
        while True:
            try:
                step = steps.send(reply) if failed is None else steps.throw(failed)
            except StopIteration as ended:
                answer: T = ended.value
                return answer
            reply = failed = None
            try:
                if isinstance(step, Send):
                    reply = self._connections.send(step.place, request)
                elif isinstance(step, Find):
                    self._told.finder.find()
                else:
                    time.sleep(step.seconds)
            except Exception as error:  # the talk says what becomes of it
                failed = error
