"""This module is a set of clients for a soak: they ask, tell outcomes, and write both down.

`python -m benchmarks._soak_clients ENDPOINT BODIES CLIENTS DECISIONS FILE SEED`: together they ask
for so many decisions through `serving.client.Client`, each with an id of its own. Of most of them
they tell an outcome: at once or later, some twice, some corrected, some known long after. What was
answered, and what was told and acknowledged, goes into FILE, one JSON object a line.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections import deque
from datetime import timedelta
from pathlib import Path
from typing import Any

from headrace.errors import HeadraceError
from serving.client import Client, Outcome

_PATIENCE_SECONDS = 90.0
_OUTCOMES_AT_ONCE = 40


class Soak:
    """These are clients of one endpoint that share a number of decisions to ask for.

    Args:
        endpoint: Name of the endpoint.
        bodies: What is asked, as clients send it.
        decisions: How many decisions are asked for, together.
        seed: Of what is told of which decision.
    """

    def __init__(
        self, endpoint: str, bodies: list[dict[str, Any]], decisions: int, seed: int
    ) -> None:
        self._endpoint, self._bodies = endpoint, bodies
        self._left = decisions
        self._lock = threading.Lock()
        self._seed = seed
        self.said: list[dict[str, Any]] = []
        self.failed: list[str] = []

    def run(self, number: int) -> None:
        """Ask, as one client, until nothing is left to ask for."""
        dice = random.Random(self._seed * 1_000 + number)  # noqa: S311
        waiting: deque[Outcome] = deque()
        with Client(self._endpoint, patience_seconds=_PATIENCE_SECONDS) as client:
            while (count := self._take()) is not None:
                body = dice.choice(self._bodies)
                try:
                    decision = client.decide(**{**body, "id": f"soak-{number}-{count}"})
                except HeadraceError as error:
                    self.failed.append(str(error))
                    continue
                self._say(decided=decision.id, model=decision.model, value=decision.value)
                waiting.extend(_told(decision.id, decision.at, dice))
                if len(waiting) > _OUTCOMES_AT_ONCE * 5:
                    self._tell(client, [waiting.popleft() for _ in range(_OUTCOMES_AT_ONCE)])
            while waiting:
                batch = [waiting.popleft() for _ in range(min(len(waiting), _OUTCOMES_AT_ONCE))]
                self._tell(client, batch)

    def _take(self) -> int | None:
        with self._lock:
            if self._left == 0:
                return None
            self._left -= 1
            return self._left

    def _tell(self, client: Client, outcomes: list[Outcome]) -> None:
        # a correction is told after what it corrects, so never in the same request
        for part in (
            [each for each in outcomes if not each.corrects],
            [each for each in outcomes if each.corrects],
        ):
            if not part:
                continue
            try:
                client.outcomes(part)
            except HeadraceError as error:
                self.failed.append(str(error))
                continue
            for each in part:
                self._say(told=each.id, value=each.value, corrects=each.corrects)

    def _say(self, **what: Any) -> None:
        self.said.append(what | {"at": time.time()})


def _told(identity: str, at: Any, dice: random.Random) -> list[Outcome]:
    """Return what is told of a decision: nothing, an outcome, twice, or also its correction."""
    kind = dice.random()
    if kind < 0.1:
        return []
    late = timedelta(hours=dice.choice([0, 1, 48]))
    first = Outcome(id=identity, value=float(dice.random() < 0.3), known_at=at + late)
    if kind < 0.2:
        return [first, first]
    if kind < 0.3:
        other = Outcome(
            id=identity, value=1.0 - float(first.value or 0), known_at=at + late, corrects=True
        )
        return [first, other]
    return [first]


def main(arguments: list[str]) -> None:
    """Run the clients."""
    endpoint, bodies, clients, decisions, path, seed = arguments
    asked = [json.loads(line) for line in Path(bodies).read_text(encoding="utf-8").splitlines()]
    soak = Soak(endpoint, asked, int(decisions), int(seed))
    threads = [threading.Thread(target=soak.run, args=(n,)) for n in range(int(clients))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Path(path).open("w", encoding="utf-8") as file:
        for line in soak.said:
            file.write(json.dumps(line) + "\n")
    sys.stdout.write(json.dumps({"failed": len(soak.failed), "why": soak.failed[:5]}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
