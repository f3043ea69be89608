"""This module delivers the events of a replay: facts to the store, the rest to the lane."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from features.online import OnlineStore, Row
from features.view import FeatureView
from headrace.clock import SystemClock, VirtualClock, from_us, using_clock
from headrace.errors import DataError, HeadraceError, ServiceError
from serving._replay_events import DECISION, FACT, Asked, Steps, Told
from serving._replay_sender import Sender

_OUTCOMES_AT_ONCE = 500
_DECISIONS_AT_ONCE = 256
_SECONDS_BETWEEN_WORDS = 0.5


@dataclass(kw_only=True)
class Counts:
    """These are the events that were delivered so far."""

    decisions: int = 0
    repeated: int = 0
    outcomes: int = 0
    facts: int = 0
    missing: dict[str, int] = field(default_factory=dict)


class Delivery:
    """This delivers in the order of time, under a clock that stands where the events are.

    Args:
        steps: The events.
        endpoint: Name of the endpoint.
        mark: Begins the id of every decision of this replay.
        outcome: Name of the outcome that is told; "" for the one without a name.
        store: The online store, in the space that the endpoint reads.
        sender: Reaches the lane.
        clock: Stands at the beginning.
        say: Is told how far it is.
    """

    def __init__(
        self,
        steps: Steps,
        *,
        endpoint: str,
        mark: str,
        outcome: str = "",
        store: OnlineStore,
        sender: Sender,
        clock: VirtualClock,
        say: Callable[[str], None],
    ) -> None:
        self.counts = Counts()
        self._steps, self._mark, self._store = steps, mark, store
        self._sender, self._clock, self._say = sender, clock, say
        self._paths = (f"/v1/{endpoint}/decide", f"/v1/{endpoint}/outcomes")
        self._name = {"name": outcome} if outcome else {}
        self._facts: dict[str, tuple[FeatureView, list[Row]]] = {}
        self._asked: list[Asked] = []
        self._told: list[Told] = []
        self._said_at = float("-inf")

    def run(self) -> Counts:
        """Deliver everything.

        Raises:
            DataError: The lane refuses a decision or an outcome.
            ServiceError: The lane does not answer.
            StoreError: The online store cannot be written.
        """
        with using_clock(self._clock):
            for moment, kind, position in self._steps.in_order():
                if kind == FACT:
                    self._ask()  # the decisions before it must not see it
                    _, view, row = self._steps.facts[position]
                    self._facts.setdefault(view.name, (view, []))[1].append(row)
                elif kind == DECISION:
                    if self._facts:
                        self._clock.advance_to(from_us(moment))
                        self._push()
                    self._asked.append(self._steps.decisions[position])
                    if len(self._asked) >= _DECISIONS_AT_ONCE:
                        self._ask()
                else:
                    self._told.append(self._steps.outcomes[position])
                    if len(self._told) >= _OUTCOMES_AT_ONCE:
                        self._tell()
            self._ask()
            self._tell()
        return self.counts

    def _push(self) -> None:
        facts, self._facts = self._facts, {}
        self._store.push_many(list(facts.values()))
        self.counts.facts += sum(len(rows) for _, rows in facts.values())

    def _ask(self) -> None:
        asked, self._asked = self._asked, []
        if not asked:
            return
        bodies = [
            orjson.dumps(
                {
                    "id": f"{self._mark}:{each.unit}",
                    "entity": each.entity,
                    "features": each.features,
                    "at": from_us(each.at_us).isoformat(),
                }
            )
            for each in asked
        ]
        for each, (status, body) in zip(
            asked, self._sender.post(self._paths[0], bodies), strict=True
        ):
            answer = orjson.loads(body)
            if status != 200:
                raise _refused(f"The decision on {each.unit}", status, answer)
            self.counts.decisions += 1
            self.counts.repeated += answer["repeated"]
            for view in answer["missing"]:
                self.counts.missing[view] = self.counts.missing.get(view, 0) + 1
        self._tell_how_far(asked[-1].at_us)

    def _tell(self) -> None:
        self._ask()  # an outcome comes after its decision
        told, self._told = self._told, []
        if not told:
            return
        body = orjson.dumps(
            {
                "outcomes": [
                    {
                        "id": f"{self._mark}:{each.unit}",
                        "value": each.value,
                        "known_at": from_us(each.known_us).isoformat(),
                        **self._name,
                    }
                    for each in told
                ]
            }
        )
        [(status, answer)] = self._sender.post(self._paths[1], [body])
        if status != 200:
            raise _refused(f"An outcome of {len(told)}", status, orjson.loads(answer))
        self.counts.outcomes += len(told)

    def _tell_how_far(self, at_us: int) -> None:
        now = SystemClock().monotonic()
        if now - self._said_at < _SECONDS_BETWEEN_WORDS:
            return
        self._said_at = now
        self._say(
            f"{self.counts.decisions:,} of {len(self._steps.decisions):,} decisions, "
            f"at {from_us(at_us):%Y-%m-%d}"
        )


def _refused(what: str, status: int, answer: dict[str, Any]) -> HeadraceError:
    error = answer.get("error", {})
    kind = ServiceError if status >= 500 else DataError
    return kind(
        f"{what} was refused by the lane ({status}): {error.get('message', answer)}",
        remedy=error.get("remedy", "Look into the lane's log."),
    )
