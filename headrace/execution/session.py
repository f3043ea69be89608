"""This module holds what a run needs around it: store, lineage, logs, and who watches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from headrace.execution.outcome import NodeOutcome

if TYPE_CHECKING:
    from headrace.lineage import Lineage
    from headrace.plan import Node, Plan
    from headrace.recording import Announce, RunLog
    from headrace.store import Store


class Runner(Protocol):
    """This runs the work of a node: in place, or as a Prefect task."""

    def __call__(self, node: Node, work: Callable[[], NodeOutcome]) -> NodeOutcome:
        """Do the work and return its outcome; called from several threads."""
        ...


class Observer(Protocol):
    """This is told how a run goes, for people who watch."""

    def run_started(self, run_id: str, plan: Plan) -> None:
        """A run begins."""
        ...

    def node_started(self, node: Node) -> None:
        """A node begins; called from several threads."""
        ...

    def node_says(self, node: Node, text: str) -> None:
        """A running body tells how far it is; called from several threads."""
        ...

    def node_finished(self, node: Node, outcome: NodeOutcome) -> None:
        """A node ended; called from several threads."""
        ...


def in_place(node: Node, work: Callable[[], NodeOutcome]) -> NodeOutcome:
    """Do the work in this thread."""
    return work()


@dataclass(frozen=True, kw_only=True)
class Session:
    """This is the surroundings of runs.

    Args:
        store: Where artifacts lie.
        lineage: Where records lie.
        roots: First-party folders, whose code is part of cache keys.
        threads: How many nodes may run at a time.
        origin: How runs are started: "python", "command line" or "prefect".
        actor: Who starts them.
        log: Who records runs for people, such as MLflow.
        runner: Who runs a node's work.
        observers: Who watches.
        announce: Passes events of running bodies to whoever subscribed; None when nobody can.
        run_id: The id of the run, None to draw one; a resumed run has the id it had.
        prefect_run_id: The flow run in Prefect, None outside it.
    """

    store: Store
    lineage: Lineage
    roots: tuple[Path, ...] = ()
    threads: int = 2
    origin: str = "python"
    actor: str = ""
    log: RunLog | None = None
    runner: Runner = in_place
    observers: Sequence[Observer] = ()
    announce: Announce | None = None
    run_id: str | None = None
    prefect_run_id: str | None = None

    @classmethod
    def of_settings(cls, **changes: Any) -> Session:
        """Return the session that the settings describe, with changes."""
        from headrace.lineage import Lineage
        from headrace.settings import settings
        from headrace.store import LocalStore

        configured = settings()
        given: dict[str, Any] = {
            "store": changes.pop("store", None) or LocalStore(Path(configured.store)),
            "lineage": changes.pop("lineage", None) or Lineage(configured.database_url),
            "roots": configured.roots,
            "threads": configured.threads,
            "actor": configured.actor,
        }
        return cls(**given, **changes)
