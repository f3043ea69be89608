"""This module makes the records of decisions, and what is sent of a record."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Mapping
from typing import Any

from headrace.clock import from_us
from headrace.models import ModelCard
from operators.outputs import answer_of, figure_of
from serving._requests import DecisionRequest
from serving.lane.cases import Case
from serving.lane.rows import RowBuilder


class Recorder:
    """This makes the records of one routing table.

    Args:
        endpoint: Name of the endpoint.
        cards: The cards of those who may answer, by their models.
        columns: The number that the log has for the names of a row.
        rows: Who made the rows.
    """

    def __init__(
        self, endpoint: str, cards: Mapping[str, ModelCard], columns: int, rows: RowBuilder
    ) -> None:
        self._endpoint = endpoint
        self._cards = cards
        self._columns = columns
        self._rows = rows
        self._figures = {ref: figure_of(card) for ref, card in cards.items()}
        # one random beginning for all: a random number for each would cost a system call
        self._made, self._made_so_far = f"{uuid.uuid4().hex}-", itertools.count(1)
        self._moment = (0, from_us(0).isoformat())  # a batch has one moment, and it takes a while

    def new_id(self) -> str:
        """Return an id that no decision has."""
        return f"{self._made}{next(self._made_so_far):x}"

    def of_case(self, case: Case, score: float, logged: int) -> dict[str, Any]:
        """Return the record of a case, for a score of the model that it is dealt to."""
        dealt = case.dealt
        record = self.record(
            case.request,
            case.row,
            case.missing,
            score,
            logged,
            model=dealt.model,
            fields=dealt.fields,
        )
        if case.more:
            record.update(case.more)
        return record

    def record(
        self,
        request: DecisionRequest,
        row: list[Any],
        missing: list[str],
        score: float,
        logged: int,
        *,
        model: str,
        fields: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Return the record of a decision.

        Args:
            request: What was asked.
            row: The values that were used.
            missing: Views that had nothing.
            score: What the model said.
            logged: The moment of the record, in microseconds since 1970.
            model: Who answered.
            fields: What the record says of who else could have answered.
        """
        if request.outputs:
            answer = answer_of(self._cards[model], score, request.outputs)
        else:
            answer = {self._figures[model]: score}
        return {
            "kind": "decision",
            "id": request.id or self.new_id(),
            "at": request.at_us,
            "logged": logged,
            "entity": request.entity,
            "columns": self._columns,
            "features": row,
            "overridden": self._rows.overridden(request),
            "missing": missing,
            **fields,
            "model": model,
            "score": score,
            "answer": answer,
        }

    def answer_of(self, record: Mapping[str, Any], *, repeated: bool) -> dict[str, Any]:
        """Return what is sent for a decision that is logged."""
        at = record["at"]
        known, text = self._moment
        if at != known:
            text = from_us(at).isoformat()
            self._moment = at, text
        return {
            "id": record["id"],
            "endpoint": self._endpoint,
            "model": record["model"],
            "answer": record["answer"],
            "at": text,
            "repeated": repeated,
            "missing": record["missing"],
        }
