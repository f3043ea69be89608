"""This module makes rows to be scored of what a shadow read of the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace.decisions.excerpts import Excerpts

Document = Mapping[str, Any]
_ASKED_IN_VAIN = ("error", "timeout")


@dataclass(frozen=True, kw_only=True)
class Alike:
    """These are decisions that one model answered, from features of the same names.

    Args:
        columns: What the log has for the names.
        answered: The model.
        failed: The model whose they were and that failed to answer them; None for none.
        ids: Of each decision.
        rows: The features of each.
    """

    columns: int
    answered: str
    failed: str | None = None
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
        found: dict[tuple[int, str, str | None], Alike] = {}
        groups: list[tuple[Document, Sequence[Document]]] = [*self._excerpts.of(payloads)]
        groups += [(document, [document]) for document in documents]
        for said, decisions in groups:
            if not _belongs(said, self._experiment):
                continue
            model = said["model"]
            failed = said.get("assigned") if said.get("fallback") in _ASKED_IN_VAIN else None
            for decision in decisions:
                columns = decision["columns"]
                alike = found.get((columns, model, failed))
                if alike is None:
                    alike = Alike(columns=columns, answered=model, failed=failed)
                    found[columns, model, failed] = alike
                alike.ids.append(decision["id"])
                alike.rows.append(decision["features"])
        return list(found.values())


def _belongs(said: Document, experiment: str) -> bool:
    return said["experiment"] == experiment or experiment in said.get("experiments", ())
