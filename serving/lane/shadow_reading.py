"""This module makes rows to be scored of what a shadow read of the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace.decisions.excerpts import Excerpts

Document = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Alike:
    """These are decisions that one model answered, from features of the same names.

    Args:
        columns: What the log has for the names.
        answered: The model.
        ids: Of each decision.
        rows: The features of each.
    """

    columns: int
    answered: str
    ids: list[str] = field(default_factory=list)
    rows: list[Sequence[Any]] = field(default_factory=list)


class Members:
    """This finds the decisions that are part of a comparison.

    Args:
        experiment: Id of the comparison.
    """

    def __init__(self, experiment: str) -> None:
        self._experiment = experiment
        self._excerpts = Excerpts()

    def among(self, payloads: Sequence[bytes], documents: Sequence[Document]) -> list[Alike]:
        """Return decisions of the comparison, those that are alike together.

        Args:
            payloads: Decisions as they lie in the log.
            documents: Further decisions.
        """
        found: dict[tuple[int, str], Alike] = {}
        groups: list[tuple[Document, Sequence[Document]]] = [*self._excerpts.of(payloads)]
        groups += [(document, [document]) for document in documents]
        for said, decisions in groups:
            if not _belongs(said, self._experiment):
                continue
            model = said["model"]
            for decision in decisions:
                columns = decision["columns"]
                alike = found.get((columns, model))
                if alike is None:
                    alike = found[columns, model] = Alike(columns=columns, answered=model)
                alike.ids.append(decision["id"])
                alike.rows.append(decision["features"])
        return list(found.values())


def _belongs(said: Document, experiment: str) -> bool:
    return said["experiment"] == experiment or experiment in said.get("experiments", ())
