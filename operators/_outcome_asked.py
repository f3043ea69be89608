"""This module holds what is asked of labels by outcome: the operator's parameters as one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Literal

Touch = Literal["last", "all"]
Attribution = Literal["last", "first"]
OnMissing = Literal["censor", "negative"]
ShortWindow = Literal["refuse", "warn"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """These are the parameters of `label_by_outcome`, which says what they mean."""

    outcome: str
    window_hours: float = 0.0
    above: float | None = None
    as_of: datetime | None = None
    reason_column: str | None = None
    by: str | None = None
    observation_id: str | None = None
    attribution: Attribution = "last"
    touch: Touch = "last"
    on_missing: OnMissing = "censor"

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Asked:
        """Return what a planned call asks for; a plan looks at no window."""
        names = [field.name for field in fields(cls) if field.name in parameters]
        return cls(**{name: parameters[name] for name in names})

    @property
    def window(self) -> timedelta:
        """How long after a decision its outcome may become known."""
        return timedelta(hours=self.window_hours)

    @property
    def fills(self) -> bool:
        """Whether what is missing counts as negative."""
        return self.on_missing == "negative"
