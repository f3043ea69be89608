"""This module deals the decisions of a lane to its models, and says what the log keeps of that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from serving.lane.table import LaneTable
from serving.traffic import BUCKETS, unit_of


@dataclass(frozen=True, slots=True)
class Dealt:
    """This is whose a decision is.

    Args:
        model: Who is to answer.
        fields: What the log keeps of it, one value for all decisions that are alike.
    """

    model: str
    fields: Mapping[str, Any]

    def to_champion(self, champion: str, why: str) -> Dealt:
        """Return it with the champion in the challenger's stead, for a reason."""
        return Dealt(champion, {**self.fields, "fallback": why})


class Dealing:
    """This deals by one routing table: the same unit to the same model, in every process.

    Args:
        table: The table.
    """

    def __init__(self, table: LaneTable) -> None:
        compared = table.compared
        champion = table.champion.ref
        self.traffic = table.traffic
        shares = {} if self.traffic is None else self.traffic.shares()
        challengers = [each.model.ref for each in compared if each.model.ref in shares]
        same: dict[str, Any] = {"generation": table.generation, "experiment": table.experiment}
        if len(compared) > 1:
            same["experiments"] = [each.experiment for each in compared]
        counts = [round(shares[ref] * BUCKETS) for ref in challengers]
        chances = [count / BUCKETS for count in (BUCKETS - sum(counts), *counts)]
        alone = same | {"candidates": [champion], "propensities": [1.0]}
        self.champions = Dealt(champion, alone)
        """What the champion answers because nobody else could."""
        self._no_unit = Dealt(champion, alone | {"unit": None})
        self._fields = same | {"candidates": [champion, *challengers], "propensities": chances}
        self._owners = [champion] * BUCKETS
        for span in () if self.traffic is None else self.traffic.spans:
            self._owners[span.start : span.end] = [span.model] * (span.end - span.start)

    @property
    def by_id(self) -> bool:
        """Whether each decision is dealt by itself, by its id."""
        return self.traffic is not None and not self.traffic.unit

    def of(self, entity: Mapping[str, Any], identity: str | None) -> Dealt:
        """Return whose a decision is.

        Args:
            entity: Its entity.
            identity: Its id, which is the unit where the table names no columns.
        """
        if self.traffic is None:
            return self.champions
        if not self.traffic.unit:
            return self.champions if identity is None else self._owned(identity, {})
        return self.of_unit(unit_of(entity, self.traffic.unit))

    def of_unit(self, unit: str | None) -> Dealt:
        """Return whose the decisions about a unit are; the champion's without a unit."""
        if self.traffic is None:
            return self.champions
        return self._no_unit if unit is None else self._owned(unit, {"unit": unit})

    def _owned(self, unit: str, more: dict[str, Any]) -> Dealt:
        assert self.traffic is not None  # noqa: S101  whoever calls has looked
        owner = self._owners[self.traffic.bucket_of(unit)]
        return Dealt(owner, {**self._fields, "assigned": owner, **more})
