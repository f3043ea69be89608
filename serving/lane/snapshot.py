"""This module is what one replica counted, as a value, and the sum of several; it is pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

from serving.lane.window import SECONDS

if TYPE_CHECKING:
    from serving.lane.meters import Meters


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """This is what a replica counted, or several together.

    Args:
        pids: Their processes.
        second: The last second of the series, since 1970.
        began: When the first of them began, in seconds since 1970.
        in_flight: Requests under way.
        repeats: Decisions answered from the log.
        answered: Requests of each second that were answered with less than 400, the oldest first.
        refused: With 4xx.
        failed: With 5xx.
        took: Path to the buckets of its durations, over the same time.
        refusals: By code, since they began; and so are the others.
        decisions: By model.
        fallbacks: By "model reason".
        outcomes: By kind.
        requests: By "path status".
        breakers: Challenger to the worst state of its breakers.
    """

    pids: list[int]
    second: int
    began: int
    in_flight: int = 0
    repeats: int = 0
    answered: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    took: dict[str, list[int]] = field(default_factory=dict)
    refusals: dict[str, int] = field(default_factory=dict)
    decisions: dict[str, int] = field(default_factory=dict)
    fallbacks: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)
    requests: dict[str, int] = field(default_factory=dict)
    breakers: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-like data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild it from `to_json`.

        Raises:
            TypeError: It is of another version of Headrace.
        """
        return cls(**data)


def snapshot_of(meters: Meters, *, pid: int, now_us: int) -> Snapshot:
    """Return what a replica counted until now."""
    recent = meters.window.recent()
    return Snapshot(
        pids=[pid],
        second=now_us // 1_000_000,
        began=meters.began_us // 1_000_000,
        in_flight=meters.in_flight,
        repeats=meters.repeats,
        answered=recent.answered,
        refused=recent.refused,
        failed=recent.failed,
        took=recent.took,
        refusals=dict(meters.refusals),
        decisions=dict(meters.answers),
        fallbacks={f"{model} {why}": count for (model, why), count in meters.fallbacks.items()},
        outcomes=dict(meters.outcomes),
        requests={
            f"{tally.label} {status}": count
            for tally in meters.all_tallies()
            for status, count in tally.statuses.items()
        },
        breakers=dict(meters.breakers),
    )


def together(snapshots: Sequence[Snapshot]) -> Snapshot:
    """Return the sum of snapshots, of which at least one is given; each is moved to its time."""
    newest = max(each.second for each in snapshots)

    def series(name: str) -> list[int]:
        return _summed((getattr(each, name), newest - each.second) for each in snapshots)

    def counts(name: str) -> dict[str, int]:
        return _counted(getattr(each, name) for each in snapshots)

    return Snapshot(
        pids=[pid for each in snapshots for pid in each.pids],
        second=newest,
        began=min(each.began for each in snapshots),
        in_flight=sum(each.in_flight for each in snapshots),
        repeats=sum(each.repeats for each in snapshots),
        answered=series("answered"),
        refused=series("refused"),
        failed=series("failed"),
        took=_took(snapshots),
        refusals=counts("refusals"),
        decisions=counts("decisions"),
        fallbacks=counts("fallbacks"),
        outcomes=counts("outcomes"),
        requests=counts("requests"),
        breakers=_breakers(snapshots),
    )


def _summed(series: Iterable[tuple[Sequence[int], int]]) -> list[int]:
    """Return the sum of series that end so many seconds ago."""
    total = [0] * SECONDS
    for values, ago in series:
        for place, value in enumerate(values[ago:]):
            total[place] += value
    return total


def _counted(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return dict(total)


def _took(snapshots: Sequence[Snapshot]) -> dict[str, list[int]]:
    total: dict[str, list[int]] = {}
    for each in snapshots:
        for path, counts in each.took.items():
            so_far = total.get(path)
            total[path] = (
                list(counts)
                if so_far is None
                else [a + b for a, b in zip(so_far, counts, strict=True)]
            )
    return total


def _breakers(snapshots: Sequence[Snapshot]) -> dict[str, str]:
    """Return the state of each challenger: "closed" only where it is so everywhere."""
    worst: dict[str, str] = {}
    for each in snapshots:
        for model, state in each.breakers.items():
            if worst.get(model, "closed") == "closed":
                worst[model] = state
    return worst
