"""This module reads what a lane is sent: a body becomes a request, or an error that explains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from serving._request_batches import (
    MOST_BATCH_BYTES,
    BatchRequest,
    RankRequest,
    read_batch,
    read_ranking,
)
from serving._request_errors import RequestError
from serving._request_faults import not_json
from serving._request_outcomes import OutcomeRequest, read_outcomes
from serving._request_reading import (
    DecisionRequest,
    read_decision,
    read_explain,
    read_outputs,
)
from serving._request_rules import (
    FIELDS,
    MOST_OTHER_COLUMNS,
    Clock,
    Input,
    Lookup,
    rules_of,
)
from serving._request_shapes import Shapes
from serving._request_values import (
    AS_IT_IS,
    IDENTIFICATION,
    LARGEST_INT,
    LONGEST_TEXT,
    NUMBER,
    TEXT,
    TIMES,
    WHOLE,
    WHOLE_AS_NUMBER,
    read_id,
    read_moment,
)

__all__ = [
    "MOST_BATCH_BYTES",
    "MOST_BYTES",
    "MOST_OUTCOME_BYTES",
    "BatchRequest",
    "DecisionRequest",
    "Input",
    "Lookup",
    "OutcomeRequest",
    "RankRequest",
    "RequestReader",
]

MOST_BYTES = 65_536
MOST_OUTCOME_BYTES = 1 << 20


class RequestReader:
    """This reads the bodies that an endpoint is sent; it is made once for each routing table.

    Args:
        endpoint: Name of the endpoint, for messages.
        inputs: The inputs of its models, each once.
        lookups: The feature views that are looked up for it.
        clock: "replayed" where a decision may say its moment, `at`.
        max_bytes: Size of the largest body for a decision that is read.
        max_outcome_bytes: Likewise for outcomes, of which one body holds many.
        outputs: What every model that may answer can be asked for.

    Raises:
        ParameterError: The inputs and lookups do not fit together.
    """

    def __init__(
        self,
        *,
        endpoint: str,
        inputs: Sequence[Input],
        lookups: Sequence[Lookup],
        clock: Clock,
        max_bytes: int = MOST_BYTES,
        max_outcome_bytes: int = MOST_OUTCOME_BYTES,
        outputs: Sequence[str] = (),
    ) -> None:
        self.rules = rules_of(endpoint, inputs, lookups, clock, outputs)
        self._max_bytes = max_bytes
        self._max_outcome_bytes = max_outcome_bytes
        self._fields = frozenset(FIELDS)
        self._feature_checks = {name: kind.checks for name, kind in self.rules.inputs.items()}
        self._column_checks = {
            **{name: self._feature_checks[name] for name in self.rules.own},
            **{name: kind.checks for name, kind in self.rules.keys.items()},
        }
        self._shapes = Shapes(self.rules)

    def decision(self, body: bytes) -> DecisionRequest:
        """Return what a body of `decide` asks for.

        Raises:
            RequestError: It is wrong; the error names the field, what was expected and what came.
        """
        return self.read(_parsed(body, self._max_bytes))

    def read(self, document: Any) -> DecisionRequest:
        """Return what a body of `decide`, as JSON was read, asks for; see `decision`."""
        request = self._without_fault(document)
        return read_decision(document, self.rules) if request is None else request

    def batch(self, body: bytes) -> BatchRequest:
        """Return what a JSON body of `decide-batch` asks for.

        Raises:
            RequestError: It is wrong as a whole; what is wrong with a decision is in its place.
        """
        return read_batch(_parsed(body, MOST_BATCH_BYTES), self.rules, self.read)

    def ranking(self, body: bytes) -> RankRequest:
        """Return what a body of `rank` asks for.

        Raises:
            RequestError: It is wrong; the error names the field, with the item it is of.
        """
        return read_ranking(_parsed(body, MOST_BATCH_BYTES), self.rules, self.read)

    def outcomes(self, body: bytes) -> list[OutcomeRequest]:
        """Return the outcomes that a body of `outcomes` tells, in its order.

        Raises:
            RequestError: It is wrong; the error names the field, what was expected and what came.
        """
        return read_outcomes(_parsed(body, self._max_outcome_bytes))

    def _without_fault(self, document: Any) -> DecisionRequest | None:
        """Return the request where nothing is wrong with it, else None: then it is read slowly."""
        try:
            entity, given = document.get("entity"), document.get("features")
            given = {} if given is None else given
            entity = {} if entity is None else entity
            shape = self._shapes.of(given)
            if shape is None or not self._is_entity(entity) or not document.keys() <= self._fields:
                return None
            given = given.copy()  # whoever explains a fault reads the values as they were sent
            if not shape.fits(given):
                return None
            for name in shape.own:
                value = entity[name]
                check = self._feature_checks[name][type(value)]
                given[name] = value if check <= NUMBER else _converted(value, check, name)
            for name in shape.spare:
                if name in entity:
                    check = self._feature_checks[name][type(entity[name])]
                    given[name] = _converted(entity[name], check, name)
            if not all(map(entity.__contains__, shape.keys)):
                return None
            identity, at = document.get("id"), document.get("at")
            if at is not None and self.rules.clock != "replayed":
                return None
            outputs = document.get("outputs")
            return DecisionRequest(
                None if identity is None else read_id(identity, "id"),
                entity,
                given,
                None if at is None else read_moment(at, "at"),
                () if outputs is None else read_outputs(outputs, self.rules),
                "explain" in document and read_explain(document),
            )
        except (KeyError, TypeError, AttributeError):  # something is missing, unknown or no object
            return None

    def _is_entity(self, entity: dict[str, Any]) -> bool:
        others = 0
        for name, value in entity.items():
            checks = self._column_checks.get(name)
            if checks is None:
                if name in self._feature_checks or not 1 <= len(name) <= LONGEST_TEXT:
                    return False
                others += 1
                checks = IDENTIFICATION.checks
            check = checks[type(value)]
            if check == TEXT:
                if len(value) > LONGEST_TEXT:
                    return False
            elif check == WHOLE:
                if not -LARGEST_INT <= value <= LARGEST_INT:
                    return False
            elif check != AS_IT_IS and not _is_time(value, check):
                return False
        return others <= MOST_OTHER_COLUMNS


def _is_time(value: Any, check: int) -> bool:
    try:
        return check in TIMES and bool(TIMES[check](value, ""))
    except RequestError:
        return False


def _converted(value: Any, check: int, name: str) -> Any:
    """Return a value of the request that the entity has, which was looked at before."""
    if check == WHOLE_AS_NUMBER:
        return float(value)
    return TIMES[check](value, name) if check in TIMES else value


def _parsed(body: bytes, most: int) -> Any:
    if len(body) > most:
        raise RequestError.too_large(len(body), most)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise not_json(body, error) from None
