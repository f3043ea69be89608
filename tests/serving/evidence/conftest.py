"""Decision logs as a lane and its shadow write them, and what is collected from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from headrace.decisions import DecisionLog
from serving.evidence import Evidence, collect
from serving.rule import Rule

FIRST = datetime(2013, 7, 1, tzinfo=UTC)  # a Monday


def moment(hours: float) -> int:
    """Microseconds of so many hours after the first Monday."""
    return round((FIRST + timedelta(hours=hours)).timestamp() * 1e6)


class Written:
    """A log that is written record by record."""

    first = FIRST

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log = DecisionLog.open(folder, writer="test")
        self._waiting: list[dict[str, Any]] = []

    def decided(
        self,
        name: str,
        hours: float,
        score: float,
        *,
        model: str = "delay/3",
        experiment: str | None = "e1",
        features: dict[str, float] | None = None,
        **more: Any,
    ) -> None:
        """A decision by a model."""
        given = features or {"wind": 1.0}
        at = moment(hours)
        record = {"kind": "decision", "id": name, "at": at, "logged": at, "model": model}
        record |= {"score": score, "experiment": experiment, "features": list(given.values())}
        self._waiting.append(record | {"columns": self._log.columns(list(given))} | more)

    def dealt(
        self, name: str, hours: float, score: float, share: float, to: str, **more: Any
    ) -> None:
        """A decision of which the challenger had a share, dealt to one of the two."""
        chances: dict[str, Any] = {
            "candidates": ["delay/3", "delay/4"],
            "propensities": [1 - share, share],
        }
        self.decided(name, hours, score, **({"model": to, "assigned": to} | chances | more))

    def shadowed(
        self,
        name: str,
        score: float | None,
        *,
        model: str = "delay/4",
        experiment: str = "e1",
    ) -> None:
        """A shadow score; None for an error."""
        record = {"kind": "shadow", "id": name, "logged": 1, "model": model, "ms": 0.5}
        said = {"error": "ValueError: no"} if score is None else {"score": score}
        self._waiting.append(record | {"experiment": experiment} | said)

    def known(self, name: str, value: float | None, hours: float) -> None:
        """An outcome."""
        record = {"kind": "outcome", "id": name, "known_at": moment(hours), "value": value}
        self._waiting.append(record | {"logged": moment(hours)})

    def evidence(
        self, rule: Rule, *, days: float = 60.0, experiment: str = "e1", **pair: Any
    ) -> Evidence:
        """What is known so many days after the first Monday."""
        self.write()
        return collect(
            self.folder,
            rule=rule,
            endpoint="delay",
            experiment=experiment,
            as_of=FIRST + timedelta(days=days),
            **pair,
        )

    def write(self) -> None:
        """Append what was said since."""
        if self._waiting:
            self._log.append(self._waiting)
            self._waiting = []

    def close(self) -> None:
        self._log.close()


@pytest.fixture
def new_log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Written]]:
    made: list[Written] = []

    def make() -> Written:
        made.append(Written(tmp_path_factory.mktemp("log")))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def log(new_log: Callable[[], Written]) -> Written:
    return new_log()
