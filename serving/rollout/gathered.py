"""This module holds all that a ruling rests on: the comparison and the figures of guardrails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Self

from serving._evidence_document import Evidence
from serving.rollout._document import damaged, fields_of, listed, moment_of, plain

FORMAT = "headrace gathered 1"


@dataclass(frozen=True, kw_only=True)
class Figures:
    """These are the figures of one guardrail, or of the gate.

    Args:
        metric: Which guardrail, such as "error_rate"; "gate" for the gate.
        of: Which of several of that metric: the column of "slice_gap"; "" otherwise.
        counts: JSON-like figures, as the guardrail's check reads them; see
            `serving.rollout.guardrails`. Empty where nothing is known.
    """

    metric: str
    of: str = ""
    counts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """This is all evidence of one look at an experiment.

    Args:
        as_of: What was known at this moment, aware, in UTC.
        scope: "all", or "live": guardrails alone that need no outcome, as they are judged every
            second; nothing is promoted or ramped on those.
        primary: The comparison by the rule's metric; None where it was not looked at.
        figures: Those of the rule's guardrails, and of its gate.
        answered: How many decisions the challenger answered since its share was last changed.
    """

    as_of: datetime
    scope: Literal["all", "live"] = "all"
    primary: Evidence | None
    figures: tuple[Figures, ...] = ()
    answered: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the evidence as JSON-like data; `from_json` gives back exactly the same."""
        primary = self.primary
        return {
            "format": FORMAT,
            "as_of": plain(self.as_of),
            "scope": plain(self.scope),
            "primary": primary.to_json() if isinstance(primary, Evidence) else plain(primary),
            "figures": plain(self.figures),
            "answered": plain(self.answered),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild the evidence from `to_json`.

        Figures are taken as they are, whatever their type: to doubt them is for who judges.

        Raises:
            DataError: It has another format, or is damaged.
        """
        found = data.get("format") if isinstance(data, Mapping) else None
        if found != FORMAT:
            raise damaged(f"the evidence has the format {found!r}, not '{FORMAT}'")
        rest = {key: value for key, value in data.items() if key != "format"}
        fields = fields_of(cls, rest, "the evidence")
        primary = fields["primary"]
        figures = listed(fields.get("figures", ()), "figures")
        return cls(
            **{
                **fields,
                "as_of": moment_of(fields["as_of"], "as_of"),
                "primary": None if primary is None else Evidence.from_json(primary),
                "figures": tuple(Figures(**fields_of(Figures, f, "a figure")) for f in figures),
            }
        )
