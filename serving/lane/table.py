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
from serving.traffic import Traffic

SHARED_APP = "shared-lanes"
"""The app of all endpoints that share a process; no endpoint can be called so."""


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
class Compared:
    """This is a model that is compared with the champion.

    Args:
        model: The model.
        experiment: Id of the comparison.
    """

    model: Served
    experiment: str


@dataclass(frozen=True, kw_only=True)
class Hop:
    """This is where the models of a lane are scored when not in the lane's own process.

    Args:
        cpus: Cores that Ray sets aside for each scoring process; logical, may be a fraction.
        gpus: GPUs likewise; a fraction shares one.
        memory_mb: Memory likewise, in megabytes; 0 asks for none.
        replicas: Scoring processes.
    """

    cpus: float = 0.1
    gpus: float = 0.0
    memory_mb: int = 0
    replicas: int = 1


@dataclass(frozen=True, kw_only=True)
class Guarded:
    """This is a model whose failures and slow answers are counted, for the rule's guardrails.

    Args:
        model: Which version it is, "name/3".
        experiment: Under which id: that of the comparison, or of the champion's reign.
        limits_ms: Answers that take longer than each of these are counted, in milliseconds.
    """

    model: str
    experiment: str
    limits_ms: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LaneTable:
    """This is what one endpoint answers with, at one generation.

    Args:
        endpoint: Name of the endpoint.
        generation: Grows with every change.
        champion: The model that answers.
        challenger: The first model that is compared with it, None when there is none.
        experiment: Id of that comparison, None without challenger.
        lookups: The features that are read from the online store.
        clock: "live", or "replayed": then requests say the moment of the decision.
        may_lack: Views whose entities may be unknown; their features are null then.
        online: File of the online store where it is SQLite. An address with a password is no part
            of the table, which Ray Serve shows: replicas have it from the settings.
        space: The online space that is read.
        log: Folder of the decision log.
        notices: Folder where replicas say where they listen.
        port: Port to listen on if it is free; 0 takes any.
        durability: What a logged decision outlives: the "process", or also a loss of "power".
        on_demand: The on-demand views that are computed of requests.
        also: Further models that are compared with the champion.
        traffic: Which units challengers answer; None when all are in shadow alone.
        hop: Where models are scored; None for the lane's own process.
        outcomes: What may be told of a decision, as JSON-like data; none for one outcome without
            a name.
        host: Interface to listen on.
        code: Digest of the code that the replicas run; another one replaces them, one by one.
        replicas: The least and the most processes that answer.
        shared: Whether the lane is in one process with others that are asked rarely.
        previous: The champion before the last promotion, which stays in memory so that a rollback
            loads nothing; None where there is nothing to go back to.
        guards: The models that are counted for guardrails.
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
    also: tuple[Compared, ...] = ()
    traffic: Traffic | None = None
    hop: Hop | None = None
    outcomes: tuple[Mapping[str, Any], ...] = ()
    host: str = "127.0.0.1"
    code: str = ""
    replicas: tuple[int, int] = (1, 1)
    shared: bool = False
    previous: Served | None = None
    guards: tuple[Guarded, ...] = ()

    @property
    def app(self) -> str:
        """Name of the app of Ray Serve that answers for the endpoint."""
        return SHARED_APP if self.shared else self.endpoint

    @property
    def compared(self) -> tuple[Compared, ...]:
        """All models that are compared with the champion, the first challenger first."""
        if self.challenger is None or self.experiment is None:
            return ()
        return (Compared(model=self.challenger, experiment=self.experiment), *self.also)

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
            "also": [[_served_json(each.model), each.experiment] for each in self.also],
            "traffic": None if self.traffic is None else self.traffic.to_json(),
            "hop": None if self.hop is None else vars(self.hop).copy(),
            "outcomes": [dict(each) for each in self.outcomes],
            "host": self.host,
            "code": self.code,
            "replicas": list(self.replicas),
            "shared": self.shared,
            "previous": None if self.previous is None else _served_json(self.previous),
            "guards": [[each.model, each.experiment, [*each.limits_ms]] for each in self.guards],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LaneTable:
        """Rebuild a table from `to_json`."""
        challenger, traffic, hop = data["challenger"], data["traffic"], data["hop"]
        least, most = data["replicas"]
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
            also=tuple(Compared(model=_served(m), experiment=e) for m, e in data["also"]),
            traffic=None if traffic is None else Traffic.from_json(traffic),
            hop=None if hop is None else Hop(**hop),
            outcomes=tuple(data["outcomes"]),
            host=data["host"],
            code=data["code"],
            replicas=(least, most),
            shared=data["shared"],
            previous=None if data["previous"] is None else _served(data["previous"]),
            guards=tuple(
                Guarded(model=model, experiment=experiment, limits_ms=tuple(limits))
                for model, experiment, limits in data["guards"]
            ),
        )


def _served_json(served: Served) -> dict[str, str]:
    return {"ref": served.ref, "folder": str(served.folder)}


def _served(data: Mapping[str, str]) -> Served:
    return Served(ref=data["ref"], folder=Path(data["folder"]))
