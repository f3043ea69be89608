"""This module holds the routing table of a lane: all that a replica has to know, as one document.

It is given to the replica by Ray Serve as `user_config`, and replaced whole: a change of champion
is one assignment in the replica.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from features.on_demand_call import OnDemandCall
from features.online_lookup import Lookup


@dataclass(frozen=True, kw_only=True)
class Served:
    """This is a model that a lane scores with.

    Args:
        ref: Which version it is, "name/3".
        folder: Its bundle.
    """

    ref: str
    folder: Path


@dataclass(frozen=True, kw_only=True)
class LaneTable:
    """This is what one endpoint answers with, at one generation.

    Args:
        endpoint: Name of the endpoint.
        generation: Grows with every change.
        champion: The model that answers.
        challenger: The model that is scored in shadow, None when there is none.
        experiment: Id of the pair that is being compared, None without challenger.
        lookups: The features that are read from the online store.
        on_demand: The on-demand views that are computed of requests.
        clock: "live", or "replayed": then requests say the moment of the decision.
        may_lack: Views whose entities may be unknown; their features are null then.
        online: File of the online store where it is SQLite. An address with a password is no part
            of the table, which Ray Serve shows: replicas have it from the settings.
        space: The online space that is read.
        log: Folder of the decision log.
        notices: Folder where replicas say where they listen.
        port: Port to listen on if it is free; 0 takes any.
        durability: What a logged decision outlives: the "process", or also a loss of "power".
    """

    endpoint: str
    generation: int
    champion: Served
    challenger: Served | None
    experiment: str | None
    lookups: tuple[Lookup, ...]
    clock: Literal["live", "replayed"]
    may_lack: frozenset[str]
    online: Path
    space: str
    log: Path
    notices: Path
    port: int = 0
    durability: Literal["process", "power"] = "process"
    on_demand: tuple[OnDemandCall, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the table as JSON-like data."""
        challenger = self.challenger
        return {
            "endpoint": self.endpoint,
            "generation": self.generation,
            "champion": _served_json(self.champion),
            "challenger": None if challenger is None else _served_json(challenger),
            "experiment": self.experiment,
            "lookups": [lookup.to_json() for lookup in self.lookups],
            "clock": self.clock,
            "may_lack": sorted(self.may_lack),
            "online": str(self.online),
            "space": self.space,
            "log": str(self.log),
            "notices": str(self.notices),
            "port": self.port,
            "durability": self.durability,
            "on_demand": [call.to_json() for call in self.on_demand],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LaneTable:
        """Rebuild a table from `to_json`."""
        challenger = data["challenger"]
        return cls(
            endpoint=data["endpoint"],
            generation=data["generation"],
            champion=_served(data["champion"]),
            challenger=None if challenger is None else _served(challenger),
            experiment=data["experiment"],
            lookups=tuple(Lookup.from_json(entry) for entry in data["lookups"]),
            clock=data["clock"],
            may_lack=frozenset(data["may_lack"]),
            online=Path(data["online"]),
            space=data["space"],
            log=Path(data["log"]),
            notices=Path(data["notices"]),
            port=data["port"],
            durability=data["durability"],
            on_demand=tuple(OnDemandCall.from_json(entry) for entry in data["on_demand"]),
        )


def _served_json(served: Served) -> dict[str, str]:
    return {"ref": served.ref, "folder": str(served.folder)}


def _served(data: Mapping[str, str]) -> Served:
    return Served(ref=data["ref"], folder=Path(data["folder"]))
