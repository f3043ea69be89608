"""This module is a route: what an endpoint answers with, one small value that is never edited."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from headrace.errors import DefinitionError, ParameterError
from serving.traffic import Traffic

_ENDPOINT = re.compile(r"[a-z][a-z0-9_]{0,63}")
_MODEL = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}/[1-9][0-9]{0,8}")
_PLAIN_FIELDS = (
    "endpoint",
    "generation",
    "champion",
    "challenger",
    "experiment",
    "previous",
    "held",
)


class RoutingError(DefinitionError):
    """This change cannot be made from the route as it stands."""


@dataclass(frozen=True, kw_only=True)
class Rival:
    """This is a version that is compared with the champion.

    Args:
        model: The version, as "name/3".
        experiment: Id of the comparison. Another pair, the same one begun anew, or another way of
            dealing traffic has another id.
    """

    model: str
    experiment: str


@dataclass(frozen=True, kw_only=True)
class Route:
    """This is what an endpoint answers with.

    Args:
        endpoint: Its name: small letters, digits and `_`, at most 64, a letter first.
        generation: Grows by one with every change, from 1.
        champion: The model that answers, as "name/3": version 3 of a registered model.
        challenger: The first version that is compared with it; None when nothing is compared.
        experiment: Id of that comparison; None without a challenger.
        previous: The champion before the last promotion, which a rollback goes back to.
        also: Further versions that are compared with the champion, each by itself.
        traffic: Which units challengers answer; None when all of them are in shadow alone.
        held: Why a person holds the endpoint: no rule promotes or ramps anything; None for free.

    Raises:
        ParameterError: A name or version is not of that form, or a model challenges itself.
    """

    endpoint: str
    generation: int
    champion: str
    challenger: str | None
    experiment: str | None
    previous: str | None
    also: tuple[Rival, ...] = ()
    traffic: Traffic | None = None
    held: str | None = None

    def __post_init__(self) -> None:
        require_endpoint(self.endpoint)
        for model in (self.champion, self.challenger, self.previous):
            if model is not None:
                require_model(model)
        if self.generation < 1 or self.challenger == self.champion:
            raise ParameterError(
                f"The endpoint '{self.endpoint}' cannot have the generation {self.generation}, the "
                f"champion {self.champion} and the challenger {self.challenger}.",
                remedy="Count generations from 1, and let a model challenge another one.",
            )
        if (self.challenger is None) != (self.experiment is None):
            raise ParameterError(
                f"The endpoint '{self.endpoint}' has the challenger {self.challenger} and the "
                f"experiment {self.experiment}.",
                remedy="Give both, or neither: an experiment compares a challenger.",
            )
        models = [rival.model for rival in self.rivals]
        if len({self.champion, *models}) != 1 + len(models) or (self.also and not self.challenger):
            raise ParameterError(
                f"The endpoint '{self.endpoint}' cannot have the champion {self.champion} and the "
                f"challengers {', '.join(models)}.",
                remedy="Name every version once.",
            )
        dealt = () if self.traffic is None else self.traffic.shares()
        for model in dealt:
            if model not in models:
                raise ParameterError(
                    f"The endpoint '{self.endpoint}' deals traffic to {model}, which does not "
                    f"challenge {self.champion}.",
                    remedy="Deal traffic to challengers.",
                )

    @property
    def rivals(self) -> tuple[Rival, ...]:
        """All versions that are compared with the champion, the first challenger first."""
        if self.challenger is None or self.experiment is None:
            return ()
        return (Rival(model=self.challenger, experiment=self.experiment), *self.also)

    @property
    def watched(self) -> Rival | None:
        """The old champion in reverse shadow, while a promotion is watched; None otherwise."""
        return next((rival for rival in self.rivals if rival.model == self.previous), None)

    def experiment_of(self, model: str) -> str | None:
        """Return the id of the comparison with a challenger; None for any other version."""
        return {rival.model: rival.experiment for rival in self.rivals}.get(model)

    def to_json(self) -> dict[str, Any]:
        """Return the route as JSON-like data."""
        own = {name: getattr(self, name) for name in _PLAIN_FIELDS}
        return own | {
            "also": [asdict(rival) for rival in self.also],
            "traffic": None if self.traffic is None else self.traffic.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild a route from `to_json`; one of before traffic was dealt has neither."""
        traffic = data.get("traffic")
        return cls(
            **{name: data[name] for name in _PLAIN_FIELDS if name in data},
            also=tuple(Rival(**rival) for rival in data.get("also") or ()),
            traffic=None if traffic is None else Traffic.from_json(traffic),
        )


def require_endpoint(name: str) -> str:
    """Return a name of an endpoint if it is allowed.

    Raises:
        ParameterError: It is not; the name is part of addresses, folders and tables.
    """
    if _ENDPOINT.fullmatch(name):
        return name
    raise ParameterError(
        f"An endpoint cannot be named {name!r}.",
        remedy="Begin with a small letter and go on with small letters, digits or '_', at most 64.",
    )


def require_model(model: str) -> str:
    """Return a reference of a model if it is of the form "name/3".

    Raises:
        ParameterError: It is not.
    """
    if _MODEL.fullmatch(model):
        return model
    raise ParameterError(
        f"{model!r} is not a version of a registered model.",
        remedy="Write the registered name and the number of the version, as in 'flight_delay/3'.",
    )
