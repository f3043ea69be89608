"""This module is where a challenger stands on its way: what a ruling depends on beside evidence."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Self

from serving.rollout._document import fields_of, listed, moment_of, plain

Stage = Literal["shadow", "traffic", "watch"]


def person(name: object) -> str:
    """Return a name as people are compared: "Ann " is nobody else than "ann"."""
    return unicodedata.normalize("NFKC", str(name)).strip().casefold()


@dataclass(frozen=True, kw_only=True)
class Said:
    """This is what the newest person said to the promotion, of those who may.

    Args:
        approved: Whether it was approved.
        actor: Who said it.
        at: When.
        reason: Why, in words; may be empty.
    """

    approved: bool
    actor: str
    at: datetime
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class RolloutState:
    """This is where one challenger stands at one endpoint.

    Args:
        endpoint: Name of the endpoint.
        generation: The route that was looked at; acting compares it.
        champion: Who answers.
        challenger: Who is compared with it; in a watch, the old champion.
        experiment: Id of the comparison.
        stage: "shadow": it answers nobody; "traffic": it answers a share; "watch": it was the
            champion, and sees whether the new one is worse.
        share: Which share it answers, 0 to 1.
        design: How traffic is dealt ("ab", "canary", "ramp", "thompson"); None where it is not.
        began: When the experiment began.
        since: When its share was last changed, or the experiment began.
        first_try: Which one it is of all that were tried against this champion, from 1.
        last_try: The same of the last challenger that began together with it.
        held: Why a person holds the endpoint; None for free.
        said: What was said to the promotion; None where nothing was, by somebody who may.
        authors: Who put the challenger up or registered it; they may not approve.
    """

    endpoint: str
    generation: int
    champion: str
    challenger: str
    experiment: str
    stage: Stage
    share: float
    design: str | None
    began: datetime
    since: datetime
    first_try: int = 1
    last_try: int = 1
    held: str | None = None
    said: Said | None = None
    authors: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON-like data; `from_json` gives back exactly the same."""
        document: dict[str, Any] = plain(self)
        return document

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild a state from `to_json`.

        Raises:
            DataError: It is damaged.
        """
        fields = fields_of(cls, data, "the state")
        for name in ("began", "since"):
            fields[name] = moment_of(fields[name], name)
        fields["authors"] = listed(fields.get("authors", ()), "authors")
        if fields.get("said") is not None:
            said = fields_of(Said, fields["said"], "what was said")
            fields["said"] = Said(**{**said, "at": moment_of(said["at"], "said at")})
        return cls(**fields)
