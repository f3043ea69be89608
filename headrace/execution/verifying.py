"""This module reads a whole store, and says whom it concerns when something is damaged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from headrace.errors import StoreError, UnknownNameError

if TYPE_CHECKING:
    from headrace.lineage import Lineage
    from headrace.store import LocalStore

_MODELS = ("Model", "SelectedModel")


@dataclass(frozen=True, kw_only=True)
class Damage:
    """This is an artifact that is not what was written.

    Args:
        digest: Its digest.
        problem: What is wrong with it.
        runs: The runs that made, read or passed it on, and those that went on from there.
        models: The digests of the models that came of it, or that it is.
    """

    digest: str
    problem: str
    runs: tuple[str, ...]
    models: tuple[str, ...]

    def text(self) -> str:
        """Return this in a few lines, for people."""
        runs = ", ".join(f"run:{run[:12]}" for run in self.runs) or "none"
        models = ", ".join(model[:12] for model in self.models) or "none"
        return f"{self.problem}\n  runs: {runs}\n  models: {models}"

    def to_json(self) -> dict[str, Any]:
        """Return this as JSON-like data."""
        return asdict(self)


def verified(store: LocalStore, lineage: Lineage) -> Iterator[tuple[str, Damage | None]]:
    """Yield every digest of the store, as it is read, with its damage if it has one.

    Args:
        store: What is read, every byte and every row.
        lineage: Who knows whom a damage concerns.
    """
    for digest in sorted(store.digests()):
        try:
            store.check(digest)
        except UnknownNameError:  # discarded meanwhile
            continue
        except StoreError as error:
            yield digest, _damage(digest, error.problem, lineage)
        else:
            yield digest, None


def _damage(digest: str, problem: str, lineage: Lineage) -> Damage:
    try:
        graph = lineage.closure(digest, "down")
    except UnknownNameError:
        return Damage(digest=digest, problem=problem, runs=(), models=())
    makers = [edge.earlier for edge in lineage.closure(digest, "up").edges if edge.later == digest]
    runs = {node.attributes["run_id"] for node in graph.nodes if node.sort == "invocation"}
    runs |= {lineage.invocation(maker).run_id for maker in makers}
    models = [node.id for node in graph.nodes if node.label in _MODELS]
    return Damage(digest=digest, problem=problem, runs=tuple(sorted(runs)), models=tuple(models))
