"""This module is the door to what is recorded of endpoints: routes, history, verdicts and lanes.

Routes change in the database first; the serving host sees `revision` grow and applies what changed.
Every change is one transaction that compares the generation and writes the next, so that of two
changes at once one wins and the other is told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, delete, insert, text

from headrace.lineage.database import Database
from headrace.settings import settings
from serving import _endpoint_rows as rows
from serving import _endpoint_tables as tables
from serving import routing
from serving._endpoint_actions import after_action, new_rivals, with_new_rule
from serving._endpoint_errors import (
    OvertakenError,
    failed,
    no_judgement,
    not_up,
    overtaken,
    require_one_model,
    too_late,
)
from serving._endpoint_records import Action, Change, Consent, Judgement, Lane, Replica
from serving._endpoint_spec import EndpointSpec, plain
from serving.routing import Route

__all__ = [
    "Action",
    "Change",
    "Consent",
    "EndpointSpec",
    "Endpoints",
    "Judgement",
    "Lane",
    "OvertakenError",
    "Replica",
]

_POLL_SECONDS = 0.02
_POLLS_PER_ALIVE = 25


class Endpoints:
    """These are the endpoints of one installation, safe among threads and processes.

    Args:
        database: Where they are recorded; the shared database of the settings by default.
    """

    def __init__(self, database: Database | None = None) -> None:
        self._database = database or Database(settings().database_url)

    # --- reading ---

    def names(self) -> list[str]:
        """Return the names of all endpoints, in their order."""
        with self._database.reading() as connection:
            return rows.names(connection)

    def route(self, name: str) -> Route:
        """Return what an endpoint answers with.

        Raises:
            UnknownNameError: There is no such endpoint.
        """
        with self._database.reading() as connection:
            return rows.route_of(rows.row_of(connection, name))

    def spec(self, name: str) -> EndpointSpec:
        """Return how an endpoint reads its inputs.

        Raises:
            UnknownNameError: There is no such endpoint.
        """
        with self._database.reading() as connection:
            return rows.spec_of(rows.row_of(connection, name))

    def lane(self, name: str) -> Lane | None:
        """Return how the endpoint's process was last seen; None if the host never saw it.

        Raises:
            UnknownNameError: There is no such endpoint.
        """
        with self._database.reading() as connection:
            return rows.lane_of(connection, name)

    def history(self, name: str, *, last: int | None = None) -> list[Change]:
        """Return the changes of an endpoint, oldest first.

        Args:
            name: The endpoint.
            last: How many of the newest; None for all.

        Raises:
            UnknownNameError: There is no such endpoint.
        """
        with self._database.reading() as connection:
            rows.row_of(connection, name)
            return rows.changes(connection, name, last)

    @property
    def database(self) -> Database:
        """Where they are recorded."""
        return self._database

    def judgements(self, name: str, experiment: str, *, last: int | None = None) -> list[Judgement]:
        """Return what the rule said of an experiment, newest first.

        Args:
            name: The endpoint.
            experiment: The comparison.
            last: How many of the newest; None for all.

        Raises:
            UnknownNameError: There is no such endpoint.
        """
        with self._database.reading() as connection:
            rows.row_of(connection, name)
            return rows.judgements(connection, name, experiment, last)

    def verdict(self, name: str, experiment: str) -> dict[str, Any] | None:
        """Return the trace of the newest judgement of an experiment; None before the first.

        Raises:
            UnknownNameError: There is no such endpoint.
        """
        found = self.judgements(name, experiment, last=1)
        return dict(found[0].trace) if found else None

    def judgement(self, number: int) -> Judgement:
        """Return one judgement by its number.

        Raises:
            UnknownNameError: There is none.
        """
        with self._database.reading() as connection:
            found = rows.judgement(connection, number)
        if found is None:
            raise no_judgement(number)
        return found

    def verdicts(self, name: str, *, last: int) -> list[Judgement]:
        """Return the newest judgements of all experiments of an endpoint, newest first.

        Raises:
            UnknownNameError: There is no such endpoint.
        """
        with self._database.reading() as connection:
            rows.row_of(connection, name)
            return rows.judgements(connection, name, None, last)

    def newest_verdicts(self) -> dict[str, int]:
        """Return the number of the newest verdict of each endpoint that has one."""
        with self._database.reading() as connection:
            return rows.newest_verdicts(connection)

    def consents(self, name: str, experiment: str) -> list[Consent]:
        """Return what people said to an experiment's promotion, oldest first.

        Raises:
            UnknownNameError: There is no such endpoint.
        """
        with self._database.reading() as connection:
            rows.row_of(connection, name)
            return rows.consents(connection, name, experiment)

    def revision(self) -> int:
        """Return a number that grows with every change of a route or spec, in one cheap query."""
        with self._database.reading() as connection:
            return int(connection.execute(rows.REVISION).scalar_one())

    # --- changing ---

    def declare(
        self,
        name: str,
        *,
        spec: EndpointSpec,
        champion: str,
        challenger: str | None = None,
        also: Sequence[str] = (),
        split: Callable[[Route, Sequence[str]], Route] | None = None,
        reason: str,
    ) -> tuple[Route, bool]:
        """Say what is to be served; `routing.declare` decides what becomes of it.

        A changed spec is taken over in any case, and alone makes a new generation.

        Args:
            name: The endpoint, made when there is none.
            spec: How it reads its inputs.
            champion: The proposed champion, as "name/3".
            challenger: The version to compare with it, if any.
            also: Further versions to compare with it.
            split: Deals traffic to challengers that are new with this; None leaves them in shadow.
            reason: Why, in words.

        Returns:
            The route, and whether anything changed.

        Raises:
            ParameterError: A name or version is not allowed.
            RoutingError: A version is of another registered model than the endpoint's.
        """
        challenger = None if challenger == champion else challenger
        with self._changing() as connection:
            row = rows.row_or_none(connection, name)
            before = None if row is None else rows.route_of(row)
            known = None if row is None else rows.spec_of(row)
            require_one_model(name, (known or spec).model, spec.model, champion, challenger, *also)
            after = routing.declare(
                before,
                endpoint=name,
                champion=champion,
                challenger=challenger,
                tried=rows.tried(connection, name),
                also=also,
            )
            new_spec = None if spec == known else spec
            if before is not None and after is before and new_spec is not None:
                after = routing.restate(before)
            if before is not None and known is not None and known.rule != spec.rule:
                after = with_new_rule(before, after)
            changed = after is not before
            new = new_rivals(before, after) if changed else []
            if split is not None and new:
                after = split(after, new)
            if changed:
                rows.write_change(
                    connection, "declare", before, after, reason=reason, spec=new_spec
                )
            for other in (challenger, *also):
                rows.remember_pair(connection, name, champion, other)
        return after, changed

    def change(
        self,
        name: str,
        action: Action,
        *,
        generation: int | None,
        reason: str,
        trace: Mapping[str, Any] | None = None,
        challenger: str | None = None,
        **options: Any,
    ) -> Route:
        """Change who answers or who is compared, if the endpoint is still as it was looked at.

        Args:
            name: The endpoint.
            action: What to do; `routing` has a function for each.
            generation: The generation that was looked at; None changes whichever there is.
            reason: Why, in words.
            trace: What it rests on, as JSON-like data.
            challenger: Which challenger, as "name/3": "challenge" needs one; "promote", "withdraw"
                and "shadow" may name one of several.
            options: What the function of `routing` takes beside, such as `shares`.

        Returns:
            The route since.

        Raises:
            UnknownNameError: There is no such endpoint.
            ParameterError: There is no such action, or its challenger is not as it should be.
            OvertakenError: Somebody else changed the endpoint meanwhile.
            RoutingError: The route does not allow it.
        """
        with self._changing() as connection:
            row = rows.row_of(connection, name)
            before = rows.route_of(row)
            if generation is not None and generation != before.generation:
                raise overtaken(rows.change_to(connection, name, before.generation), generation)
            if challenger is not None:
                require_one_model(name, rows.spec_of(row).model, None, challenger)
            after = after_action(action, before, challenger, options)
            rows.write_change(connection, action, before, after, reason=reason, trace=trace)
        return after

    def consent(
        self,
        name: str,
        experiment: str,
        *,
        rule: str,
        approved: bool,
        reason: str,
        actor: str | None = None,
    ) -> None:
        """Record what somebody says to an experiment's promotion.

        Args:
            name: The endpoint.
            experiment: The comparison.
            rule: Hash of the rule that it is promoted by.
            approved: Whether it is approved.
            reason: Why, in words; may be empty.
            actor: Who says it; the present actor by default.

        Raises:
            UnknownNameError: There is no such endpoint.
        """
        values = {"endpoint": name, "experiment": experiment, "rule": rule, "reason": reason}
        signed = rows.signed() | ({} if actor is None else {"actor": actor})
        with self._database.writing() as connection:
            rows.row_of(connection, name)
            row = insert(tables.consent).values(**values, approved=approved, **signed)
            connection.execute(row)

    def record_verdict(self, name: str, experiment: str, trace: Mapping[str, Any]) -> int:
        """Record what the rule said of an experiment; the same as the newest changes nothing.

        Returns:
            The verdict's number.

        Raises:
            UnknownNameError: There is no such endpoint.
            ParameterError: The trace is not JSON-like.
        """
        said = plain("trace", trace)
        with self._database.writing() as connection:
            rows.row_of(connection, name)
            newest = rows.judgements(connection, name, experiment, 1)
            if newest and newest[0].trace == said:
                return newest[0].number
            values = {"endpoint": name, "experiment": experiment, "trace": said}
            row = insert(tables.verdict).values(**values, **rows.signed())
            return int(connection.execute(row.returning(tables.verdict.c.number)).scalar_one())

    # --- the lane ---

    def observe(self, name: str, lane: Lane) -> None:
        """Record how the endpoint's process is seen; only the newest is kept.

        Raises:
            UnknownNameError: There is no such endpoint.
        """
        table = tables.lane
        with self._database.writing() as connection:
            rows.row_of(connection, name)
            connection.execute(delete(table).where(table.c.endpoint == name))
            connection.execute(insert(table).values(endpoint=name, **asdict(lane)))

    def wait_applied(
        self,
        name: str,
        generation: int,
        *,
        timeout_seconds: float,
        alive: Callable[[], bool] | None = None,
    ) -> Lane:
        """Wait until the endpoint's lane answers with a generation or a later one.

        Args:
            name: The endpoint.
            generation: The generation to wait for.
            timeout_seconds: How long to wait, in seconds.
            alive: Whether the serving host runs; asked about twice a second. None assumes it.

        Returns:
            The lane.

        Raises:
            UnknownNameError: There is no such endpoint.
            ServiceError: The host does not run, the lane failed, or it took too long.
        """
        began, polls = time.monotonic(), 0
        while True:
            if alive is not None and polls % _POLLS_PER_ALIVE == 0 and not alive():
                raise not_up(name)
            lane = self.lane(name)
            if lane is not None and lane.generation >= generation:
                if lane.state == "serving":
                    return lane
                if lane.state == "failed":
                    raise failed(name, lane)
            if time.monotonic() - began > timeout_seconds:
                raise too_late(name, generation, timeout_seconds, lane)
            polls += 1
            time.sleep(_POLL_SECONDS)

    @contextmanager
    def _changing(self) -> Iterator[Connection]:
        with self._database.writing() as connection:
            if connection.dialect.name == "postgresql":  # SQLite has one writer at a time anyway
                connection.execute(text("LOCK TABLE endpoint IN EXCLUSIVE MODE"))
            yield connection
