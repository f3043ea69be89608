"""This module keeps on record that a run takes over sensitive features which another had read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.lineage.feature_reads import remember_reads

if TYPE_CHECKING:
    from headrace.execution.session import Session
    from headrace.plan import Node


def remember_reuse(node: Node, *, flow: str, run_id: str, session: Session) -> None:
    """Put it on record, before the outputs are handed out, for a node that reads such features.

    Args:
        node: A node that is answered from the cache.
        flow: The flow that runs.
        run_id: Its run.
        session: Lineage, and who runs.

    Raises:
        StoreError: It cannot be recorded.
    """
    reads = None if node.operator is None else node.operator.options.reads
    if reads is None:
        return
    features = [external.feature for external in reads(node.parameters) if external.feature]
    remember_reads(
        features,
        sort="reused",
        flow=flow,
        run_id=run_id,
        actor=session.actor,
        database=session.lineage.database,
    )
