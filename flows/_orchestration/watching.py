"""This module tells Prefect what happens in a run: its MLflow run, what bodies say, and events."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flows.tracking import MlflowRunLog
    from headrace.execution import NodeOutcome
    from headrace.plan import Node, Plan
    from headrace.recording import Event


class PrefectObserver:
    """This joins the Prefect run to its record in MLflow, and passes on what bodies say.

    Args:
        log: Knows the address of the MLflow run.
    """

    def __init__(self, log: MlflowRunLog) -> None:
        self._log = log
        self._linked = False

    def run_started(self, run_id: str, plan: Plan) -> None:
        """Put the address on the Prefect run and into its log, once."""
        if self._linked:
            return
        from prefect import get_run_logger
        from prefect.artifacts import create_link_artifact

        self._linked = True
        address = self._log.links(run_id).run
        get_run_logger().info("MLflow run: %s", address)
        create_link_artifact(
            link=address, link_text="MLflow run", key="mlflow-run", description=f"run:{run_id}"
        )

    def node_started(self, node: Node) -> None:
        """Nothing to tell: the task run says so."""

    def node_says(self, node: Node, text: str) -> None:
        """Put what a body says into the log of its task run."""
        from prefect import get_run_logger

        get_run_logger().info(text)

    def node_finished(self, node: Node, outcome: NodeOutcome) -> None:
        """Nothing to tell: the task run says so."""


def emit(event: Event) -> None:
    """Pass an event to Prefect, which starts what subscribed to it."""
    from prefect.events import emit_event

    emit_event(event.name, {"prefect.resource.id": event.resource}, payload=dict(event.payload))
