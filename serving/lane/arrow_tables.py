"""This module decides tables of Arrow: whole where they have all features, else row by row.

A table with all inputs of the endpoint goes to the model as columns, and into the log as one
record. One that lacks some, names its rows, or has rows of several moments or models, is as many
decisions as it has rows, each looked up, dealt and logged as if it had come alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from serving._arrow_body import read_table
from serving._arrow_columns import (
    SPECIAL,
    check_columns,
    check_texts,
    encode_columns,
    plain_rows,
)
from serving._batch_errors import id_twice
from serving._request_batches import within_row
from serving._request_errors import RequestError
from serving._request_reading import read_at
from serving._requests import MOST_BATCH_BYTES, DecisionRequest, RequestReader
from serving.lane.batch_answers import Answered, rows_of_record, table_answer
from serving.lane.exchange import Answer, Asked
from serving.lane.matrices import Batch, Matrices

if TYPE_CHECKING:
    import pyarrow as pa

    from serving.lane.app import LaneApp
    from serving.lane.deciding import Decider

_IN_A_TURN = 128  # rows that are read or decided before other requests have their turn


class ArrowTables:
    """This decides the tables of one lane.

    Args:
        lane: The lane.
        matrices: What decides those with all features.
    """

    def __init__(self, lane: LaneApp, matrices: Matrices) -> None:
        self._lane, self._matrices = lane, matrices

    async def decided(self, asked: Asked, parameters: Mapping[str, str]) -> Answer:
        """Answer a table.

        Raises:
            RequestError: It is no table that the endpoint reads, or cannot be logged.
        """
        body = await asked.body(MOST_BATCH_BYTES)
        decider, reader = self._lane.ready()
        identity, logged = await self._matrices.known(parameters)
        if logged is not None:
            rows = rows_of_record(logged, repeated=True)
            return await table_answer(asked, self._lane.endpoint, identity, rows)
        at_us = read_at(parameters.get("at"), reader.rules)
        traffic, rules = decider.table.traffic, reader.rules
        units = () if traffic is None else traffic.unit
        table = await asyncio.to_thread(
            read_table, body, lambda schema: check_columns(schema, rules, units)
        )
        self._lane.gate.charge(asked, table.num_rows)
        if not table.num_rows:
            found: list[Answered] = []
        elif _is_whole(decider, table.column_names, units):
            batch = await asyncio.to_thread(self._batch, decider, reader, identity, at_us, table)
            # the same may have come meanwhile
            _, logged = await self._matrices.known(parameters)
            if logged is None:
                record, _ = await self._matrices.record(decider, asked, batch)
                found = rows_of_record(record, repeated=False)
            else:
                found = rows_of_record(logged, repeated=True)
        else:
            plain = await asyncio.to_thread(plain_rows, table)
            requests = await _requests_of(plain, reader, identity, at_us)
            found = await self._one_by_one(decider, asked, identity, requests)
        return await table_answer(asked, self._lane.endpoint, identity, found)

    def _batch(
        self,
        decider: Decider,
        reader: RequestReader,
        identity: str,
        at_us: int | None,
        table: pa.Table,
    ) -> Batch:
        """Return a table as what is scored and logged; in a thread."""
        check_texts(table, reader.rules)
        names = [each.name for each in decider.inputs if not each.only_for]
        entity = [name for name in table.column_names if name not in names]
        features = table.select(names)

        def rows() -> list[list[Any]]:
            plain = plain_rows(features)
            wanted = [each.name for each in decider.inputs]
            return [[row.get(name) for name in wanted] for row in plain]

        return Batch(
            id=identity,
            at_us=at_us,
            columns=self._lane.log.columns(names),
            matrix=encode_columns(table, decider.champion.scorer.card.features),
            content=features,
            rows=rows,
            has_all=True,
            entity={name: table.column(name).to_pylist() for name in entity},
        )

    async def _one_by_one(
        self, decider: Decider, asked: Asked, identity: str, requests: list[DecisionRequest]
    ) -> list[Answered]:
        said = {"batch": identity} | ({} if asked.client is None else {"client": asked.client})
        found: list[Answered] = []
        for begin in range(0, len(requests), _IN_A_TURN):
            some = requests[begin : begin + _IN_A_TURN]
            answers = await decider.decide_all(some, [said] * len(some))
            found += [
                Answered.of(str(request.id), each)
                for request, each in zip(some, answers, strict=True)
            ]
        for each in found:
            if each.error is not None:
                self._lane.meters.refused(each.error["code"])
        return found


async def _requests_of(
    plain: list[dict[str, Any]], reader: RequestReader, identity: str, at_us: int | None
) -> list[DecisionRequest]:
    """Return the rows of a table as requests, each with an id of its own.

    Raises:
        RequestError: Something is wrong with a row, which is named.
    """
    requests: dict[str, DecisionRequest] = {}
    for place, row in enumerate(plain):
        try:
            request = reader.read(_document(row, reader))
        except RequestError as error:
            raise within_row(error, place) from None
        request.id = request.id or f"{identity}/{place}"
        request.at_us = at_us if request.at_us is None else request.at_us
        if requests.setdefault(request.id, request) is not request:
            raise within_row(id_twice(request.id), place)
        if place % _IN_A_TURN == 0:
            await asyncio.sleep(0)
    return list(requests.values())


def _is_whole(decider: Decider, names: list[str], units: tuple[str, ...]) -> bool:
    """Say whether a table can be decided as one: all there, of one moment, by one model."""
    inputs = {each.name for each in decider.inputs if not each.only_for}
    own = {each.name for each in decider.inputs}
    traffic = decider.table.traffic
    dealt = traffic is not None and bool(traffic.spans) and set(units) <= set(names)
    special = any(name in names and name not in own for name in SPECIAL)
    return inputs <= set(names) and not special and not (dealt and units)


def _document(row: dict[str, Any], reader: RequestReader) -> dict[str, Any]:
    """Return a row as a body of `decide` would hold it."""
    rules = reader.rules
    features = {name: value for name, value in row.items() if name in rules.inputs}
    entity = {
        name: value
        for name, value in row.items()
        if name in rules.keys or (name not in rules.inputs and name not in SPECIAL)
    }
    special = {
        name: row[name]
        for name in SPECIAL
        if name in row and name not in features and name not in entity
    }
    return {"entity": entity, "features": features, **special}
